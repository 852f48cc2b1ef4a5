"""The report of a check as people read it, and as --json prints it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from builders.command_line import show
from builders.migration.check.hazards import HazardFinding, Severity
from builders.migration.check.report import HAZARDS, CheckReport
from builders.migration.check.sizes import size_text
from builders.terminal import BAD, FAINT, GOOD, STRONG, WARN
from builders.text import counted_noun, left_out

if TYPE_CHECKING:
    from builders.page import Page

MOST_OBJECTS = 50
"""Objects of one kind that a person is shown; --json has them all."""

_HEADINGS: Mapping[Severity, tuple[str, str]] = {
    Severity.BLOCKS: ("BLOCKS: the load, the changes or the definitions fail", BAD),
    Severity.LOSES: ("LOSES: does not arrive, or not as it was", BAD),
    Severity.STEP: ("STEP: a step of migrate-database takes care of it", WARN),
    Severity.NOTE: ("NOTE: worth knowing", FAINT),
}
_TITLES = {hazard.id: hazard.title for hazard in HAZARDS}


def result(phase: str, report: CheckReport, *, as_json: bool) -> None:
    """Print a report: for a person by severity, then by kind, nothing cut off."""

    def fill(page: Page) -> None:
        for severity, of_severity in itertools.groupby(report.findings, key=lambda each: each.severity):
            page.line(_HEADINGS[severity])
            for kind, of_kind in itertools.groupby(of_severity, key=lambda each: each.id):
                _kind(page, kind, list(of_kind))
            page.blank()
        _estimate(page, report)
        for remark in report.remarks:
            page.line(remark)
        _verdict(page, report)

    show(lambda: {"phase": phase, **report.as_data()}, fill, as_json=as_json)


def _kind(page: Page, kind: str, found: list[HazardFinding]) -> None:
    accepted = sum(each.is_accepted for each in found)
    page.line(
        (f"{kind}: {_TITLES[kind]}", STRONG), f" ({accepted} of {len(found)} accepted)" if accepted else "", indent=2
    )
    remedies = {each.remedy for each in found}
    for each in found[:MOST_OBJECTS]:
        page.line(each.object, (" [accepted]" if each.is_accepted else "", FAINT), f": {each.happens}", indent=4)
        if len(remedies) > 1 and not each.is_accepted:
            page.copyable(each.remedy, indent=6)
    if len(found) > MOST_OBJECTS:
        page.line(left_out(len(found) - MOST_OBJECTS), indent=4)
    if len(remedies) == 1 and accepted < len(found):
        page.copyable(found[0].remedy, indent=6)


def _estimate(page: Page, report: CheckReport) -> None:
    estimated = report.estimate
    rows = f"about {counted_noun(estimated.rows, 'row')}" if estimated.rows else "no rows that ANALYZE has counted"
    page.line(
        f"{counted_noun(estimated.tables, 'table')}, {rows}, {size_text(estimated.size)} and "
        f"{size_text(estimated.index_size)} of indexes"
    )
    page.line(
        f"a load takes {estimated.load_hours:,.1f} hours at least, by a line of {estimated.line_mbit:,.0f} Mbit/s "
        "(--line-mbit)"
    )
    counted = "as the server has counted it" if estimated.is_counted else "at the rate of this moment"
    pause = (
        "a pause may last until the source's disk is full"
        if estimated.pause_hours is None
        else f"a pause may last {estimated.pause_hours:,.1f} hours, then the slot is lost (max_slot_wal_keep_size)"
    )
    page.line(f"a day of pause keeps {size_text(estimated.wal_per_day)} of log, {counted}; {pause}")


def _verdict(page: Page, report: CheckReport) -> None:
    left, accepted = report.open, sum(each.is_accepted for each in report.findings)
    said = f"; {counted_noun(accepted, 'finding')} accepted" if accepted else ""
    if not left:
        page.line((f"nothing is left to decide{said}", GOOD))
        return
    page.copyable(
        (f"{counted_noun(len(left), 'finding')} to fix, to exclude by TableRules or to accept by name", BAD),
        f", such as --accept '{left[0].name}'{said}",
    )
