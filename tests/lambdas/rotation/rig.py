"""One trial: a role in PostgreSQL, its secret in Secrets Manager, and the function between them."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from .function import Function, Invocation, Outcome
from .postgres import HOST, PostgresServer
from .secrets_manager import SecretsManager
from .wire import Wire

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
LABELS = ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Rig:
    """Everything that trials share."""

    server: PostgresServer
    secrets_manager: SecretsManager
    function: Function
    wire: Wire
    ca_file: Path

    def trial(self, password: str = "first-password", **changes: Any) -> Trial:
        """A new role with a new secret; `changes` replace or (None) remove fields of the secret."""
        username = changes.pop("username", f"role {next(_numbers)}")
        attributes = changes.pop("attributes", "LOGIN")
        self.server.create_role(username, password, attributes)
        fields = {
            "engine": "postgres",
            "username": username,
            "password": password,
            "host": HOST,
            "port": self.wire.postgres_port,
            "dbname": "postgres",
            **changes,
        }
        text = json.dumps({name: value for name, value in fields.items() if value is not None})
        return Trial(self, username, self.secrets_manager.create(text))


@dataclass(frozen=True)
class Trial:
    """A role and its secret."""

    rig: Rig
    username: str
    arn: str

    def begin(self) -> str:
        """Start a rotation as Secrets Manager does; returns its token."""
        return self.rig.secrets_manager.begin_rotation(self.arn)

    def start(self, step: str, token: str, seconds: float = 30.0, **settings: Any) -> Invocation:
        event = {"Step": step, "SecretId": self.arn, "ClientRequestToken": token}
        return self.rig.function.start(event, seconds, **settings)

    def step(self, step: str, token: str, seconds: float = 30.0, **settings: Any) -> Outcome:
        invocation = self.start(step, token, seconds, **settings)
        self.rig.wire.run(invocation)
        return invocation.outcome()

    def rotate(self, token: str) -> list[Outcome]:
        """The four steps in order; stops at the first that fails."""
        outcomes: list[Outcome] = []
        for step in STEPS:
            outcomes.append(self.step(step, token))
            if outcomes[-1].error:
                break
        return outcomes

    def by_hand(self, step: str, **settings: Any) -> Outcome:
        invocation = self.rig.function.start({"Step": step, "SecretId": self.arn}, **settings)
        self.rig.wire.run(invocation)
        return invocation.outcome()

    def fields(self, label: str) -> dict[str, Any]:
        """The secret's value at a label; empty when there is none."""
        return self._fields(self.rig.secrets_manager.labels(self.arn).get(label))

    def _fields(self, version: str | None) -> dict[str, Any]:
        text = self.rig.secrets_manager.value(self.arn, version) if version else None
        return dict(json.loads(text)) if text else {}

    def password(self, label: str) -> str | None:
        password = self.fields(label).get("password")
        return None if password is None else str(password)

    def logs_in(self, password: str | None) -> bool:
        """True where the real server, asked directly, accepts this password for the role."""
        if password is None:
            return False
        context = ssl.create_default_context(cafile=self.rig.ca_file)
        with socket.create_connection(("127.0.0.1", self.rig.server.port)) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                Connection(
                    self.username, host=HOST, database="postgres", password=password, sock=plain, ssl_context=context
                ).close()
            except DatabaseError as error:
                assert error.args[0]["C"] == "28P01", error
                return False
        return True

    def labels_that_log_in(self) -> list[str]:
        versions = self.rig.secrets_manager.labels(self.arn)
        return [label for label in LABELS if self.logs_in(self._fields(versions.get(label)).get("password"))]


def until_converged(trial: Trial, attempts: int, between: Callable[[], None] = lambda: None) -> bool:
    """Repeat what Secrets Manager does after a failure, the same token again, until AWSCURRENT is what it began."""
    pending = trial.rig.secrets_manager.labels(trial.arn).get("AWSPENDING")
    token = pending if pending else trial.begin()
    for _ in range(attempts):
        if trial.rotate(token)[-1].error is None:
            return trial.password("AWSCURRENT") is not None and trial.logs_in(trial.password("AWSCURRENT"))
        between()
    return False
