"""A phase that is ready to be cut over: two databases, the stand-in's tasks, a role of the application."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import psycopg
from psycopg import sql

from builders.migration.changes import Changes
from builders.migration.databases import Database, Login, Side, StatementObserver
from builders.migration.schema import moments
from builders.migration.schema.moments import Kept
from builders.migration.switchover.runs import Parties
from builders.migration.verify.state import StoredComparison

from .conftest import Pair, make_marker
from .remote import DMS_USER, FALLBACK, SCHEMAS, parties
from .stand_in import Exchange, roles

PARTS = 16
"""Of all points of a command, so that they are tried side by side."""

ORDERS = "CREATE TABLE payments.orders (id bigserial PRIMARY KEY, token varchar(64) NOT NULL, note text NOT NULL)"


@dataclass
class Scene:
    """Both sides of a phase, its tasks, and the application's role."""

    pair: Pair
    exchange: Exchange
    writer: str
    said: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def parties(self, observe: StatementObserver | None = None, **more: Any) -> Iterator[Parties]:
        """New sessions to both sides, and what a run needs beside them."""
        pair = self.pair
        with pair.database("source", observe=observe) as source, pair.database("target", observe=observe) as target:
            yield parties(source, target, self.exchange.ask, self.said.append, **more)

    def login(self, side: Side) -> Login:
        """The login of the application."""
        return self.pair.login(side, self.writer)

    def writing(self, side: Side) -> psycopg.Connection[Any]:
        """Open a session of the application by the server's socket: a writer that tries all the time needs no TLS."""
        server = self.pair.server(side)
        return psycopg.connect(host=str(server.directory), port=server.port, user=self.writer, dbname=self.pair.name,
                               autocommit=True, connect_timeout=5)  # fmt: skip

    def go_forward_again(self) -> None:
        """Load the target anew, as `start` does after a fall-back."""
        with self.pair.database("source") as source, self.pair.database("target") as target:
            moments.soften(target, target, SCHEMAS, lambda _line: None)
            moments.truncate(target, SCHEMAS, lambda _line: None)
            load(source, target, self.exchange)


def mark(pair: Pair) -> None:
    """Make the marker's table, which DMS may write to in the target."""
    make_marker(pair)
    pair.administer("target", f"GRANT ALL ON SCHEMA stackferry TO {DMS_USER}",
                    f"GRANT ALL ON ALL TABLES IN SCHEMA stackferry TO {DMS_USER}")  # fmt: skip


def load(source: Database, target: Database, exchange: Exchange) -> None:
    """Load by the task, wait until it runs, and verify."""
    exchange.ask("forward", "begin", "reload-target")
    while exchange.ask("forward", "describe")["status"] == "starting":
        time.sleep(0.005)
    verification = StoredComparison(target, {"schemas": list(SCHEMAS)}, whole=True)
    verification.begin()
    verification.finish({}, clean=True)
    Changes(source, target, SCHEMAS).begin()


@contextlib.contextmanager
def scene(pair: Callable[..., Pair], *definitions: str) -> Iterator[Scene]:
    """Make a phase whose task runs and which is verified; afterwards nothing of it runs, and no slot is left."""
    definitions = ("CREATE SCHEMA payments", *(definitions or (ORDERS,)))
    made = pair(*definitions)
    mark(made)
    writer = f"shop_{made.name}"
    roles(made, writer)
    for side in get_args(Side):
        made.server(side).let_us_in(writer)
    grants = [
        "GRANT USAGE ON SCHEMA payments TO {0}",
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA payments TO {0}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA payments TO {0}",
    ]
    made.administer("source", *(grant.format(user) for grant in grants for user in (writer, FALLBACK)),
                    f"GRANT CREATE ON DATABASE {made.name} TO {FALLBACK}")  # fmt: skip
    with made.database("source") as source, made.database("target") as target:
        for statement in definitions:
            if statement.startswith("CREATE"):
                target.run(statement)
        for grant in grants:
            for user in (writer, DMS_USER):
                target.run(grant.format(user))
        moments.prepare(target)
        role = sql.Identifier(writer)
        opening, closing = (sql.SQL(f"ALTER ROLE {{}} {word}LOGIN").format(role).as_string() for word in ("", "NO"))
        moments.keep(target, Kept("target", "opening", "ROLE", writer, opening, closing))
        moments.soften(target, target, SCHEMAS, lambda _line: None)
    exchange = Exchange(made)
    try:
        with made.database("source") as source, made.database("target") as target:
            load(source, target, exchange)
        yield Scene(made, exchange, writer)
    finally:
        exchange.close()
