"""The results of `bootstrap`, `doctor`, `drift` and `outputs`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text

from builders.rollout.checks.drift import DriftedProperty, DriftView
from builders.rollout.checks.findings import CheckResult, Diagnosis, Severity
from builders.rollout.checks.outputs import OutputsView
from builders.rollout.lifecycle.bootstrap import StackOutcome
from builders.rollout.model import Target, grouped
from builders.rollout.render.page import BAD, FAINT, GOOD, STRONG, WARN, Page, shortlist, target_list
from builders.text import counted_noun, name_list

_NAMED = 3
_GROUPS_SHOWN = 20
_DIFFERENCES_SHOWN = 20
"""Of one group."""
_FILES_SHOWN = 10


def doctor_text(diagnosis: Diagnosis, width: int = 80) -> Text:
    """Every check in a line, and each finding with its fix."""
    page = Page(width)
    page.title(f"Doctor: phase {diagnosis.phase}")
    page.blank()
    for check in diagnosis.checks:
        _check(page, check)
    found = Counter(finding.severity for check in diagnosis.checks for finding in check.findings)
    errors = found.pop(Severity.ERROR, 0)
    others = f", {counted_noun(found.total(), 'other remark')}" if found else ""
    page.blank()
    page.line((f"{counted_noun(errors, 'error') if errors else 'No errors'}{others}", BAD if errors else GOOD))
    return page.text()


def doctor_data(diagnosis: Diagnosis) -> dict[str, Any]:
    """The checks as a dictionary that `json` can write."""
    return {
        "phase": diagnosis.phase,
        "good": diagnosis.good,
        "checks": [
            {
                "name": check.name,
                "findings": [
                    {"severity": each.severity.value, "what": each.what, "fix": each.remedy, "where": list(each.where)}
                    for each in check.findings
                ],
            }
            for check in diagnosis.checks
        ],
    }


def _check(page: Page, check: CheckResult) -> None:
    styles = {BAD if finding.severity is Severity.ERROR else WARN for finding in check.findings}
    page.line(("!!", BAD if BAD in styles else WARN) if styles else ("ok", GOOD), f"  {check.name}")
    for finding in check.findings:
        where = f" ({name_list(finding.where, _NAMED)})" if finding.where else ""
        style = BAD if finding.severity is Severity.ERROR else WARN
        page.line((finding.severity.value, style), f": {finding.what}{where}", indent=4)
        page.line(f"fix: {finding.remedy}", indent=6)


_Difference = tuple[str, str, str, str, str, str]
"""Resource, type, kind of difference, property, expected, actual."""


def drift_text(view: DriftView, width: int = 80) -> Text:
    """The drift, resource by resource and property by property; accounts that drifted alike are shown once."""
    page = Page(width)
    page.line((f"Drift of phase {view.phase}", STRONG), f": {counted_noun(view.checked, 'instance')} checked")
    groups = list(_alike(view.drifted).items())
    shown = shortlist(groups, _GROUPS_SHOWN)
    for (layer, differences), where in shown:
        page.title(f"{layer} at {target_list(where)}")
        _differences(page, differences)
    if left := groups[len(shown) :]:
        instances = sum(len(where) for _, where in left)
        page.blank()
        page.line(page.more(f"{counted_noun(instances, 'more instance')}, in {counted_noun(len(left), 'group')}"))
    _unchecked(page, view)
    page.point_to_json()
    page.blank()
    drifted = len({(each.layer, each.target) for each in view.drifted})
    if drifted:
        page.line((f"{counted_noun(drifted, 'instance')} drifted.", BAD))
    elif not view.unchecked:
        page.line(("Nothing drifted.", GOOD))
    else:
        page.line("Nothing drifted in the instances that were checked.")
    return page.text()


def drift_data(view: DriftView) -> dict[str, Any]:
    """The drift as a dictionary that `json` can write, with every instance."""
    return {
        "phase": view.phase,
        "checked": view.checked,
        "drifted": [
            {"layer": each.layer, **each.target._asdict(), **dict(zip(each._fields[2:], each[2:], strict=True))}
            for each in view.drifted
        ],
        "unchecked": [
            {"layer": layer, **target._asdict(), "reason": reason} for (layer, target), reason in view.unchecked.items()
        ],
    }


def _alike(drifted: Iterable[DriftedProperty]) -> dict[tuple[str, tuple[_Difference, ...]], list[Target]]:
    """The targets by layer and differences."""
    by_instance = grouped(((each.layer, each.target), each[2:]) for each in drifted)
    return grouped(
        ((layer, tuple(sorted(differences))), target) for (layer, target), differences in by_instance.items()
    )


def _differences(page: Page, differences: tuple[_Difference, ...]) -> None:
    above = ""
    for resource, kind, difference, path, expected, actual in page.first(differences, _DIFFERENCES_SHOWN, "difference"):
        if resource != above:
            sign = ("~ ", WARN) if path else ("- ", BAD)
            page.line(sign, f"{resource}  ", (kind, FAINT), "" if path else f"  {difference.lower()}", indent=2)
            above = resource
        if path:
            page.line(f"{path}: expected {expected or 'absent'}, is {actual or 'absent'}", indent=6)


def _unchecked(page: Page, view: DriftView) -> None:
    alike = grouped((f"{layer}: {reason}", target) for (layer, target), reason in view.unchecked.items())
    if alike:
        page.title("Not checked")
    for line, where in page.first(list(alike.items()), _GROUPS_SHOWN, "reason"):
        page.line(f"{line} (at {target_list(where)})", indent=2)


def outputs_text(view: OutputsView, width: int = 80) -> Text:
    """The files, a line a target where there are few."""
    page = Page(width)
    page.title(f"Outputs of phase {view.phase}: {counted_noun(len(view.written), 'target')}")
    for written in page.first(view.written, _FILES_SHOWN, "target"):
        page.line(f"{written.files[-1]}  {counted_noun(len(written.known), 'known output')}", indent=2)
    page.line(f"index: {view.index}", indent=2)
    for target, reason in sorted(view.unread.items()):
        page.line(("not written", BAD), f"  {target}: {reason}")
    return page.text()


def outputs_data(view: OutputsView) -> dict[str, Any]:
    """The files as a dictionary that `json` can write."""
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


def bootstrap_data(outcomes: Sequence[StackOutcome]) -> list[dict[str, Any]]:
    """The stacks of `bootstrap` as a list that `json` can write."""
    return [
        {
            **each.stack.target._asdict(),
            "layer": each.stack.layer,
            "stack": each.stack.name,
            "state": each.state.value,
            "reason": each.reason,
            "outputs": dict(each.outputs),
        }
        for each in outcomes
    ]
