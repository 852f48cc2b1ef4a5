"""A phase that stands is changed: one parameter, then nothing, then one phase back.

The order of the acts, and which phase has to suffer which fault.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping

from builders.naming import stack_set
from builders.rehearsal import steps
from builders.rehearsal.faults import fail_one_account, kill_and_resume, mend_account, throttle_calls
from builders.rehearsal.rehearsal import QUICK, ExpectedStep, Rehearsal, expect_each_once
from builders.rehearsal.snapshot import Snapshot
from builders.text import counted_noun, name_list

LAYER, PARAMETER, VALUES = "monitoring", "CpuAlarmPercent", ("85", "75", "70")
"""What is changed: the threshold of two alarms, to the first of the values that it does not have."""

WRITING = ("Create", "Update", "Delete")


def changeable_parameter(troupe: Rehearsal, phase: str) -> bool:
    """Whether the phase has the layer."""
    return LAYER not in troupe.current.rollout.phases[phase].leave_out


def _give_another(troupe: Rehearsal, phase: str) -> None:
    """Write another value of the parameter into the rollout file."""
    name = stack_set(LAYER, troupe.suffix(phase))
    has = {stack.parameters[PARAMETER] for (layer, _), stack in troupe.snapshot(phase).stacks.items() if layer == name}
    value = next(each for each in VALUES if each not in has)
    troupe.current.give(phase, PARAMETER, value)


def update_parameter(troupe: Rehearsal, phase: str, *, throttle: bool) -> None:
    """Plan and apply the change, throttled if asked, and hold what happened against what the plan said."""
    _give_another(troupe, phase)
    targets = troupe.current.targets(phase)
    with troupe.stage.act(
        f"{phase}: {PARAMETER} is another; plan",
        f"an update of {LAYER} at {counted_noun(len(targets), 'place')} only, where resources change that sets name",
    ) as act:
        foretold = _planned_update(troupe, act, phase)
        act.expect(
            {(layer, target) for layer, target, _ in foretold} == {(LAYER, str(target)) for target in targets},
            f"the plan changes {sorted(foretold)}",
        )
        asked = _planned_update(troupe, act, phase, "--change-sets")
        act.expect(asked == foretold, f"only one of plan and change sets has {sorted(asked ^ foretold)}")
        act.came = "both say: " + name_list(sorted({change for _, _, change in foretold}))
    with troupe.stage.act(
        f"{phase}: apply the change{' while AWS throttles' if throttle else ''}",
        f"{PARAMETER} of {LAYER} is another, and nothing else: no other stack is touched",
    ) as act:
        before = troupe.snapshot(phase)
        with throttle_calls(troupe) if throttle else contextlib.nullcontext([0]) as struck:
            said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check")
        act.expect(said.code == 0, said.why)
        act.expect(not throttle or sum(struck) > 0, "no call was throttled")
        _expect_only(troupe, act, phase, before)
        done = expect_each_once(troupe, act, phase, before)
        act.came = f"so it is, by {counted_noun(done, 'operation')}"
        if throttle:
            act.came += f"; {counted_noun(sum(struck), 'call')} throttled on the way"


def _planned_update(troupe: Rehearsal, act: ExpectedStep, phase: str, *more: str) -> set[tuple[str, str, str]]:
    """What a plan changes: layer, place, and what becomes of which resource."""
    said = troupe.call(act, "plan", "--phase", phase, *more, "--json")
    act.expect(said.code == 0, said.why)
    return {
        (group["layer"], target, f"{change['effect']} {change['logical_id']}")
        for group in said.data["groups"]
        if group["kind"] != "nothing"
        for target in group["places"]
        for change in group["changes"] or [{"effect": group["kind"], "logical_id": "the stack"}]
    }


def _expect_only(troupe: Rehearsal, act: ExpectedStep, phase: str, before: Snapshot) -> None:
    """Expect that the layer's stacks were touched, and in them the one parameter."""
    name, now = stack_set(LAYER, troupe.suffix(phase)), troupe.snapshot(phase)
    expected = [(name, target) for target in sorted(troupe.current.targets(phase))]
    act.expect(now.changed(before) == expected, f"touched were {now.changed(before)}")
    for key in expected:
        was, will = before.stacks[key], now.stacks[key]
        others = {each for each in will.parameters if will.parameters[each] != was.parameters.get(each)}
        act.expect(others == {PARAMETER}, f"parameters of {key} that are others: {', '.join(sorted(others))}")
        same = (was.template, was.outputs) == (will.template, will.outputs)
        act.expect(same, f"the template or the outputs of {key} are others")


def expect_nothing_to_do(troupe: Rehearsal, phase: str) -> None:
    """Plan and apply once more."""
    with troupe.stage.act(
        f"{phase}: plan and apply once more", "nothing to do, no call that changes anything, no operation"
    ) as act:
        before = troupe.snapshot(phase)
        plan = troupe.call(act, "plan", "--phase", phase, "--json")
        act.expect(plan.code == 0 and plan.data["nothing_to_do"], f"the plan has {plan.stdout.strip() or plan.stderr}")
        said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check")
        act.expect(said.code == 0, said.why)
        writing = {
            call: count
            for call, count in said.calls.items()
            if call.startswith("cloudformation:") and call.partition(":")[2].startswith(WRITING)
        }
        act.expect(not writing, f"called were {writing}")
        act.expect(troupe.snapshot(phase) == before, "the phase is another than before")
        act.came = f"nothing to do, after {counted_noun(sum(said.calls.values()), 'call')} that only read"


def roll_back(troupe: Rehearsal, phase: str, before: Snapshot, others: Mapping[str, Snapshot]) -> None:
    """Put the last release of one phase back. `before` is the phase as it was then, `others` are the phases beside."""
    with troupe.stage.act(
        f"{phase}: rollback", "its stacks as they were before the change; every other phase untouched"
    ) as act:
        start = troupe.snapshot(phase)
        said = troupe.call(act, "rollback", "--phase", phase, *QUICK)
        act.expect(said.code == 0, said.why)
        now = troupe.snapshot(phase)
        act.expect(not now.differing(before), f"not as they were: {now.differing(before)}")
        for other, snapshot in others.items():
            if other != phase:
                act.expect(troupe.snapshot(other) == snapshot, f"{other} was touched")
        done = expect_each_once(troupe, act, phase, start)
        untouched = name_list([other for other in others if other != phase]) or "no other phase"
        act.came = (
            f"templates, parameters and outputs of {counted_noun(len(now.stacks), 'stack')} as before, by "
            f"{counted_noun(done, 'operation')}; {untouched} untouched"
        )


FAIL, THROTTLE, KILL, NONE = "fail", "throttle", "kill", "none"
FAULTS = (FAIL, THROTTLE, KILL)


def play_phases(troupe: Rehearsal, faults: Collection[str]) -> None:
    """Play all acts. Raises `Unexpected` behind the first that did not come as expected."""
    phases = tuple(troupe.current.rollout.phases)
    suffering = assigned(phases, faults)
    steps.check_with_doctor(troupe)
    steps.find_errors(troupe, phases[0])
    for phase in phases:
        steps.bootstrap_phase(troupe, phase)
    for phase in phases:
        _deployed(troupe, phase, suffering[phase])
    _changed(troupe, phases, THROTTLE in faults)
    for phase in phases:
        steps.inspect_phase(troupe, phase)


def assigned(phases: tuple[str, ...], faults: Collection[str]) -> Mapping[str, frozenset[str]]:
    """Which faults strike the first deployment of each phase: none the first, where there are others to suffer."""
    by_phase: dict[str, set[str]] = {phase: set() for phase in phases}
    by_phase[phases[min(1, len(phases) - 1)]] |= {FAIL} & set(faults)
    by_phase[phases[-1]] |= {KILL} & set(faults)
    return {phase: frozenset(found) for phase, found in by_phase.items()}


def _deployed(troupe: Rehearsal, phase: str, faults: Collection[str]) -> None:
    stacks = steps.plan_creation(troupe, phase)
    left = fail_one_account(troupe, phase) if FAIL in faults else None
    if KILL in faults:
        kill_and_resume(troupe, phase, stacks)
    else:
        steps.apply_creation(troupe, phase, stacks)
    if left is not None:
        mend_account(troupe, phase, left, stacks)


def _changed(troupe: Rehearsal, phases: tuple[str, ...], throttle: bool) -> None:
    """One update of every phase, the first of them throttled; then nothing to do; then the first phase back."""
    with_layer = [phase for phase in phases if changeable_parameter(troupe, phase)]
    before = troupe.snapshots()
    for number, phase in enumerate(with_layer):
        update_parameter(troupe, phase, throttle=throttle and number == 0)
    for phase in phases:
        expect_nothing_to_do(troupe, phase)
    if with_layer:
        back = with_layer[0]
        roll_back(troupe, back, before[back], troupe.snapshots())
