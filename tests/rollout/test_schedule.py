"""One schedule: a plan shows it, a run carries the same objects out, and departs from it only where it must."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from builders.rollout.executor.context import Observer
from builders.rollout.lifecycle import rollback
from builders.rollout.model import CurrentState, DesiredState, Operation, StackSet, Target, Wave
from builders.rollout.plan.calls import Action, Call, state_after
from builders.rollout.plan.plan import Plan
from builders.rollout.plan.schedule import Schedule, ScheduledLayer, make_schedule, narrowed
from builders.rollout.state.journal import Command

from .conftest import Administrator
from .large_phase import LargePhase
from .small_phase import LAYERS, SmallPhase, body, layer_set
from .states import TARGETS, calls_of, stack_sets
from .test_plan import phases


class Recorder(Observer):
    """Keeps the calls of a run, each as it is sent and as it ends, and what a person would read."""

    def __init__(self) -> None:
        self.sent: list[Call] = []
        self.events: list[tuple[str, Call]] = []
        self.lines: list[str] = []

    def submitted(self, call: Call, operation_id: str) -> None:
        self.sent.append(call)
        self.events.append(("sent", call))

    def operation(self, call: Call, operation: Operation) -> None:
        if not operation.active:
            self.events.append(("over", call))

    def say(self, line: str) -> None:
        self.lines.append(line)


def same_objects(calls: list[Call], planned: tuple[Call, ...]) -> bool:
    """Tell whether the calls are those very objects, in whatever order."""
    return sorted(map(id, calls)) == sorted(map(id, planned))


def in_the_order_of(schedule: Schedule, events: list[tuple[str, Call]]) -> bool:
    """Tell whether waves, layers that wait for each other and the calls of each layer came one after the other."""
    when = {(event, id(call)): number for number, (event, call) in enumerate(events)}
    good = True
    for one, other in itertools.pairwise(schedule.waves):
        before = [when["over", id(call)] for each in one.layers for call in each.calls]
        good = good and all(
            max(before, default=-1) < when["sent", id(call)] for each in other.layers for call in each.calls
        )
    for wave in schedule.waves:
        for layers in (wave.staying, wave.leaving):
            ends = {each.layer: max((when["over", id(call)] for call in each.calls), default=-1) for each in layers}
            for each in layers:
                turns = [when["sent", id(call)] for call in each.calls]
                good = good and turns == sorted(turns)
                good = good and all(ends[before] < turn for before in each.after for turn in turns)
    return good


def nothing(phase: LargePhase) -> DesiredState:
    return rollback.desired_nothing(phase.desired)


CHANGES: dict[str, tuple[Command, bool, Callable[[LargePhase], DesiredState]]] = {
    "made": (Command.APPLY, False, lambda phase: phase.desired),
    "updated": (Command.APPLY, True, lambda phase: phase.spec(SourcePort="5433")),
    "rolled back": (Command.ROLLBACK, True, lambda phase: phase.spec(SourcePort="5433")),
    "removed": (Command.REMOVE, True, nothing),
}


@pytest.mark.parametrize("own_ranges", [False, True], ids=["one range", "a range each"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_run_that_nothing_disturbs_sends_the_plans_own_objects_in_their_order(name: str, own_ranges: bool) -> None:
    command, stands, desired_of = CHANGES[name]
    phase = LargePhase(8, own_ranges=own_ranges)
    if stands:
        phase.stand()
    desired = desired_of(phase)
    plan = phase.plan(desired, back=command is not Command.APPLY)
    recorder = Recorder()
    report = phase.apply(desired, recorder, plan, command)
    assert (report.good, report.operations) == (True, len(plan.operations))
    assert calls_of(plan.schedule)
    assert same_objects(recorder.sent, calls_of(plan.schedule))
    assert in_the_order_of(plan.schedule, recorder.events)
    assert not any("anew" in line for line in recorder.lines)


def test_the_operations_that_a_plan_shows_are_the_calls_of_its_schedule() -> None:
    phase = LargePhase(8, own_ranges=True)
    plan = phase.plan(phase.desired)
    shown = [(each.layer, each.action, each.accounts, each.regions) for each in plan.operations]
    calls = [call for call in calls_of(plan.schedule) if call.action is not Action.CREATE_SET]
    assert shown == [(call.layer, call.action, len(call.accounts), call.regions) for call in calls]


def steps(schedule: Schedule, desired: DesiredState) -> list[tuple[ScheduledLayer, dict[str, StackSet]]]:
    """Each layer of each wave with the sets that it finds where every call before it succeeded."""
    found: dict[str, StackSet | None] = dict(schedule.current.sets)
    steps: list[tuple[ScheduledLayer, dict[str, StackSet]]] = []
    for wave in schedule.waves:
        for each in wave.layers:
            steps.append((each, {layer: state for layer, state in found.items() if state}))
            found[each.layer] = state_after(desired, found.get(each.layer), *each.calls)
    return steps


@given(phases(), stack_sets())
def test_a_layer_that_is_narrowed_by_nothing_has_the_same_objects(
    desired: DesiredState, network: StackSet | None
) -> None:
    schedule = make_schedule(desired, CurrentState({"network": network} if network else {}))
    for each, sets in steps(schedule, desired):
        again = narrowed(each, desired, sets.get(each.layer), ())
        assert all(one is other for one, other in zip(again.calls, each.calls, strict=True))


@given(phases(), stack_sets(), st.sets(st.sampled_from(TARGETS)))
def test_targets_that_fall_out_of_a_layer_are_touched_by_none_of_its_calls(
    desired: DesiredState, network: StackSet | None, failed: set[Target]
) -> None:
    schedule = make_schedule(desired, CurrentState({"network": network} if network else {}))
    for each, sets in steps(schedule, desired):
        again = narrowed(each, desired, sets.get(each.layer), failed)
        assert again.changes.keys() == each.changes.keys() - failed
        updated = {target for call in again.calls if call.action is Action.UPDATE_SET for target in call.targets}
        others = {target for call in again.calls if call.action is not Action.UPDATE_SET for target in call.targets}
        assert others <= again.changes.keys()
        assert len(updated - again.changes.keys()) <= 1, "the anchor of a new template"


@pytest.fixture
def small(administrator: Administrator, members: list[str]) -> SmallPhase:
    """Three accounts in one region, where the first release is deployed."""
    small = SmallPhase(administrator, members, regions=("us-east-1",))
    assert small.run(release(small, "1")).good
    return small


def release(small: SmallPhase, version: str) -> DesiredState:
    sets = [layer_set(layer, small.targets, body(layer, version=version)) for layer in LAYERS]
    return small.desired(*sets, failure_tolerance="1")


def test_a_layer_without_changes_is_as_desired_where_the_one_before_it_failed(small: SmallPhase) -> None:
    """What follows it is left out all the same."""
    broken, desired = small.accounts[0], release(small, "2")
    kept = layer_set("database", small.targets, body("database", version="1"))
    desired = dataclasses.replace(desired, sets={**desired.sets, "database": kept})
    plan = small.plan(desired)
    small.shut_out(broken)
    report = small.run(desired, planned=plan)
    assert [(each.layer, each.target.account) for each in report.failures] == [
        ("network", broken),
        ("monitoring", broken),
    ]
    assert dict(report.succeeded) == {"network": 2, "database": 3, "monitoring": 2}


def test_a_layer_goes_on_without_the_account_where_the_one_before_it_failed(small: SmallPhase) -> None:
    broken, *others = small.accounts
    desired = release(small, "2")
    plan = small.plan(desired)
    small.shut_out(broken)
    recorder = Recorder()
    report = small.run(desired, observer=recorder, planned=plan)
    assert [(each.layer, each.reason) for each in report.failures if each.skipped] == [
        ("database", "skipped: network did not succeed there"),
        ("monitoring", "skipped: database did not succeed there"),
    ]
    first, *narrowed = recorder.sent
    assert first is calls_of(plan.schedule)[0]
    assert [(call.layer, call.accounts) for call in narrowed] == [
        (layer, tuple(sorted(others))) for layer in ("database", "monitoring")
    ]


def test_a_schedule_is_made_anew_where_the_phase_changed_behind_the_plan(small: SmallPhase) -> None:
    desired = release(small, "2")
    plan: Plan = small.plan(desired)
    assert small.run(desired).good
    assert small.run(desired, planned=plan).operations == 0


def test_a_set_keeps_its_place_where_an_instance_of_an_earlier_wave_could_not_be_deleted(small: SmallPhase) -> None:
    """The plan deletes the set with the last wave; the run finds an instance left, and leaves that call out."""
    broken, *others = small.accounts
    waves = (Wave("first", (broken, others[0])), Wave("rest", (others[1],)))
    desired = dataclasses.replace(rollback.desired_nothing(release(small, "1")), waves=waves)
    plan = small.plan(desired)
    small.shut_out(broken)
    recorder = Recorder()
    report = small.run(desired, Command.REMOVE, recorder, planned=plan)
    assert {each.target.account for each in report.failures} == {broken}
    planned = [call for call in calls_of(plan.schedule) if call.action is Action.DELETE_SET]
    assert {call.layer for call in planned} == set(LAYERS)
    assert not [call for call in recorder.sent if call.action is Action.DELETE_SET]
    assert "monitoring: its stack set stays, since it still has instances" in recorder.lines
    assert {target.account for _, target in small.versions()} == {broken}
