"""A process that is killed, at a sample of the moments of a run, or with --whole at every one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sampling import Points

from builders.cloud.process import Cloud

from .crash_harness import SCENARIOS, Scenario, try_out


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_killed_run_is_resumed_to_the_same_end_by_the_same_operations(
    own_cloud: Cloud, scenario: Scenario, points: Points, record_property: Callable[[str, object], None]
) -> None:
    result = try_out(own_cloud, scenario, points)
    record_property("points", result.points)
    assert result.violations == []
    assert result.points > 0
