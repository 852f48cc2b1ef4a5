"""What doctor found: every check in a line, and each finding with its fix."""

from __future__ import annotations

from rich.text import Text

from builders.rollout.reading.doctor.findings import Checked, Diagnosis, Finding, Severity
from builders.rollout.showing.page import BAD, CARE, GOOD, Page
from builders.rollout.showing.words import many, names

_STYLES = {Severity.ERROR: BAD, Severity.WARNING: CARE, Severity.UNASKED: CARE}
_LISTED = 3


def text(diagnosis: Diagnosis, width: int = 80) -> Text:
    """A diagnosis for a person."""
    page = Page(width)
    page.title(f"Doctor: phase {diagnosis.phase}")
    page.blank()
    for check in diagnosis.checks:
        _check(page, check)
    errors = _count(diagnosis, Severity.ERROR)
    others = _count(diagnosis, Severity.WARNING) + _count(diagnosis, Severity.UNASKED)
    page.blank()
    more = f", {many(others, 'other remark')}" if others else ""
    page.line((f"{many(errors, 'error')}{more}" if errors else f"No errors{more}", BAD if errors else GOOD))
    return page.text()


def _check(page: Page, check: Checked) -> None:
    if not check.findings:
        page.line(("ok", GOOD), f"  {check.name}")
        return
    page.line(("!!", BAD if _worst(check) is Severity.ERROR else CARE), f"  {check.name}")
    for finding in check.findings:
        _finding(page, finding)


def _finding(page: Page, finding: Finding) -> None:
    where = f" ({names(finding.where, _LISTED)})" if finding.where else ""
    page.line((finding.severity.value, _STYLES[finding.severity]), f": {finding.what}{where}", indent=4)
    page.line(f"fix: {finding.fix}", indent=6)


def _worst(check: Checked) -> Severity:
    return min((finding.severity for finding in check.findings), key=list(Severity).index)


def _count(diagnosis: Diagnosis, severity: Severity) -> int:
    return sum(finding.severity is severity for check in diagnosis.checks for finding in check.findings)
