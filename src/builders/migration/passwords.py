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
    """The secrets of a phase's application: `suffix` names them, and key and tags are those of `like`, a secret."""

    session: Session
    suffix: str
    like: str

    def name(self, role: str) -> str:
        """The name of a role's secret."""
        return naming.with_suffix(f"{naming.PREFIX}application", f"{self.suffix}-{_NAME.sub('_', role)}")

    def of(self, role: str, database: Database) -> str:
        """Return the password of a role's secret, which is made where it is not there. Raises `MigrationError`."""
        password = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        login = database.login
        value = {"username": role, "password": password, "host": login.host, "port": login.port,
                 "dbname": login.database}  # fmt: skip
        model = self.session.ask("secretsmanager", "DescribeSecret", SecretId=self.like)
        given: dict[str, Any] = {"KmsKeyId": model["KmsKeyId"]} if model.get("KmsKeyId") else {}
        tags = [tag for tag in model.get("Tags", []) if tag["Key"] in naming.TAGS]
        try:
            self.session.ask(
                "secretsmanager",
                "CreateSecret",
                Name=self.name(role),
                Description=f"User {role} of the application in the target database",
                SecretString=json.dumps(value),
                Tags=tags,
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
