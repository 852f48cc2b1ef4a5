"""The check as a whole: every hazard asked for in both databases, and what was found as one report."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from builders.migration import rights
from builders.migration.check import assessment, columns, extensions, measured, objects, server, sizes, tables
from builders.migration.check.hazards import Hazard, HazardFinding, Severity, finding, statement
from builders.migration.check.table_rules import Excluded
from builders.migration.databases import Database
from builders.text import counted_noun

RIGHT = Hazard(
    "right", Severity.BLOCKS, "A right is missing",
    "{side}: {user} lacks {what} ({step}: {purpose}){detail}", "{remedy}",
    "src/builders/migration/rights.py",
)  # fmt: skip
NOT_READ = Hazard(
    "target-not-read", Severity.NOTE, "The target was not read", "{why}",
    "run this again once the target stands and can be reached", "docs/migration.md",
)  # fmt: skip

OF_SOURCE: Sequence[Sequence[Hazard]] = (server.SOURCE, tables.HAZARDS, columns.HAZARDS, objects.HAZARDS)
"""The hazards that are asked for by one statement each."""

HAZARDS: Sequence[Hazard] = (
    *server.HAZARDS, RIGHT, NOT_READ, *extensions.HAZARDS, *tables.HAZARDS, *columns.HAZARDS, *measured.HAZARDS,
    *objects.HAZARDS, *sizes.HAZARDS, *assessment.HAZARDS,
)  # fmt: skip
"""Every kind of finding that there is."""

_SETTINGS = ("default_transaction_read_only = on", "jit = off", "enable_nestloop = off")
"""PostgreSQL takes what a WITH query makes for few rows: it would compile for longer than it runs, and join thousands
of tables with thousands of columns one by one."""

_MOST_NAMES = 6


@dataclass(frozen=True)
class CheckOptions:
    """Options of a check, and what is known of the phase."""

    schemas: Sequence[str]
    excluded: Excluded = Excluded()  # noqa: RUF009 frozen
    target_major: int = 17
    """The version of a target that does not stand yet."""
    task_has_slot: bool = False
    """The task has run, so its slot is among those in use."""
    instance: sizes.Instance = sizes.Instance()  # noqa: RUF009 frozen
    plugin: str = ""
    """The plug-in of DMS's source endpoint, in the API's words."""
    dms_user: str = ""
    """The user by whom DMS reads the source; empty for the one who is logged in."""
    fallback_user: str = ""
    """The user by whom DMS writes to it on the way back; empty where there is no way back."""
    line_mbit: float = 1000.0
    watch_seconds: float = 1.0
    measure: bool = False


@dataclass(frozen=True)
class CheckReport:
    """Findings of a check, and the time and space it estimates. `remarks` are lines about what could not be read."""

    findings: tuple[HazardFinding, ...]
    estimate: sizes.Estimate
    remarks: tuple[str, ...] = ()

    @property
    def open(self) -> list[HazardFinding]:
        """The findings that somebody has to fix, exclude or accept."""
        return [each for each in self.findings if each.is_open]

    def accepting(self, names: Collection[str]) -> CheckReport:
        """The report with findings marked as accepted by name."""
        marked = (replace(each, is_accepted=each.severity.is_open and each.name in names) for each in self.findings)
        return replace(self, findings=tuple(marked))

    def with_assessment(self, assessed: assessment.Assessment) -> CheckReport:
        """The report with what DMS itself says."""
        return replace(self, findings=(*self.findings, *assessed.findings), remarks=(*self.remarks, assessed.summary))

    def as_data(self) -> dict[str, Any]:
        """Return the form of --json."""
        return {
            "findings": [each.as_data() for each in self.findings],
            "open": len(self.open),
            "estimate": self.estimate.as_data(),
            "remarks": list(self.remarks),
        }


def check(source: Database, target: Database | None, options: CheckOptions, why_no_target: str = "") -> CheckReport:
    """Ask both databases, and change neither: their sessions are read only from here on. Raises `MigrationError`."""
    for database in (source, target):
        if database:
            database.run("RESET ALL")  # timeouts of the server, the database or the user are shown as they are
            for setting in _SETTINGS:
                database.run(f"SET {setting}")
    major = target.version // 10000 if target else options.target_major
    parameters = {"schemas": list(options.schemas), **options.excluded.parameters(),
                  "needed_slots": 1 if options.task_has_slot else 2,
                  "dms_user": options.dms_user or source.login.username,
                  "fallback_user": options.fallback_user}  # fmt: skip
    found = [each for hazards in OF_SOURCE for each in _ask(source, hazards, parameters)]
    if target:
        found += _ask(target, server.TARGET, parameters)
    elif why_no_target:
        found.append(finding(NOT_READ, {"object": "target", "why": why_no_target}))
    found += server.plugin(source, options.plugin)
    found += server.versions(source, target, major, options.instance.dms_version)
    found += extensions.check(source, target, major)
    found += _rights(source, target, options)
    read = measured.measure(source, parameters, found, every=options.measure)
    found = read.findings
    estimated = sizes.estimate(source, parameters, options.line_mbit, options.watch_seconds)
    found += sizes.judge(estimated, options.instance)
    remarks = (
        (f"not read without --measure, since too large: {counted_noun(read.unread, 'table')}",) if read.unread else ()
    )
    return CheckReport(tuple(sorted(found, key=_order)), estimated, remarks)


def _order(found: HazardFinding) -> tuple[int, str, str]:
    return list(Severity).index(found.severity), found.id, found.object


def _ask(database: Database, hazards: Sequence[Hazard], parameters: Mapping[str, Any]) -> Iterator[HazardFinding]:
    asked = {
        hazard.id: hazard
        for hazard in hazards
        if hazard.since <= database.version < hazard.until and (not hazard.reads or _may_read(database, hazard.reads))
    }
    for kind, row in database.run(statement(asked.values(), database.version), parameters):
        yield finding(asked[kind], row)


def _may_read(database: Database, table: str) -> bool:
    return bool(database.value("SELECT has_table_privilege(%s, 'SELECT')", (f"pg_catalog.{table}",)))


def _rights(source: Database, target: Database | None, options: CheckOptions) -> Iterator[HazardFinding]:
    own = source.login.username
    users = [("source", source, own, rights.SOURCE_READER)]
    if options.dms_user not in ("", own):
        users = [("source", source, own, rights.OF_MIGRATOR), ("source", source, options.dms_user, rights.OF_DMS)]
    if options.fallback_user:
        users.append(("source", source, options.fallback_user, rights.SOURCE_WRITER))
    if target:
        users.append(("target", target, target.login.username, rights.TARGET_MASTER))
    for side, database, user, needed in users:
        for lacking in rights.missing(database.run, user, needed, options.schemas):
            right = lacking.right
            names = lacking.detail.split(", ")
            more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
            yield finding(
                RIGHT,
                {
                    "object": f"{user}:{right.id}:{lacking.on}",
                    "severity": "note" if right.is_optional else None,
                    "side": side, "user": user, "what": f"{right.id} on {lacking.on}", "step": right.step,
                    "purpose": right.purpose, "remedy": f"{lacking.statement};",
                    "detail": f": {', '.join(names[:_MOST_NAMES])}{more}" if lacking.detail else "",
                },
            )  # fmt: skip
