"""Operations that AWS does not take at once, or not as it should: asked for, sent again by the same id, waited for.

On a simulation that refuses on request, since the answers are AWS's own and rare.
"""

from __future__ import annotations

from collections import Counter
from itertools import repeat

import pytest

from builders.aws.errors import (
    InstanceNotFound,
    OperationIdExists,
    OperationInProgress,
    Refused,
    StackSetModified,
    StaleRequest,
    Throttled,
    TooManyInstances,
)
from builders.errors import RolloutError
from builders.rollout.executor.context import Context, Observer, PollInterval
from builders.rollout.executor.executor import begin_run
from builders.rollout.executor.operations import MOST_NOT_FOUND, Operations
from builders.rollout.lifecycle.rollback import desired_nothing
from builders.rollout.model import Operation
from builders.rollout.plan.calls import Action, Call
from builders.rollout.state.journal import Command

from .large_phase import REGIONS, LargePhase
from .small_phase import Lines

NOT_BEFORE = {
    "StaleRequest": StaleRequest("stale", "StaleRequestException"),
    "OperationIdAlreadyExists": OperationIdExists("exists", "OperationIdAlreadyExistsException"),
    "OperationInProgress": OperationInProgress("in progress", "OperationInProgressException"),
}
TOO_MANY = TooManyInstances("too many", "LimitExceededException", "StackSet operations cannot involve more than 10000")


@pytest.fixture
def phase() -> LargePhase:
    """A phase of two targets that is deployed."""
    phase = LargePhase(2)
    phase.stand()
    return phase


def assert_updated_once(phase: LargePhase) -> None:
    touched = Counter((name, target) for name, _, targets in phase.simulation.requested for target in targets)
    assert touched
    assert set(touched.values()) == {1}


@pytest.mark.parametrize("refused", NOT_BEFORE.values(), ids=NOT_BEFORE)
def test_a_fresh_request_that_is_refused_as_if_it_came_late_is_sent_again(phase: LargePhase, refused: Refused) -> None:
    phase.simulation.refusals["UpdateStackSet"] = [refused, refused]
    assert phase.apply(phase.spec(SourcePort="5433")).good
    assert phase.simulation.refusals["UpdateStackSet"] == []
    assert_updated_once(phase)


@pytest.mark.parametrize("refused", NOT_BEFORE.values(), ids=NOT_BEFORE)
def test_an_operation_that_aws_took_although_it_says_otherwise_is_followed(phase: LargePhase, refused: Refused) -> None:
    phase.simulation.lost["UpdateStackSet"] = [refused]
    assert phase.apply(phase.spec(SourcePort="5433")).good
    assert_updated_once(phase)


def test_a_request_that_stays_stale_fails_with_the_reason(phase: LargePhase) -> None:
    phase.simulation.refusals["UpdateStackSet"] = [*repeat(NOT_BEFORE["StaleRequest"], 3 * (MOST_NOT_FOUND + 1))]
    report = phase.apply(phase.spec(SourcePort="5433"))
    assert {each.reason for each in report.failed} == {"stale"}


def test_instances_under_way_that_are_too_many_are_waited_for_and_said_once(phase: LargePhase) -> None:
    phase.simulation.refusals["UpdateStackSet"] = [TOO_MANY] * 20
    observer = Lines()
    begun = phase.simulation.clock.time
    assert phase.apply(phase.spec(SourcePort="5433"), observer).good
    assert phase.simulation.clock.time - begun > 60
    assert_updated_once(phase)
    said = [line for line in observer.lines if "fewer instances under way" in line]
    assert 1 <= len(said) == len(set(said))


def test_another_quota_is_not_waited_for(phase: LargePhase) -> None:
    phase.simulation.refusals["UpdateStackSet"] = [Refused("quota", "LimitExceededException")] * 3
    assert {each.reason for each in phase.apply(phase.spec(SourcePort="5433")).failed} == {"quota"}


def test_instances_that_are_gone_are_deleted(phase: LargePhase) -> None:
    gone = InstanceNotFound("gone", "StackInstanceNotFoundException")
    name = phase.desired.sets["clients"].name
    phase.simulation.sets[name].instances.clear()
    operations, call = operations_of(phase), Call(Action.DELETE, "clients", name, phase.accounts, REGIONS)
    phase.simulation.refusals["DeleteStackInstances"] = [gone]
    ((_, operation),) = operations.until_over([operations.begin(call, phase.desired.preferences)])
    assert operation.status == "SUCCEEDED"


def test_of_instances_of_which_some_are_gone_the_others_are_deleted(phase: LargePhase) -> None:
    gone = InstanceNotFound("gone", "StackInstanceNotFoundException")
    name = phase.desired.sets["clients"].name
    first, second = phase.targets
    del phase.simulation.sets[name].instances[first]
    operations, call = operations_of(phase), Call(Action.DELETE, "clients", name, phase.accounts, REGIONS)
    phase.simulation.refusals["DeleteStackInstances"] = [gone]
    ((_, operation),) = operations.until_over([operations.begin(call, phase.desired.preferences)])
    assert operation.status == "SUCCEEDED"
    assert phase.simulation.requested == [(name, "DELETE", [second])]


def test_a_removal_goes_on_where_somebody_deleted_the_instances(phase: LargePhase) -> None:
    gone = InstanceNotFound("gone", "StackInstanceNotFoundException")
    phase.simulation.lost["DeleteStackInstances"] = [gone]
    assert phase.apply(desired_nothing(phase.desired), command=Command.REMOVE).good
    assert phase.simulation.sets == {}


def test_a_set_that_was_made_here_and_changed_since_stops_with_what_to_do(phase: LargePhase) -> None:
    refused = StackSetModified("CreateStackSet: somebody has changed the stack set", "CreatedButModifiedException")
    del phase.simulation.sets[phase.desired.sets["clients"].name]
    phase.simulation.refusals["CreateStackSet"] = [refused]
    failures = phase.apply(phase.desired).failures
    assert {each.reason for each in failures if each.layer == "clients"} == {str(refused)}


@pytest.mark.parametrize(("late", "good"), [(20, True), (50, True), (3600, False)])
def test_instances_that_a_succeeded_operation_left_pending_are_read_again_for_a_minute(
    phase: LargePhase, late: float, good: bool
) -> None:
    phase.simulation.late_seconds = late
    assert phase.apply(phase.spec(SourcePort="5433")).good is good


def operations_of(phase: LargePhase, most_instances: int = 10_000, observer: Observer | None = None) -> Operations:
    """The operations of a run that has just begun."""
    services = phase.services(observer)
    begin_run(services, Command.APPLY, "", ())
    context = Context(
        **vars(services), desired=phase.desired, id_prefix="no-release", override_cache=phase.store.overrides()
    )
    return Operations(context, most_instances)


class AtOnce(Lines):
    """Counts the accounts that operations work on at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.running: dict[str, int] = {}
        self.most = 0

    def submitted(self, call: Call, operation_id: str) -> None:
        self.running[operation_id] = len(call.accounts)
        self.most = max(self.most, sum(self.running.values()))

    def operation(self, call: Call, operation: Operation) -> None:
        if not operation.active:
            self.running.pop(operation.id, None)


def test_all_operations_together_keep_within_the_instances_of_a_region() -> None:
    phase = LargePhase(24)
    phase.stand()
    phase.simulation.looks_until_over = 3
    observer = AtOnce()
    operations = operations_of(phase, 25, observer)
    calls = [
        Call(Action.UPDATE, layer, spec.name, phase.accounts, REGIONS) for layer, spec in phase.desired.sets.items()
    ]
    ended = [
        operations.end(running, operation)
        for running, operation in operations.until_over(
            [operations.begin(call, phase.desired.preferences) for call in calls]
        )
    ]
    assert ended == [[]] * len(calls)
    assert observer.most == 24, "two operations of twelve accounts, and no third beside them"
    waiting = [line for line in observer.lines if "at most 25 instances of a region are worked on at once" in line]
    assert 1 <= len(waiting) == len(set(waiting)), "said once for each stack set"


def test_an_operation_that_is_too_large_by_itself_is_not_waited_for(phase: LargePhase) -> None:
    phase.simulation.refusals["UpdateStackInstances"] = [TOO_MANY]
    operations = operations_of(phase, most_instances=0)
    call = Call(Action.UPDATE, "clients", phase.desired.sets["clients"].name, phase.accounts, REGIONS)
    ((running, operation),) = operations.until_over([operations.begin(call, phase.desired.preferences)])
    assert operation.status == "FAILED"
    assert running.refusal == "too many; divide its wave into several"


def test_many_operations_of_a_set_are_asked_for_by_one_list() -> None:
    phase = LargePhase(48, own_ranges=True)
    phase.simulation.seconds_until_over = 300
    assert phase.apply(phase.desired).good
    network, asked = phase.desired.sets["network"].name, phase.simulation.asked
    operations = sum(name == network for name, _, _ in phase.simulation.requested)
    assert operations == 48, "each target's network is an operation of its own"
    assert asked["DescribeStackSetOperation", network] < 3 * operations
    assert asked["ListStackSetOperations", network] < phase.simulation.clock.time / (PollInterval().longest / 4)


def test_an_operation_that_is_lost_stops_the_run(phase: LargePhase) -> None:
    phase.simulation.forgotten = True
    with pytest.raises(RolloutError, match="was accepted and is not found"):
        phase.apply(phase.spec(SourcePort="5433"))


def test_throttling_that_lasts_is_said_on_the_progress_of_the_run(phase: LargePhase) -> None:
    phase.simulation.refusals["UpdateStackSet"] = [Throttled("Rate exceeded")] * 30
    observer = Lines()
    assert phase.apply(phase.spec(SourcePort="5433"), observer).good
    assert any(line.startswith("cloudformation throttles ") for line in observer.lines)
