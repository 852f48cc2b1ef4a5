"""Kills and interleaves the steps at every unit they send. The whole of it, on every server: crash_harness.py."""

from __future__ import annotations

import pytest

from lambdas.rotation import harness, tally
from lambdas.rotation.newest import on_newest_server
from lambdas.rotation.rig import STEPS, Rig


def check(rig: Rig, what: str, findings: harness.Findings) -> None:
    tally.report(
        f"PostgreSQL {rig.server.major}: {what}: {findings.tried} points tried, {len(findings.violations)} violations"
    )
    assert findings.tried > 0
    assert findings.violations == []


def test_a_kill_after_any_unit_took_effect_leaves_a_password_that_logs_in(rig: Rig) -> None:
    check(rig, "killed after a unit took effect", harness.crash_everywhere(rig, "after"))


@on_newest_server
def test_a_kill_before_any_unit_leaves_a_password_that_logs_in(rig: Rig) -> None:
    check(rig, "killed before a unit left", harness.crash_everywhere(rig, "before"))


@on_newest_server
def test_a_unit_of_a_killed_set_secret_that_arrives_late_does_no_harm(rig: Rig) -> None:
    check(rig, "setSecret killed, its unit arriving late", harness.crash_everywhere(rig, "held", ["setSecret"]))


@on_newest_server
@pytest.mark.parametrize("step", STEPS)
def test_the_same_step_twice_at_once_does_no_harm_wherever_they_interleave(rig: Rig, step: str) -> None:
    check(rig, f"{step} twice at once", harness.interleave_everywhere(rig, step, step))


@on_newest_server
def test_a_set_secret_overtaken_by_another_rotation_does_no_harm_or_can_be_recovered(rig: Rig) -> None:
    check(rig, "setSecret overtaken by another rotation", harness.overtaken_everywhere(rig, ["setSecret"]))
