"""A phase as it stands, as `status` shows it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from rich.text import Text

from builders.rollout.model import Place
from builders.rollout.showing import grid
from builders.rollout.showing.page import BAD, CARE, GOOD, STRONG, Page
from builders.rollout.showing.views import Mark, StatusView
from builders.rollout.showing.words import again, many, places

_LISTED = 12
_WELL = frozenset({Mark.CURRENT, Mark.PENDING, Mark.RUNNING})


def text(view: StatusView, width: int = 80) -> Text:
    """The table, what is not well and why, what runs, and the run that did not end."""
    page = Page(width)
    page.line((f"Phase {view.phase}", STRONG), _release(view))
    if any(view.standings.values()):
        page.blank()
        grid.show(page, view.layers, view.regions, view.standings)
    else:
        page.line("No layer of it stands anywhere.")
    _not_well(page, view)
    _drifted(page, view)
    _running(page, view)
    _unfinished(page, view)
    if view.notes:
        page.title("Notes")
    for note in view.notes:
        page.line(("- ", CARE), note, indent=2)
    page.say_where_all_is()
    _sum(page, view)
    return page.text()


def data(view: StatusView) -> dict[str, Any]:
    """The same as a dictionary that `json` can write, with every place."""
    run = view.unfinished
    return {
        "phase": view.phase,
        "good": view.good,
        "release": view.release,
        "released": view.released,
        "layers": list(view.layers),
        "regions": list(view.regions),
        "instances": [
            {
                "layer": layer,
                "account": place.account,
                "region": place.region,
                "status": each.mark.value,
                "reason": each.reason,
                "drift": each.drift,
                "stack_id": each.stack_id,
            }
            for layer, by_place in view.standings.items()
            for place, each in sorted(by_place.items())
        ],
        "running": [
            {
                "layer": each.layer,
                "id": each.operation.id,
                "action": each.operation.action,
                "status": each.operation.status,
            }
            for each in view.running
        ],
        "unfinished": None
        if run is None
        else {
            "id": run.id,
            "command": run.command,
            "release": run.release,
            "owner": run.owner,
            "began": run.began,
            "status": run.status,
        },
        "notes": list(view.notes),
    }


def _release(view: StatusView) -> str:
    if not view.release:
        return ": no release was rolled out whole yet"
    return f": release {view.release}{f', rolled out {view.released}' if view.released else ''}"


def _not_well(page: Page, view: StatusView) -> None:
    """Instances that are not what they shall be and do not become it by themselves, by layer and reason."""
    together: dict[tuple[Mark, str, str], list[Place]] = defaultdict(list)
    for layer, by_place in view.standings.items():
        for place, each in by_place.items():
            if each.mark not in _WELL:
                together[each.mark, layer, each.reason].append(place)
    if not together:
        return
    page.title("Not well")
    order = {mark: number for number, mark in enumerate(Mark)}
    causes = sorted(together.items(), key=lambda cause: (order[cause[0][0]], -len(cause[1]), cause[0][1:]))
    for (mark, layer, reason), where in causes[:_LISTED]:
        page.line(
            (f"{layer} {mark.value}", BAD if mark in (Mark.INOPERABLE, Mark.FAILED) else CARE),
            f" at {places(where)}",
            indent=2,
        )
        if reason:
            page.line(reason, indent=4, hang=0)
    if len(causes) > _LISTED:
        page.more(many(len(causes) - _LISTED, "more reason"), indent=2)


def _drifted(page: Page, view: StatusView) -> None:
    found = {
        layer: [place for place, each in by_place.items() if each.drift == "DRIFTED"]
        for layer, by_place in view.standings.items()
    }
    if any(found.values()):
        page.title("Drifted")
    for layer, where in found.items():
        if where:
            page.line((layer, CARE), f" at {places(where)}", indent=2)


def _running(page: Page, view: StatusView) -> None:
    if view.running:
        page.title(f"{many(len(view.running), 'operation')} under way")
    for each in view.running[:_LISTED]:
        operation = each.operation
        page.line(f"{each.layer}: {operation.action} {operation.id}, {operation.status}", indent=2)
    if len(view.running) > _LISTED:
        page.more(f"{len(view.running) - _LISTED:,} more", indent=2)


def _unfinished(page: Page, view: StatusView) -> None:
    run = view.unfinished
    if run is None:
        return
    running = run.status == "RUNNING"
    how = "is under way, or was interrupted" if running else "did not reach everything"
    page.title(f"A run {how}: {run.command} {run.release}".rstrip())
    page.line(f"{run.id}, begun {run.began} by {run.owner}, {run.status}", indent=2)
    # A run that failed is over: the same command again does what is left.
    page.line("go on with ", (again("resume" if running else run.command, view.phase), STRONG), indent=2)


def _sum(page: Page, view: StatusView) -> None:
    totals = Counter(each.mark for by_place in view.standings.values() for each in by_place.values())
    count = sum(totals.values())
    page.blank()
    if view.good and count:
        page.line((f"{many(count, 'instance')}, all current.", GOOD))
    elif count:
        page.line(f"{totals[Mark.CURRENT]:,} of {many(count, 'instance')} current.")
