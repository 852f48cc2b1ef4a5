"""The report of a check as people read it, and as --json prints it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from builders.migration.check.hazards import Finding, Severity
from builders.migration.check.report import HAZARDS, Report
from builders.migration.check.sizes import size_text
from builders.text import counted_noun, printable

MOST_OBJECTS = 50
"""Objects of one kind that a person is shown; --json has them all."""

_HEADINGS: Mapping[Severity, str] = {
    Severity.BLOCKS: "BLOCKS: the load, the changes or the definitions fail",
    Severity.LOSES: "LOSES: does not arrive, or not as it was",
    Severity.STEP: "STEP: a step of migrate-database takes care of it",
    Severity.NOTE: "NOTE: worth knowing",
}
_TITLES = {hazard.id: hazard.title for hazard in HAZARDS}


def result(phase: str, report: Report, *, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        data: dict[str, Any] = {"phase": phase, **report.as_data()}
        print(json.dumps(data, indent=1))
    else:
        print("\n".join(map(printable, lines(report))))


def lines(report: Report) -> Iterator[str]:
    """The lines for a person: by severity, then by kind, nothing cut off."""
    for severity, of_severity in itertools.groupby(report.findings, key=lambda each: each.severity):
        yield _HEADINGS[severity]
        for kind, of_kind in itertools.groupby(of_severity, key=lambda each: each.id):
            yield from _kind(kind, list(of_kind))
        yield ""
    yield from _estimate(report)
    yield from report.remarks
    yield _verdict(report)


def _kind(kind: str, found: list[Finding]) -> Iterator[str]:
    accepted = sum(each.is_accepted for each in found)
    yield f"  {kind}: {_TITLES[kind]}" + (f" ({accepted} of {len(found)} accepted)" if accepted else "")
    remedies = {each.remedy for each in found}
    for each in found[:MOST_OBJECTS]:
        yield f"    {each.object}{' [accepted]' if each.is_accepted else ''}: {each.happens}"
        if len(remedies) > 1 and not each.is_accepted:
            yield f"      {each.remedy}"
    if len(found) > MOST_OBJECTS:
        yield f"    and {len(found) - MOST_OBJECTS:,} more; --json has all of them"
    if len(remedies) == 1 and accepted < len(found):
        yield f"      {found[0].remedy}"


def _estimate(report: Report) -> Iterator[str]:
    estimated = report.estimate
    yield (
        f"{counted_noun(estimated.tables, 'table')}, about {estimated.rows:,} rows, {size_text(estimated.size)} and "
        f"{size_text(estimated.index_size)} of indexes"
    )
    yield (
        f"a load takes {estimated.load_hours:,.1f} hours at least, by a line of {estimated.line_mbit:,.0f} Mbit/s "
        "(--line-mbit)"
    )
    counted = "as the server has counted it" if estimated.is_counted else "at the rate of this moment"
    pause = (
        "a pause may last until the source's disk is full"
        if estimated.pause_hours is None
        else f"a pause may last {estimated.pause_hours:,.1f} hours, then the slot is lost (max_slot_wal_keep_size)"
    )
    yield f"a day of pause keeps {size_text(estimated.wal_per_day)} of log, {counted}; {pause}"


def _verdict(report: Report) -> str:
    left, accepted = report.open, sum(each.is_accepted for each in report.findings)
    said = f"; {counted_noun(accepted, 'finding')} accepted" if accepted else ""
    if not left:
        return f"nothing is left to decide{said}"
    return (
        f"{counted_noun(len(left), 'finding')} to mend, to exclude by TableRules or to accept by name, such as "
        f"--accept '{left[0].name}'{said}"
    )
