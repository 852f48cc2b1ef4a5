"""A phase that stands is changed: one parameter, then nothing, then one phase back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from builders.rollout.names import stack_set
from builders.rollout.rehearsal.acts.throttling import throttled
from builders.rollout.rehearsal.snapshot import Snapshot
from builders.rollout.rehearsal.stage import Act
from builders.rollout.rehearsal.troupe import QUICK, Troupe, expect_each_once
from builders.rollout.showing.words import many, names

LAYER, PARAMETER, VALUES = "monitoring", "CpuAlarmPercent", ("85", "75")
"""What is changed: the threshold of two alarms, to the first of the values that it does not have."""

WRITING = ("Create", "Update", "Delete")


def changeable(troupe: Troupe, phase: str) -> bool:
    """Whether the phase has the layer."""
    return LAYER not in troupe.world.rollout.phases[phase].leave_out


def _give_another(troupe: Troupe, phase: str) -> None:
    """Write another value of the parameter into the rollout file."""
    name = stack_set(LAYER, troupe.suffix(phase))
    has = {stack.parameters[PARAMETER] for (layer, _), stack in troupe.snapshot(phase).stacks.items() if layer == name}
    value = next(each for each in VALUES if each not in has)
    troupe.world.give(phase, PARAMETER, value)


def updated(troupe: Troupe, phase: str, *, throttle: bool) -> None:
    """Plan and apply the change, throttled if asked, and hold what happened against what the plan said."""
    _give_another(troupe, phase)
    places = troupe.world.places(phase)
    with troupe.stage.act(
        f"{phase}: {PARAMETER} is another; plan", f"an update of {LAYER} at {many(len(places), 'place')} and no more"
    ) as act:
        said = troupe.call(act, "plan", "--phase", phase, "--json")
        act.expect(said.code == 0, said.last_line)
        groups = [group for group in said.data["groups"] if group["kind"] != "nothing"]
        told = {(group["layer"], place) for group in groups for place in group["places"]}
        act.expect(told == {(LAYER, str(place)) for place in places}, f"the plan changes {sorted(told)}")
        changes = {change["logical_id"]: change["effect"] for group in groups for change in group["changes"]}
        act.came = "as expected: " + names([f"{effect} {name}" for name, effect in sorted(changes.items())])
    with troupe.stage.act(
        f"{phase}: apply the change", "the plan's resources are changed, and no other stack is touched"
    ) as act:
        before = troupe.snapshot(phase)
        with throttled(troupe) if throttle else contextlib.nullcontext([0]) as struck:
            said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check")
        act.expect(said.code == 0, said.last_line)
        act.expect(not throttle or sum(struck) > 0, "no call was throttled")
        _expect_touched(troupe, act, phase, before)
        found = troupe.updated_resources(phase, stack_set(LAYER, troupe.suffix(phase)), before)
        act.expect(found == set(changes), f"changed were {sorted(found)}, and the plan said {sorted(changes)}")
        done = expect_each_once(troupe, act, phase, before)
        act.came = f"{names(sorted(found))} changed by {many(done, 'operation')}, no other stack touched"
        if throttle:
            act.came += f"; {many(sum(struck), 'call')} throttled on the way"


def _expect_touched(troupe: Troupe, act: Act, phase: str, before: Snapshot) -> None:
    name = stack_set(LAYER, troupe.suffix(phase))
    touched = set(troupe.snapshot(phase).changed(before))
    expected = {(name, place) for place in troupe.world.places(phase)}
    act.expect(touched == expected, f"touched were {sorted(touched)}")


def nothing_to_do(troupe: Troupe, phase: str) -> None:
    """Plan and apply once more."""
    with troupe.stage.act(
        f"{phase}: plan and apply once more", "nothing to do, no call that changes anything, no operation"
    ) as act:
        before = troupe.snapshot(phase)
        plan = troupe.call(act, "plan", "--phase", phase, "--json")
        act.expect(plan.code == 0 and plan.data["nothing_to_do"], f"the plan has {plan.stdout.strip() or plan.stderr}")
        said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check")
        act.expect(said.code == 0, said.last_line)
        writing = {
            call: count
            for call, count in said.calls.items()
            if call.startswith("cloudformation:") and call.partition(":")[2].startswith(WRITING)
        }
        act.expect(not writing, f"called were {writing}")
        act.expect(troupe.snapshot(phase) == before, "the phase is another than before")
        act.came = f"nothing to do, after {many(sum(said.calls.values()), 'call')} that only read"


def rolled_back(troupe: Troupe, phase: str, before: Snapshot, others: Mapping[str, Snapshot]) -> None:
    """Put the last release of one phase back. `before` is the phase as it was then, `others` are the phases beside."""
    with troupe.stage.act(
        f"{phase}: rollback", "its stacks as they were before the change; every other phase untouched"
    ) as act:
        start = troupe.snapshot(phase)
        said = troupe.call(act, "rollback", "--phase", phase, *QUICK)
        act.expect(said.code == 0, said.last_line)
        now = troupe.snapshot(phase)
        act.expect(not now.differing(before), f"not as they were: {now.differing(before)}")
        for other, snapshot in others.items():
            if other != phase:
                act.expect(troupe.snapshot(other) == snapshot, f"{other} was touched")
        done = expect_each_once(troupe, act, phase, start)
        act.came = (
            f"templates, parameters and outputs of {many(len(now.stacks), 'stack')} as before, by "
            f"{many(done, 'operation')}; {names([other for other in others if other != phase]) or 'no other phase'} "
            "untouched"
        )
