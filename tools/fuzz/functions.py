"""The functions: events of CloudFormation, Secrets Manager and DMS, and secrets, with stand-ins for the services.

A function refuses an input by one of its own errors. Neither its answer, nor its errors, nor its log may have a word of
the secret.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any
from unittest import mock

from tools.fuzz.mutation import as_json, changed
from tools.fuzz.subjects import Subject, printed

LAMBDA = Path("lambda")
WORD = "Correct-Horse-Battery-1"
"""Part of the secret: wherever it turns up, something was told."""

STACK = "arn:aws:cloudformation:us-east-1:111111111111:stack/database-users-dev/5f0c"
LOGIN = {
    "engine": "postgres",
    "username": "owner",
    "host": "db.example.com",
    "port": 5432,
    "dbname": "payments",
    "password": WORD,
}
DATABASE = {"Host": "db.example.com", "DatabaseName": "payments", "SecretArn": "arn:secret",
            "Port": "5432", "SslMode": "verify-full", "CertificatePem": ""}  # fmt: skip
PROPERTIES = {
    **{"MasterSecretArn": "arn:master", "UserSecretArn": "arn:user", "DatabaseName": "payments", "Port": "5432"},
    **{"Schemas": ["payments"], "DropOnDelete": "true", "PatienceSeconds": "0", "Endpoints": []},
    **{"Source": DATABASE, "Target": DATABASE},
}
EVENTS: tuple[dict[str, Any], ...] = (
    *(
        {
            **{"RequestType": kind, "StackId": STACK, "RequestId": "request", "LogicalResourceId": "DmsUser"},
            **{"ResponseURL": "https://bucket.s3.amazonaws.com/key?signature=x", "PhysicalResourceId": "DmsUser-5f0c"},
            **{"ResourceProperties": PROPERTIES, "OldResourceProperties": PROPERTIES},
        }
        for kind in ("Create", "Update", "Delete")
    ),
    *(
        {"Step": step, "SecretId": "arn:secret", "ClientRequestToken": "pending"}
        for step in ("createSecret", "setSecret", "testSecret", "finishSecret", "recover", "reportAge")
    ),
)


def subject() -> Subject:
    """The one subject that is every function."""
    functions = _Functions()

    def make(source: Random) -> bytes:
        event = source.choice(EVENTS)
        texts = [json.dumps(LOGIN), json.dumps(LOGIN)]
        if source.random() < 0.7:
            texts[0] = as_json(source, changed(source, LOGIN, tuple(LOGIN)))
        if source.random() < 0.3:
            texts[1] = as_json(source, changed(source, LOGIN, tuple(LOGIN)))
        if source.random() < 0.7:
            event = changed(source, event, tuple(event))
        return json.dumps(
            {"event": as_json(source, event), "current": texts[0], "pending": texts[1]}, indent=1
        ).encode()

    return Subject("functions", make, functions.take, (functions.errors.FunctionError, functions.log.Told))


class _Context:
    def get_remaining_time_in_millis(self) -> int:
        return 25_000


class _SecretsManager:
    """One secret with two versions."""

    def __init__(self, current: str, pending: str) -> None:
        self.texts = {"current": current, "pending": pending}

    def get_secret_value(self, SecretId: str, VersionId: str = "", VersionStage: str = "AWSCURRENT") -> dict[str, Any]:
        labelled = {"AWSCURRENT": "current", "AWSPENDING": "pending"}
        return {"SecretString": self.texts[VersionId or labelled[VersionStage]]}

    def describe_secret(self, SecretId: str) -> dict[str, Any]:
        return {"RotationEnabled": True, "VersionIdsToStages": {"current": ["AWSCURRENT"], "pending": ["AWSPENDING"]}}

    def list_secret_version_ids(self, **_: Any) -> dict[str, Any]:
        day = datetime(2026, 1, 1, tzinfo=UTC)
        return {
            "Versions": [
                {"VersionId": name, "VersionStages": [f"AWS{name.upper()}"], "CreatedDate": day} for name in self.texts
            ]
        }

    def put_secret_value(self, **_: Any) -> dict[str, Any]:
        return {}

    def update_secret_version_stage(self, **_: Any) -> dict[str, Any]:
        return {}


class _Functions:
    """The functions' modules, loaded as Lambda would, with nothing behind them that is called over a network."""

    def __init__(self) -> None:
        sys.path[:0] = [
            str(LAMBDA / name) for name in ("shared", "database_users", "connectivity_check", "secret_rotation")
        ]
        self.errors, self.log = importlib.import_module("function_errors"), importlib.import_module("function_log")
        self.custom_resource = importlib.import_module("custom_resource")
        self.answers: list[bytes] = []
        self.handlers = {name: _handler(name) for name in ("database_users", "connectivity_check", "secret_rotation")}
        self.client = _SecretsManager("", "")
        self.logged = io.StringIO()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep what the functions answer and log, and let every connection end as one that nobody answers."""

        def unreachable(*_: Any, **__: Any) -> Any:
            raise self.errors.Unreachable("nobody answers")

        stand_ins: list[tuple[Any, str, Any]] = [
            (self.custom_resource, "_put", lambda _url, body, _seconds: self.answers.append(body)),
            *((importlib.import_module(name), "connect", unreachable) for name in ("way", "destinations")),
            (importlib.import_module("transport"), "open_tls", unreachable),
            *(
                (module, name, lambda *_: self.client)
                for module in self.handlers.values()
                for name in ("_secrets_manager", "_client")
                if hasattr(module, name)
            ),
        ]
        for name in ("custom_resource", "database_users", "connectivity_check", "rotation"):
            logger = logging.getLogger(name)
            stand_ins += [
                (logger, "handlers", [logging.StreamHandler(self.logged)]),
                (logger, "propagate", False),
            ]
        with contextlib.ExitStack() as patches:
            for stand_in in stand_ins:
                patches.enter_context(mock.patch.object(*stand_in))
            yield

    def take(self, content: bytes) -> str:
        given = json.loads(content)
        self.client = _SecretsManager(given["current"], given["pending"])
        self.answers.clear()
        self.logged.seek(0)
        self.logged.truncate()
        try:
            event = json.loads(given["event"])
        except (ValueError, RecursionError):
            return "no event of Lambda's"
        with self._alone(), contextlib.redirect_stdout(io.StringIO()) as metrics:
            outcomes = [self._called(handler, event) for handler in self._for(event)]
        told = "\n".join(
            [*outcomes, *(body.decode() for body in self.answers), self.logged.getvalue(), metrics.getvalue()]
        )
        assert WORD not in told, "a word of the secret was told"
        printed(told)
        assert all(len(body) <= self.custom_resource.ANSWER_BYTES for body in self.answers)
        return "refused" if any(outcomes) else "answered"

    def _called(self, handler: Callable[[Any, Any], None], event: Any) -> str:
        try:
            handler(event, _Context())
        except (self.errors.FunctionError, self.log.Told) as error:
            return str(error) or type(error).__name__
        for body in self.answers:
            reason = json.loads(body).get("Reason", "")
            assert "please report it" not in reason or "ResourceProperties" in str(reason) or _is_foreign(event), reason
        return ""

    def _for(self, event: Any) -> Iterator[Callable[[Any, Any], None]]:
        is_rotation = isinstance(event, dict) and "Step" in event
        for name, module in self.handlers.items():
            if is_rotation == (name == "secret_rotation"):
                yield module.handler


def _is_foreign(event: Any) -> bool:
    """Return whether the properties are not those that our templates give: CloudFormation sends no others."""
    return bool(event.get("ResourceProperties") != PROPERTIES)


def _handler(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_index", LAMBDA / name / "index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
