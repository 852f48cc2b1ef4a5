"""The calls of a rollout to many accounts, and that they grow no faster than the accounts. Counts, no times.

With --whole the phases are three times as large: a large_phase instances of each layer.
"""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from builders.layer_templates import read_templates
from builders.rollout.executor.context import Observer
from builders.rollout.model import DesiredState, Operation, Target
from builders.rollout.plan.calls import Call
from builders.rollout.plan.changes import ChangeKind
from builders.scopes import Scope

from .large_phase import LargePhase

TIMES = 3
"""The larger phase has so many times the instances of the smaller one."""

LAYERS = sum(each.scope is Scope.PHASE for each in read_templates(Path("templates")).values())
"""Those that stack sets carry; phase_routes is plain stacks of the network account."""

Work = Callable[[LargePhase], object]


def newer(phase: LargePhase) -> DesiredState:
    """The phase with another port of the source, which three layers take."""
    return phase.spec(SourcePort="5433")


def planning_the_same(phase: LargePhase) -> None:
    assert phase.plan(phase.desired).nothing_to_do


def planning_an_update(phase: LargePhase) -> None:
    changing = 3 * len(phase.targets)
    assert phase.plan(newer(phase)).count(ChangeKind.UPDATE) == changing
    read = phase.client.calls.counts["cloudformation:GetTemplate"]
    assert read == changing, "it looks at the stacks that may change and at no others"


def showing_the_status(phase: LargePhase) -> None:
    assert phase.status().good


def updating(phase: LargePhase) -> None:
    assert phase.apply(newer(phase)).good


def making(phase: LargePhase) -> None:
    assert phase.apply(phase.desired).good


def deployed_phase(instances: int, *, own_ranges: bool = True) -> LargePhase:
    phase = LargePhase(instances, own_ranges=own_ranges)
    phase.stand()
    return phase


def counted(phase: LargePhase, work: Work) -> Counter[str]:
    """The calls of some work, done as a process of its own would."""
    phase.connect()
    work(phase)
    return Counter(phase.client.calls.counts)


def faster(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """The calls that grew by more than the instances did."""
    return {name: (before[name], number) for name, number in after.items() if number > TIMES * max(before[name], 1)}


@pytest.fixture(scope="session")
def small(whole: bool) -> int:
    """The instances of each layer in a phase that a larger one is compared with."""
    return 200 if whole else 70


@pytest.fixture(scope="session")
def many(whole: bool) -> int:
    """The instances of each layer in a phase that is looked at alone; in each region they fill pages of a hundred."""
    return 1000 if whole else 400


@pytest.fixture(scope="module")
def large_phase(many: int) -> LargePhase:
    """Every target has a range of addresses of its own."""
    return deployed_phase(many)


@functools.cache
def unchanged_phase(instances: int, own_ranges: bool) -> LargePhase:
    """One for all works that only read it."""
    return deployed_phase(instances, own_ranges=own_ranges)


@pytest.fixture(scope="module")
def updated(small: int) -> LargePhase:
    """A phase behind an update that went through two waves."""
    phase = deployed_phase(small)
    updating(phase)
    return phase


def test_a_plan_that_changes_nothing_asks_for_little_more_than_the_pages(large_phase: LargePhase, many: int) -> None:
    calls = counted(large_phase, planning_the_same)
    of_sets = {name: number for name, number in calls.items() if "StackSet" in name or "StackInstance" in name}
    assert of_sets == {
        "cloudformation:ListStackSets": 1,
        "cloudformation:DescribeStackSet": LAYERS,
        "cloudformation:ListStackInstances": LAYERS * many // 100,
        "cloudformation:ListStackSetOperations": LAYERS,
    }
    assert calls["s3:GetObject"] == 2


def test_the_routes_of_a_phase_are_read_page_by_page_and_templates_by_their_digests(
    large_phase: LargePhase, many: int
) -> None:
    calls = counted(large_phase, planning_the_same)
    pages = 2 * math.ceil(many / 2 / 100)
    assert (calls["cloudformation:DescribeStacks"], calls["cloudformation:GetTemplate"]) == (pages, 0)


def test_a_route_whose_tag_has_another_digest_is_asked_for_its_template() -> None:
    phase = deployed_phase(40)
    stack = next(iter(phase.simulation.stacks.values()))
    stack["Tags"], stack["TemplateBody"] = [], json.dumps({"Resources": {}})
    calls = counted(phase, lambda phase: phase.plan(phase.desired))
    assert calls["cloudformation:GetTemplate"] == 1
    assert phase.plan(phase.desired).count(ChangeKind.UPDATE) == 1


def test_a_role_that_may_not_list_stacks_reads_routes_by_their_names() -> None:
    phase = deployed_phase(40)
    phase.simulation.lists_stacks = False
    calls = counted(phase, planning_the_same)
    assert calls["cloudformation:DescribeStacks"] == 2 + 40


def test_a_plan_that_changes_nothing_looks_into_no_target_account(large_phase: LargePhase) -> None:
    calls = counted(large_phase, planning_the_same)
    assert calls["sts:AssumeRole"] == 1, "the network account's, for the routes of the phase"


def test_a_status_asks_for_the_pages_alone(large_phase: LargePhase, many: int) -> None:
    calls = counted(large_phase, showing_the_status)
    assert calls == {
        "sts:GetCallerIdentity": 1,
        "sts:AssumeRole": 1,
        "cloudformation:ListStackSets": 1,
        "cloudformation:ListStackInstances": LAYERS * many // 100,
        "cloudformation:ListStackSetOperations": LAYERS,
        "cloudformation:ListStacks": 2 * math.ceil(many / 2 / 100),
        "s3:GetObject": 2,
    }


def test_values_of_their_own_make_an_update_no_more_operations(updated: LargePhase, small: int) -> None:
    alike = deployed_phase(small, own_ranges=False)
    updating(alike)
    operations = [
        sorted((name, action, len(targets)) for name, action, targets in phase.simulation.requested)
        for phase in (alike, updated)
    ]
    assert operations[0] == operations[1]


def test_no_instance_is_asked_for_its_overrides_from_wave_to_wave(updated: LargePhase) -> None:
    assert updated.client.calls.counts["cloudformation:DescribeStackInstance"] == 0


def test_an_update_touches_every_instance_once(updated: LargePhase) -> None:
    touched = Counter((name, target) for name, _, targets in updated.simulation.requested for target in targets)
    changed = {name for name, _, _ in updated.simulation.requested}
    assert len(changed) == 3
    assert touched == {(name, target): 1 for name in changed for target in updated.targets}


def test_routes_whose_attachments_stay_are_not_deployed_again(updated: LargePhase) -> None:
    assert updated.client.calls.counts["cloudformation:CreateChangeSet"] == 0


@pytest.mark.parametrize("own_ranges", [False, True], ids=["one range", "a range each"])
@pytest.mark.parametrize("work", [planning_the_same, planning_an_update, showing_the_status, updating])
def test_calls_grow_no_faster_than_the_instances(work: Work, own_ranges: bool, small: int) -> None:
    phases = deployed_phase if work is updating else unchanged_phase
    calls = [counted(phases(instances, own_ranges=own_ranges), work) for instances in (small, TIMES * small)]
    assert faster(*calls) == {}


def test_a_phase_is_made_by_calls_and_bytes_that_grow_no_faster_than_its_instances_with_a_small_journal(
    small: int,
) -> None:
    """Where each target has a range every instance of the network is an operation: StackSets leave no way round."""
    calls, written = [], []
    for instances in (TIMES * small, TIMES * TIMES * small):  # the journal has more than one object from 200 on
        phase = LargePhase(instances, own_ranges=True)
        calls.append(counted(phase, making))
        written.append(phase.simulation.written)
        assert len(phase.simulation.objects["bucket", "rollout/dev/run.json"][0]) < 550 * instances
    assert faster(*calls) == {}
    assert written[1] < 1.1 * TIMES * written[0]


def test_all_instances_are_looked_at_seldom_while_many_operations_run(small: int) -> None:
    phase = LargePhase(small, own_ranges=True)
    phase.simulation.looks_until_over = 5
    observer = Onlooker()
    assert phase.apply(phase.desired, observer).good
    assert observer.running, "an operation under way was shown"
    assert phase.client.calls.counts["cloudformation:ListStackInstances"] < observer.polled / 5


class Onlooker(Observer):
    """Wants to know where each instance is."""

    detailed = True

    def __init__(self) -> None:
        self.running = 0
        self.polled = 0

    def operation(self, call: Call, operation: Operation) -> None:
        self.polled += 1

    def targets(self, layer: str, states: Mapping[Target, str]) -> None:
        self.running += "absent" in states.values() and len(set(states.values())) > 1


def test_a_phase_is_planned_and_applied_to_the_end_however_few_calls_aws_allows(whole: bool) -> None:
    """With --whole 12,000 instances and their routes, at three rates."""
    for calls_per_second in (3, 5, 10) if whole else (3,):
        phase = LargePhase(1000 if whole else 48, own_ranges=True, calls_per_second=calls_per_second)
        phase.simulation.seconds_until_over = 180
        making(phase)
        planning_the_same(phase)
        desired = newer(phase)
        assert phase.apply(desired, planned=phase.plan(desired)).good
        throttled = sum(phase.simulation.throttled.values())
        assert 0 < throttled < 0.1 * sum(phase.simulation.counts.values())
        assert len(phase.simulation.said) < 1 + phase.simulation.clock.time / 60
