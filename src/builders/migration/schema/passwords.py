"""New passwords of the application's roles, each in a secret of its own; they are never shown."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders import naming
from builders.aws.calls import Session
from builders.aws.errors import Refused
from builders.errors import MigrationError
from builders.migration.databases import Database

LENGTH = 32
ALPHABET = string.ascii_letters + string.digits + "!#$*-=?^_~"
"""No character that a connection string, a shell or DMS misreads."""

_NAME = re.compile(r"[^A-Za-z0-9/_+=.@!-]")
"""Characters that a secret's name cannot have (Secrets Manager API reference, "CreateSecret")."""


@dataclass(frozen=True)
class Passwords:
    """The secrets of a phase's application. `suffix` ends names of the phase, `key` is its KMS key, or empty."""

    session: Session
    phase: str
    suffix: str
    key: str

    def name(self, role: str) -> str:
        """The name of a role's secret."""
        return naming.with_suffix(naming.APPLICATION_SECRET, f"{self.suffix}-{_NAME.sub('_', role)}")

    def of(self, role: str, database: Database) -> str:
        """Return the password of a role's secret, which is made where it is not there. Raises `MigrationError`."""
        password = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        login = database.login
        value = {"username": role, "password": password, "host": login.host, "port": login.port,
                 "dbname": login.database}  # fmt: skip
        given: dict[str, Any] = {"KmsKeyId": self.key} if self.key else {}
        tags = naming.tags({naming.SUFFIX: self.suffix, naming.MIGRATION_PHASE: self.phase})
        try:
            self.session.ask(
                "secretsmanager",
                "CreateSecret",
                Name=self.name(role),
                Description=f"User {role} of the application in the target database",
                SecretString=json.dumps(value),
                Tags=[{"Key": name, "Value": value} for name, value in tags.items()],
                **given,
            )
        except Refused as refused:
            if refused.code != "ResourceExistsException":
                raise
            return self._existing(role)
        return password

    def _existing(self, role: str) -> str:
        text = self.session.ask("secretsmanager", "GetSecretValue", SecretId=self.name(role)).get("SecretString", "")
        try:
            value: Mapping[str, str] = json.loads(text)
            if value["username"] == role:
                return value["password"]
        except (ValueError, KeyError, TypeError):
            pass
        raise MigrationError(
            f"the secret {self.name(role)} is there and is not that of {role}; give it username and password, or "
            "delete it, then run this again"
        )


def verifier(database: Database, role: str, password: str) -> str:
    """The SCRAM verifier of a password: the password itself is not sent to the server, nor logged by it."""
    with database.translated():
        word = database.connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return word.decode()
