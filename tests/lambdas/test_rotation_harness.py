"""Kills and interleaves the steps at the units they send: at a sample of them, or with --whole at every one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sampling import Points

from lambdas.rotation import harness
from lambdas.rotation.rig import STEPS, Rig
from lambdas.rotation.servers import NEWEST, others_in_harness

Check = Callable[[harness.Findings], None]


def check(findings: harness.Findings, record_property: Callable[[str, object], None]) -> None:
    record_property("points", findings.tried)
    assert findings.tried > 0
    assert findings.violations == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.sampled(when=lambda case: case["server"] is NEWEST or case["step"] == "setSecret")
def test_a_kill_after_any_unit_took_effect_leaves_a_password_that_logs_in(
    rig: Rig, step: str, points: Points, record_property: Callable[[str, object], None]
) -> None:
    check(harness.crash(rig, step, "after", points), record_property)


@pytest.mark.parametrize("step", STEPS)
@others_in_harness
def test_a_kill_before_any_unit_leaves_a_password_that_logs_in(
    rig: Rig, step: str, points: Points, record_property: Callable[[str, object], None]
) -> None:
    check(harness.crash(rig, step, "before", points), record_property)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.sampled(when=lambda case: case["server"] is NEWEST and case["step"] == "setSecret")
def test_a_unit_of_a_killed_step_that_arrives_late_does_no_harm(
    rig: Rig, step: str, points: Points, record_property: Callable[[str, object], None]
) -> None:
    check(harness.crash(rig, step, "held", points), record_property)


@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("second", STEPS)
@pytest.mark.sampled(when=lambda case: case["server"] is NEWEST and case["first"] == case["second"])
def test_two_steps_at_once_do_no_harm_wherever_they_interleave(
    rig: Rig, first: str, second: str, points: Points, record_property: Callable[[str, object], None]
) -> None:
    check(harness.interleave(rig, first, second, points), record_property)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.sampled(when=lambda case: case["server"] is NEWEST and case["step"] == "setSecret")
def test_a_step_overtaken_by_another_rotation_does_no_harm_or_can_be_recovered(
    rig: Rig, step: str, points: Points, record_property: Callable[[str, object], None]
) -> None:
    check(harness.overtake(rig, step, points), record_property)
