"""A saved plan, and how a newly made one differs from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from builders import advice
from builders.errors import RolloutError, UsageError
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Group, Plan, PlannedHazard
from builders.rollout.render import plan_file
from rollout.planned import DASHBOARD, DATABASE, LOSS, SUBNET, acknowledging_all, plan, plans, targets, update

BEFORE = plan(Group("rest", "network", ChangeKind.UPDATE, targets(3), (SUBNET,)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "plans" / "prod.json"
    plan_file.save_plan(BEFORE, path)
    return path


@given(made=plans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_plan_loads_back_without_a_difference(made: Plan, tmp_path: Path) -> None:
    plan_file.save_plan(made, tmp_path / "plan")
    assert plan_file.differences(plan_file.load_plan(tmp_path / "plan"), made) == []


@given(made=plans(), other=plans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_another_plan_always_differs(made: Plan, other: Plan, tmp_path: Path) -> None:
    plan_file.save_plan(made, tmp_path / "plan")
    found = plan_file.differences(plan_file.load_plan(tmp_path / "plan"), other)
    assert bool(found) is (dataclasses.replace(other, acknowledged=made.acknowledged) != made)


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "dev"},
        {"command": "rollback"},
        {"release": "ffffffffffff"},
        {"layers": ("network", "database")},
        {"operations": ()},
        {"minutes": 1.5},
        {"notes": ()},
        {"hazards": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_a_plan_that_changes_is_noticed(change: dict[str, Any], tmp_path: Path) -> None:
    plan_file.save_plan(update(3), tmp_path / "plan")
    found = plan_file.differences(plan_file.load_plan(tmp_path / "plan"), dataclasses.replace(update(3), **change))
    assert found
    assert all(found)


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (
            Group("rest", "network", ChangeKind.NOTHING, targets(3)),
            "network at 111111111111/eu-west-1, 111111111111/us-east-1, 111111111112/eu-west-1 and 3 more: was update, "
            "and is nothing",
        ),
        (
            Group("rest", "network", ChangeKind.UPDATE, targets(3), (SUBNET, DASHBOARD)),
            "network at 111111111111/eu-west-1, 111111111111/us-east-1, 111111111112/eu-west-1 and 3 more: update "
            "changes other resources: Dashboard",
        ),
        (
            Group("rest", "network", ChangeKind.UPDATE, targets(2), (SUBNET,)),
            "network at 111111111113/eu-west-1 and 111111111113/us-east-1: was update, and is not in the plan now",
        ),
    ],
    ids=["what becomes of it", "its resources", "an account that left"],
)
def test_instances_that_changed_alike_are_one_line(now: Group, line: str, saved: Path) -> None:
    assert plan_file.differences(plan_file.load_plan(saved), plan(now)) == [line]


def test_a_new_hazard_is_listed_with_its_message(saved: Path) -> None:
    now = dataclasses.replace(BEFORE, hazards=(PlannedHazard(LOSS, targets(1)),))
    assert plan_file.differences(plan_file.load_plan(saved), now) == [f"new hazard database/Database: {LOSS.message}"]


def test_a_hazard_at_other_targets_is_listed(tmp_path: Path) -> None:
    was, now = (plan(hazards=(PlannedHazard(LOSS, targets(count)),)) for count in (1, 2))
    plan_file.save_plan(was, tmp_path / "plan")
    assert plan_file.differences(plan_file.load_plan(tmp_path / "plan"), now) == [
        "hazard database/Database is at 111111111111/us-east-1, 111111111111/eu-west-1, 111111111112/us-east-1 and 1 "
        "more, and was at 111111111111/us-east-1 and 111111111111/eu-west-1"
    ]


def test_to_acknowledge_more_is_no_difference(tmp_path: Path) -> None:
    plan_file.save_plan(update(3), tmp_path / "plan")
    assert plan_file.differences(plan_file.load_plan(tmp_path / "plan"), acknowledging_all(update(3))) == []


def test_what_was_acknowledged_is_read_back(tmp_path: Path) -> None:
    plan_file.save_plan(acknowledging_all(update(3)), tmp_path / "plan")
    assert plan_file.load_plan(tmp_path / "plan").acknowledged == [
        "database/Database",
        "network/network-SubnetIds-prod",
    ]


def edited(path: Path, digest: bool, **parts: Any) -> Path:
    """A plan file with other parts, by somebody who writes its digest anew or does not."""
    content = json.loads(path.read_bytes()) | parts
    if digest:
        shown = {key: value for key, value in content.items() if key not in ("stackferry_plan", "sha256")}
        text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
        content["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("parts", [{"release": "f" * 32}, {"acknowledged": ["database/Database"]}, {"notes": ["x"]}])
def test_an_edited_plan_is_refused(parts: dict[str, Any], tmp_path: Path) -> None:
    plan_file.save_plan(update(3), tmp_path / "plan")
    with pytest.raises(RolloutError, match="was edited since it was saved: its SHA-256 is another one"):
        plan_file.load_plan(edited(tmp_path / "plan", False, **parts))


def test_a_plan_without_its_digest_is_refused(saved: Path) -> None:
    content = json.loads(saved.read_bytes())
    del content["sha256"]
    saved.write_text(json.dumps(content))
    with pytest.raises(RolloutError, match="was edited since it was saved"):
        plan_file.load_plan(saved)


def test_a_plan_that_was_edited_with_its_digest_acknowledges_nothing_that_it_does_not_show(saved: Path) -> None:
    with pytest.raises(RolloutError, match="acknowledges secrets/Password, which it does not show"):
        plan_file.load_plan(edited(saved, True, acknowledged=["secrets/Password"]))


def test_a_hazard_that_is_edited_away_with_the_digest_is_found_by_the_fresh_plan(tmp_path: Path) -> None:
    """So nothing is acknowledged that was not shown: what the file hides, the plan that is made now has."""
    plan_file.save_plan(update(3), tmp_path / "plan")
    hidden = plan_file.load_plan(edited(tmp_path / "plan", True, hazards=[], blocked=False))
    assert any(line.startswith("new hazard database/Database") for line in plan_file.differences(hidden, update(3)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not a saved plan: it is not JSON"),
        (b"\xff\xfe", "is not a saved plan: it is not JSON"),
        (b"[" * 100_000, "is not a saved plan: it is not JSON"),
        (b"[1]", "is not a saved plan"),
        (b"{}", "is not a saved plan"),
        (b'{"stackferry_plan": 99}', "was saved by another version"),
        (b'{"stackferry_plan": 2}', "is cut or edited: phase: Field required"),
        (
            b'{"stackferry_plan": 2, "phase": "dev", "command": "apply", "release": "", "groups": [1]}',
            "is cut or edited: nothing_to_do: Field required",
        ),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_in_one_line(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_bytes(content)
    with pytest.raises(RolloutError) as refused:
        plan_file.load_plan(path)
    assert str(refused.value).startswith(f"{path} {problem}")
    with advice.given():
        advice.give({"--phase": "dev"})
        said = advice.completed(str(refused.value))
    assert said.endswith("; save one with `rollout-stacksets plan --out plan.json --phase dev`"), "it can be typed"
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("part", ["phase", "groups", "calls", "hazards", "acknowledged"])
def test_a_plan_that_lacks_a_part_is_refused(part: str, saved: Path) -> None:
    content = json.loads(saved.read_bytes())
    del content[part]
    saved.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RolloutError, match="is cut or edited"):
        plan_file.load_plan(saved)


@pytest.mark.parametrize("part", ["places", "changes"])
def test_a_group_that_was_edited_into_something_else_is_refused(part: str, saved: Path) -> None:
    content = json.loads(saved.read_bytes())
    content["groups"][0][part] = [1]
    saved.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RolloutError, match=rf"is cut or edited: groups\.0\.{part}\.0: "):
        plan_file.load_plan(saved)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        plan_file.load_plan(tmp_path / "none")


def test_a_path_that_cannot_be_written_is_reported(saved: Path) -> None:
    with pytest.raises(RolloutError, match="the plan cannot be saved"):
        plan_file.save_plan(BEFORE, saved / "below a file")


def test_an_edited_retention_is_noticed(saved: Path) -> None:
    now = plan(Group("rest", "network", ChangeKind.UPDATE, targets(3), (dataclasses.replace(SUBNET, retained=True),)))
    assert plan_file.differences(plan_file.load_plan(saved), now)[0].endswith("update changes other resources: Subnet")


def test_changes_in_another_order_are_noticed(tmp_path: Path) -> None:
    was, now = (
        plan(Group("rest", "network", ChangeKind.UPDATE, targets(1), changes))
        for changes in ((SUBNET, DATABASE), (DATABASE, SUBNET))
    )
    plan_file.save_plan(was, tmp_path / "plan")
    assert plan_file.differences(plan_file.load_plan(tmp_path / "plan"), now)[0].endswith("in another order")
