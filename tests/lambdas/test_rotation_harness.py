"""Kills and interleaves the steps at every unit they send. The whole of it, on every server: crash_harness.py."""

from __future__ import annotations

import pytest
from rotation_world import harness, tally
from rotation_world.newest import on_newest_server
from rotation_world.world import STEPS, World


def check(world: World, what: str, findings: harness.Findings) -> None:
    tally.report(
        f"PostgreSQL {world.server.major}: {what}: {findings.tried} points tried, {len(findings.violations)} violations"
    )
    assert findings.tried > 0
    assert findings.violations == []


def test_a_kill_after_any_unit_took_effect_leaves_a_password_that_logs_in(world: World) -> None:
    check(world, "killed after a unit took effect", harness.crash_everywhere(world, "after"))


@on_newest_server
def test_a_kill_before_any_unit_leaves_a_password_that_logs_in(world: World) -> None:
    check(world, "killed before a unit left", harness.crash_everywhere(world, "before"))


@on_newest_server
def test_a_unit_of_a_killed_set_secret_that_arrives_late_does_no_harm(world: World) -> None:
    check(world, "setSecret killed, its unit arriving late", harness.crash_everywhere(world, "held", ["setSecret"]))


@on_newest_server
@pytest.mark.parametrize("step", STEPS)
def test_the_same_step_twice_at_once_does_no_harm_wherever_they_interleave(world: World, step: str) -> None:
    check(world, f"{step} twice at once", harness.interleave_everywhere(world, step, step))


@on_newest_server
def test_a_set_secret_overtaken_by_another_rotation_does_no_harm_or_can_be_recovered(world: World) -> None:
    check(world, "setSecret overtaken by another rotation", harness.overtaken_everywhere(world, ["setSecret"]))
