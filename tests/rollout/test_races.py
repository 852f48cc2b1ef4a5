"""Two at once: of one phase the second is refused or takes over, of two phases both go through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cloud.stacksets.conftest import Fleet

from builders.aws.calls import ApiCall, Moment
from builders.errors import RolloutError
from builders.rollout.executor.context import Observer
from builders.rollout.executor.executor import begin_run, run_to_desired
from builders.rollout.model import DesiredState, Operation
from builders.rollout.plan.calls import Action, Call
from builders.rollout.state.journal import Command, RunStatus

from .conftest import SUFFIX, Administrator
from .small_phase import LAYERS, SmallPhase, body, layer_set


class Pause:
    """Holds a process up before its first call of an operation, until it is let go; not before it `awaits` one."""

    def __init__(self, operation: str, *, awaits: bool = True) -> None:
        self.operation = operation
        self.awaits = awaits
        self.reached = threading.Event()
        self.go = threading.Event()
        self.calls: list[str] = []

    def __call__(self, moment: Moment, call: ApiCall) -> None:
        if moment is not Moment.BEFORE:
            return
        self.calls.append(call.operation)
        if self.awaits and call.operation == self.operation and not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(300)


class Listener(Observer):
    """Keeps what a person would read, and ends the slowness of stacks once an operation is waited for."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)
        if "waiting for" in line:
            self.fleet.drive(StackSeconds=0)


@pytest.fixture
def small(administrator: Administrator, member: str) -> SmallPhase:
    small = SmallPhase(administrator, [member], regions=("us-east-1",))
    assert small.run(release(small, "1")).good
    return small


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def release(small: SmallPhase, version: str) -> DesiredState:
    return small.desired(*(layer_set(layer, small.targets, body(layer, version=version)) for layer in LAYERS))


def another(small: SmallPhase) -> SmallPhase:
    """The same phase in the hands of another process."""
    other = object.__new__(SmallPhase)
    other.__dict__.update(small.__dict__)
    other.connect()
    return other


@pytest.mark.parametrize("operation", ["UpdateStackSet", "DescribeStackSetOperation", "PutObject"])
def test_a_run_that_another_process_takes_over_submits_nothing_more(
    small: SmallPhase, pool: ThreadPoolExecutor, operation: str
) -> None:
    pause = Pause(operation, awaits=False)
    small.connect(pause)
    services = small.services()
    run = begin_run(services, Command.APPLY, small.store.releases.save(release(small, "2")), ())
    pause.awaits = True  # the lock is taken: from here on it is held up
    schedule = another(small).plan(release(small, "2")).schedule
    first = pool.submit(run_to_desired, services, run, release(small, "2"), LAYERS, schedule)
    assert pause.reached.wait(300)
    assert another(small).resume(release(small, "2")).good
    made = len(pause.calls)
    pause.go.set()
    with pytest.raises(RolloutError, match=r"another rollout of dev has taken over .*; this one stops") as stopped:
        first.result()
    assert "\n" not in str(stopped.value)
    assert small.operations() == {layer: ["CREATE", "UPDATE"] for layer in LAYERS}
    later = pause.calls[made:]
    assert [each for each in later if each.startswith(("Create", "Update", "Delete"))] == []
    assert small.plan(release(small, "2")).nothing_to_do


def test_a_second_apply_is_refused_in_a_line_that_names_the_first(small: SmallPhase, pool: ThreadPoolExecutor) -> None:
    pause = Pause("UpdateStackSet")
    small.connect(pause)
    desired = release(small, "2")
    first = pool.submit(small.run, desired)
    assert pause.reached.wait(300)
    second = another(small)
    with pytest.raises(RolloutError, match=r"a rollout of dev is not over: apply of release [0-9a-f]{12}") as refused:
        second.run(release(small, "3"))
    assert "\n" not in str(refused.value)
    pause.go.set()
    assert first.result().good
    assert set(small.versions().values()) == {"2"}


def test_of_two_that_begin_at_the_same_moment_one_is_refused(small: SmallPhase, pool: ThreadPoolExecutor) -> None:
    pause = Pause("PutObject")
    desired = release(small, "2")
    saved = small.store.releases.save(desired)
    small.connect(pause)
    first = pool.submit(begin_run, small.services(), Command.APPLY, saved, ())
    assert pause.reached.wait(300)
    other = another(small)
    run = begin_run(other.services(), Command.APPLY, saved, ())
    pause.go.set()
    with pytest.raises(RolloutError, match="another rollout of dev"):
        first.result()
    found = small.store.journal.run()
    assert found
    assert (found.id, found.status) == (run.id, RunStatus.RUNNING)


def test_two_phases_go_through_side_by_side(
    administrator: Administrator, number: Callable[[], str], pool: ThreadPoolExecutor
) -> None:
    phases = [SmallPhase(Administrator(administrator.cloud, number()), [number()], ("us-east-1",)) for _ in range(2)]
    for each in phases:
        each.administrator.member(each.accounts[0])
    both = [pool.submit(each.run, release(each, "1")) for each in phases]
    assert [each.result().failures for each in both] == [[], []]


class Meddler(Observer):
    """Changes a stack set as a colleague in the console, once an operation of the run at it is over."""

    def __init__(self, small: SmallPhase) -> None:
        self.small = small
        self.done = False

    def operation(self, call: Call, operation: Operation) -> None:
        if not self.done and not operation.active and call.action is Action.UPDATE_SET:
            self.done = True
            self.small.administrator.api("cloudformation").update_stack_set(
                StackSetName=call.set_name,
                TemplateBody=body(call.layer, version="theirs"),
                Parameters=[{"ParameterKey": "EnvironmentSuffix", "ParameterValue": SUFFIX}],
            )
            self.small.wait_until_idle([call.layer])


def test_what_somebody_else_changed_right_after_it_was_deployed_is_said_to_be_that(small: SmallPhase) -> None:
    report = small.run(release(small, "2"), observer=Meddler(small))
    changed = next(each for each in report.failures if not each.skipped)
    assert changed.reason == (
        "deployed, and not as desired any more: somebody else has changed it or its stack set; plan again"
    )


def test_an_operation_of_somebody_else_is_named_and_waited_for(small: SmallPhase, pool: ThreadPoolExecutor) -> None:
    """A set without managed execution refuses a second operation, and AWS does so for some with it."""
    api = small.administrator.api("cloudformation")
    given = {"StackSetName": "stackferry-network-dev"}
    account = small.accounts[0]
    api.update_stack_set(
        **given,
        UsePreviousTemplate=True,
        ManagedExecution={"Active": False},
        Tags=[{"Key": "Environment", "Value": "dev"}],
        Parameters=[{"ParameterKey": "EnvironmentSuffix", "UsePreviousValue": True}],
    )
    small.wait_until_idle(["network"])
    small.administrator.fleet.drive(StackSeconds=60)
    api.update_stack_instances(**given, Accounts=[account], Regions=["us-east-1"], OperationId="somebody-elses")
    time.sleep(small.administrator.fleet.lag)  # until the list of operations has it, from which the run has its name
    heard = Listener(small.administrator.fleet)
    assert small.run(release(small, "2"), observer=heard).good
    assert "stackferry-network-dev: waiting for UPDATE somebody-elses, which is in progress there" in heard.lines
    assert set(small.versions().values()) == {"2"}
