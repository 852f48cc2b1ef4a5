"""A process that is killed, at moments all over a run; `python tests/rollout/crash_harness.py` tries every moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from builders.cloud.process import Cloud

from .crash_harness import SCENARIOS, Scenario, try_out

SAMPLE = 8
"""Points of each scenario, so that all four together stay under a minute."""


def spread(moments: int) -> Iterator[int]:
    """The first moment, the last one, and some in even steps between."""
    return (number * (moments - 1) // (SAMPLE - 1) for number in range(SAMPLE))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_killed_run_is_resumed_to_the_same_end_by_the_same_operations(
    own_cloud: Cloud, scenario: Scenario, record_property: Callable[[str, object], None]
) -> None:
    result = try_out(own_cloud, scenario, spread)
    record_property("covered", f"{scenario.name}: killed and resumed at {result.points} points")
    assert result.violations == []
    assert result.points == SAMPLE
