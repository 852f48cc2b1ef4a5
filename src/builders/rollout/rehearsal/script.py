"""The order of the acts, and which phase has to suffer which fault."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from builders.rollout.rehearsal.acts import beginning, changing, deploying, failing, killing, looking
from builders.rollout.rehearsal.troupe import Troupe

FAIL, THROTTLE, KILL, NONE = "fail", "throttle", "kill", "none"
FAULTS = (FAIL, THROTTLE, KILL)


def play(troupe: Troupe, faults: Collection[str]) -> None:
    """Play all acts. Raises `Unexpected` behind the first that did not come as expected."""
    phases = tuple(troupe.world.rollout.phases)
    suffering = assigned(phases, faults)
    beginning.checked(troupe)
    beginning.ailing(troupe, phases[0])
    for phase in phases:
        beginning.bootstrapped(troupe, phase)
    for phase in phases:
        _deployed(troupe, phase, suffering[phase])
    _changed(troupe, phases, THROTTLE in faults)
    for phase in phases:
        looking.looked(troupe, phase)


def assigned(phases: tuple[str, ...], faults: Collection[str]) -> Mapping[str, frozenset[str]]:
    """Which faults strike the first deployment of each phase: none the first, where there are others to suffer."""
    by_phase: dict[str, set[str]] = {phase: set() for phase in phases}
    by_phase[phases[min(1, len(phases) - 1)]] |= {FAIL} & set(faults)
    by_phase[phases[-1]] |= {KILL} & set(faults)
    return {phase: frozenset(found) for phase, found in by_phase.items()}


def _deployed(troupe: Troupe, phase: str, faults: Collection[str]) -> None:
    stacks = deploying.planned(troupe, phase)
    left = failing.failed(troupe, phase) if FAIL in faults else None
    if KILL in faults:
        killing.killed(troupe, phase, stacks)
    else:
        deploying.applied(troupe, phase, stacks)
    if left is not None:
        failing.mended(troupe, phase, left, stacks)


def _changed(troupe: Troupe, phases: tuple[str, ...], throttle: bool) -> None:
    """One update of every phase, the first of them throttled; then nothing to do; then the first phase back."""
    with_layer = [phase for phase in phases if changing.changeable(troupe, phase)]
    before = troupe.snapshots()
    for number, phase in enumerate(with_layer):
        changing.updated(troupe, phase, throttle=throttle and number == 0)
    for phase in phases:
        changing.nothing_to_do(troupe, phase)
    if with_layer:
        back = with_layer[0]
        changing.rolled_back(troupe, back, before[back], troupe.snapshots())
