"""A stand-in for DMS between the two servers of `pair`: tasks of changes alone, without an account and its calls.

It copies rows by DMS's rules as far as a cut-over meets them: transaction by transaction in the order of their commits,
from a slot that moves on only to what is applied; text columns are inserted as NULL and updated afterwards; a task that
meets an error stops with it. It lives in the test's process, so a cut-over that is killed does not take it along.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from builders import logical_decoding
from builders.errors import ReplicationError
from builders.logical_decoding import UNCHANGED, Begin, Commit, Delete, Insert, Row, Truncate, Update
from builders.migration.databases import Side

from .conftest import VERIFIER, Pair
from .remote import Way

BACK_SLOT = "stackferry_fallback"
LARGE = "text"
KEYS = {"id"}
"""The key column of every table that is copied."""


@dataclass
class StandIn:
    """A task. `begin`, `stop` and `describe` are what DMS's API would be."""

    pair: Pair
    way: Way
    schemas: tuple[str, ...] = ("payments", "stackferry")
    status: str = "ready"
    failure: str = ""
    started: int = 0
    fresh: str = ""
    """Begin of its last load."""
    delay: float = 0.0
    """Seconds by which each transaction is late."""
    _thread: threading.Thread | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sides(self) -> tuple[Side, Side]:
        """The side that is read, and the one that is written."""
        return ("source", "target") if self.way == "forward" else ("target", "source")

    @property
    def slot(self) -> str:
        return f"dms_{self.pair.name}" if self.way == "forward" else BACK_SLOT

    def describe(self) -> dict[str, Any]:
        return {"status": self.status, "failure": self.failure, "started": str(self.started or ""), "fresh": self.fresh}

    def begin(self, kind: str, position: str = "") -> bool:
        with self._lock:
            if self.status in ("starting", "running", "stopping"):
                raise ReplicationError(f"the task is {self.status}")
            if kind == "reload-target" or (kind == "start-replication" and self.way == "forward"):
                self._load()
            self.status, self.failure, self.started = "starting", "", self.started + 1
            self._over = threading.Event()
            self._thread = threading.Thread(target=self._copy, args=(self._over,), daemon=True)
            self._thread.start()
        return True

    def stop(self) -> None:
        with self._lock:
            if self.status != "running":
                raise ReplicationError(f"the task is {self.status}")
            self.status = "stopping"
            self._over.set()

    def close(self) -> None:
        """End the thread, and drop the slots of the side that it reads."""
        self._over.set()
        if self._thread:
            self._thread.join(60)
        with self._administrator(self.sides[0]) as session:
            session.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE database = current_database()"
            )

    def _load(self) -> None:
        """Copy all rows, from where a new slot begins: nobody writes meanwhile in these tests."""
        self.fresh = datetime.now(UTC).isoformat()
        with self._administrator("source") as read, self._writer() as write:
            read.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s "
                         "AND database = current_database()", (self.slot,))  # fmt: skip
            read.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (self.slot,))
            for schema, name in self._tables(read):
                table = sql.Identifier(schema, name)
                with (
                    read.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(table)) as out,
                    write.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as into,
                ):
                    for block in out:
                        into.write(block)

    def _tables(self, session: psycopg.Connection[Any]) -> list[tuple[str, str]]:
        """Return all tables but those of extensions, which `check` wants to be left out by TableRules."""
        return session.execute(
            "SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relkind IN ('r', 'p') "
            "AND relnamespace = ANY (%s::regnamespace[]) AND NOT EXISTS (SELECT FROM pg_depend "
            "WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')",
            (list(self.schemas),),
        ).fetchall()

    def _administrator(self, side: Side) -> psycopg.Connection[Any]:
        server = self.pair.server(side)
        return psycopg.connect(host=str(server.directory), port=server.port, user="rdsadmin", dbname=self.pair.name,
                               autocommit=True, application_name="dms")  # fmt: skip

    def _writer(self) -> psycopg.Connection[Any]:
        side = self.sides[1]
        user = "ferry_dms" if side == "target" else "ferry_fallback"
        return psycopg.connect(**self.pair.login(side, user).parameters(), autocommit=True, application_name="dms")

    def _copy(self, over: threading.Event) -> None:
        try:
            with self._administrator(self.sides[0]) as read, self._writer() as write:
                large = {
                    (schema, table, column)
                    for schema, table, column in read.execute(
                        "SELECT table_schema, table_name, column_name FROM information_schema.columns "
                        "WHERE table_schema = ANY (%s) AND data_type = %s", (list(self.schemas), LARGE),
                    )
                }  # fmt: skip
                self.status = "running"
                while not over.is_set():
                    if not self._copy_what_is_there(read, write, large, over):
                        over.wait(0.03)
            self.status = "stopped"
        except Exception as error:
            self.status, self.failure = "failed", " ".join(str(error).split())

    def _copy_what_is_there(
        self,
        read: psycopg.Connection[Any],
        write: psycopg.Connection[Any],
        large: set[tuple[str, str, str]],
        over: threading.Event,
    ) -> bool:
        rows = read.execute(
            "SELECT lsn::text, data FROM pg_logical_slot_peek_changes(%s, NULL, 200, 'skip-empty-xacts', '1')",
            (self.slot,),
        ).fetchall()
        changes: list[Any] = []
        for position, line in rows:
            event = logical_decoding.parse(line)
            if isinstance(event, Begin):
                changes = []
            elif isinstance(event, Commit):
                if over.is_set():
                    return False
                if self.delay:
                    time.sleep(self.delay)
                with write.transaction():
                    for change in changes:
                        self._apply(write, change, large)
                read.execute("SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", (self.slot, position))
            else:
                changes.append(event)
        return bool(rows)

    def _apply(self, write: psycopg.Connection[Any], change: Any, large: set[tuple[str, str, str]]) -> None:
        if isinstance(change, Truncate):
            for schema, name in change.tables:
                write.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(schema, name)))
            return
        schema, name = change.table
        if schema not in self.schemas or name.startswith("awsdms_"):
            return
        table = sql.Identifier(schema, name)
        if isinstance(change, Insert):
            late = {column: value for column, value in change.row.items() if (schema, name, column) in large}
            first = {column: None if column in late else value for column, value in change.row.items()}
            columns = sql.SQL(", ").join(map(sql.Identifier, first))
            values = sql.SQL(", ").join(map(sql.Literal, first.values()))
            write.execute(sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(table, columns, values))
            if late:
                self._update(write, table, {**late, **{key: change.row[key] for key in KEYS}}, change.row)
        elif isinstance(change, Update):
            self._update(write, table, change.row, change.old or change.row)
        elif isinstance(change, Delete):
            write.execute(sql.SQL("DELETE FROM {} WHERE {}").format(table, _where(change.old or {})))

    def _update(self, write: psycopg.Connection[Any], table: sql.Identifier, row: Row, old: Row) -> None:
        values = [sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(value))
                  for column, value in row.items() if value is not UNCHANGED]  # fmt: skip
        done = write.execute(
            sql.SQL("UPDATE {} SET {} WHERE {}").format(table, sql.SQL(", ").join(values), _where(old))
        )
        assert done.rowcount == 1, f"an update of {table.as_string()} found {done.rowcount} rows"


def _where(row: Row) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(key), sql.Literal(row[key])) for key in sorted(KEYS)
    )


class Exchange:
    """Both tasks of a pair, reached from this process by `ask`, and from others by a socket."""

    def __init__(self, pair: Pair) -> None:
        self.tasks: dict[Way, StandIn] = {"forward": StandIn(pair, "forward"), "back": StandIn(pair, "back")}

    def ask(self, way: Way, name: str, *arguments: Any) -> Any:
        return getattr(self.tasks[way], name)(*arguments)

    @contextlib.contextmanager
    def served(self, path: Path) -> Iterator[None]:
        """Answer other processes at a socket, a line for each call."""
        exchange = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    way, name, *arguments = json.loads(line)
                    try:
                        answer = {"answer": exchange.ask(way, name, *arguments)}
                    except ReplicationError as error:
                        answer = {"error": str(error)}
                    self.wfile.write(json.dumps(answer).encode() + b"\n")

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing of callers that were killed."""

        with Server(str(path), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            yield
            server.shutdown()

    def close(self) -> None:
        for task in self.tasks.values():
            task.close()


def roles(pair: Pair, writer: str) -> None:
    """Make the users of the way back, and the application's role, which cannot log in to the target yet."""
    login = f"LOGIN PASSWORD '{VERIFIER}'"
    make = (
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{0}') "
        "THEN CREATE ROLE {0} {1}; END IF; END $$"
    )
    replica = "ALTER ROLE ferry_fallback SET session_replication_role = replica"
    pair.administer("source", make.format("ferry_fallback", login), replica, make.format(writer, login))
    pair.administer("target", make.format("ferry_fallback", login), make.format(writer, f"NO{login}"))
