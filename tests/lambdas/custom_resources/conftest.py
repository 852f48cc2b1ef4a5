"""A PostgreSQL with TLS whose master user is no superuser, as on RDS, and the functions' modules on the path."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from credentials import Credentials
from deadline import Deadline
from rotating_secret import RotatingSecret

from builders.cloud.rds import postgres
from builders.cloud.rds.postgres import Installation
from lambdas.rotation.certificates import Authority
from lambdas.rotation.postgres import local_binaries, npm_binaries

DATABASE = "payments"

# From version 16 on, who made a role may do less with it: both sides of that are tried where npm is there.
SERVERS = [
    Installation(found.directory, found.major) for found in (local_binaries(), npm_binaries()) if found is not None
]
NEWEST = max(SERVERS, key=lambda server: server.major, default=None)


def kept(credentials: Credentials) -> RotatingSecret:
    """A secret that nobody rotates."""
    return RotatingSecret(lambda: json.dumps(asdict(credentials)), lambda: None, credentials.dbname)


class Target:
    """The server, who administers it, and how master and DMS log in."""

    def __init__(self, server: postgres.Server) -> None:
        self.server = server
        self.master = Credentials("ferry_owner", "localhost", server.port, DATABASE, "the master's")
        self.dms = Credentials("ferry_dms", "localhost", server.port, DATABASE, "the word of DMS")

    def administer(self, *statements: str) -> None:
        """As the superuser, whom on RDS only AWS has."""
        self.server.administer(*statements, database=DATABASE)

    def logged(self) -> str:
        return self.server.log.read_text(errors="replace")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("certificates"), "trusted")


@pytest.fixture(scope="session", params=SERVERS, ids=lambda found: f"PostgreSQL-{found.major}")
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[postgres.Server]:
    # Not below pytest's directory, which every pytest that starts closes to other users, such as PostgreSQL's.
    directory = Path(tempfile.mkdtemp(prefix="target-"))
    directory.chmod(0o711)
    files = authority.issue(directory, "localhost")
    certificate = postgres.Certificate(*(path.read_text() for path in files))
    # All statements logged, so that a test can look for what must not be in them.
    settings = {"log_statement": "all", "wal_level": "logical"}
    server = postgres.Server(request.param, directory / "server", certificate, settings=settings)
    server.initialise()
    server.start()
    server.administer(
        "CREATE ROLE rds_superuser",
        "CREATE ROLE ferry_owner LOGIN CREATEDB CREATEROLE PASSWORD 'the master''s'",
        "GRANT rds_superuser TO ferry_owner WITH ADMIN OPTION",
    )
    yield server
    server.remove()
    shutil.rmtree(directory)


@pytest.fixture
def target(server: postgres.Server, authority: Authority, environment: None) -> Iterator[Target]:
    """The server with an empty database of the master's and without a role of DMS."""
    server.administer(f"CREATE DATABASE {DATABASE} OWNER ferry_owner")
    yield Target(server)
    server.administer(f"DROP DATABASE {DATABASE} WITH (FORCE)", "DROP ROLE IF EXISTS ferry_dms, stranger")


@pytest.fixture
def environment(authority: Authority) -> Iterator[None]:
    """The authorities that the embedded cloud tells functions to trust."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CA_BUNDLE", str(authority.file))
        yield


@pytest.fixture
def deadline() -> Deadline:
    return Deadline(20)
