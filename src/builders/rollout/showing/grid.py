"""Accounts by regions by layers: a cell each where there are few accounts, a row a layer where there are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from builders.rollout.model import Place
from builders.rollout.showing.page import BAD, CARE, FAINT, GOOD, STRONG, Page, Part, columns
from builders.rollout.showing.views import Mark, Standing

FEW_ACCOUNTS = 25
"""So many get a row each, in each region."""

Standings = Mapping[str, Mapping[Place, Standing]]

_CELLS = {
    Mark.INOPERABLE: ("INOP", BAD),
    Mark.FAILED: ("FAIL", BAD),
    Mark.HELD: ("held", CARE),
    Mark.OUTDATED: ("OLD", CARE),
    Mark.RUNNING: ("run", "cyan"),
    Mark.PENDING: (".", FAINT),
    Mark.MISSING: ("none", CARE),
    Mark.LEAVING: ("left", CARE),
    Mark.CURRENT: ("ok", GOOD),
}
_NARROWEST_CELL = 4
_BAR = 20
_LONGEST_LAYER = 24


def show(page: Page, layers: Sequence[str], regions: Sequence[str], standings: Standings, rows: int = 0) -> None:
    """Add whichever form suits the number of accounts, and the lines there are: `rows`, 0 for as many as it takes."""
    accounts = {place.account for by_place in standings.values() for place in by_place}
    fits = not rows or len(accounts) * len(regions) + len(regions) + 4 <= rows
    if len(accounts) <= FEW_ACCOUNTS and fits and _cell_width(page, accounts, layers) >= _NARROWEST_CELL:
        _cells(page, layers, regions, standings, sorted(accounts))
    else:
        _counts(page, layers, standings)


def _cell_width(page: Page, accounts: Iterable[str], layers: Sequence[str]) -> int:
    """Columns of a cell, without the gap behind it."""
    return (page.width - 2 - columns(accounts, page.width)) // max(1, len(layers)) - 1


def _cells(
    page: Page, layers: Sequence[str], regions: Sequence[str], standings: Standings, accounts: Sequence[str]
) -> None:
    first = columns(accounts, page.width)
    heads = _heads(layers, _cell_width(page, accounts, layers))
    widths = [max(_NARROWEST_CELL, len(head)) for head in heads]
    page.line(
        " " * first,
        ("".join(f" {head:{width}}" for head, width in zip(heads, widths, strict=True)), STRONG),
        indent=2,
    )
    there = {place.region for by_place in standings.values() for place in by_place}
    for region in [*regions, *sorted(there.difference(regions))]:
        page.line((region, STRONG))
        for account in accounts:
            row: list[Part] = [f"{account:{first}}"]
            for layer, width in zip(layers, widths, strict=True):
                row.append(" ")
                row.append(_cell(standings.get(layer, {}).get(Place(account, region)), width))
            page.line(*row, indent=2)
    _explain(page, layers, heads, standings)


def _cell(standing: Standing | None, width: int) -> Part:
    if standing is None:
        return " " * width
    word, style = _CELLS[standing.mark]
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


def _explain(page: Page, layers: Sequence[str], heads: Sequence[str], standings: Standings) -> None:
    """Say what the short words mean, those that are there."""
    there = {each.mark for by_place in standings.values() for each in by_place.values()} - {Mark.CURRENT}
    words = [f"{_CELLS[mark][0]} {mark.value}" for mark in Mark if mark in there]
    if any(each.drift == "DRIFTED" for by_place in standings.values() for each in by_place.values()):
        words.append("* drifted")
    if words:
        page.line((", ".join(words), FAINT), hang=0)
    # The beginning of a name needs no explanation.
    cut = [f"{head} {layer}" for head, layer in zip(heads, layers, strict=True) if not layer.startswith(head)]
    if cut:
        page.line((", ".join(cut), FAINT), hang=0)


def _counts(page: Page, layers: Sequence[str], standings: Standings) -> None:
    width = columns(layers, _LONGEST_LAYER)
    for layer in layers:
        by_place = standings.get(layer, {})
        totals = Counter(each.mark for each in by_place.values())
        drifted = sum(each.drift == "DRIFTED" for each in by_place.values())
        page.line(
            (f"{layer:{width}}", STRONG),
            " ",
            *_bar(totals[Mark.CURRENT], len(by_place)),
            f" {totals[Mark.CURRENT]:,} of {len(by_place):,}",
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


def _rest(totals: Mapping[Mark, int]) -> Iterator[Part]:
    for mark in Mark:
        if mark is not Mark.CURRENT and totals.get(mark):
            yield ", "
            yield f"{totals[mark]:,} {mark.value}", _CELLS[mark][1]
