"""The control tables in the target, and the position in them that makes every change arrive once.

Sources: DMS user guide, "Control table task settings" (tables, columns, when each is made) and "AWS DMS data
validation" (awsdms_validation_failures_v1). DMS's own awsdms_txn_state is not documented; here it holds how far the
task is, written in the very transaction that changes the rows.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from builders.cloud.dms import capture
from builders.cloud.dms.settings import TaskSettings
from builders.cloud.dms.tables import Table
from builders.logical_decoding import Name

SERVER_NAME = "localhost.localdomain"

_TABLES = {
    "awsdms_apply_exceptions": """
        "TASK_NAME" varchar(128) NOT NULL, "TABLE_OWNER" varchar(128) NOT NULL, "TABLE_NAME" varchar(128) NOT NULL,
        "ERROR_TIME" timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'), "STATEMENT" text NOT NULL,
        "ERROR" text NOT NULL""",
    "awsdms_txn_state": """
        "TASK_NAME" varchar(128) NOT NULL, "TABLE_OWNER" varchar(128) NOT NULL, "TABLE_NAME" varchar(128) NOT NULL,
        "STATE" varchar(32) NOT NULL, "LOADED_AT" pg_lsn NOT NULL, "APPLIED" pg_lsn NOT NULL,
        PRIMARY KEY ("TASK_NAME", "TABLE_OWNER", "TABLE_NAME")""",
    "awsdms_status": """
        "SERVER_NAME" varchar(128) NOT NULL, "TASK_NAME" varchar(128) NOT NULL, "TASK_STATUS" varchar(32),
        "STATUS_TIME" timestamp, "PENDING_CHANGES" bigint, "DISK_SWAP_SIZE" bigint, "TASK_MEMORY" bigint,
        "SOURCE_CURRENT_POSITION" varchar(128), "SOURCE_CURRENT_TIMESTAMP" timestamp,
        "SOURCE_TAIL_POSITION" varchar(128), "SOURCE_TAIL_TIMESTAMP" timestamp,
        "SOURCE_TIMESTAMP_APPLIED" timestamp, PRIMARY KEY ("SERVER_NAME", "TASK_NAME")""",
    "awsdms_suspended_tables": """
        "SERVER_NAME" varchar(128) NOT NULL, "TASK_NAME" varchar(128) NOT NULL, "TABLE_OWNER" varchar(128) NOT NULL,
        "TABLE_NAME" varchar(128) NOT NULL, "SUSPEND_REASON" text, "SUSPEND_TIMESTAMP" timestamp,
        PRIMARY KEY ("SERVER_NAME", "TASK_NAME", "TABLE_OWNER", "TABLE_NAME")""",
    "awsdms_history": """
        "SERVER_NAME" varchar(128) NOT NULL, "TASK_NAME" varchar(128) NOT NULL, "TIMESLOT_TYPE" varchar(32) NOT NULL,
        "TIMESLOT" timestamp NOT NULL, "TIMESLOT_DURATION" bigint, "TIMESLOT_LATENCY" bigint, "RECORDS" bigint,
        "TIMESLOT_VOLUME" bigint""",
    "awsdms_validation_failures_v1": """
        "TASK_NAME" varchar(128) NOT NULL, "TABLE_OWNER" varchar(128) NOT NULL, "TABLE_NAME" varchar(128) NOT NULL,
        "FAILURE_TIME" timestamp NOT NULL, "KEY_TYPE" varchar(128) NOT NULL, "KEY" varchar(7800) NOT NULL,
        "FAILURE_TYPE" varchar(128) NOT NULL, "DETAILS" varchar(7800) NOT NULL""",
}
LOADING, LOADED = "LOADING", "LOADED"
_TASK = ("", "")
_NOW = sql.SQL("(now() AT TIME ZONE 'utc')")


@dataclass(frozen=True)
class TableProgress:
    """Progress of a table in the target's records: LOADING or LOADED, the source's position then, the applied one."""

    state: str
    loaded_at: int
    applied: int


@dataclass(frozen=True)
class Progress:
    """Progress of a task as the target records it: the applied position, and each table's own."""

    position: int
    tables: Mapping[Name, TableProgress]


class Control:
    """The control tables of one task, over a session of their own for all that is not part of a transaction."""

    def __init__(self, session: psycopg.Connection[Any], settings: TaskSettings, task: str) -> None:
        self._session, self._settings, self.task = session, settings, task
        self._lock = threading.Lock()
        self.schema = str(settings["ControlTablesSettings"]["ControlSchema"] or "public")

    def make(self) -> None:
        """Make what is missing of the schema and its tables."""
        chosen = self._settings["ControlTablesSettings"]
        needed = {"awsdms_apply_exceptions", "awsdms_txn_state"}
        needed |= {"awsdms_status"} if chosen["StatusTableEnabled"] else set()
        needed |= {"awsdms_suspended_tables"} if chosen["SuspendedTablesTableEnabled"] else set()
        needed |= {"awsdms_history"} if chosen["HistoryTableEnabled"] else set()
        if self._settings["ValidationSettings"]["EnableValidation"]:
            needed.add("awsdms_validation_failures_v1")
        found = self._session.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self.schema,)).fetchone()
        if not found:
            self._session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))
        for name in sorted(needed):
            row = self._session.execute("SELECT to_regclass(%s)", (self.name(name).as_string(self._session),))
            if (row.fetchone() or [None])[0] is None:
                create = sql.SQL("CREATE TABLE {} ({})").format(self.name(name), sql.SQL(_TABLES[name]))
                self._session.execute(create)

    def name(self, table: str) -> sql.Identifier:
        """Return a control table's name."""
        return sql.Identifier(self.schema, table)

    def forget(self) -> None:
        """Begin anew: what was written of an earlier run of the task goes."""
        for table in ("awsdms_txn_state", "awsdms_suspended_tables", "awsdms_validation_failures_v1"):
            self._execute_if_there(table, sql.SQL('DELETE FROM {} WHERE "TASK_NAME" = %s'), (self.task,))

    def progress(self) -> Progress:
        """Return what the target knows of the task."""
        query = sql.SQL(
            'SELECT "TABLE_OWNER", "TABLE_NAME", "STATE", "LOADED_AT"::text, "APPLIED"::text FROM {} '
            'WHERE "TASK_NAME" = %s'
        ).format(self.name("awsdms_txn_state"))
        with self._lock:
            rows = self._session.execute(query, (self.task,)).fetchall()
        tables = {
            (owner, name): TableProgress(state, capture.position(at), capture.position(applied))
            for owner, name, state, at, applied in rows
        }
        whole = tables.pop(_TASK, None)
        return Progress(whole.applied if whole else 0, tables)

    def mark(self, session: psycopg.Connection[Any], table: Name, state: str, loaded_at: int) -> None:
        """Write a table's state, in the session's own transaction."""
        self._write(session, table, state, loaded_at, 0)

    def applied(self, session: psycopg.Connection[Any], position: int) -> None:
        """Write, in the session's own transaction, how far the source's changes are in the target."""
        self._write(session, _TASK, "", 0, position)

    def tables_applied(self, session: psycopg.Connection[Any], tables: Collection[Name], position: int) -> None:
        """Write the same for some tables alone, while others load."""
        query = sql.SQL(
            'UPDATE {} SET "APPLIED" = greatest("APPLIED", %s::pg_lsn) WHERE "TASK_NAME" = %s AND '
            '("TABLE_OWNER", "TABLE_NAME") IN (SELECT * FROM unnest(%s::text[], %s::text[]))'
        ).format(self.name("awsdms_txn_state"))
        owners, names = [name[0] for name in tables], [name[1] for name in tables]
        session.execute(query, (capture.shown(position), self.task, owners, names))

    def _write(self, session: psycopg.Connection[Any], table: Name, state: str, loaded_at: int, position: int) -> None:
        query = sql.SQL(
            'INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT ("TASK_NAME", "TABLE_OWNER", "TABLE_NAME") '
            'DO UPDATE SET ("STATE", "LOADED_AT", "APPLIED") '
            '= (excluded."STATE", excluded."LOADED_AT", excluded."APPLIED")'
        ).format(self.name("awsdms_txn_state"))
        session.execute(query, (self.task, *table, state, capture.shown(loaded_at), capture.shown(position)))

    def begin_at(self, position: int) -> None:
        """Write from where on the source's changes are to come."""
        self.applied(self._session, position)

    def add_exception(self, session: psycopg.Connection[Any], table: Table, statement: str, error: str) -> None:
        """Write an error that was passed over, in the session's own transaction."""
        query = sql.SQL('INSERT INTO {} ("TASK_NAME", "TABLE_OWNER", "TABLE_NAME", "STATEMENT", "ERROR") '
                        "VALUES (%s, %s, %s, %s, %s)").format(self.name("awsdms_apply_exceptions"))  # fmt: skip
        session.execute(query, (self.task, *table.target, statement, error))

    def suspended(self, table: Table, reason: str) -> None:
        """Write that a table is suspended."""
        query = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, {}) ON CONFLICT DO NOTHING")
        query_for = lambda name: query.format(name, _NOW)  # noqa: E731
        self._execute_if_there("awsdms_suspended_tables", query_for, (SERVER_NAME, self.task, *table.target, reason))

    def status(self, state: str, pending: int, read: int, applied_at: float, read_at: float) -> None:
        """Write the task's status: FULL LOAD, CHANGE PROCESSING or NOT RUNNING."""
        if not self._settings["ControlTablesSettings"]["StatusTableEnabled"]:
            return
        query = sql.SQL(
            "INSERT INTO {0} VALUES (%s, %s, %s, {1}, %s, 0, 0, %s, to_timestamp(%s) AT TIME ZONE 'utc', %s, "
            "to_timestamp(%s) AT TIME ZONE 'utc', to_timestamp(%s) AT TIME ZONE 'utc') "
            'ON CONFLICT ("SERVER_NAME", "TASK_NAME") DO UPDATE SET ("TASK_STATUS", "STATUS_TIME", "PENDING_CHANGES", '
            '"SOURCE_CURRENT_POSITION", "SOURCE_CURRENT_TIMESTAMP", "SOURCE_TAIL_POSITION", "SOURCE_TAIL_TIMESTAMP", '
            '"SOURCE_TIMESTAMP_APPLIED") = (excluded."TASK_STATUS", excluded."STATUS_TIME", '
            'excluded."PENDING_CHANGES", excluded."SOURCE_CURRENT_POSITION", excluded."SOURCE_CURRENT_TIMESTAMP", '
            'excluded."SOURCE_TAIL_POSITION", excluded."SOURCE_TAIL_TIMESTAMP", excluded."SOURCE_TIMESTAMP_APPLIED")'
        ).format(self.name("awsdms_status"), _NOW)
        at = capture.shown(read)
        with self._lock:
            self._session.execute(query, (SERVER_NAME, self.task, state, pending, at, read_at, at, read_at, applied_at))

    def history(self, kind: str, minutes: int, latency: float, records: int) -> None:
        """Write one slot of time of the history: FULL LOAD or CHANGE PROCESSING."""
        query = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, {}, %s, %s, %s, 0)")
        self._execute_if_there(
            "awsdms_history", lambda name: query.format(name, _NOW),
            (SERVER_NAME, self.task, kind, minutes, int(latency), records),
        )  # fmt: skip

    def failed_rows(self, table: Table, rows: list[tuple[str, str, str]]) -> None:
        """Write rows that differ: (key, kind of failure, details)."""
        query = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, {}, 'Row', %s, %s, %s)").format(
            self.name("awsdms_validation_failures_v1"), _NOW
        )
        with self._lock, self._session.cursor() as cursor:
            cursor.executemany(query, [(self.task, *table.target, *row) for row in rows])

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _execute_if_there(self, table: str, query: Any, values: tuple[Any, ...]) -> None:
        name = self.name(table)
        with self._lock:
            there = self._session.execute("SELECT to_regclass(%s)", (name.as_string(self._session),)).fetchone()
            if there and there[0]:
                self._session.execute(query(name) if callable(query) else query.format(name), values)
