"""Between two waves: time passes, and an alarm that rings keeps the release from everybody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from builders.rollout.executor.context import Observer
from builders.rollout.model import DesiredState, Wave

from .conftest import REGION, Administrator
from .small_phase import SmallPhase, layer_set

ALARM = "payments-lag"


class Killed(BaseException):
    """The process is no more."""


class WhenBaking(Observer):
    """Does something once a wave has begun to bake."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def say(self, line: str) -> None:
        if "baking" in line:
            self._act()


@pytest.fixture
def small(administrator: Administrator, members: list[str]) -> SmallPhase:
    return SmallPhase(administrator, members[:2], regions=[REGION])


def in_waves(small: SmallPhase, bake_seconds: int = 0) -> DesiredState:
    """One layer, first to a canary that must be quiet, then to the other account."""
    canary, other = small.accounts
    waves = (Wave("canary", (canary,), bake_seconds, ("payments-",)), Wave("rest", (other,)))
    return small.desired(layer_set("network", small.targets), waves=waves)


def ring(small: SmallPhase, name: str = ALARM, *, actions: bool = True) -> None:
    """Have an alarm of the canary in ALARM: nothing is measured, which it takes for too much."""
    api = small.administrator.api("cloudwatch", small.accounts[0])
    api.put_metric_alarm(
        AlarmName=name,
        Namespace="Test",
        MetricName="Lag",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="breaching",
        ActionsEnabled=actions,
    )


def reached(small: SmallPhase) -> set[str]:
    return {target.account for _, target in small.versions()}


def test_an_alarm_that_rings_after_the_canary_keeps_the_release_from_the_rest(small: SmallPhase) -> None:
    ring(small)
    report = small.run(in_waves(small))
    assert f"wave canary: alarm {ALARM} at {small.targets[0]} is in ALARM" in report.stopped
    assert not report.good
    assert reached(small) == {small.accounts[0]}


def test_an_alarm_whose_actions_are_off_waits_for_something_that_has_not_begun(small: SmallPhase) -> None:
    ring(small, actions=False)
    assert small.run(in_waves(small)).good
    assert reached(small) == set(small.accounts)


def test_an_alarm_that_nobody_named_is_none_of_ours(small: SmallPhase) -> None:
    ring(small, "somebody-elses")
    assert small.run(in_waves(small)).good


def test_an_alarm_that_begins_to_ring_while_the_wave_bakes_is_heard(small: SmallPhase) -> None:
    report = small.run(in_waves(small, bake_seconds=1), observer=WhenBaking(lambda: ring(small)))
    assert ALARM in report.stopped
    assert reached(small) == {small.accounts[0]}


def test_a_run_that_is_killed_while_it_bakes_bakes_again_when_it_is_resumed(small: SmallPhase) -> None:
    def kill() -> None:
        raise Killed

    desired = in_waves(small, bake_seconds=1)
    with pytest.raises(Killed):
        small.run(desired, observer=WhenBaking(kill))
    ring(small)
    assert ALARM in small.resume(desired).stopped
    assert reached(small) == {small.accounts[0]}
