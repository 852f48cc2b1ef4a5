"""The text and JSON of a plan."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from rich.cells import cell_len

from builders import terminal
from builders.page import print_page
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Group, Plan, PlannedHazard, make_groups
from builders.rollout.render import plan_file
from builders.rollout.render.plan import add_plan
from builders.stack_diff.comparison import Comparison
from builders.stack_diff.effects import Change, Effect
from rollout.goldens import compare, shown
from rollout.planned import (
    DASHBOARD,
    DATABASE,
    LOSS,
    REFUSED,
    SUBNET,
    acknowledging_all,
    call,
    plan,
    plans,
    targets,
    update,
)


class Terminal(io.StringIO):
    """A stream that says that somebody looks at it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def assert_golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the one of a name that is committed."""
    return functools.partial(compare, request)


def read(made: Plan, width: int = 80) -> str:
    return shown(add_plan, made, width=width)


def unfolded(made: Plan) -> str:
    """The text without its line breaks, to look for sentences."""
    return " ".join(read(made).split())


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("accounts", [3, 40, 3_000])
def test_a_plan_reads_as_the_golden_one(accounts: int, width: int, assert_golden: Callable[[str, str], None]) -> None:
    assert_golden(f"plan-{accounts}-accounts-{width}-columns", read(update(accounts), width))


def test_a_plan_whose_accounts_differ_reads_as_the_golden_one(assert_golden: Callable[[str, str], None]) -> None:
    first, second, third = targets(4), targets(2, first=4), targets(1, first=6)
    made = plan(
        Group("rest", "network", ChangeKind.UPDATE, first, (SUBNET,)),
        Group("rest", "network", ChangeKind.UPDATE, second, (DASHBOARD,)),
        Group("rest", "network", ChangeKind.OVERRIDE, third, ()),
        Group("rest", "database", ChangeKind.INOPERABLE, first),
        Group("rest", "database", ChangeKind.NOTHING, (*second, *third)),
        Group(
            "leaving",
            "database",
            ChangeKind.DELETE,
            targets(1, first=9),
            (dataclasses.replace(DATABASE, effect=Effect.REMOVE),),
        ),
        operations=(call("rest", "network", 7), call("leaving", "database", 1)),
    )
    assert_golden("plan-accounts-differ", read(made))


def test_nothing_to_do_is_said_in_so_many_words(assert_golden: Callable[[str, str], None]) -> None:
    assert_golden("plan-nothing-to-do", read(plan(Group("rest", "network", ChangeKind.NOTHING, targets(3)))))


@given(plans(), st.integers(40, 200))
@settings(deadline=None)
def test_no_line_of_any_plan_is_wider_than_asked(made: Plan, width: int) -> None:
    assert [line for line in read(made, width).split("\n") if cell_len(line) > width] == []


@given(plans())
@settings(deadline=None)
def test_no_value_moves_the_cursor(made: Plan) -> None:
    assert [character for character in read(made) if character != "\n" and not character.isprintable()] == []


@given(plans())
@settings(deadline=None)
def test_every_blocking_hazard_is_counted_and_none_that_was_acknowledged_blocks(made: Plan) -> None:
    agreed = acknowledging_all(made)
    hard = [each for each in made.hazards if not each.hazard.acknowledgeable]
    assert ("Blocked by" in read(made)) is bool(made.hazards)
    assert ("Blocked by" in read(agreed)) is bool(hard)


def test_every_blocking_hazard_is_shown_with_its_targets_and_its_remedy() -> None:
    text = unfolded(update(40))
    for sentence in (
        f"! network/network-SubnetIds-prod at 111111111111 in eu-west-1 and us-east-1 {REFUSED.message} "
        f"remedy: {REFUSED.remedy}",
        f"! database/Database at 40 accounts x 2 regions {LOSS.message} remedy: do not change StorageEncrypted "
        "to accept: --acknowledge database/Database",
    ):
        assert sentence in text


def test_what_cannot_be_acknowledged_names_nothing_to_type() -> None:
    made = update(3, hazards=(PlannedHazard(REFUSED, targets(1)),))
    assert "--acknowledge" not in read(made)
    assert "none can be acknowledged" in unfolded(made)


def test_hundreds_of_blocking_hazards_are_all_shown() -> None:
    many = tuple(
        PlannedHazard(dataclasses.replace(REFUSED, resource=f"export-{number}"), targets(2)) for number in range(300)
    )
    text = read(update(3, hazards=many))
    assert [each.name for each in many if f"! {each.name} " not in text] == []


def test_an_acknowledged_hazard_is_still_shown() -> None:
    text = unfolded(update(3, acknowledged=frozenset({"database/Database"})))
    where = "111111111111, 111111111112 and 111111111113 in eu-west-1 and us-east-1"
    assert f"Acknowledged ! database/Database at {where} {LOSS.message}" in text
    assert "--acknowledge database/Database" not in text


def test_what_was_shown_in_one_wave_is_only_named_in_the_next() -> None:
    text = read(update(40))
    assert text.count("AWS::EC2::Subnet ") == 1
    assert "  network and database: 78 update each: resource changes as above\n" in text


def test_two_ways_in_which_a_layer_changes_are_told_apart() -> None:
    made = plan(
        Group("canary", "network", ChangeKind.UPDATE, targets(1), (SUBNET,)),
        Group("rest", "network", ChangeKind.UPDATE, targets(3, first=1), (DASHBOARD,)),
        Group("rest", "network", ChangeKind.UPDATE, targets(4, first=4), (SUBNET,)),
    )
    text = unfolded(made)
    assert "~ update 4 accounts x 2 regions: resource changes as above [1]" in text
    assert (
        "111111111112, 111111111113 and 111111111114 in eu-west-1 and us-east-1: resource changes [2] + Dashboard"
        in text
    )
    assert text.count("AWS::EC2::Subnet ") == 1


def test_changes_that_differ_in_a_given_name_only_are_one() -> None:
    named = {target: dataclasses.replace(DASHBOARD, named=f"payments-{target.region}") for target in targets(9)}
    changes = {target: Comparison((change,)).unnamed for target, change in named.items()}
    found = ((("rest", "monitoring", ChangeKind.UPDATE, changes[target]), target, ()) for target in targets(9))
    made = plan(*make_groups(found))
    assert read(made).count("Dashboard") == 2  # the logical id, and the type's name
    assert "  monitoring: 18 update\n" in read(made)


def test_resources_that_follow_from_several_others_name_them_once() -> None:
    assert "by SubnetIds.* (Subnet and OtherSubnet are replaced)" in unfolded(update(3))


def test_a_replaced_resource_that_is_retained_says_so() -> None:
    assert "-/+ Database AWS::RDS::DBInstance by StorageEncrypted; the old one is retained" in unfolded(update(3))


def test_very_many_resources_are_counted_and_the_reader_is_told_where_all_are() -> None:
    alarms = tuple(Change(f"Alarm{number}", "AWS::CloudWatch::Alarm", Effect.ADD) for number in range(40))
    text = read(plan(Group("rest", "monitoring", ChangeKind.UPDATE, targets(1), (*alarms, SUBNET))))
    assert "... and 28 more: add" in text
    assert "-/+  Subnet" in text
    assert "--json shows what is left out here." in text


def test_operations_that_are_alike_share_a_line() -> None:
    text = unfolded(update(40))
    assert (
        "UpdateStackInstances network: 39 accounts in us-east-1 and, separately, in eu-west-1; 10 at a time "
        "UpdateStackInstances database: 39 accounts in us-east-1, eu-west-1; 10 at a time" in text
    )
    assert "8 operations, about 2 h 30 min An estimate, from how long AWS usually takes." in text


def test_values_in_brackets_are_shown_as_they_are() -> None:
    made = update(3, notes=("[bold]not[/bold] markup [/nor] this",))
    assert "[bold]not[/bold] markup [/nor] this" in read(made)


def test_colours_of_a_value_are_shown_as_escapes() -> None:
    assert r"a \x1b[31mred\x1b[0m note" in read(update(3, notes=("a \x1b[31mred\x1b[0m note",)))


def test_a_pipe_gets_no_escapes() -> None:
    stream = io.StringIO()
    print_page(lambda page: add_plan(page, update(3)), stream)
    assert stream.getvalue() == f"{read(update(3), terminal.WIDEST)}\n"


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    print_page(lambda page: add_plan(page, update(3)), stream)
    assert "\x1b[31m-/+" in stream.getvalue()


def test_a_terminal_with_no_color_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    print_page(lambda page: add_plan(page, update(3)), stream)
    assert "\x1b[31m" not in stream.getvalue()


def test_a_file_that_lacks_a_character_gets_its_escape(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w", encoding="ascii") as stream:
        print_page(lambda page: add_plan(page, update(3, notes=("Straße",))), stream)
    assert "Stra\\xdfe" in path.read_text(encoding="ascii")


def test_the_keys_of_json_are_the_documented_ones() -> None:
    found = plan_file.plan_data(update(3))
    assert set(found) == {
        *("phase", "command", "release", "nothing_to_do", "blocked", "counts", "minutes"),
        *("layers", "groups", "calls", "hazards", "acknowledged", "notes"),
    }
    assert set(found["groups"][0]) == {"wave", "layer", "kind", "places", "changes", "values"}
    assert found["groups"][2]["changes"] == [
        {
            "logical_id": "Database",
            "type": "AWS::RDS::DBInstance",
            "effect": "replace",
            "causes": ["StorageEncrypted"],
            "named": "payments-prod",
            "retained": True,
        }
    ]
    assert found["calls"][0] == {
        "wave": "canary",
        "layer": "network",
        "action": "UpdateStackInstances",
        "accounts": 1,
        "regions": ["us-east-1"],
        "at_once": 1,
        "minutes": 7.5,
    }
    assert set(found["hazards"][0]) == {
        *("name", "kind", "layer", "resource", "message", "way_round", "acknowledgeable", "blocks", "needs_order"),
        "places",
    }


@given(plans())
@settings(deadline=None)
def test_json_holds_every_target_of_every_group(made: Plan) -> None:
    found = json.loads(json.dumps(plan_file.plan_data(made)))
    assert [(each["wave"], each["layer"], each["kind"], each["places"]) for each in found["groups"]] == [
        (group.wave, group.layer, group.kind.value, [str(target) for target in group.targets]) for group in made.groups
    ]
    assert [each["places"] for each in found["hazards"]] == [
        [str(target) for target in each.targets] for each in made.hazards
    ]
