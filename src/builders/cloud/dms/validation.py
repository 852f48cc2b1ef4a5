"""Validation row by row, for tables with a primary key: both sides are read and compared.

Sources: DMS user guide, "AWS DMS data validation": when it begins, its states, its table of failures; tables without a
key are not validated. A row that differs is looked at again once the changes that were under way are applied, so that
what is only late is no failure.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from ministack.core.responses import get_account_id, get_region, request_scope
from psycopg import sql

from builders.cloud.dms.capture import position
from builders.cloud.dms.control import Control
from builders.cloud.dms.endpoints import Endpoint, Unusable
from builders.cloud.dms.reporting import COMPLETED, Report, Tables
from builders.cloud.dms.settings import Settings
from builders.cloud.dms.tables import Table
from builders.logical_decoding import Change, Delete, Name

Key = tuple[str, ...]
PAUSE_SECONDS = 0.5
TIMES = 3
"""The number of times that a row must differ, each time after the changes before have been applied."""
KEYS_AT_ONCE = 500
VALIDATED, PENDING, MISMATCHED = "Validated", "Pending records", "Mismatched records"


class Validator(threading.Thread):
    """Validates in the background what was loaded, and then what was changed."""

    def __init__(
        self, tables: Mapping[Name, Table], settings: Settings, statistics: Tables, control: Control,
        source: Endpoint, target: Endpoint, report: Report,
    ) -> None:  # fmt: skip
        super().__init__(name="dms-validation", daemon=True)
        self._tables, self._statistics, self._control = tables, statistics, control
        self._source, self._target, self._report = source, target, report
        self._enabled = bool(settings["ValidationSettings"]["EnableValidation"])
        self._most = int(settings["ValidationSettings"]["TableFailureMaxCount"])
        self._scope = (get_account_id(), get_region())
        self._over = threading.Event()
        self._position = 0
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

    def applied(self, changes: Sequence[tuple[Table, Change]], at: int) -> None:
        """Changes were applied: their rows are to be validated again."""
        self._position = at
        if not self._enabled:
            return
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
                if self._statistics[table.name]["TableState"] == COMPLETED:
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
        pending = self._differences(source, target, table, keys)
        for _ in range(TIMES):
            one["ValidationPendingRecords"] = len(pending)
            if not pending or not self._caught_up(source):
                break
            pending = self._differences(source, target, table, set(pending))
        if self._over.is_set():
            return
        self._conclude(table, keys, pending)

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
        """Wait until what the source has by now is applied, or nothing comes any more; return False at the end."""
        row = source.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        needed, last, quiet = position(row[0] if row else "0/0"), self._position, time.monotonic()
        while self._position < needed and time.monotonic() - quiet < PAUSE_SECONDS:
            if self._over.wait(0.05):
                return False
            if self._position != last:
                last, quiet = self._position, time.monotonic()
        return True

    def _differences(
        self, source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: Table, keys: set[Key] | None
    ) -> dict[Key, str]:
        """Return {key: why} of the rows that are not the same on both sides."""
        there = _rows(target, table, keys, of_target=True)
        here = _rows(source, table, keys, of_target=False)
        found = {key: "MISSING_TARGET" for key in here if key not in there}
        found |= {key: "MISSING_SOURCE" for key in there if key not in here}
        return found | {key: "RECORD_DIFF" for key, row in here.items() if there.get(key, row) != row}


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
