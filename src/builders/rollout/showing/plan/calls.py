"""The operations of a plan, those that are alike on one line."""

from __future__ import annotations

from collections import defaultdict
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
    action: Action
    accounts: int
    regions: tuple[str, ...]
    at_once: int


def show(page: Page, plan: Plan) -> None:
    """Add the operations, wave by wave, and about how long they take."""
    if not plan.calls:
        return
    page.title(f"{many(len(plan.calls), 'operation')}, about {time(plan.minutes)}")
    page.line(("An estimate from what AWS usually takes.", FAINT))
    by_wave: dict[str, dict[_Alike, list[str]]] = defaultdict(lambda: defaultdict(list))
    for call in plan.calls:
        by_wave[call.wave][_alike(call)].append(call.layer)
    width = columns(by_wave, _LONGEST_WAVE)
    for wave, together in by_wave.items():
        lines = list(together.items())
        listed = lines if len(lines) <= _LISTED + 1 else lines[:_LISTED]
        for number, (call, layers) in enumerate(listed):
            page.line(
                (f"{wave if number == 0 else '':{width}}", STRONG),
                f"  {_sentence(call, layers)}",
                indent=2,
                hang=width + 4,
            )
        if len(listed) < len(lines):
            left = sum(len(layers) for _, layers in lines[len(listed) :])
            page.line((f"... and {many(left, 'more operation')}", FAINT), indent=width + 4)


def _alike(call: PlannedCall) -> _Alike:
    return _Alike(call.action, call.accounts, call.regions, call.at_once)


def _sentence(call: _Alike, layers: list[str]) -> str:
    once = list(dict.fromkeys(layers))
    often = f" ({len(layers):,} operations)" if len(layers) > len(once) else ""
    begin = f"{call.action.value} {names(once, _LAYERS_NAMED)}{often}"
    if not call.accounts:
        return f"{begin}: the set alone"
    pace = f"; {call.at_once:,} at a time" if call.accounts > 1 else ""
    return f"{begin}: {many(call.accounts, 'account')} in {', '.join(call.regions)}{pace}"
