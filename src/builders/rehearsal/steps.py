"""The steps of a rehearsal without a fault, in order: each calls commands and expects a result."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from builders.naming import stack_set
from builders.rehearsal.faults import throttled_calls
from builders.rehearsal.rehearsal import APPLY_OPTIONS, ExpectedStep, Rehearsal
from builders.rehearsal.snapshot import Snapshot
from builders.text import counted_noun, name_list


def check_templates(rehearsal: Rehearsal) -> None:
    """Lint and check the templates once; later commands are called with --no-check."""
    with rehearsal.step("are the templates clean?", "no findings; with findings, apply refuses") as step:
        checked = rehearsal.check(step)
        step.expect(checked.code == 0, checked.reason)
        step.result = "no findings"


def find_errors(rehearsal: Rehearsal, phase: str) -> None:
    """Run the doctor before anything is deployed."""
    with rehearsal.step(
        f"{phase}: doctor, before anything is deployed", "exit code 1, and each error comes with its fix"
    ) as step:
        called = rehearsal.call(step, "doctor", "--phase", phase, "--json")
        step.expect(called.code == 1, f"exit code {called.code}: {called.reason}")
        findings = [finding for check in called.data["checks"] for finding in check["findings"]]
        errors = [finding for finding in findings if finding["severity"] == "error"]
        step.expect(bool(errors) and all(error["fix"] for error in errors), f"the errors are {errors}")
        step.result = f"{counted_noun(len(errors), 'error')}; the first: {errors[0]['what']}; {errors[0]['fix']}"


def bootstrap(rehearsal: Rehearsal, phase: str) -> None:
    """Deploy the plain stacks that a phase needs, and run the doctor again."""
    with rehearsal.step(
        f"{phase}: bootstrap", "the stacks of the tooling, network and target accounts exist, and the doctor agrees"
    ) as step:
        stacks = rehearsal.succeed(step, "bootstrap", "--phase", phase, "--yes", "--json").data
        rehearsal.succeed(step, "doctor", "--phase", phase)
        step.result = f"{counted_noun(len(stacks), 'stack')}, and the doctor finds no error"


def plan_creation(rehearsal: Rehearsal, phase: str) -> int:
    """Plan the first deployment of a phase, and return the number of its stacks."""
    with rehearsal.step(
        f"{phase}: plan before the first apply", "stacks to create, nothing else, and nothing that blocks"
    ) as step:
        plan = rehearsal.succeed(step, "plan", "--phase", phase, "--json").data
        counts = {kind: count for kind, count in plan["counts"].items() if count}
        step.expect(counts.keys() == {"create"}, f"the plan has {counts}")
        stacks = int(counts["create"])
        step.result = f"{counted_noun(stacks, 'stack')} to create by {counted_noun(len(plan['calls']), 'call')}"
        return stacks


def apply_creation(rehearsal: Rehearsal, phase: str, stacks: int) -> None:
    """Deploy a phase for the first time."""
    with rehearsal.step(f"{phase}: apply", f"{counted_noun(stacks, 'stack')}, and each operation once") as step:
        before = rehearsal.snapshot(phase)
        rehearsal.succeed(step, "apply", "--phase", phase, *APPLY_OPTIONS, "--no-check")
        rehearsal.expect_stacks(step, phase, stacks)
        operations = rehearsal.expect_each_operation_once(step, phase, before)
        step.result = f"{counted_noun(stacks, 'stack')} by {counted_noun(operations, 'operation')}"


LAYER, PARAMETER, VALUES = "monitoring", "CpuAlarmPercent", ("85", "75", "70")
"""The change: the threshold of two alarms, to the first of the values that it does not have."""


def has_changed_layer(rehearsal: Rehearsal, phase: str) -> bool:
    """Return whether the phase has the layer that a rehearsal changes."""
    return LAYER not in rehearsal.prepared.rollout.phases[phase].leave_out


def update_parameter(rehearsal: Rehearsal, phase: str, *, throttle: bool) -> None:
    """Change a parameter, plan and apply, throttled if asked, and compare the result with the plan."""
    _set_new_value(rehearsal, phase)
    targets = rehearsal.prepared.targets(phase)
    with rehearsal.step(
        f"{phase}: plan with a new {PARAMETER}",
        f"an update of {LAYER} in {counted_noun(len(targets), 'target')} only, and change sets that name the same "
        "resources",
    ) as step:
        planned = _planned_changes(rehearsal, step, phase)
        step.expect(
            {(layer, target) for layer, target, _ in planned} == {(LAYER, str(target)) for target in targets},
            f"the plan changes {sorted(planned)}",
        )
        by_change_sets = _planned_changes(rehearsal, step, phase, "--change-sets")
        step.expect(
            by_change_sets == planned, f"only one of plan and change sets has {sorted(by_change_sets ^ planned)}"
        )
        step.result = "both have: " + name_list(sorted({change for _, _, change in planned}))
    with rehearsal.step(
        f"{phase}: apply the change{' while AWS throttles' if throttle else ''}",
        f"a new {PARAMETER} of {LAYER}, and no other stack is touched",
    ) as step:
        before = rehearsal.snapshot(phase)
        with throttled_calls(rehearsal) if throttle else contextlib.nullcontext([0]) as throttled:
            rehearsal.succeed(step, "apply", "--phase", phase, *APPLY_OPTIONS, "--no-check")
        step.expect(not throttle or sum(throttled) > 0, "no call was throttled")
        _expect_only_the_parameter(rehearsal, step, phase, before)
        operations = rehearsal.expect_each_operation_once(step, phase, before)
        step.result = f"done by {counted_noun(operations, 'operation')}"
        if throttle:
            step.result += f"; {counted_noun(sum(throttled), 'call')} throttled"


def _set_new_value(rehearsal: Rehearsal, phase: str) -> None:
    name, stacks = stack_set(LAYER, rehearsal.suffix(phase)), rehearsal.snapshot(phase).stacks
    current = {stack.parameters[PARAMETER] for (layer, _), stack in stacks.items() if layer == name}
    rehearsal.prepared.set_parameter(phase, PARAMETER, next(each for each in VALUES if each not in current))


def _planned_changes(rehearsal: Rehearsal, step: ExpectedStep, phase: str, *more: str) -> set[tuple[str, str, str]]:
    """The changes of a plan: layer, target, and the effect on a resource."""
    plan = rehearsal.succeed(step, "plan", "--phase", phase, *more, "--json").data
    return {
        (group["layer"], target, f"{change['effect']} {change['logical_id']}")
        for group in plan["groups"]
        if group["kind"] != "nothing"
        for target in group["places"]
        for change in group["changes"] or [{"effect": group["kind"], "logical_id": "the stack"}]
    }


def _expect_only_the_parameter(rehearsal: Rehearsal, step: ExpectedStep, phase: str, before: Snapshot) -> None:
    """Expect changes of the layer's stacks only, and in them of the one parameter."""
    name, now = stack_set(LAYER, rehearsal.suffix(phase)), rehearsal.snapshot(phase)
    expected = [(name, target) for target in sorted(rehearsal.prepared.targets(phase))]
    step.expect(now.changed(before) == expected, f"touched were {now.changed(before)}")
    for key in expected:
        was, now_is = before.stacks[key], now.stacks[key]
        changed = {each for each in now_is.parameters if now_is.parameters[each] != was.parameters.get(each)}
        step.expect(changed == {PARAMETER}, f"parameters of {key} that changed: {', '.join(sorted(changed))}")
        same = (was.template, was.outputs) == (now_is.template, now_is.outputs)
        step.expect(same, f"the template or the outputs of {key} changed")


def expect_nothing_to_do(rehearsal: Rehearsal, phase: str) -> None:
    """Plan and apply without a change."""
    with rehearsal.step(
        f"{phase}: plan and apply once more", "nothing to do, no call that changes anything, no operation"
    ) as step:
        before = rehearsal.snapshot(phase)
        plan = rehearsal.call(step, "plan", "--phase", phase, "--json")
        step.expect(plan.code == 0 and plan.data["nothing_to_do"], f"the plan has {plan.stdout.strip() or plan.stderr}")
        calls = rehearsal.succeed(step, "apply", "--phase", phase, *APPLY_OPTIONS, "--no-check").calls
        writing = tuple(f"cloudformation:{verb}" for verb in ("Create", "Update", "Delete"))
        changing = {call: count for call, count in calls.items() if call.startswith(writing)}
        step.expect(not changing, f"the calls were {changing}")
        step.expect(rehearsal.snapshot(phase) == before, "the phase is not as before")
        step.result = f"nothing to do, after {counted_noun(sum(calls.values()), 'call')} that only read"


def roll_back(rehearsal: Rehearsal, phase: str, before: Snapshot, others: Mapping[str, Snapshot]) -> None:
    """Roll one phase back. `before` is the phase at its last release, `others` are the phases now."""
    with rehearsal.step(
        f"{phase}: rollback", "its stacks as they were before the change; every other phase untouched"
    ) as step:
        start = rehearsal.snapshot(phase)
        rehearsal.succeed(step, "rollback", "--phase", phase, *APPLY_OPTIONS)
        now = rehearsal.snapshot(phase)
        step.expect(not now.differing(before), f"not as they were: {now.differing(before)}")
        names = [other for other in others if other != phase]
        for other in names:
            step.expect(rehearsal.snapshot(other) == others[other], f"{other} was touched")
        operations = rehearsal.expect_each_operation_once(step, phase, start)
        untouched = f"{name_list(names)} untouched" if names else "there is no other phase"
        step.result = (
            f"templates, parameters and outputs of {counted_noun(len(now.stacks), 'stack')} as before, by "
            f"{counted_noun(operations, 'operation')}; {untouched}"
        )


def inspect(rehearsal: Rehearsal, phase: str) -> None:
    """Call the commands that read a deployed phase: status, outputs and drift."""
    with rehearsal.step(f"{phase}: status", "every instance is as desired") as step:
        rehearsal.succeed(step, "status", "--phase", phase)
        step.result = "every instance is as desired"
    folder = rehearsal.prepared.file.parent / "outputs"
    with rehearsal.step(f"{phase}: outputs", "a file for every target, and one index") as step:
        rehearsal.succeed(step, "outputs", "--phase", phase, "--outputs-dir", str(folder))
        for target in rehearsal.prepared.targets(phase):
            path = folder / phase / target.account / target.region / "flat-outputs.json"
            step.expect(path.is_file(), f"there is no {path.relative_to(folder)}")
        step.result = "written"
    with rehearsal.step(f"{phase}: drift", "no stack has drifted") as step:
        rehearsal.succeed(step, "drift", "--phase", phase, "--poll", "0.1")
        step.result = "no drift"
