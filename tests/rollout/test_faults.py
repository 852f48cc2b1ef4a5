"""Faults between a rollout and AWS: throttling, errors, broken connections, lost answers, no answer at all.

What passes is waited for. What does not leaves a run that `resume` finishes. Either way the end is the same, and
nothing is done twice.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator

import pytest

from builders.errors import RolloutError
from builders.rollout.lifecycle import rollback
from builders.rollout.model import DesiredState, Target
from builders.rollout.state.journal import Command, RunStatus

from .conftest import Administrator
from .small_phase import Lines, SmallPhase, body, layer_set

CHAIN = ("network", "database")


@pytest.fixture
def small(faulty: Administrator, number: Callable[[], str]) -> SmallPhase:
    """Two layers that are deployed in one account and one region."""
    small = SmallPhase(faulty, [faulty.member(number())], regions=("us-east-1",))
    small.run(release(small, "1"))
    return small


def release(small: SmallPhase, version: str) -> DesiredState:
    return small.desired(*(layer_set(layer, small.targets, body(layer, version=version)) for layer in CHAIN))


def strike_once(small: SmallPhase, kind: str, operations: Iterable[str]) -> None:
    """Let the next call of each operation fail in a way."""
    faults: list[dict[str, str | float]] = [{"kind": kind, "operation": each, "count": 1} for each in operations]
    small.administrator.cloud.set_faults(*faults)


def deployed_versions(small: SmallPhase, version: str) -> dict[tuple[str, Target], str]:
    return {(layer, target): version for layer in CHAIN for target in small.targets}


@dataclasses.dataclass
class Change:
    """A command, what it wants, what is deployed in the end, and the operations that it takes of each layer."""

    command: Command
    desired: Callable[[SmallPhase], DesiredState]
    stands: Callable[[SmallPhase], dict[tuple[str, Target], str]]
    operations: dict[str, list[str]]

    def is_done(self, small: SmallPhase) -> bool:
        """Tell whether the accounts and the list of operations are what they are without any fault."""
        small.administrator.cloud.set_faults()
        small.wait_until_idle([layer for layer in CHAIN if self.operations])
        return (small.versions(), small.operations()) == (self.stands(small), self.operations)


def _back(small: SmallPhase) -> DesiredState:
    earlier = small.store.releases.load(small.store.releases.save(release(small, "0")))
    return rollback.desired_release(small.client, earlier, release(small, "1"), small.current())


def _applied(number: int) -> Change:
    """The release of a number after all those before it."""
    return Change(
        Command.APPLY,
        lambda small: release(small, str(number)),
        lambda small: deployed_versions(small, str(number)),
        {layer: ["CREATE", *["UPDATE"] * (number - 1)] for layer in CHAIN},
    )


CHANGES = {
    "apply": _applied(2),
    "rollback": Change(
        Command.ROLLBACK,
        _back,
        lambda small: deployed_versions(small, "0"),
        {layer: ["CREATE", "UPDATE"] for layer in CHAIN},
    ),
    "remove": Change(Command.REMOVE, lambda small: rollback.desired_nothing(release(small, "1")), lambda small: {}, {}),
}


def each_met_by(kinds: Iterable[str], name: str) -> Iterator[tuple[str, Change]]:
    """A change for each kind of fault: release after release is applied, and other commands meet one kind only."""
    return zip(kinds, map(_applied, itertools.count(2)) if name == "apply" else [CHANGES[name]], strict=False)


SUBMITTING = {"apply": "UpdateStackSet", "rollback": "UpdateStackSet", "remove": "DeleteStackInstances"}

changing = pytest.mark.parametrize("name", CHANGES)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("apply", ["throttle", "error", "reset", "lost"]),
        ("rollback", ["lost"]),
        ("remove", ["lost"]),
        ("remove", ["throttle"]),
    ],
)
def test_what_passes_changes_neither_the_end_nor_the_operations(small: SmallPhase, name: str, kinds: list[str]) -> None:
    """Every write meets it once, and some reads do."""
    met = ("PutObject", SUBMITTING[name], "DeleteStackSet", "DescribeStackSetOperation", "ListStackInstances")
    for kind, change in each_met_by(kinds, name):
        desired = change.desired(small)
        strike_once(small, kind, met)
        assert small.run(desired, change.command).good, kind
        assert change.is_done(small), kind


@changing
def test_calls_that_hang_are_made_again(small: SmallPhase, name: str) -> None:
    change = CHANGES[name]
    desired = change.desired(small)
    small.connect(read_seconds=0.5)
    met = (SUBMITTING[name], "PutObject")
    strike_once(small, "hang", met)
    assert small.run(desired, change.command).good
    assert change.is_done(small)


@pytest.mark.parametrize(
    ("name", "operation", "kinds"),
    [
        ("apply", "UpdateStackSet", ["throttle", "error", "reset", "lost", "expired"]),
        ("apply", "DescribeStackSetOperation", ["throttle", "error", "reset", "expired"]),
        ("apply", "ListStackInstances", ["throttle"]),
        ("rollback", "UpdateStackSet", ["error"]),
        ("rollback", "DescribeStackSetOperation", ["throttle"]),
        ("remove", "DeleteStackInstances", ["lost"]),
        ("remove", "DeleteStackInstances", ["throttle"]),
        ("remove", "DeleteStackSet", ["error"]),
        ("remove", "DeleteStackSet", ["lost"]),
    ],
)
def test_what_does_not_pass_stops_the_run_and_resume_finishes_it(
    small: SmallPhase, name: str, operation: str, kinds: list[str]
) -> None:
    for kind, change in each_met_by(kinds, name):
        desired = change.desired(small)
        small.connect(attempts=1)
        plan = small.plan(desired, change.command)
        small.administrator.cloud.set_faults({"kind": kind, "operation": operation})
        with pytest.raises(RolloutError) as stopped:
            small.run(desired, change.command, planned=plan)
        assert "\n" not in str(stopped.value)
        assert kind != "expired" or "the AWS credentials have expired" in str(stopped.value)
        small.administrator.cloud.set_faults()
        run = small.store.journal.run()
        assert run, kind
        assert run.status is RunStatus.RUNNING, kind
        assert small.resume(desired).good, kind
        assert change.is_done(small), kind


@pytest.mark.parametrize("kind", ["throttle", "lost"])
def test_a_bucket_that_cannot_be_written_stops_a_run_before_its_first_call(small: SmallPhase, kind: str) -> None:
    """A lock whose answer was lost is held: `resume` takes it up; else the command is called again."""
    change = CHANGES["apply"]
    desired = change.desired(small)
    before = small.operations()
    small.store.releases.save(desired)
    small.connect(attempts=1)
    small.administrator.cloud.set_faults({"kind": kind, "operation": "PutObject"})
    with pytest.raises(RolloutError):
        small.run(desired)
    small.administrator.cloud.set_faults()
    assert small.operations() == before
    run = small.store.journal.run()
    assert run
    assert (small.resume(desired) if run.status is RunStatus.RUNNING else small.run(desired)).good
    assert change.is_done(small)


def test_a_look_that_is_denied_stops_the_run_and_fails_no_operation(small: SmallPhase) -> None:
    change = CHANGES["apply"]
    desired = change.desired(small)
    small.connect(attempts=1)
    small.administrator.cloud.set_faults({"kind": "denied", "operation": "DescribeStackSetOperation"})
    with pytest.raises(RolloutError, match="DescribeStackSetOperation"):
        small.run(desired)
    small.administrator.cloud.set_faults()
    assert small.resume(desired).good
    assert change.is_done(small)


def test_a_call_that_aws_refuses_for_good_ends_the_run_with_its_reason(small: SmallPhase) -> None:
    small.connect(attempts=1)
    small.administrator.cloud.set_faults({"kind": "denied", "operation": "UpdateStackSet"})
    report = small.run(release(small, "2"))
    assert {each.layer for each in report.failed} == {"network"}
    (reason,) = report.causes()
    assert "these credentials may not cloudformation:UpdateStackSet" in reason
    run = small.store.journal.run()
    assert run
    assert (run.status, run.good) == (RunStatus.FAILED, False)


def test_stale_answers_and_too_many_instances_under_way_change_neither_the_end_nor_the_operations(
    faulty: Administrator, number: Callable[[], str]
) -> None:
    """Each account has a value of its own, and so an operation, and AWS works on one instance at a time."""
    small = SmallPhase(faulty, [faulty.member(number()) for _ in range(3)], regions=("us-east-1",))
    own = {target: {"DelaySeconds": str(delay)} for delay, target in enumerate(small.targets, 1)}
    faulty.fleet.drive(StaleRequests={"Share": 0.5, "Seed": 3}, InstancesUnderWay=1, StackSeconds=60)

    class Listener(Lines):
        def say(self, line: str) -> None:
            super().say(line)
            if "waiting for fewer instances under way" in line:
                faulty.fleet.drive(StackSeconds=0)

    lines = Listener()
    report = small.run(small.desired(layer_set("network", own), failure_tolerance="2"), observer=lines)
    assert report.good
    assert small.operations()["network"] == ["CREATE"] * 3
    assert any("waiting for fewer instances under way" in line for line in lines.lines)
    assert any("waiting for AWS to take operation" in line for line in lines.lines)


def test_a_rollout_goes_on_where_an_account_may_make_few_calls_a_second(small: SmallPhase) -> None:
    small.administrator.cloud.set_faults({"kind": "rate", "calls_per_second": 3, "service": "cloudformation"})
    assert small.run(release(small, "2")).good
    assert small.administrator.cloud.set_faults()[0]["struck"] != 0
    assert CHANGES["apply"].is_done(small)
