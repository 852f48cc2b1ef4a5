"""Servers and the function, shared by all tests of the rotation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdas.rotation.certificates import Authority
from lambdas.rotation.function import Function
from lambdas.rotation.postgres import PostgresServer, available
from lambdas.rotation.rig import Rig
from lambdas.rotation.secrets_manager import SecretsManager
from lambdas.rotation.wire import Wire


def pytest_report_header() -> str:
    if not available():
        return "rotation: no PostgreSQL found: set PG_BIN to a server's bin folder, or install npm"
    return "rotation: on " + " and ".join(f"PostgreSQL {server.major} ({server.source})" for server in available())


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("certificates"), "trusted")


@pytest.fixture(scope="session", params=available(), ids=lambda binaries: f"PostgreSQL-{binaries.major}")
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[PostgresServer]:
    server = PostgresServer(request.param, authority)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def secrets_manager() -> Iterator[SecretsManager]:
    secrets_manager = SecretsManager()
    yield secrets_manager
    secrets_manager.stop()


@pytest.fixture(scope="session")
def rig(server: PostgresServer, secrets_manager: SecretsManager, authority: Authority) -> Iterator[Rig]:
    wire = Wire(server.port, secrets_manager.port)
    settings = {"AWS_ENDPOINT_URL": wire.secrets_manager_url, "CA_BUNDLE": str(authority.file)}
    source = os.environ.get("ROTATION_SOURCE")
    function = Function(settings, Path(source)) if source else Function(settings)
    yield Rig(server, secrets_manager, function, wire, authority.file)
    function.stop()
    wire.close()
