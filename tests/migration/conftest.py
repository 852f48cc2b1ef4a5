"""Two real PostgreSQL servers without the embedded cloud: one as it is on-premises, one as RDS makes it.

A test module makes databases of its own on them, by `pair`, which is cheap; no test starts a server.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
import scram

from builders import naming
from builders.cloud.rds import instances, postgres
from builders.cloud.rds.on_premises import APPLICATION, REPLICATION_USER, SUPERUSER, certificates
from builders.migration.databases import Database, Login, Side, StatementObserver

from . import remote

MASTER, DMS_USER, PASSWORD = remote.MASTER, remote.DMS_USER, remote.PASSWORD
_numbers = itertools.count(1)
VERIFIER = scram.verifier(PASSWORD, iterations=1)
"""PASSWORD as PostgreSQL keeps it, of one round and not 4,096: these are half of what a login costs, of thousands."""


@dataclass(frozen=True)
class Pair:
    """A database of the same name on both servers: owned by `app` in the source, by the master user in the target."""

    name: str
    source_server: postgres.Server
    target_server: postgres.Server

    def server(self, side: Side) -> postgres.Server:
        return self.source_server if side == "source" else self.target_server

    def login(self, side: Side, username: str = "") -> Login:
        """The login of migrate-database's own user of a side, or of another."""
        own = REPLICATION_USER if side == "source" else MASTER
        port = self.server(side).port
        return Login("localhost", port, self.name, username or own, PASSWORD, "require", address=("127.0.0.1", port))

    def database(self, side: Side, username: str = "", observe: StatementObserver | None = None) -> Database:
        """A session of a side; close it."""
        login = self.login(side, username)
        return Database(side, lambda: login, observe)

    def administer(self, side: Side, *statements: str) -> None:
        """Run statements as a superuser."""
        self.server(side).administer(*statements, database=self.name)

    @contextlib.contextmanager
    def application(self, side: Side = "source", username: str = APPLICATION) -> Iterator[psycopg.Connection[Any]]:
        """A session of the application, each statement a transaction of its own."""
        with psycopg.connect(**self.login(side, username).parameters(), autocommit=True) as session:
            yield session


def make_marker(pair: Pair) -> None:
    """Make the marker's table on both sides, as `schema` does."""
    for side in get_args(Side):
        with pair.database(side) as database:
            database.run(f"CREATE SCHEMA {naming.MARKER_SCHEMA}")
            database.run(
                f"CREATE TABLE {naming.MARKER_SCHEMA}.{naming.MARKER_TABLE} "
                "(id integer PRIMARY KEY, token varchar(64) NOT NULL, made timestamptz NOT NULL)"
            )


@contextlib.contextmanager
def two_servers() -> Iterator[tuple[postgres.Server, postgres.Server]]:
    """Run the source's server and the target's, with their roles: no role of ours is a superuser."""
    settings = {"wal_level": "logical", "synchronous_commit": "on", "max_replication_slots": "40",
                "max_wal_senders": "40", "max_connections": "200", "max_prepared_transactions": "5"}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="stackferry-") as directory:
        Path(directory).chmod(0o711)  # PostgreSQL runs as another user when we are root
        _, certificate = certificates("localhost")
        made = [postgres.Server(postgres.choose(), Path(directory, side), certificate, settings=settings)
                for side in ("source", "target")]  # fmt: skip
        try:
            for server in made:
                server.initialise()
                server.start()
            source, target = made
            source.administer(
                f"CREATE ROLE {SUPERUSER} LOGIN SUPERUSER PASSWORD '{VERIFIER}'",
                f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{VERIFIER}'",
                f"CREATE ROLE {REPLICATION_USER} LOGIN REPLICATION PASSWORD '{VERIFIER}'",
                f"GRANT {APPLICATION}, pg_signal_backend TO {REPLICATION_USER}",
            )
            instances.populate(target, {"MasterUsername": MASTER, "MasterUserPassword": PASSWORD})
            target.administer(
                f"ALTER ROLE {MASTER} PASSWORD '{VERIFIER}'", f"CREATE ROLE {DMS_USER} LOGIN PASSWORD '{VERIFIER}'"
            )
            yield source, target
        finally:
            for server in made:
                server.remove()


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[postgres.Server, postgres.Server]]:
    """Both servers, for all tests."""
    with two_servers() as both:
        yield both


@pytest.fixture(scope="session")
def pair(servers: tuple[postgres.Server, postgres.Server]) -> Callable[..., Pair]:
    """Make a database on both sides; statements are run in the source by the application's role."""

    def make(*statements: str) -> Pair:
        source, target = servers
        name = f"payments_{next(_numbers)}"
        for server, owner in ((source, APPLICATION), (target, MASTER)):
            # Half the work of the default, which writes every block into the log; older versions know no other way.
            strategy = "STRATEGY file_copy" if server.installation.major >= 15 else ""
            server.administer(f"CREATE DATABASE {name} OWNER {owner} {strategy}")
        both = Pair(name, source, target)
        both.administer("source", f"GRANT CREATE, USAGE ON SCHEMA public TO {REPLICATION_USER}, {APPLICATION}")
        with both.application() as session:
            for statement in statements:
                session.execute(statement.encode())
        return both

    return make
