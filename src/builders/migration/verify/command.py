"""Run of `migrate-database verify` with its options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders import progress
from builders.errors import MigrationError, UsageError
from builders.migration import definitions, journal
from builders.migration.changes import Changed, Changes
from builders.migration.databases import Database
from builders.migration.mappings import Mappings
from builders.migration.rows import Difference
from builders.migration.verify import showing
from builders.migration.verify.repair import repair
from builders.migration.verify.running import VerifyOptions, VerifyReport, verify
from builders.migration.verify.state import replace_report


@dataclass(frozen=True)
class VerifyRequest:
    """Options beside those of the comparison: how the result is shown, and whether rows are repaired."""

    as_json: bool = False
    hide_keys: bool = False
    repair: bool = False
    yes: bool = False


def run(
    source: Database,
    target: Database,
    schemas: Sequence[str],
    rules: Sequence[Mapping[str, Any]],
    options: VerifyOptions,
    asked: VerifyRequest,
) -> bool:
    """Compare both sides, write named rows right where that is asked for, show the result; return whether it is clean.

    Raises `MigrationError` and `UsageError`.
    """
    if not schemas:
        raise UsageError("the task's table mapping names no schema to compare")
    unknown: Changed = {}
    with journal.locked(target):
        runs = journal.Journal(target).runs()
        if journal.open_side(runs) == "source":
            journal.must_serve_source(target)  # no cut-over is under way
        elif asked.repair:
            raise MigrationError(
                "the application is on the target since the cut-over, and its rows are right: there is nothing to "
                "repair from the source"
            )
        else:
            options = dataclasses.replace(options, keeps_changes=False)
            if journal.has_way_back(runs):
                unknown = _read_changes(target, schemas)
        with showing.progress_of_verify() as show:
            report = verify(source, target, schemas, Mappings(rules), options, show, progress.say)
        if unknown:
            clean = {table.name for table in report.tables if table.is_clean}
            same = {name: rows for name, rows in unknown.items() if definitions.shown(*name) in clean}
            Changes(target, target, schemas).forget(same)
        if asked.repair and (named := showing.confirm_repair(report, yes=asked.yes)):
            report = _repaired(source, target, report, named)
    showing.result(report, as_json=asked.as_json, hide_keys=asked.hide_keys)
    return report.is_clean


def _read_changes(target: Database, schemas: Sequence[str]) -> Changed:
    """Keep the keys of what changed in the target since the cut-over, so that its log need not be kept for them.

    Return the tables of which it is not known, since the slot that would tell it is lost; there is a new one.
    """
    changes = Changes(target, target, schemas)
    held = changes.held()
    if held is None or held.is_lost:
        progress.say(
            f"the slot {changes.slot} of the target is lost, and what changed before is not known: there is a new one, "
            "and a fall-back compares the tables whole that are not the same now"
        )
        return changes.begin_again()
    progress.say(f"{changes.collect():,} changes since the cut-over are noted for a fall-back")
    return {}


def _repaired(source: Database, target: Database, report: VerifyReport, named: Sequence[Difference]) -> VerifyReport:
    """Write rows right, and return the report with what is left."""
    done = repair(source, target, report.rows, named, progress.say)
    progress.say(
        f"written to the target: {done.inserted:,} inserted, {done.updated:,} updated, {done.deleted:,} deleted"
    )
    tables = []
    for table in report.tables:
        whole = tuple(each for each in table.differing if not each.key)
        left = tuple(each for each in done.left if each.table == table.name)
        tables.append(dataclasses.replace(table, differing=whole + left))
    after = dataclasses.replace(report, tables=tuple(tables))
    if report.whole:
        replace_report(target, after.as_data(keys=False), clean=after.is_clean)
    return after
