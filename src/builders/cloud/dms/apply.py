"""Applies the source's transactions to the target, in the order of their commits and each exactly once.

What has come is applied together, in one transaction of the target that also writes the position (control.py): the way
of ordinary days. Where a statement fails there, or finds no row, all of it is rolled back and done again one statement
after the other, and each failure meets its policy (DMS user guide, "Error handling task settings"). Up to the end of
its load a table's changes overlap with what the load has read; those conflicts pass with FullLoadIgnoreConflicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg

from builders.cloud.dms.capture import Transaction
from builders.cloud.dms.control import Control
from builders.cloud.dms.reporting import Report, Tables
from builders.cloud.dms.settings import TaskSettings
from builders.cloud.dms.statements import Ignored, Kind, Statement, Writer
from builders.cloud.dms.tables import Table
from builders.cloud.dms.troubles import TaskStopped, is_of_table, is_recoverable
from builders.logical_decoding import Change, Delete, Insert, Name, Truncate, Update

_POLICIES = {Insert: "ApplyErrorInsertPolicy", Update: "ApplyErrorUpdatePolicy", Delete: "ApplyErrorDeletePolicy"}
NO_ROW = "zero rows affected"
_UNIQUE_VIOLATION = "23505"

_Batch = Sequence[tuple[Transaction, list[tuple[Table, Change]]]]
_WITH_TRIGGERS = """SELECT n.nspname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND t.tgenabled IN
    ('A', CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END)"""


class Failed(Exception):
    """The quick way did not work."""


class Applier:
    """Applies transactions over one session."""

    def __init__(
        self, session: psycopg.Connection[Any], tables: Mapping[Name, Table], settings: TaskSettings, control: Control,
        statistics: Tables, report: Report, loaded_until: Mapping[Name, int],
    ) -> None:  # fmt: skip
        self._session, self._tables, self._settings, self._control = session, tables, settings, control
        self._statistics, self._report, self._loaded_until = statistics, report, loaded_until
        self._writer = Writer()
        self.after: Mapping[Name, int] = {}
        """Up to where a table's changes are in the target already, beyond the position of the task."""
        self.mark: Callable[[psycopg.Connection[Any], int], None] = control.applied
        """Writes the position."""
        self._reported: set[str] = set()
        self.changed: list[tuple[Table, Change]] = []
        """The changes applied last, for the validation."""
        session.autocommit = False
        session.prepare_threshold = 2

    def apply(self, transactions: Sequence[Transaction]) -> int:
        """Apply transactions, and return the number of changes of the task's tables. Raises `TaskStopped`."""
        batch = [(one, list(self._changes(one))) for one in transactions]
        before = list(self.changed)
        try:
            self._refuse_triggers(batch)
            self._together(batch)
        except (Failed, psycopg.Error) as error:
            if isinstance(error, psycopg.Error) and is_recoverable(error):
                raise
            self._session.rollback()
            self.changed = before
            for one, changes in batch:
                self._one_by_one(one, changes)
        return sum(len(changes) for _, changes in batch)

    def _refuse_triggers(self, batch: _Batch) -> None:
        """Raise `Failed` where a table has triggers: what they do to sequences is not undone, and so not done twice."""
        found = {tuple(row) for row in self._session.execute(_WITH_TRIGGERS)}
        if any(table.target in found for _, changes in batch for table, _ in changes):
            raise Failed

    def _changes(self, transaction: Transaction) -> Iterator[tuple[Table, Change]]:
        for change in transaction.changes:
            if isinstance(change, Truncate):
                self._truncated(change)
                continue
            table = self._tables.get(change.table)
            if transaction.position <= self.after.get(change.table, 0):
                continue
            if table is not None and not self._statistics.is_suspended(change.table):
                yield table, change

    def _truncated(self, change: Truncate) -> None:
        """A TRUNCATE is not carried; it stops the task where that is set."""
        for name in change.tables:
            if name not in self._tables:
                continue
            if self._settings.errors["ApplyErrorFailOnTruncationDdl"]:
                raise TaskStopped(f"Truncation DDL detected. Table '{'.'.join(name)}'")
            self._tell(f"Table '{'.'.join(name)}': TRUNCATE is not replicated from a PostgreSQL source")

    def _together(self, batch: _Batch) -> None:
        """Apply all in one transaction. Raises `Failed` where a statement did not change its row."""
        runs: list[tuple[Any, int]] = []
        with self._session.pipeline():
            query = b""
            rows: list[tuple[str | None, ...]] = []
            for statement in self._all(batch):
                if statement.truncated:
                    raise Failed
                if statement.query != query and rows:
                    runs.append((self._run(query, rows), len(rows)))
                    rows = []
                query = statement.query
                rows.append(statement.values)
            if rows:
                runs.append((self._run(query, rows), len(rows)))
            if batch:
                self.mark(self._session, batch[-1][0].position)
        if any(cursor.rowcount != number for cursor, number in runs):
            raise Failed
        self._session.commit()
        for _, changes in batch:
            for table, change in changes:
                self._statistics.applied(table, change)
                self.changed.append((table, change))

    def _all(self, batch: _Batch) -> Iterator[Statement]:
        for _, changes in batch:
            for table, change in changes:
                try:
                    yield from self._writer.statements(table, change)
                except Ignored as ignored:
                    self._tell(str(ignored))

    def _run(self, query: bytes, rows: list[tuple[str | None, ...]]) -> Any:
        cursor = self._session.cursor()
        if len(rows) == 1:
            cursor.execute(query, rows[0])
        else:
            cursor.executemany(query, rows)
        return cursor

    def _one_by_one(self, transaction: Transaction, changes: list[tuple[Table, Change]]) -> None:
        for table, change in changes:
            if self._statistics.is_suspended(table.name):
                continue
            overlaps = transaction.position <= self._loaded_until.get(table.name, 0)
            try:
                self._one(table, change, overlaps)
            except TaskStopped:
                self._session.rollback()
                raise
        self.mark(self._session, transaction.position)
        self._session.commit()

    def _one(self, table: Table, change: Change, overlaps: bool) -> None:
        """Apply one change, and do what the policies say where it fails."""
        try:
            statements = self._writer.statements(table, change)
        except Ignored as ignored:
            self._tell(str(ignored))
            return
        for statement in statements:
            if statement.truncated and not self._may_be_cut_off(table):
                return
            error = self._try(statement)
            if error is None:
                continue
            if overlaps and self._settings.errors["FullLoadIgnoreConflicts"] and _is_conflict(error):
                return
            if statement.kind is Kind.LOB and error is NO_ROW:
                continue
            self._refused(table, change, statement, error)
            return
        self._statistics.applied(table, change)
        self.changed.append((table, change))

    def _try(self, statement: Statement) -> psycopg.Error | str | None:
        """Run a statement; return what went wrong."""
        try:
            with self._session.transaction():
                cursor = self._session.execute(statement.query, statement.values)
        except psycopg.Error as error:
            if is_recoverable(error):
                raise
            return error
        return None if cursor.rowcount else NO_ROW

    def _may_be_cut_off(self, table: Table) -> bool:
        """Do what is set about a value that is longer than what is carried; return whether its row goes on."""
        reason = f"Table '{table}': a value was truncated to the size that the task carries"
        policy = self._settings.errors["DataTruncationErrorPolicy"]
        if policy == "STOP_TASK":
            raise TaskStopped(reason)
        if policy == "SUSPEND_TABLE":
            self._suspend(table, reason)
        self._report.write("TARGET_APPLY", "W", reason)
        return bool(policy == "LOG_ERROR")

    def _refused(self, table: Table, change: Change, statement: Statement, error: psycopg.Error | str) -> None:
        """Do what is set about a change that the target does not take."""
        reason = f"Table '{'.'.join(table.target)}': {_sentence(error)}"
        shown = f"{statement.query.decode()} -- {_short(statement.values)}"
        if isinstance(error, psycopg.Error) and is_of_table(error):
            self._report.write("TARGET_APPLY", "E", f"{reason} [{shown}]")
            if self._settings.errors["TableErrorPolicy"] == "STOP_TASK":
                raise TaskStopped(reason)
            self._suspend(table, reason)
            return
        policy = str(self._settings.errors[_POLICIES[type(change)]])
        if policy in ("INSERT_RECORD", "UPDATE_RECORD") and self._instead(table, change, error):
            self._statistics.applied(table, change)
            return
        self._statistics.failed(table)
        limit = int(self._settings.errors["ApplyErrorEscalationCount"])
        if limit and self._statistics.failures(table) >= limit:
            policy = str(self._settings.errors["ApplyErrorEscalationPolicy"])
        if policy == "IGNORE_RECORD":
            return
        self._report.write("TARGET_APPLY", "E", f"{reason} [{shown}]")
        if policy == "STOP_TASK":
            raise TaskStopped(reason)
        self._control.add_exception(self._session, table, shown, _sentence(error))
        if policy == "SUSPEND_TABLE":
            self._suspend(table, reason)

    def _instead(self, table: Table, change: Change, error: psycopg.Error | str) -> bool:
        """Update the row that an INSERT met, or insert the one that an UPDATE missed; return whether that worked."""
        if isinstance(change, Insert) and _is_conflict(error) and table.key:
            statements = self._writer.insert_or_update(table, change.row)
        elif isinstance(change, Update) and error is NO_ROW:
            statements = self._writer.insert(table, change.row)
        else:
            return False
        return all(self._try(statement) is None for statement in statements)

    def _suspend(self, table: Table, reason: str) -> None:
        self._statistics.suspend(table)
        self._report.write("TASK_MANAGER", "W", f"Table '{table}' was errored/suspended. {reason}")
        self._control.suspended(table, reason)

    def _tell(self, warning: str) -> None:
        """Write a warning once, and not for every row."""
        if warning not in self._reported:
            self._reported.add(warning)
            self._report.write("TARGET_APPLY", "W", warning)


def _is_conflict(error: psycopg.Error | str) -> bool:
    return error is NO_ROW or (isinstance(error, psycopg.Error) and error.sqlstate == _UNIQUE_VIOLATION)


def _sentence(error: psycopg.Error | str) -> str:
    if isinstance(error, str):
        return error
    return f"{error.sqlstate or ''} {str(error).splitlines()[0] if str(error) else type(error).__name__}".strip()


def _short(values: tuple[str | None, ...]) -> str:
    return ", ".join("NULL" if value is None else repr(value[:100]) for value in values)
