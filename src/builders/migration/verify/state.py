"""The state of a comparison, kept in the target: how far each table is compared, and how the last comparison ended.

It lies in the schema `stackferry_state`, which no task carries. A comparison that was killed goes on from there.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders import naming
from builders.migration.databases import Database

SCHEMA = naming.STATE_SCHEMA
_MAKE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.verification (
          id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          began timestamptz NOT NULL DEFAULT now(),
          finished timestamptz,
          what jsonb NOT NULL,
          whole boolean NOT NULL,
          clean boolean,
          report jsonb)""",
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.verified_table (
          verification integer NOT NULL REFERENCES {SCHEMA}.verification ON DELETE CASCADE,
          name text NOT NULL,
          progress jsonb NOT NULL,
          PRIMARY KEY (verification, name))""",
)
_LAST = f"""
SELECT began, finished, clean, report FROM {SCHEMA}.verification WHERE whole AND finished IS NOT NULL
ORDER BY finished DESC LIMIT 1
"""
_UNFINISHED = f"""
SELECT id FROM {SCHEMA}.verification WHERE finished IS NULL AND what = %s::jsonb
  AND id = (SELECT max(id) FROM {SCHEMA}.verification WHERE whole = %s)
"""
_KEEP = f"""
INSERT INTO {SCHEMA}.verified_table (verification, name, progress) VALUES (%s, %s, %s::jsonb)
ON CONFLICT (verification, name) DO UPDATE SET progress = excluded.progress
"""


@dataclass(frozen=True)
class Verified:
    """The last comparison of all tables: when it began and ended, whether both sides were the same, and its report."""

    began: datetime.datetime
    when: datetime.datetime
    clean: bool
    report: Mapping[str, Any]


def verified(target: Database) -> Verified | None:
    """Return the result of the last comparison of all tables; None where there was none. Raises `MigrationError`."""
    if target.value(f"SELECT to_regclass('{SCHEMA}.verification')") is None:
        return None
    for began, when, clean, report in target.run(_LAST):
        return Verified(began, when, clean, report or {})
    return None


class StoredComparison:
    """One comparison: `what` it compares decides whether one that was killed goes on."""

    def __init__(self, target: Database, what: Mapping[str, Any], *, whole: bool) -> None:
        self._target = target
        for statement in _MAKE:
            target.run(statement)
        text = json.dumps(what, sort_keys=True)
        found = target.value(_UNFINISHED, (text, whole))
        self.goes_on = found is not None
        self._what, self._whole = text, whole
        self._id = int(found) if found is not None else 0
        self.tables: dict[str, Mapping[str, Any]] = {}
        if self.goes_on:
            rows = target.run(
                f"SELECT name, progress FROM {SCHEMA}.verified_table WHERE verification = %s", (self._id,)
            )
            self.tables = dict(rows)

    def begin(self) -> None:
        """Begin anew; what an unfinished comparison of the same kind had found is of no use any more."""
        with self._target.transaction():
            self._target.run(f"DELETE FROM {SCHEMA}.verification WHERE finished IS NULL AND whole = %s", (self._whole,))
            self._id = int(
                self._target.value(
                    f"INSERT INTO {SCHEMA}.verification (what, whole) VALUES (%s::jsonb, %s) RETURNING id",
                    (self._what, self._whole),
                )
            )
        self.goes_on, self.tables = False, {}

    def keep(self, target: Database, name: str, progress: Mapping[str, Any]) -> None:
        """Keep how far a table is compared, by the session of the thread that compares it."""
        target.run(_KEEP, (self._id, name, json.dumps(progress)))

    def finish(self, report: Mapping[str, Any], *, clean: bool) -> None:
        """Keep how it ended."""
        with self._target.transaction():
            self._target.run(f"DELETE FROM {SCHEMA}.verified_table WHERE verification = %s", (self._id,))
            self._target.run(
                f"UPDATE {SCHEMA}.verification SET finished = clock_timestamp(), clean = %s, report = %s::jsonb "
                "WHERE id = %s",
                (clean, json.dumps(report), self._id),
            )


def replace_report(target: Database, report: Mapping[str, Any], *, clean: bool) -> None:
    """Keep what a repair has made of the last comparison of all tables."""
    target.run(
        f"UPDATE {SCHEMA}.verification SET clean = %s, report = %s::jsonb WHERE id = "
        f"(SELECT id FROM {SCHEMA}.verification WHERE whole AND finished IS NOT NULL ORDER BY finished DESC LIMIT 1)",
        (clean, json.dumps(report)),
    )
