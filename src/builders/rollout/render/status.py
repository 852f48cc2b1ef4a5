"""Accounts by regions by layers: a cell each where there are few accounts, a row a layer where there are many.

A phase as it stands, as `status` shows it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from builders.rollout.checks.status import InstanceStatus, InstanceView, StatusView
from builders.rollout.model import Target
from builders.rollout.render.page import BAD, CARE, FAINT, GOOD, STRONG, Page, Part, columns, run_again, target_list
from builders.text import counted_noun

FEW_ACCOUNTS = 25
"""So many get a row each, in each region."""

Instances = Mapping[str, Mapping[Target, InstanceView]]

_CELLS = {
    InstanceStatus.INOPERABLE: ("INOP", BAD),
    InstanceStatus.FAILED: ("FAIL", BAD),
    InstanceStatus.SKIPPED: ("skip", CARE),
    InstanceStatus.OUTDATED: ("OLD", CARE),
    InstanceStatus.RUNNING: ("run", "cyan"),
    InstanceStatus.PENDING: (".", FAINT),
    InstanceStatus.MISSING: ("none", CARE),
    InstanceStatus.LEAVING: ("left", CARE),
    InstanceStatus.CURRENT: ("ok", GOOD),
}
_NARROWEST_CELL = 4
_BAR = 20
_LONGEST_LAYER = 24


def grid(page: Page, layers: Sequence[str], regions: Sequence[str], instances: Instances, rows: int = 0) -> None:
    """Add whichever form suits the number of accounts, and the lines there are: `rows`, 0 for as many as it takes."""
    accounts = {target.account for by_place in instances.values() for target in by_place}
    fits = not rows or len(accounts) * len(regions) + len(regions) + 4 <= rows
    if len(accounts) <= FEW_ACCOUNTS and fits and _cell_width(page, accounts, layers) >= _NARROWEST_CELL:
        _cells(page, layers, regions, instances, sorted(accounts))
    else:
        _counts(page, layers, instances)


def _cell_width(page: Page, accounts: Iterable[str], layers: Sequence[str]) -> int:
    """Columns of a cell, without the gap behind it."""
    return (page.width - 2 - columns(accounts, page.width)) // max(1, len(layers)) - 1


def _cells(
    page: Page, layers: Sequence[str], regions: Sequence[str], instances: Instances, accounts: Sequence[str]
) -> None:
    first = columns(accounts, page.width)
    heads = _heads(layers, _cell_width(page, accounts, layers))
    widths = [max(_NARROWEST_CELL, len(head)) for head in heads]
    page.line(
        " " * first,
        ("".join(f" {head:{width}}" for head, width in zip(heads, widths, strict=True)), STRONG),
        indent=2,
    )
    there = {target.region for by_place in instances.values() for target in by_place}
    for region in [*regions, *sorted(there.difference(regions))]:
        page.line((region, STRONG))
        for account in accounts:
            row: list[Part] = [f"{account:{first}}"]
            for layer, width in zip(layers, widths, strict=True):
                row.append(" ")
                row.append(_cell(instances.get(layer, {}).get(Target(account, region)), width))
            page.line(*row, indent=2)
    _explain(page, layers, heads, instances)


def _cell(standing: InstanceView | None, width: int) -> Part:
    if standing is None:
        return " " * width
    word, style = _CELLS[standing.status]
    if standing.drift == "DRIFTED":
        return f"{word + '*':{width}}", CARE
    return f"{word:{width}}", style


def _heads(layers: Sequence[str], width: int) -> list[str]:
    """A head for each layer: its name where there is room, else its beginnings; a number where two would be alike."""
    heads = [layer if len(layer) <= width else _shortened(layer, width) for layer in layers]
    often = Counter(heads)
    return [head if often[head] == 1 else str(number) for number, head in enumerate(heads, 1)]


def _shortened(name: str, width: int) -> str:
    parts = [part for part in name.split("_") if part] or [name]
    return "".join(part[: max(1, width // len(parts))] for part in parts)[:width]


def _explain(page: Page, layers: Sequence[str], heads: Sequence[str], instances: Instances) -> None:
    """Say what the short words mean, those that are there."""
    there = {each.status for by_place in instances.values() for each in by_place.values()} - {InstanceStatus.CURRENT}
    words = [f"{_CELLS[mark][0]} {mark.value}" for mark in InstanceStatus if mark in there]
    if any(each.drift == "DRIFTED" for by_place in instances.values() for each in by_place.values()):
        words.append("* drifted")
    if words:
        page.line((", ".join(words), FAINT), hang=0)
    # The beginning of a name needs no explanation.
    cut = [f"{head} {layer}" for head, layer in zip(heads, layers, strict=True) if not layer.startswith(head)]
    if cut:
        page.line((", ".join(cut), FAINT), hang=0)


def _counts(page: Page, layers: Sequence[str], instances: Instances) -> None:
    width = columns(layers, _LONGEST_LAYER)
    for layer in layers:
        by_place = instances.get(layer, {})
        totals = Counter(each.status for each in by_place.values())
        drifted = sum(each.drift == "DRIFTED" for each in by_place.values())
        page.line(
            (f"{layer:{width}}", STRONG),
            " ",
            *_bar(totals[InstanceStatus.CURRENT], len(by_place)),
            f" {totals[InstanceStatus.CURRENT]:,} of {len(by_place):,}",
            *_rest(totals),
            (f", {drifted:,} drifted" if drifted else "", CARE),
            indent=2,
            hang=width + _BAR + 4,
        )


def _bar(done: int, of: int) -> Iterator[Part]:
    # Not full before all is done: the last one of three thousand shall be seen.
    filled = _BAR if done == of else min(_BAR - 1, done * _BAR // max(1, of))
    yield "["
    yield "#" * filled, GOOD
    yield "." * (_BAR - filled), FAINT
    yield "]"


def _rest(totals: Mapping[InstanceStatus, int]) -> Iterator[Part]:
    for mark in InstanceStatus:
        if mark is not InstanceStatus.CURRENT and totals.get(mark):
            yield ", "
            yield f"{totals[mark]:,} {mark.value}", _CELLS[mark][1]


_LISTED = 12
_WELL = frozenset({InstanceStatus.CURRENT, InstanceStatus.PENDING, InstanceStatus.RUNNING})


def status_text(view: StatusView, width: int = 80) -> Text:
    """The table, what is not well and why, what runs, and the run that did not end."""
    page = Page(width)
    page.line((f"Phase {view.phase}", STRONG), _release(view))
    if any(view.instances.values()):
        page.blank()
        grid(page, view.layers, view.regions, view.instances)
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


def status_data(view: StatusView) -> dict[str, Any]:
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
                "account": target.account,
                "region": target.region,
                "status": each.status.value,
                "reason": each.reason,
                "drift": each.drift,
                "stack_id": each.stack_id,
            }
            for layer, by_place in view.instances.items()
            for target, each in sorted(by_place.items())
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
    together: dict[tuple[InstanceStatus, str, str], list[Target]] = defaultdict(list)
    for layer, by_place in view.instances.items():
        for target, each in by_place.items():
            if each.status not in _WELL:
                together[each.status, layer, each.reason].append(target)
    if not together:
        return
    page.title("Not well")
    order = {mark: number for number, mark in enumerate(InstanceStatus)}
    causes = sorted(together.items(), key=lambda cause: (order[cause[0][0]], -len(cause[1]), cause[0][1:]))
    for (mark, layer, reason), where in causes[:_LISTED]:
        page.line(
            (f"{layer} {mark.value}", BAD if mark in (InstanceStatus.INOPERABLE, InstanceStatus.FAILED) else CARE),
            f" at {target_list(where)}",
            indent=2,
        )
        if reason:
            page.line(reason, indent=4, hang=0)
    if len(causes) > _LISTED:
        page.more(counted_noun(len(causes) - _LISTED, "more reason"), indent=2)


def _drifted(page: Page, view: StatusView) -> None:
    found = {
        layer: [target for target, each in by_place.items() if each.drift == "DRIFTED"]
        for layer, by_place in view.instances.items()
    }
    if any(found.values()):
        page.title("Drifted")
    for layer, where in found.items():
        if where:
            page.line((layer, CARE), f" at {target_list(where)}", indent=2)


def _running(page: Page, view: StatusView) -> None:
    if view.running:
        page.title(f"{counted_noun(len(view.running), 'operation')} under way")
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
    page.line("go on with ", (run_again("resume" if running else run.command, view.phase), STRONG), indent=2)


def _sum(page: Page, view: StatusView) -> None:
    totals = Counter(each.status for by_place in view.instances.values() for each in by_place.values())
    count = sum(totals.values())
    page.blank()
    if view.good and count:
        page.line((f"{counted_noun(count, 'instance')}, all current.", GOOD))
    elif count:
        page.line(f"{totals[InstanceStatus.CURRENT]:,} of {counted_noun(count, 'instance')} current.")
