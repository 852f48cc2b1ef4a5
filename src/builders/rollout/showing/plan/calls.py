"""The operations of a plan, those that are alike on one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from builders.rollout.plan.values import Plan, PlannedCall
from builders.rollout.showing.page import FAINT, STRONG, Page, columns
from builders.rollout.showing.words import many, names, time
from builders.rollout.steps import Action

_LISTED = 12
"""Of one wave: accounts that each have their own values need an operation each."""
_LAYERS_NAMED = 20
_LONGEST_WAVE = 16


class _Alike(NamedTuple):
    """Operations that differ in their layers only, or, where `layers` is given, in their regions only."""

    action: Action
    accounts: int
    at_once: int
    regions: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


def show(page: Page, plan: Plan) -> None:
    """Add the operations, wave by wave, and about how long they take."""
    if not plan.calls:
        return
    page.title(f"{many(len(plan.calls), 'operation')}, about {time(plan.minutes)}")
    page.line(("An estimate from what AWS usually takes.", FAINT))
    by_wave: dict[str, list[PlannedCall]] = defaultdict(list)
    for call in plan.calls:
        by_wave[call.wave].append(call)
    width = columns(by_wave, _LONGEST_WAVE)
    for wave, calls in by_wave.items():
        together = list(_together(calls).items())
        listed = together if len(together) <= _LISTED + 1 else together[:_LISTED]
        for number, (alike, regions) in enumerate(listed):
            begin = f"{wave if number == 0 else '':{width}}"
            page.line((begin, STRONG), f"  {_sentence(alike, regions)}", indent=2, hang=len(begin) + 4)
        if len(listed) < len(together):
            left = sum(len(alike.layers) * len(regions) for alike, regions in together[len(listed) :])
            page.more(many(left, "more operation"), indent=width + 4)


def _together(calls: Sequence[PlannedCall]) -> dict[_Alike, list[tuple[str, ...]]]:
    """The regions of each operation, by what several operations have in common."""
    layers: dict[_Alike, list[str]] = defaultdict(list)
    for call in calls:
        layers[_Alike(call.action, call.accounts, call.at_once, call.regions)].append(call.layer)
    regions: dict[_Alike, list[tuple[str, ...]]] = defaultdict(list)
    for alike, those in layers.items():
        regions[alike._replace(regions=(), layers=tuple(those))].append(alike.regions)
    return regions


def _sentence(alike: _Alike, regions: Sequence[tuple[str, ...]]) -> str:
    layers = list(dict.fromkeys(alike.layers))
    often = f" ({len(alike.layers):,} operations)" if len(alike.layers) > len(layers) else ""
    begin = f"{alike.action.value} {names(layers, _LAYERS_NAMED)}{often}"
    if not alike.accounts:
        return f"{begin}: the set alone"
    where = " and, apart, in ".join(", ".join(each) for each in regions)
    pace = f"; {alike.at_once:,} at a time" if alike.accounts > 1 else ""
    return f"{begin}: {many(alike.accounts, 'account')} in {where}{pace}"
