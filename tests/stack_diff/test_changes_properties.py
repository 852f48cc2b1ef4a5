"""Laws of comparing that hold for any two templates."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings, strategies as st

from builders.stack_diff.effects import Effect
from builders.template_bodies import DeployedStack

from .changing import HERE, changes, template

NAMES = ("One", "Two", "Three")
POLICIES = ("Delete", "Retain")


def references() -> st.SearchStrategy[Any]:
    targets = st.sampled_from(NAMES)
    return st.one_of(
        targets.map(lambda name: {"Fn::GetAtt": [name, "Arn"]}),
        targets.map(lambda name: {"Fn::Sub": f"x-${{{name}}}"}),
    )


VALUES = st.one_of(st.text("ab", max_size=2), st.integers(0, 2), st.booleans(), references())


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    """Three resources that refer to each other; some of them may be left out by a condition."""
    found = {}
    for name in NAMES:
        properties = draw(
            st.dictionaries(st.sampled_from(["TopicName", "DisplayName", "Tags", "Other"]), VALUES | st.lists(VALUES))
        )
        kind = draw(st.sampled_from(["AWS::SNS::Topic", "AWS::SNS::Topic", "Custom::Thing"]))
        found[name] = {"Type": kind, "Properties": properties, "DeletionPolicy": draw(st.sampled_from(POLICIES))}
    return found


def turned(value: Any) -> Any:
    """The same with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: turned(item) for key, item in reversed(value.items())}
    return [turned(item) for item in value] if isinstance(value, list) else value


def compared(before: dict[str, Any], after: dict[str, Any]) -> Any:
    return changes(DeployedStack(template(before), {}, "CREATE_COMPLETE"), template(after), {}, HERE)


def test_zero_is_not_false_however_deep_it_is() -> None:
    one = {name: {"Type": "Custom::Thing", "Properties": {"Other": [{"Deep": 0}]}} for name in NAMES}
    two = {name: {"Type": "Custom::Thing", "Properties": {"Other": [{"Deep": False}]}} for name in NAMES}
    assert [change.logical_id for change in compared(one, two)] == sorted(NAMES)


@given(resources())
def test_a_template_compared_with_itself_gives_nothing(one: dict[str, Any]) -> None:
    assert compared(one, json.loads(json.dumps(one))) == ()


@given(resources(), resources())
def test_the_order_of_keys_does_not_matter(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert compared(turned(before), after) == compared(before, turned(after)) == compared(before, after)


@given(resources(), st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_added_and_removed_are_exactly_what_one_side_lacks(
    all_of_them: dict[str, Any], old: set[str], new: set[str]
) -> None:
    alone = {name: {**body, "Properties": {}} for name, body in all_of_them.items()}
    before = {name: alone[name] for name in old}
    after = {name: alone[name] for name in new}
    found = {change.logical_id: change.effect for change in compared(before, after)}
    gone = {name: Effect.RETAIN if alone[name]["DeletionPolicy"] == "Retain" else Effect.REMOVE for name in old - new}
    assert found == {**dict.fromkeys(new - old, Effect.ADD), **gone}


@settings(max_examples=2 * settings().max_examples)
@given(resources(), resources())
def test_each_resource_that_differs_changes_once_and_others_only_by_what_they_refer_to(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    found = compared(before, after)
    names = [change.logical_id for change in found]
    assert len(names) == len(set(names))
    differing = {name for name in NAMES if plain(before[name]) != plain(after[name])}
    assert differing <= set(names)
    for change in found:
        if change.logical_id not in differing:
            assert all(cause.endswith(" replaced)") for cause in change.causes)


def plain(value: Any) -> Any:
    """A value with its scalars as CloudFormation compares them: as texts."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
