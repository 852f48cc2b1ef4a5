"""A cut-over or fall-back that is killed anywhere, and run again, keeps what was promised."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from forking import server
from sampling import Points

from builders.migration.journal import Kind

from .conftest import Pair
from .kill_harness import Kill, harness
from .killed import DEFECTS
from .scenes import PARTS, scene


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    with server("migration.killed") as started:
        yield started


KINDS: tuple[Kind, Kind] = ("cutover", "fallback")


@pytest.mark.sampled(when=lambda params: params["part"] == 0)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_every_point_no_promise_is_broken(
    pair: Callable[..., Pair],
    process: subprocess.Popen[str],
    points: Points,
    whole: bool,
    part: int,
    record_property: Callable[[str, object], None],
) -> None:
    with scene(pair) as made, harness(made, process) as tried:
        tried.cycle({})
        assert tried.violations == []
        step, first = (PARTS, part) if whole else (1, 0)
        forth, back = (list(points(tried.points[kind]))[first::step] for kind in KINDS)
        for number in range(max(len(forth), len(back))):
            kills = {kind: dict(enumerate(found)).get(number) for kind, found in zip(KINDS, (forth, back), strict=True)}
            # The second run, which goes on or undoes, is killed too, every other time.
            again = 20 + 7 * number if number % 2 else None
            tried.cycle(kills, again=again, keep_reads=number % 3 == 1)
            assert tried.violations == []
        record_property("points", len(forth) + len(back))


def test_killed_while_a_run_is_undone_the_source_is_open_after_the_next(
    pair: Callable[..., Pair],
    process: subprocess.Popen[str],
    points: Points,
    record_property: Callable[[str, object], None],
) -> None:
    with scene(pair) as made, harness(made, process) as tried:
        with made.pair.application("source", made.writer) as session:
            session.execute("INSERT INTO payments.orders (id, token, note) VALUES (-1, 'right', 'right')")
        with made.pair.database("target") as target:
            while not target.run("UPDATE payments.orders SET note = 'wrong' WHERE note = 'right' RETURNING id"):
                continue
        plain = tried.run("cutover", None)
        assert "1 row in all" in plain["error"]
        undoing = next(number for number, name in enumerate(plain["names"]) if name.startswith("CREATE OR REPLACE"))
        chosen = [undoing + point for point in points(plain["points"] - undoing)]
        for point in chosen:
            killed = tried.run("cutover", point)
            again = tried.run("cutover", None)
            assert "is as it was" in again["error"], (killed["names"][-1], again["error"])
            tried.hold_open("the undoing was killed", "source")
            assert tried.violations == []
        record_property("points", len(chosen))


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
