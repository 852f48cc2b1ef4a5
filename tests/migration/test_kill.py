"""A cut-over or fall-back that is killed anywhere, and run again, keeps what was promised."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from sampling import Points

from builders.migration.journal import Kind

from .conftest import Pair
from .kill_harness import Kill, forking, harness
from .killed import DEFECTS
from .scenes import scene


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    with forking() as started:
        yield started


def test_killed_at_every_point_no_promise_is_broken(
    pair: Callable[..., Pair], process: subprocess.Popen[str], points: Points
) -> None:
    with scene(pair) as made, harness(made, process) as tried:
        tried.cycle({})
        assert tried.violations == []
        count = tried.points
        print(count)
        forth, back = list(points(count["cutover"])), list(points(count["fallback"]))
        for number in range(max(len(forth), len(back))):
            tried.cycle({"cutover": dict(enumerate(forth)).get(number), "fallback": dict(enumerate(back)).get(number)})
            assert tried.violations == []


VIOLATIONS = {
    "the fence closes logins only": "both sides take writes",
    "no marker is waited for": "acknowledged writes are lost",
    "the other side is opened first": "both sides take writes",
    "sequences stay where they are": "met a value that was given out before",
    "the journal is written afterwards": "neither side takes writes",
}
"""{defect: what it violates}."""


def test_there_is_a_violation_for_each_defect() -> None:
    assert set(VIOLATIONS) == set(DEFECTS) - {""}


@pytest.mark.parametrize("defect", VIOLATIONS)
def test_a_deliberate_defect_is_found(pair: Callable[..., Pair], process: subprocess.Popen[str], defect: str) -> None:
    kills: dict[str, dict[Kind, Kill]] = {"the journal is written afterwards": {"cutover": "REVOKE CONNECT"}}
    with scene(pair) as made, harness(made, process, defect) as tried:
        if defect == "no marker is waited for":
            made.exchange.tasks["forward"].delay = 0.05
        tried.cycle(kills.get(defect, {}))
        print(tried.violations)
        assert any(VIOLATIONS[defect] in violation for violation in tried.violations)
