"""Reads a source's changes from its logical slot, as DMS does: the plug-in test_decoding over a walsender.

The streaming protocol is spoken over libpq's functions, which psycopg shows as they are (PostgreSQL manual, "Streaming
Replication Protocol"). The slot moves on only to what is confirmed, which is what the target holds: between a crash and
the next start nothing is lost. An idle source keeps its WAL, since nothing is confirmed but what was read: that is what
the heartbeat is for (DMS API reference, "PostgreSQLSettings", HeartbeatEnable).
"""

from __future__ import annotations

import datetime
import hashlib
import select
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import pq, sql

from builders import logical_decoding
from builders.cloud.dms.endpoints import Endpoint, Unusable
from builders.cloud.dms.reporting import Report
from builders.cloud.dms.troubles import is_recoverable
from builders.logical_decoding import Change

PLUGIN = "test_decoding"
KEEPALIVE_SECONDS = 5.0
_HEADER = struct.Struct(">qqq")
_KEEPALIVE = struct.Struct(">qqB")
_HEARTBEAT = """CREATE TABLE {} (hb_key bigint PRIMARY KEY, hb_created_by varchar(100), hb_created_at timestamptz,
    hb_last_heartbeat_at timestamptz)"""
_BEAT = """INSERT INTO {} VALUES (1, 'AWS-DMS', now(), now())
    ON CONFLICT (hb_key) DO UPDATE SET hb_last_heartbeat_at = now()"""
_EPOCH_SECONDS = 946_684_800
"""PostgreSQL counts from 2000-01-01."""


@dataclass(slots=True)
class Transaction:
    """A committed transaction: its changes in order, where its commit ends in the WAL, and when it was."""

    changes: list[Change] = field(default_factory=list)
    position: int = 0
    committed_at: float = 0.0


class SlotUnusable(Unusable):
    """The slot is gone, lost, or another's; the message says which."""


def position(text: str) -> int:
    """Return an LSN such as 4AF/B00000D0 as a number. Raises ValueError."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def shown(number: int) -> str:
    """Return a number as an LSN."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def create_slot(session: psycopg.Connection[Any], name: str) -> int:
    """Make the slot; waits for the transactions that are open. Return from where it has everything."""
    query = "SELECT lsn::text FROM pg_catalog.pg_create_logical_replication_slot(%s, %s)"
    row = session.execute(query, (name, PLUGIN)).fetchone()
    assert row is not None
    return position(row[0])


def drop_slot(session: psycopg.Connection[Any], name: str) -> None:
    """Drop a slot, if it is there; whoever still reads from it is ended first."""
    deadline = time.monotonic() + 5
    while True:
        row = session.execute("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", (name,)).fetchone()
        if row is None:
            return
        if row[0] is None or time.monotonic() > deadline:
            break
        session.execute("SELECT pg_terminate_backend(%s)", (row[0],))
        time.sleep(0.05)
    session.execute("SELECT pg_catalog.pg_drop_replication_slot(%s)", (name,))


def check_slot(session: psycopg.Connection[Any], name: str) -> int:
    """Return how far a slot is confirmed. Raises `SlotUnusable`."""
    query = """SELECT plugin, database = current_database(), wal_status, confirmed_flush_lsn::text
               FROM pg_replication_slots WHERE slot_name = %s"""
    row = session.execute(query, (name,)).fetchone()
    if row is None:
        raise SlotUnusable(f'replication slot "{name}" does not exist')
    plugin, ours, status, confirmed = row
    if plugin != PLUGIN or not ours:
        raise SlotUnusable(f'replication slot "{name}" is of plug-in {plugin}, or of another database')
    if status == "lost":
        raise SlotUnusable(
            f'can no longer get changes from replication slot "{name}": it exceeded max_slot_wal_keep_size, and its '
            "WAL is gone (wal_status lost)"
        )
    return position(confirmed or "0/0")


def slot_name(arn: str) -> str:
    """Return the name of a task's own slot: lower-case letters, digits and underscores, at most 63."""
    name = "".join(
        letter if letter.isalnum() and letter.isascii() else "_" for letter in arn.rpartition(":")[2].lower()
    )
    return f"awsdms_{name[:40]}_{hashlib.sha256(arn.encode()).hexdigest()[:12]}"


def has_slot(session: psycopg.Connection[Any], name: str) -> bool:
    """Return whether there is a slot of that name."""
    return bool(session.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (name,)).fetchone())


class Stream:
    """The changes of one slot from a position on."""

    def __init__(self, source: Endpoint, slot: str, start: int) -> None:
        self._connection = source.replicate()
        self._pg = self._connection.pgconn
        self._flushed = start
        self._answered = time.monotonic()
        self._open: Transaction | None = None
        self.read_position = start
        self.heard = start
        """All that the source had committed up to this position has come."""
        command = sql.SQL("START_REPLICATION SLOT {} LOGICAL {} (\"include-timestamp\" 'on')")
        text = command.format(sql.Identifier(slot), sql.SQL(shown(start))).as_string(self._connection)
        result = self._pg.exec_(text.encode())
        if result.status != pq.ExecStatus.COPY_BOTH:
            self.close()
            raise psycopg.OperationalError(result.error_message.decode("utf-8", "replace").strip())

    def close(self) -> None:
        """End the connection; the slot stays."""
        self._connection.close()

    def read(self, seconds: float, most: int) -> list[Transaction]:
        """Return the transactions that have come: at once with what is there, or after a wait for the first."""
        found: list[Transaction] = []
        changes, deadline = 0, time.monotonic() + seconds
        while changes < most:
            for message in self._messages():
                transaction = self._take(message)
                if transaction is not None:
                    found.append(transaction)
                    changes += len(transaction.changes)
                    if changes >= most:
                        break
            else:
                waited = 0.0 if found else deadline - time.monotonic()
                if waited <= 0 and (found or time.monotonic() >= deadline):
                    break
                select.select([self._pg.socket], [], [], max(0.0, waited))
                self._pg.consume_input()
                continue
        if time.monotonic() - self._answered > KEEPALIVE_SECONDS:
            self._answer()
        return found

    def confirm(self, number: int) -> None:
        """Tell the source what the target holds, so that it may let go of the WAL before."""
        self._flushed = max(self._flushed, number)
        self._answer()

    def _messages(self) -> Iterator[bytes]:
        while True:
            size, data = self._pg.get_copy_data(1)
            if size == 0:
                self._pg.consume_input()
                size, data = self._pg.get_copy_data(1)
                if size == 0:
                    return
            if size == -1:
                result = self._pg.get_result()
                said = result.error_message.decode("utf-8", "replace").strip() if result else ""
                raise psycopg.OperationalError(said or "the source ended the stream of changes")
            yield bytes(data)

    def _take(self, message: bytes) -> Transaction | None:
        """Take one message of the stream; return the transaction that it ends."""
        if message[:1] == b"k":
            # PostgreSQL manual, "Streaming Replication Protocol"; of logical changes it is how far the sender has read
            # (walsender.c, WalSndKeepalive).
            end, _, wants_answer = _KEEPALIVE.unpack_from(message, 1)
            self.heard = max(self.heard, end)
            if wants_answer:
                self._answer()
            return None
        start, _, _ = _HEADER.unpack_from(message, 1)
        event = logical_decoding.parse(message[25:].decode("utf-8"))
        if isinstance(event, logical_decoding.Begin):
            self._open = Transaction()
        elif isinstance(event, logical_decoding.Commit) and self._open is not None:
            done, self._open = self._open, None
            done.position = self.read_position = start
            self.heard = max(self.heard, start)
            done.committed_at = _seconds(event.at)
            return done
        elif self._open is not None and not isinstance(event, (logical_decoding.Commit, logical_decoding.Message)):
            self._open.changes.append(event)
        return None

    def ask(self) -> None:
        """Ask the source how far it has read: the answer comes behind the changes before it, and moves `heard`."""
        self._answer(wants_answer=True)

    def _answer(self, wants_answer: bool = False) -> None:
        now = int((time.time() - _EPOCH_SECONDS) * 1_000_000)
        positions = (self.read_position, self._flushed, self._flushed)
        self._pg.put_copy_data(b"r" + struct.pack(">qqqqB", *positions, now, wants_answer))
        self._pg.flush()
        self._answered = time.monotonic()


class Heartbeat:
    """Writes to the source every few minutes, so that an idle database's slot moves on.

    Source: DMS API reference, "PostgreSQLSettings": HeartbeatEnable, HeartbeatFrequency (minutes, 5), HeartbeatSchema.
    """

    def __init__(self, source: Endpoint, session: psycopg.Connection[Any], report: Report) -> None:
        self._session, self._report = session, report
        self._enabled = source.flag("HeartbeatEnable")
        self._next = 0.0
        self._seconds = 60.0 * source.number("HeartbeatFrequency", 5)
        self._schema = sql.Identifier(source.attributes.get("heartbeatschema") or "public")
        self._table = sql.SQL("{}.awsdms_heartbeat").format(self._schema)

    def beat(self) -> None:
        """Write, when it is time; a source that refuses it is told of in the log, and not asked again."""
        now = time.monotonic()
        if not self._enabled or now < self._next:
            return
        try:
            if not self._next:
                self._make()
            self._session.execute(sql.SQL(_BEAT).format(self._table))
        except psycopg.Error as error:
            if is_recoverable(error):
                raise
            self._enabled = False
            self._report.write("SOURCE_CAPTURE", "W", f"No heartbeat on the source: {str(error).splitlines()[0]}")
        self._next = now + self._seconds

    def _make(self) -> None:
        name = self._table.as_string(self._session)
        row = self._session.execute("SELECT to_regclass(%s)", (name,)).fetchone()
        if row and row[0]:
            return
        # PostgreSQL asks for CREATE on the database before it looks whether the schema exists (42501).
        schema = self._schema.as_string(self._session)
        found = self._session.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone()
        if not found or not found[0]:
            self._session.execute(sql.SQL("CREATE SCHEMA {}").format(self._schema))
        self._session.execute(sql.SQL(_HEARTBEAT).format(self._table))


def _seconds(text: str) -> float:
    """Return "2026-01-31 10:00:00.123456+00" as seconds since 1970; 0 where there is nothing."""
    if not text:
        return 0.0
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:  # half an hour's offset, or a style of dates that the server's settings ask for
        return time.time()
