"""The room on the target's disk before a cut-over, as CloudWatch and RDS know it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from builders.migration.switchover import preconditions
from builders.migration.switchover.preconditions import Precondition, Room
from builders.migration.switchover.steps import Context

from .test_check_run import Api

GIB = 1024**3


def api(free_gib: float | None, allocated_gib: int | None) -> Any:
    """AWS as it knows the free and the allocated storage; None where it does not tell."""
    values = [] if free_gib is None else [free_gib * GIB, 900 * GIB]
    result = {"Label": "FreeStorageSpace", "Values": values}
    answers: dict[str, Any] = {"GetMetricData": {"MetricDataResults": [result]}}
    if allocated_gib:
        answers["DescribeDBInstances"] = [{"AllocatedStorage": allocated_gib}]
    return Api(answers)


def looked_at(session: Any, instance: str = "ferry-database") -> tuple[list[str], list[str]]:
    """The problems, and what was said."""
    said: list[str] = []
    return Room(session, instance)(cast("Context", SimpleNamespace(say=said.append))), said


@pytest.mark.parametrize(
    ("free_gib", "allocated_gib", "needed_gib"),
    [(1.9, 20, "2.0"), (9.9, 100, "10.0"), (1.9, None, "2.0"), (0.0, 20, "2.0")],
)
def test_a_disk_with_less_than_a_tenth_or_two_gib_free_stands_in_the_way(
    free_gib: float, allocated_gib: int | None, needed_gib: str
) -> None:
    (problem,), said = looked_at(api(free_gib, allocated_gib))
    assert f"{free_gib} GiB of it are free, and {needed_gib} GiB are needed" in problem
    assert said == []


@pytest.mark.parametrize(("free_gib", "allocated_gib"), [(2.0, 20), (10.0, 100), (2.0, None)])
def test_a_disk_with_as_much_free_as_is_needed_is_right(free_gib: float, allocated_gib: int | None) -> None:
    assert looked_at(api(free_gib, allocated_gib)) == ([], [])


@pytest.mark.parametrize(
    ("session", "instance", "why"),
    [(api(None, 20), "ferry-database", "CloudWatch has no FreeStorageSpace of ferry-database of the last 10 minutes"),
     (Api(), "ferry-database", "CloudWatch has no FreeStorageSpace of ferry-database of the last 10 minutes"),
     (api(1.0, 20), "", "the outputs name no database instance")],
    ids=["no-value", "may-not-read", "no-instance"],
)  # fmt: skip
def test_a_disk_of_which_nothing_is_known_is_said_and_stands_in_nobodys_way(
    session: Any, instance: str, why: str
) -> None:
    problems, (line,) = looked_at(session, instance)
    assert problems == []
    assert line.startswith(f"the free storage of the target is not known: {why}")


@pytest.mark.parametrize(("kind", "is_asked"), [("cutover", True), ("fallback", False)])
def test_a_precondition_of_the_cutover_alone_does_not_keep_a_fallback(kind: str, is_asked: bool) -> None:
    room = Precondition("room", Room(api(0.0, 20), "ferry-database"), ("cutover",))
    sides = {"origin": SimpleNamespace(side="source"), "destination": SimpleNamespace(side="target")}
    context = cast("Context", SimpleNamespace(kind=kind, **sides))
    found = preconditions.of(context, keep_reads=True, way_back=False, most_lag_seconds=10, others=[room])
    assert (room in found) is is_asked
