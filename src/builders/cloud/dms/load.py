"""The full load: tables side by side, each by COPY from a SELECT of the source into the target.

There is no common snapshot: each table is read when its turn comes (DMS user guide, "Full-load task settings", "Target
metadata task settings"). Rows go in transactions of CommitRate rows; where the target refuses one, it is halved until
the rows are found that it does not take. Large values beyond InlineLobMaxSize are NULL in their row, and follow by an
UPDATE each.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from builders.cloud.dms import tables as columns
from builders.cloud.dms.capture import position
from builders.cloud.dms.control import LOADED, LOADING, Control
from builders.cloud.dms.endpoints import Endpoint
from builders.cloud.dms.reporting import Report, Tables
from builders.cloud.dms.settings import TaskSettings
from builders.cloud.dms.statements import Kind, Writer
from builders.cloud.dms.tables import Table
from builders.cloud.dms.troubles import StopAsked, TaskStopped, is_of_table, is_recoverable
from builders.logical_decoding import Insert

LARGEST_BATCH_BYTES = 16 * 1024 * 1024
LOOKUP_ROWS = 100


@dataclass
class Loader:
    """Loads tables, over sessions that a load which is over leaves to the next."""

    source: Endpoint
    target: Endpoint
    settings: TaskSettings
    statistics: Tables
    report: Report
    stop: threading.Event
    control: Control | None
    """Control tables; None for a task that only loads, which has none."""
    begun: Callable[[Table], bool]
    """Returns whether an earlier run had begun with a table, and so left rows in it."""
    _sessions: set[psycopg.Connection[Any]] = field(default_factory=set, init=False)
    _idle: list[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]] = field(default_factory=list, init=False)

    def close(self) -> None:
        """End the sessions that no load uses."""
        while self._idle:
            for session in self._idle.pop():
                session.close()

    def cancel(self) -> None:
        """End what the sessions are waiting for."""
        for session in list(self._sessions):
            session.cancel_safe(timeout=1)

    def load(self, table: Table) -> int:
        """Load one table, and return from where on its changes are no longer those that the load has seen."""
        self.statistics.begin(table)
        for warning in table.warnings:
            self.report.write("TASK_MANAGER", "W", warning)
        with self._connected() as (source, target):
            try:
                if table.refused:
                    raise _Refused(table.refused)
                self._prepare(target, table)
                self._mark(target, table, LOADING, 0)
                self._copy(source, target, table)
                self._large_values(source, target, table)
                until = self._end_of_log(source)
                self._mark(target, table, LOADED, until)
            except (psycopg.Error, _Refused) as error:
                if isinstance(error, psycopg.Error) and is_recoverable(error):
                    raise
                self._failed(table, f"Table '{table}': {_sentence(error)}")
                return 0
        self.statistics.complete(table)
        self.report.write(
            "TASK_MANAGER", "I",
            f"Load finished for table '{table}'. {self.statistics[table.name]['FullLoadRows']} rows received.",
        )  # fmt: skip
        return until

    @contextlib.contextmanager
    def _connected(self) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
        """Bring a session of each side; both end where a load raises or leaves one in a transaction."""
        with contextlib.ExitStack() as ends:
            try:
                source, target = (ends.enter_context(session) for session in self._idle.pop())
            except IndexError:
                source, target = (ends.enter_context(side.connect()) for side in (self.source, self.target))
            self._sessions |= {source, target}
            try:
                yield source, target
            finally:
                self._sessions -= {source, target}
            if {source.info.transaction_status, target.info.transaction_status} == {TransactionStatus.IDLE}:
                ends.pop_all()
                self._idle.append((source, target))

    def _mark(self, target: psycopg.Connection[Any], table: Table, state: str, at: int) -> None:
        if self.control:
            self.control.mark(target, table.name, state, at)

    def _end_of_log(self, source: psycopg.Connection[Any]) -> int:
        if self.control is None:
            return 0
        row = source.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        assert row is not None
        return position(row[0])

    def _failed(self, table: Table, reason: str) -> None:
        self.report.write("TASK_MANAGER", "E", f"Table '{table}' was errored/suspended. {reason}")
        if self.settings.errors["TableErrorPolicy"] == "STOP_TASK":
            self.statistics.suspend(table)
            raise TaskStopped(reason)
        self.statistics.suspend(table)
        if self.control:
            self.control.suspended(table, reason)

    def _prepare(self, target: psycopg.Connection[Any], table: Table) -> None:
        """Do what TargetTablePrepMode says; a table that is not there is made in any mode."""
        mode = self.settings["FullLoadSettings"]["TargetTablePrepMode"]
        name = table.target_sql
        if mode == "DROP_AND_CREATE":
            target.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
        exists = target.execute("SELECT to_regclass(%s)", (name.as_string(target),)).fetchone()
        if exists is None or exists[0] is None:
            self._create(target, table)
        elif mode == "TRUNCATE_BEFORE_LOAD":
            target.execute(sql.SQL("TRUNCATE TABLE {}").format(name))
        elif self.begun(table):
            # How DMS goes on with a table that an interrupted load left half full is not documented.
            target.execute(sql.SQL("DELETE FROM {}").format(name))

    def _create(self, target: psycopg.Connection[Any], table: Table) -> None:
        schema = table.target[0]
        if not target.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone():
            target.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        booleans = self.source.flag("MapBooleanAsBoolean") and self.target.flag("MapBooleanAsBoolean")
        parts = sql.SQL(", ").join(columns.definitions(table, booleans))
        target.execute(sql.SQL("CREATE TABLE {} ({})").format(table.target_sql, parts))

    def _copy(self, source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: Table) -> None:
        self._truncations(source, table)
        names = sql.SQL(", ").join(sql.Identifier(column.target) for column in table.columns)
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(table.target_sql, names)
        # A large value must not become a part of its row on the way, but a row without columns is no row.
        for batch in self._batches(source, table):
            self._write(target, table, into, batch)

    def _batches(self, source: psycopg.Connection[Any], table: Table) -> Iterator[list[bytes]]:
        rate = int(self.settings["FullLoadSettings"]["CommitRate"])
        batch: list[bytes] = []
        size = 0
        select = sql.SQL("COPY ({}) TO STDOUT").format(columns.exact_select(table))
        with source.cursor() as cursor, cursor.copy(select) as copy:
            for row in copy:
                batch.append(bytes(row))
                size += len(row)
                if len(batch) >= rate or size >= LARGEST_BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
                    if self.stop.is_set():
                        raise StopAsked
        if batch:
            yield batch

    def _write(self, target: psycopg.Connection[Any], table: Table, into: sql.Composed, rows: list[bytes]) -> None:
        """Write rows in one transaction; halve them where one is refused."""
        try:
            with target.transaction(), target.cursor() as cursor, cursor.copy(into) as copy:
                copy.write(b"".join(rows))
            self.statistics.loaded(table, len(rows))
        except psycopg.Error as error:
            if is_recoverable(error) or is_of_table(error):
                raise
            if len(rows) > 1:
                self._write(target, table, into, rows[: len(rows) // 2])
                self._write(target, table, into, rows[len(rows) // 2 :])
                return
            self._row_refused(table, rows[0], error)

    def _row_refused(self, table: Table, row: bytes, error: psycopg.Error) -> None:
        self.statistics.loaded(table, 0, errors=1)
        reason = f"Table '{table}': {_sentence(error)}"
        self.report.write("TARGET_LOAD", "E", f"{reason} [row {row[:200].decode('utf-8', 'replace').strip()}]")
        self._obey(table, "DataErrorPolicy", reason)
        count = int(self.settings.errors["DataErrorEscalationCount"])
        if count and self.statistics[table.name]["FullLoadErrorRows"] >= count:
            self._obey(table, "DataErrorEscalationPolicy", reason)

    def _obey(self, table: Table, policy: str, reason: str) -> None:
        wanted = self.settings.errors[policy]
        if wanted == "STOP_TASK":
            self.statistics.suspend(table)
            raise TaskStopped(reason)
        if wanted == "SUSPEND_TABLE":
            raise _Refused(reason)

    def _truncations(self, source: psycopg.Connection[Any], table: Table) -> None:
        """Say which columns have values that are longer than what is carried, and obey DataTruncationErrorPolicy."""
        limited = [column for column in table.columns if column.limit is not None]
        if not limited:
            return
        counts = sql.SQL(", ").join(
            sql.SQL("count(*) FILTER (WHERE {})").format(columns.too_long(column)) for column in limited
        )
        row = source.execute(sql.SQL("SELECT {} FROM {}").format(counts, table.source_sql)).fetchone() or ()
        for column, count in zip(limited, row, strict=True):
            if count:
                reason = (f"Table '{table}': {count} values of column '{column.name}' are truncated to {column.limit} "
                          "bytes")  # fmt: skip
                self.report.write("SOURCE_UNLOAD", "W", reason)
                if self.source.flag("FailTasksOnLobTruncation"):
                    raise TaskStopped(reason)
                self._obey(table, "DataTruncationErrorPolicy", reason)

    def _large_values(self, source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: Table) -> None:
        """Bring the large values that were left NULL, as they are by now, by the key of their row."""
        late = [column for column in table.lobs if table.full_lob]
        if not late:
            return
        writer = Writer()
        names = [sql.Identifier(column.name) for column in (*table.key, *late)]
        values = sql.SQL(", ").join(sql.SQL("{}::text").format(name) for name in names)
        where = sql.SQL(" OR ").join(columns.too_long(column, table.inline) for column in late)
        select = sql.SQL("SELECT {} FROM {} WHERE {}").format(values, table.source_sql, where)
        with source.transaction(), source.cursor(name="large_values") as cursor:
            cursor.itersize = LOOKUP_ROWS
            cursor.execute(select)
            while rows := cursor.fetchmany(LOOKUP_ROWS):
                if self.stop.is_set():
                    raise StopAsked
                with target.transaction(), target.pipeline():
                    for row in rows:
                        self._update(target, table, writer, dict(zip([*table.key, *late], row, strict=True)))

    @staticmethod
    def _update(target: psycopg.Connection[Any], table: Table, writer: Writer, row: dict[columns.Column, Any]) -> None:
        change = Insert(table.name, {column.name: value for column, value in row.items()})
        for statement in writer.statements(table, change):
            if statement.kind is Kind.LOB:
                target.execute(statement.query, statement.values)


class _Refused(Exception):
    """A table is carried no further."""


def _sentence(error: Exception) -> str:
    if not isinstance(error, psycopg.Error):
        return str(error)
    return f"{error.sqlstate or ''} {str(error).splitlines()[0]}".strip()
