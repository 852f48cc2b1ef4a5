"""Facts about DMS endpoints beyond the resource schema."""

from __future__ import annotations

from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value

SETTINGS = (
    "DocDbSettings",
    "GcpMySQLSettings",
    "IbmDb2Settings",
    "MicrosoftSqlServerSettings",
    "MongoDbSettings",
    "MySqlSettings",
    "OracleSettings",
    "PostgreSqlSettings",
    "RedshiftSettings",
    "SybaseSettings",
)
"""The maps of engine settings that can name a secret."""

POSTGRESQL = ("postgres", "aurora-postgresql", "aurora-postgresql-serverless", "postgresql")
"""Engines of PostgreSQL; the last is none of DMS's (E9304), and what PostgreSQL needs is missing there all the same."""
TLS_MODES = {
    **dict.fromkeys(POSTGRESQL, "require or verify-full"),
    **dict.fromkeys(("mysql", "mariadb", "aurora", "aurora-serverless"), "verify-ca or verify-full"),
    **dict.fromkeys(("oracle", "db2"), "verify-ca"),
    **dict.fromkeys(("sqlserver", "babelfish", "mongodb", "docdb"), "require or verify-full"),
}
"""Engines whose endpoints use no TLS unless told, and the modes that they take (AWS DMS user guide, "Using SSL with AWS
Database Migration Service", which also says that Amazon Redshift needs none).
"""


def secrets_of(template: Template, endpoint: Resource) -> list[Value]:
    """Return the values by which an endpoint is given a secret that it reads itself."""
    given = [settings for settings in SETTINGS if settings in endpoint.properties]
    found = [value for settings in given for value in template.branches(endpoint, f"{settings}.SecretsManagerSecretId")]
    return [value for value in found if value.value is not ABSENT]


def is_postgresql(template: Template, endpoint: Resource, side: str | None = None) -> bool:
    """Return whether an endpoint surely is PostgreSQL, and on that side ("source" or "target") if one is given."""
    engines = {str(value.value).lower() for value in template.constants(endpoint, "EngineName")}
    sides = {str(value.value).lower() for value in template.constants(endpoint, "EndpointType")}
    return engines <= set(POSTGRESQL) and (side is None or sides == {side})
