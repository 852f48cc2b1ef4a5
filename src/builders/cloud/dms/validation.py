"""Validation row by row, for tables with a primary key: both sides are read and compared.

Sources: DMS user guide, "AWS DMS data validation": when it begins, its states, its table of failures; tables without a
key are not validated. A row that differs is looked at again once the changes that were under way are applied, so that
what is only late is no failure.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from ministack.core.responses import get_account_id, get_region, request_scope
from psycopg import sql

from builders.cloud.dms.capture import position
from builders.cloud.dms.control import Control
from builders.cloud.dms.endpoints import Endpoint, Unusable
from builders.cloud.dms.reporting import COMPLETED, Report, Tables
from builders.cloud.dms.settings import TaskSettings
from builders.cloud.dms.tables import Table
from builders.logical_decoding import Change, Delete, Name

Key = tuple[str, ...]
Difference = tuple[str, str, str]
"""Reason why a row differs, and its digests in the source and in the target."""
PAUSE_SECONDS = 0.5
TIMES = 3
"""The number of times that a row must differ, each time after the changes before have been applied, the last two times
in the same way."""
KEYS_AT_ONCE = 500
VALIDATED, PENDING, MISMATCHED = "Validated", "Pending records", "Mismatched records"


class Validator(threading.Thread):
    """Validates in the background what was loaded, and then what was changed."""

    def __init__(
        self, tables: Mapping[Name, Table], settings: TaskSettings, statistics: Tables, control: Control,
        source: Endpoint, target: Endpoint, report: Report,
    ) -> None:  # fmt: skip
        super().__init__(name="dms-validation", daemon=True)
        self._tables, self._statistics, self._control = tables, statistics, control
        self._source, self._target, self._report = source, target, report
        self._enabled = bool(settings["ValidationSettings"]["EnableValidation"])
        self._most = int(settings["ValidationSettings"]["TableFailureMaxCount"])
        self._scope = (get_account_id(), get_region())
        self._over = threading.Event()
        self.waits = False
        """Waits until what the source has is applied, and so for the source to tell how far it has read."""
        self._position = 0
        self._ready: frozenset[Name] = frozenset()
        self._lock = threading.Lock()
        self._changed: dict[Name, set[Key]] = {}
        self._failed: dict[Name, set[Key]] = {}

    def start(self) -> None:
        """Begin, where the task's settings say so."""
        if self._enabled:
            super().start()

    def stop(self) -> None:
        """End; waits for what is under way."""
        self._over.set()
        if self.is_alive():
            self.join(5)

    def applied(self, changes: Sequence[tuple[Table, Change]], at: int, ready: Iterable[Name]) -> None:
        """Changes were applied, of the tables that are `ready` all up to a position: these rows are validated again.

        A table that was loaded is not ready before the changes of the load's own time are in the target.
        """
        if not self._enabled:
            return
        self._position, self._ready = at, frozenset(ready)
        with self._lock:
            for table, change in changes:
                row = change.old if isinstance(change, Delete) else getattr(change, "row", None)
                key = tuple(str((row or {}).get(column.name)) for column in table.key)
                if key:
                    self._changed.setdefault(table.name, set()).add(key)

    def run(self) -> None:
        """Validate until the end; a database that is gone is the affair of the run."""
        with request_scope(*self._scope):
            try:
                with self._source.connect() as source, self._target.connect() as target:
                    self._work(source, target)
            except (psycopg.Error, Unusable, OSError) as error:
                self._report.write("VALIDATOR", "E", f"Validation ended: {error}")

    def _work(self, source: psycopg.Connection[Any], target: psycopg.Connection[Any]) -> None:
        waiting = [table for table in self._tables.values() if table.key]
        while not self._over.is_set():
            for table in list(waiting):
                if table.name in self._ready and self._statistics[table.name]["TableState"] == COMPLETED:
                    self._validate(source, target, table, None)
                    waiting.remove(table)
            with self._lock:
                changed, self._changed = self._changed, {}
            for name, keys in changed.items():
                self._validate(source, target, self._tables[name], keys)
            self._over.wait(PAUSE_SECONDS)

    def _validate(
        self, source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: Table, keys: set[Key] | None
    ) -> None:
        """Compare the rows of some keys, or of all."""
        one = self._statistics[table.name]
        one["ValidationState"] = PENDING if one["ValidationState"] == VALIDATED else one["ValidationState"]
        before = pending = self._differences(source, target, table, keys)
        for _ in range(TIMES):
            one["ValidationPendingRecords"] = len(pending)
            if not pending or not self._caught_up(source):
                break
            before, pending = pending, self._differences(source, target, table, set(pending))
        if self._over.is_set():
            return
        moving = {key for key, found in pending.items() if before[key] != found}
        with self._lock:
            self._changed.setdefault(table.name, set()).update(moving)  # looked at again, when it is at rest
        self._conclude(table, keys, {key: why for key, (why, *_) in pending.items() if key not in moving})

    def _conclude(self, table: Table, keys: set[Key] | None, pending: Mapping[Key, str]) -> None:
        one, failed = self._statistics[table.name], self._failed.setdefault(table.name, set())
        failed -= set(failed) if keys is None else keys - set(pending)
        new = {key: why for key, why in pending.items() if key not in failed}
        failed |= set(new)
        if new:
            rows = [('{"key":["' + '", "'.join(key) + '"]}', *_details(why)) for key, why in new.items()]
            self._control.failed_rows(table, rows[: self._most])
            self._report.write("VALIDATOR", "E", f"Table '{table}': {len(new)} rows differ")
        one["ValidationPendingRecords"] = 0
        one["ValidationFailedRecords"] = len(failed)
        if one["ValidationState"] != "Table error":
            one["ValidationState"] = MISMATCHED if failed else VALIDATED

    def _caught_up(self, source: psycopg.Connection[Any]) -> bool:
        """Wait until what the source has by now is applied, however long that takes; return False at the end."""
        row = source.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        needed, self.waits = position(row[0] if row else "0/0"), True
        try:
            while self._position < needed:
                if self._over.wait(0.05):
                    return False
            return True
        finally:
            self.waits = False

    def _differences(
        self, source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: Table, keys: set[Key] | None
    ) -> dict[Key, Difference]:
        """Return the rows that are not the same on both sides."""
        there = _rows(target, table, keys, of_target=True)
        here = _rows(source, table, keys, of_target=False)
        found = {key: ("MISSING_TARGET", row, "") for key, row in here.items() if key not in there}
        found |= {key: ("MISSING_SOURCE", "", row) for key, row in there.items() if key not in here}
        both = {key: (row, there[key]) for key, row in here.items() if key in there}
        return found | {key: ("RECORD_DIFF", *rows) for key, rows in both.items() if rows[0] != rows[1]}


def _details(why: str) -> tuple[str, str]:
    return why, "[[]]"


def _rows(session: psycopg.Connection[Any], table: Table, keys: set[Key] | None, of_target: bool) -> dict[Key, str]:
    """Return {key: digest of the row} of all rows, or of those with some keys."""
    names = {column: sql.Identifier(column.target if of_target else column.name) for column in table.columns}
    name = table.target_sql if of_target else table.source_sql
    texts = [
        sql.SQL("coalesce({}::text, '\\N')").format(
            sql.SQL("round({}::numeric, 6)").format(names[column]) if column.as_numeric else names[column]
        )
        for column in table.columns
    ]
    digest = sql.SQL("md5(concat_ws('|', {}))").format(sql.SQL(", ").join(texts))
    key = sql.SQL(", ").join(sql.SQL("{}::text").format(names[column]) for column in table.key)
    query = sql.SQL("SELECT {}, {} FROM {}").format(digest, key, name)
    if keys is None:
        return {tuple(row[1:]): row[0] for row in session.execute(query)}
    found: dict[Key, str] = {}
    ordered = sorted(keys)
    one = sql.SQL("(") + sql.SQL(" AND ").join(
        sql.SQL("{} = ").format(names[column]) + sql.Placeholder() for column in table.key
    ) + sql.SQL(")")  # fmt: skip
    for start in range(0, len(ordered), KEYS_AT_ONCE):
        part = ordered[start : start + KEYS_AT_ONCE]
        where = query + sql.SQL(" WHERE ") + sql.SQL(" OR ").join([one] * len(part))
        values = [value for each in part for value in each]
        found |= {tuple(row[1:]): row[0] for row in session.execute(where, values)}
    return found
