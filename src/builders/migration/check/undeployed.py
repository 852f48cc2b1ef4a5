"""A phase before its deployment: the source by its secret alone, and no task, no target."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from builders.aws.calls import Access, ApiCalls, Session
from builders.errors import UsageError
from builders.migration.databases import Database, Login
from builders.migration.phase import ADVICE, THROTTLED_SECONDS, PhaseOptions, secret_of_user


class Undeployed:
    """Part of a phase that a check needs, where there are no outputs. Raises `UsageError` without a secret."""

    def __init__(self, options: PhaseOptions, schemas: Sequence[str], database: str, certificate: Path | None) -> None:
        arn = options.source_secret or ""
        if not arn.startswith("arn:") or not database:
            raise UsageError("--schema checks a phase before its deployment, and needs --source-secret and --database")
        self.name = options.phase
        self.schemas = list(schemas)
        self._options = options
        self._arn = arn
        self._database = database
        self._certificate = certificate
        region = options.region or arn.split(":")[3]
        self._calls = ApiCalls(
            Access(region, options.profile, throttled_seconds=THROTTLED_SECONDS, read_seconds=30, advice=ADVICE)
        )

    @functools.cached_property
    def session(self) -> Session:
        """The caller's own session: the roles of the phase do not stand yet."""
        return self._calls.session()

    @property
    def caller(self) -> str:
        """ARN of the identity that the calls are made with."""
        return str(self.session.ask("sts", "GetCallerIdentity")["Arn"])

    def source(self) -> Database:
        """Log in to the source. Raises `MigrationError`."""
        return Database("source", self._login)

    def _login(self) -> Login:
        secret = secret_of_user(self.session, self._arn)
        return Login(
            host=str(secret["host"]),
            port=int(secret["port"]),
            database=self._database,
            username=str(secret["username"]),
            password=str(secret["password"]),
            ssl_mode="verify-full" if self._certificate else "require",
            root_certificate=str(self._certificate or ""),
            address=self._options.source_address,
        )


def rules_of(text: str) -> Iterable[Mapping[str, Any]]:
    """The rules of a parameter TableRules, as an environment's file will have it. Raises `UsageError`."""
    with contextlib.suppress(ValueError):
        rules = json.loads(f"[{text}]")
        if all(isinstance(rule, dict) for rule in rules):
            return list(rules)
    raise UsageError(
        "--table-rules is not a list of rules as docs/migration.md shows them: JSON objects, joined by commas"
    )
