"""What doctor found: every check in a line, and each finding with its fix.

What is not as its template says, as `drift` shows it; accounts that drifted alike are shown once.

What `outputs` has written, and where it could not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from rich.text import Text

from builders.rollout.checks.drift import DriftedProperty, DriftView
from builders.rollout.checks.findings import CheckResult, Diagnosis, Finding, Severity
from builders.rollout.checks.outputs import OutputsView
from builders.rollout.model import Target
from builders.rollout.render.page import BAD, CARE, FAINT, GOOD, STRONG, Page, target_list
from builders.text import counted_noun, name_list

_STYLES = {Severity.ERROR: BAD, Severity.WARNING: CARE, Severity.UNKNOWN: CARE}
_LISTED = 3


def doctor_text(diagnosis: Diagnosis, width: int = 80) -> Text:
    """A diagnosis for a person."""
    page = Page(width)
    page.title(f"Doctor: phase {diagnosis.phase}")
    page.blank()
    for check in diagnosis.checks:
        _check(page, check)
    errors = _count(diagnosis, Severity.ERROR)
    others = _count(diagnosis, Severity.WARNING) + _count(diagnosis, Severity.UNKNOWN)
    page.blank()
    more = f", {counted_noun(others, 'other remark')}" if others else ""
    page.line((f"{counted_noun(errors, 'error')}{more}" if errors else f"No errors{more}", BAD if errors else GOOD))
    return page.text()


def _check(page: Page, check: CheckResult) -> None:
    if not check.findings:
        page.line(("ok", GOOD), f"  {check.name}")
        return
    page.line(("!!", BAD if _worst(check) is Severity.ERROR else CARE), f"  {check.name}")
    for finding in check.findings:
        _finding(page, finding)


def _finding(page: Page, finding: Finding) -> None:
    where = f" ({name_list(finding.where, _LISTED)})" if finding.where else ""
    page.line((finding.severity.value, _STYLES[finding.severity]), f": {finding.what}{where}", indent=4)
    page.line(f"fix: {finding.remedy}", indent=6)


def _worst(check: CheckResult) -> Severity:
    return min((finding.severity for finding in check.findings), key=list(Severity).index)


def _count(diagnosis: Diagnosis, severity: Severity) -> int:
    return sum(finding.severity is severity for check in diagnosis.checks for finding in check.findings)


_GROUPS_LISTED = 20
_LINES_LISTED = 20
"""Of one group."""
_Difference = tuple[str, str, str, str, str, str]
"""Resource, type, kind of difference, property, expected, actual."""


def drift_text(view: DriftView, width: int = 80) -> Text:
    """What drifted, resource by resource and property by property."""
    page = Page(width)
    page.line((f"Drift of phase {view.phase}", STRONG), f": {counted_noun(view.checked, 'instance')} checked")
    together = list(_together(view.drifted).items())
    for (layer, differences), where in together[:_GROUPS_LISTED]:
        page.title(f"{layer} at {target_list(where)}")
        _differences(page, differences)
    if left := together[_GROUPS_LISTED:]:
        count = sum(len(where) for _, where in left)
        page.blank()
        page.more(f"{counted_noun(count, 'more instance')}, in {counted_noun(len(left), 'group')}")
    _unchecked(page, view)
    page.say_where_all_is()
    page.blank()
    drifted = len({(each.layer, each.target) for each in view.drifted})
    if drifted:
        page.line((f"{counted_noun(drifted, 'instance')} drifted.", BAD))
    elif not view.unchecked:
        page.line(("Nothing drifted.", GOOD))
    else:
        page.line("Nothing drifted where it was looked.")
    return page.text()


def drift_data(view: DriftView) -> dict[str, Any]:
    """The same as a dictionary that `json` can write, with every place."""
    return {
        "phase": view.phase,
        "checked": view.checked,
        "drifted": [
            {
                "layer": each.layer,
                "account": each.target.account,
                "region": each.target.region,
                "resource": each.resource,
                "type": each.type,
                "difference": each.difference,
                "property": each.property,
                "expected": each.expected,
                "actual": each.actual,
            }
            for each in view.drifted
        ],
        "unchecked": [
            {"layer": layer, "account": target.account, "region": target.region, "reason": reason}
            for (layer, target), reason in view.unchecked.items()
        ],
    }


def _together(drifted: Iterable[DriftedProperty]) -> dict[tuple[str, tuple[_Difference, ...]], list[Target]]:
    by_instance: dict[tuple[str, Target], list[_Difference]] = defaultdict(list)
    for each in drifted:
        difference = (each.resource, each.type, each.difference, each.property, each.expected, each.actual)
        by_instance[each.layer, each.target].append(difference)
    found: dict[tuple[str, tuple[_Difference, ...]], list[Target]] = defaultdict(list)
    for (layer, target), differences in by_instance.items():
        found[layer, tuple(sorted(differences))].append(target)
    return found


def _differences(page: Page, differences: tuple[_Difference, ...]) -> None:
    above = ""
    for resource, kind, difference, path, expected, actual in differences[:_LINES_LISTED]:
        if resource != above:
            gone = f"  {difference.lower()}" if not path else ""
            page.line(("- " if gone else "~ ", BAD if gone else CARE), f"{resource}  ", (kind, FAINT), gone, indent=2)
            above = resource
        if path:
            page.line(f"{path}: expected {_value(expected)}, is {_value(actual)}", indent=6)
    if len(differences) > _LINES_LISTED:
        page.more(f"{len(differences) - _LINES_LISTED:,} more", indent=4)


def _value(given: str) -> str:
    return given if given else "absent"


def _unchecked(page: Page, view: DriftView) -> None:
    together: dict[str, list[Target]] = defaultdict(list)
    for (layer, target), reason in view.unchecked.items():
        together[f"{layer}: {reason}"].append(target)
    if together:
        page.title("Not checked")
    for line, where in list(together.items())[:_GROUPS_LISTED]:
        page.line(f"{line} (at {target_list(where)})", indent=2)
    if len(together) > _GROUPS_LISTED:
        page.more(counted_noun(len(together) - _GROUPS_LISTED, "more reason"), indent=2)


_SHOWN = 10


def outputs_text(view: OutputsView, width: int = 80) -> Text:
    """The files for a person: a line a place, where there are few."""
    page = Page(width)
    page.title(f"Outputs of phase {view.phase}: {counted_noun(len(view.written), 'place')}")
    for written in view.written[:_SHOWN]:
        page.line(f"{written.files[-1]}  {counted_noun(len(written.known), 'known output')}", indent=2)
    if len(view.written) > _SHOWN:
        page.line(f"... and {len(view.written) - _SHOWN:,} more", indent=2)
    page.line(f"index: {view.index}", indent=2)
    for target, reason in sorted(view.unread.items()):
        page.line(("not written", BAD), f"  {target}: {reason}")
    return page.text()


def outputs_json(view: OutputsView) -> dict[str, Any]:
    """The same for a machine."""
    return {
        "phase": view.phase,
        "release": view.release,
        "index": str(view.index),
        "places": [
            {"place": str(each.target), "files": [str(file) for file in each.files], "known": list(each.known)}
            for each in view.written
        ],
        "unread": {str(target): reason for target, reason in sorted(view.unread.items())},
    }
