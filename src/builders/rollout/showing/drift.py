"""What is not as its template says, as `drift` shows it; accounts that drifted alike are shown once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from rich.text import Text

from builders.rollout.model import Place
from builders.rollout.showing.page import BAD, CARE, FAINT, GOOD, STRONG, Page
from builders.rollout.showing.views import Drifted, DriftView
from builders.rollout.showing.words import many, places

_GROUPS_LISTED = 20
_LINES_LISTED = 20
"""Of one group."""
_Difference = tuple[str, str, str, str, str, str]
"""Resource, type, kind of difference, property, expected, actual."""


def text(view: DriftView, width: int = 80) -> Text:
    """What drifted, resource by resource and property by property."""
    page = Page(width)
    page.line((f"Drift of phase {view.phase}", STRONG), f": {many(view.checked, 'instance')} checked")
    together = list(_together(view.drifted).items())
    for (layer, differences), where in together[:_GROUPS_LISTED]:
        page.title(f"{layer} at {places(where)}")
        _differences(page, differences)
    if left := together[_GROUPS_LISTED:]:
        count = sum(len(where) for _, where in left)
        page.blank()
        page.more(f"{many(count, 'more instance')}, in {many(len(left), 'group')}")
    _unchecked(page, view)
    page.say_where_all_is()
    page.blank()
    drifted = len({(each.layer, each.place) for each in view.drifted})
    if drifted:
        page.line((f"{many(drifted, 'instance')} drifted.", BAD))
    elif not view.unchecked:
        page.line(("Nothing drifted.", GOOD))
    else:
        page.line("Nothing drifted where it was looked.")
    return page.text()


def data(view: DriftView) -> dict[str, Any]:
    """The same as a dictionary that `json` can write, with every place."""
    return {
        "phase": view.phase,
        "checked": view.checked,
        "drifted": [
            {
                "layer": each.layer,
                "account": each.place.account,
                "region": each.place.region,
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
            {"layer": layer, "account": place.account, "region": place.region, "reason": reason}
            for (layer, place), reason in view.unchecked.items()
        ],
    }


def _together(drifted: Iterable[Drifted]) -> dict[tuple[str, tuple[_Difference, ...]], list[Place]]:
    by_instance: dict[tuple[str, Place], list[_Difference]] = defaultdict(list)
    for each in drifted:
        difference = (each.resource, each.type, each.difference, each.property, each.expected, each.actual)
        by_instance[each.layer, each.place].append(difference)
    found: dict[tuple[str, tuple[_Difference, ...]], list[Place]] = defaultdict(list)
    for (layer, place), differences in by_instance.items():
        found[layer, tuple(sorted(differences))].append(place)
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
    together: dict[str, list[Place]] = defaultdict(list)
    for (layer, place), reason in view.unchecked.items():
        together[f"{layer}: {reason}"].append(place)
    if together:
        page.title("Not checked")
    for line, where in list(together.items())[:_GROUPS_LISTED]:
        page.line(f"{line} (at {places(where)})", indent=2)
    if len(together) > _GROUPS_LISTED:
        page.more(many(len(together) - _GROUPS_LISTED, "more reason"), indent=2)
