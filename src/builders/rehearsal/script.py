"""The order of the steps of a rehearsal, and the phase in which each fault occurs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from builders.rehearsal import faults, steps
from builders.rehearsal.rehearsal import Rehearsal

FAIL, THROTTLE, KILL = "fail", "throttle", "kill"
FAULTS = (FAIL, THROTTLE, KILL)


def run_steps(rehearsal: Rehearsal, chosen: Collection[str], *, check: bool = True) -> None:
    """Run all steps with the chosen faults. Raises `Unexpected` at the first that does not end as expected."""
    phases = tuple(rehearsal.prepared.rollout.phases)
    faults_of = assign_faults(phases, chosen)
    if check:
        steps.check_templates(rehearsal)
    steps.find_errors(rehearsal, phases[0])
    for phase in phases:
        steps.bootstrap(rehearsal, phase)
    for phase in phases:
        _create(rehearsal, phase, faults_of[phase])
    _change(rehearsal, phases, THROTTLE in chosen)
    for phase in phases:
        steps.inspect(rehearsal, phase)


def assign_faults(phases: tuple[str, ...], chosen: Collection[str]) -> Mapping[str, frozenset[str]]:
    """The faults in the first deployment of each phase: none in the first phase, where there are others."""
    by_phase: dict[str, set[str]] = {phase: set() for phase in phases}
    by_phase[phases[min(1, len(phases) - 1)]] |= {FAIL} & set(chosen)
    by_phase[phases[-1]] |= {KILL} & set(chosen)
    return {phase: frozenset(found) for phase, found in by_phase.items()}


def _create(rehearsal: Rehearsal, phase: str, chosen: Collection[str]) -> None:
    """Deploy a phase for the first time."""
    stacks = steps.plan_creation(rehearsal, phase)
    partial = faults.fail_one_account(rehearsal, phase) if FAIL in chosen else None
    if KILL in chosen:
        faults.kill_and_resume(rehearsal, phase, stacks)
    else:
        steps.apply_creation(rehearsal, phase, stacks)
    if partial is not None:
        faults.expect_only_missing_done(rehearsal, phase, partial, stacks)


def _change(rehearsal: Rehearsal, phases: tuple[str, ...], throttle: bool) -> None:
    """Update every phase, the first of them throttled; then expect nothing to do; then roll the first phase back."""
    with_layer = [phase for phase in phases if steps.has_changed_layer(rehearsal, phase)]
    before = rehearsal.snapshots()
    for number, phase in enumerate(with_layer):
        steps.update_parameter(rehearsal, phase, throttle=throttle and number == 0)
    for phase in phases:
        steps.expect_nothing_to_do(rehearsal, phase)
    if with_layer:
        steps.roll_back(rehearsal, with_layer[0], before[with_layer[0]], rehearsal.snapshots())
