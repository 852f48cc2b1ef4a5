"""The migration layer with the parameters of a test."""

from __future__ import annotations

import re
from typing import Any

from builders.evaluate import Evaluated, evaluate

SECRET = "arn:aws:secretsmanager:us-east-1:111111111111:secret:source-AbCdEf"
KEY = "arn:aws:kms:us-east-1:111111111111:key/0123abcd-0123-0123-0123-0123456789ab"
SIDES = ("Source", "Target")
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
GIVEN = {
    "EnvironmentSuffix": "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "ReplicationEngineVersion": "3.6.1",
    "SourceHost": "payments.corp.internal",
    "SourcePort": "5432",
    "SourceDatabaseName": "payments",
    "SourceSecretArn": SECRET,
    "SourceCertificatePem": PEM,
    "SchemaName1": "payments",
}


class Imports(dict[str, str]):
    """Every export there is, as a text that names it."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"<{name}>"


def evaluated(built: dict[str, Any], region: str = "us-east-1", **more: str) -> Evaluated:
    """The template with the parameters that every test gives, and others by keyword."""
    return evaluate(built, GIVEN | more, imports=Imports(), region=region)


def properties_of(built: dict[str, Any], name: str, **more: str) -> dict[str, Any]:
    """The properties of a resource with the parameters of a test."""
    found: dict[str, Any] = evaluated(built, **more).resources[name]["Properties"]
    return found


def matches(built: dict[str, Any], parameter: str, value: str) -> bool:
    return bool(re.fullmatch(built["Parameters"][parameter]["AllowedPattern"], value))
