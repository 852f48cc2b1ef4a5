"""The state of a phase: accounts by regions by layers, what is not current and why, what runs, what comes next.

The grid has a cell for each instance where there are few accounts, and a row for each layer where there are many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from rich.table import Table
from rich.text import Text

from builders.page import Page, Part, joined, target_list
from builders.rollout.checks.status import InstanceStatus, InstanceView, StatusView
from builders.rollout.model import Target, grouped
from builders.rollout.render.results import next_command
from builders.rollout.state.journal import RunStatus
from builders.terminal import BAD, FAINT, GOOD, STRONG, WARN
from builders.text import counted_noun, name_list

FEW_ACCOUNTS = 25
"""So many get a row each, in each region."""
_ACCOUNT_COLUMNS, _CELL_COLUMNS = 15, 6
"""Columns with the gap behind them."""
_BAR_COLUMNS = 20
_SHOWN = 12

Instances = Mapping[str, Mapping[Target, InstanceView]]

_CELLS = {
    InstanceStatus.INOPERABLE: ("INOP", BAD),
    InstanceStatus.FAILED: ("FAIL", BAD),
    InstanceStatus.SKIPPED: ("skip", WARN),
    InstanceStatus.OUTDATED: ("OLD", WARN),
    InstanceStatus.RUNNING: ("run", "cyan"),
    InstanceStatus.PENDING: (".", FAINT),
    InstanceStatus.MISSING: ("none", WARN),
    InstanceStatus.LEAVING: ("left", WARN),
    InstanceStatus.CURRENT: ("ok", GOOD),
}
_EXPECTED = frozenset({InstanceStatus.CURRENT, InstanceStatus.PENDING, InstanceStatus.RUNNING})


def grid(page: Page, layers: Sequence[str], regions: Sequence[str], instances: Instances, most: int = 0) -> None:
    """Add the form that suits the number of accounts and the lines there are: at most `most`, 0 for any number."""
    accounts = {target.account for by_target in instances.values() for target in by_target}
    if len(accounts) <= FEW_ACCOUNTS and _ACCOUNT_COLUMNS + _CELL_COLUMNS * len(layers) <= page.width:
        cells = Page(page.width)
        _cells(cells, layers, regions, instances, sorted(accounts))
        if not most or len(cells.lines) <= most:
            page.lines += cells.lines
            return
    page.table((_layer(layer, instances.get(layer, {})) for layer in layers), indent=2, gap=1)


def _cells(
    page: Page, layers: Sequence[str], regions: Sequence[str], instances: Instances, accounts: Sequence[str]
) -> None:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for _ in layers:
        table.add_column(overflow="fold")
    table.add_row("", *(joined((layer, STRONG)) for layer in layers))
    others = {target.region for by_target in instances.values() for target in by_target}.difference(regions)
    for region in [*regions, *sorted(others)]:
        table.add_row(joined((region, STRONG)))
        for account in accounts:
            states = [instances.get(layer, {}).get(Target(account, region)) for layer in layers]
            table.add_row(joined(f"  {account}"), *map(_cell, states))
    page.add(table)
    there = {each.status for by_target in instances.values() for each in by_target.values()} - {InstanceStatus.CURRENT}
    words = [f"{sign} {status.value}" for status, (sign, _) in _CELLS.items() if status in there]
    if any(_drifted(by_target) for by_target in instances.values()):
        words.append("* drifted")
    if words:
        page.line((", ".join(words), FAINT), hang=0)


def _cell(state: InstanceView | None) -> Text:
    if state is None:
        return Text()
    sign, style = _CELLS[state.status]
    return Text(f"{sign}*", WARN) if state.drift == "DRIFTED" else Text(sign, style)


def _layer(layer: str, by_target: Mapping[Target, InstanceView]) -> Sequence[Part]:
    """The row of a layer: a bar, how many of its instances are current, and the states of the others."""
    totals = Counter(each.status for each in by_target.values())
    current, all_of_them = totals[InstanceStatus.CURRENT], len(by_target)
    # The bar is not full before all are current: the last one of three thousand must be seen.
    filled = current * _BAR_COLUMNS // all_of_them if all_of_them else _BAR_COLUMNS
    parts: list[Part] = [f"{current:,} of {all_of_them:,}"]
    for status, (_, style) in _CELLS.items():
        if status is not InstanceStatus.CURRENT and totals[status]:
            parts += [", ", (f"{totals[status]:,} {status.value}", style)]
    if drifted := _drifted(by_target):
        parts.append((f", {len(drifted):,} drifted", WARN))
    bar = joined("[", ("#" * filled, GOOD), ("." * (_BAR_COLUMNS - filled), FAINT), "]")
    return (layer, STRONG), bar, joined(*parts)


def _drifted(by_target: Mapping[Target, InstanceView]) -> list[Target]:
    return [target for target, each in by_target.items() if each.drift == "DRIFTED"]


def add_status(page: Page, view: StatusView) -> None:
    """Add the grid, what is not current and why, what runs, and the run that did not end."""
    release = ": no release has been rolled out completely"
    if view.release:
        release = f": release {view.release}{f', rolled out {view.released}' if view.released else ''}"
    elif view.removal:
        release = f": removed by run {view.removal.run}, begun {view.removal.began}"
    page.line((f"Phase {view.phase}", STRONG), release)
    if any(view.instances.values()):
        page.blank()
        grid(page, view.layers, view.regions, view.instances)
    else:
        page.line("No layer of it is deployed anywhere.")
    _releases(page, view)
    _not_current(page, view)
    if any(map(_drifted, view.instances.values())):
        page.title("Drifted")
    for layer, by_target in view.instances.items():
        if where := _drifted(by_target):
            page.line((layer, WARN), f" at {target_list(where)}", indent=2)
    _running(page, view)
    if view.notes:
        page.title("Notes")
    for note in view.notes:
        page.line(("- ", WARN), note, indent=2)
    page.point_to_json()
    totals = Counter(each.status for by_target in view.instances.values() for each in by_target.values())
    if totals:
        page.blank()
        count, current = counted_noun(totals.total(), "instance"), totals[InstanceStatus.CURRENT]
        page.line((f"{count}, all current.", GOOD) if view.good else f"{current:,} of {count} current.")


_VIEW = TypeAdapter(StatusView)
_KEYS: Any = {
    **dict.fromkeys(("phase", "release", "released", "layers", "regions", "notes"), True),
    "unfinished": {"id", "command", "release", "by", "began", "status"},
    "hold": {"by", "command", "began", "until"},
    "removal": {"run", "began"},
}
"""The fields that are keys of the JSON as they are."""


def status_data(view: StatusView) -> dict[str, Any]:
    """The state as a dictionary that `json` can write, with every instance."""
    data = _VIEW.dump_python(view, mode="json", include=_KEYS)
    if view.unfinished:
        data["unfinished"]["owner"] = view.unfinished.owner[:8]
    return {
        **data,
        "good": view.good,
        "instances": [
            {"layer": layer, **target._asdict(), **vars(each), "status": each.status.value}
            for layer, by_target in view.instances.items()
            for target, each in sorted(by_target.items())
        ],
        "running": [
            {"layer": layer, "id": operation.id, "action": operation.action, "status": operation.status}
            for layer, operation in view.running
        ],
        "accounts": [{"account": account, **each._asdict()} for account, each in view.releases.items()],
    }


def _releases(page: Page, view: StatusView) -> None:
    """Add the release of each account, where not all have the one that stands in the title."""
    alike = grouped((each, account) for account, each in view.releases.items())
    if not alike or set(alike) == {(view.release, True)}:
        return
    page.title("Releases")
    for each, accounts in alike.items():
        what = each.release or "none"
        page.line(f"{what}{'' if each.whole else ', in part'}: {name_list(accounts)}", indent=2)


def _not_current(page: Page, view: StatusView) -> None:
    """Add the instances that do not become current by themselves, by layer and reason."""
    alike = grouped(
        ((each.status, each.reason), (layer, target))
        for layer, by_target in view.instances.items()
        for target, each in by_target.items()
        if each.status not in _EXPECTED
    )
    order = {status: number for number, status in enumerate(InstanceStatus)}
    reasons = sorted(alike.items(), key=lambda reason: (order[reason[0][0]], -len(reason[1]), reason[0][1]))
    for (status, reason), where in page.first(reasons, _SHOWN, "reason", title="Not current"):
        for layer, targets in grouped(where).items():
            page.line((f"{layer} {status.value}", _CELLS[status][1]), f" at {target_list(targets)}", indent=2)
        if reason:
            page.line(reason, indent=4, hang=0)


def _running(page: Page, view: StatusView) -> None:
    """Add the operations under way, and the run that did not end."""
    title = f"{counted_noun(len(view.running), 'operation')} under way"
    for layer, operation in page.first(view.running, _SHOWN, "operation", title=title):
        page.line(f"{layer}: {operation.action} {operation.id}, {operation.status}", indent=2)
    if hold := view.hold:
        page.title(f"Locked by {hold.by}")
        lease = f"since {hold.began}, to plan and agree to {hold.command.value}; at most until {hold.until}"
        page.line(lease, indent=2)
    if run := view.unfinished:
        running = run.status is RunStatus.RUNNING
        page.title(f"A run {'is under way, or was interrupted' if running else 'did not succeed everywhere'}: {run}")
        page.line(f"{run.id}, begun {run.began}{f' by {run.by}' if run.by else ''}, {run.status.value}", indent=2)
        # A run that failed is over: the same command again does what is left.
        command = next_command("resume" if running else run.command.value, view.phase)
        page.line("continue with ", (command, STRONG), indent=2)
