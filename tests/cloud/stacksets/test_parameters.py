"""Parameters of the set and overrides of instances."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Fleet

US = ["us-east-1"]


def two(**more: Any) -> str:
    """A template with two parameters that have values in an output, and more parameters."""
    names = ["First", "Second", *more]
    return json.dumps(
        {
            "Parameters": {name: {"Type": "String", "Default": f"{name} of the template"} for name in names},
            "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
            "Outputs": {name: {"Value": {"Ref": name}} for name in names},
        }
    )


def given(**values: str | None) -> list[dict[str, Any]]:
    """Parameters as the API takes them; None is the previous value."""
    return [
        {"ParameterKey": name, "UsePreviousValue": True}
        if value is None
        else {"ParameterKey": name, "ParameterValue": value}
        for name, value in values.items()
    ]


def values(fleet: Fleet, account: str) -> dict[str, str]:
    """The values that the member's stack was deployed with."""
    (stack,) = fleet.stacks(account)
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


@pytest.fixture
def overridden(fleet: Fleet, members: list[str]) -> Fleet:
    """Two instances; the first overrides both parameters."""
    fleet.call("create_stack_set", TemplateBody=two(), Parameters=given(First="set", Second="set"))
    fleet.deploy(members[:1], ParameterOverrides=given(First="own", Second="own"))
    fleet.deploy(members[1:2])
    return fleet


def test_a_stack_gets_the_sets_values_and_its_own_over_them(overridden: Fleet, members: list[str]) -> None:
    overridden.run("update_stack_instances", Accounts=members[:1], Regions=US, ParameterOverrides=given(First="own"))
    assert values(overridden, members[0]) == {"First": "own", "Second": "set"}
    assert values(overridden, members[1]) == {"First": "set", "Second": "set"}


def test_overrides_are_shown_by_describe_and_by_no_list(overridden: Fleet, member: str) -> None:
    assert overridden.overrides(member) == {"First": "own", "Second": "own"}
    assert all("ParameterOverrides" not in each for each in overridden.instances().values())


def test_a_list_of_overrides_resets_what_it_does_not_name(overridden: Fleet, member: str) -> None:
    overridden.run("update_stack_instances", Accounts=[member], Regions=US, ParameterOverrides=given(Second="newer"))
    assert overridden.overrides(member) == {"Second": "newer"}
    assert values(overridden, member) == {"First": "set", "Second": "newer"}


def test_the_previous_value_keeps_an_override(overridden: Fleet, member: str) -> None:
    overridden.run(
        "update_stack_instances", Accounts=[member], Regions=US, ParameterOverrides=given(First=None, Second="newer")
    )
    assert overridden.overrides(member) == {"First": "own", "Second": "newer"}


def test_without_a_list_all_overrides_stay(overridden: Fleet, member: str) -> None:
    overridden.run("update_stack_instances", Accounts=[member], Regions=US)
    assert overridden.overrides(member) == {"First": "own", "Second": "own"}


def test_an_update_of_the_set_keeps_overrides(overridden: Fleet, members: list[str]) -> None:
    overridden.run("update_stack_set", UsePreviousTemplate=True, Parameters=given(First="newer", Second="newer"))
    assert values(overridden, members[0]) == {"First": "own", "Second": "own"}
    assert values(overridden, members[1]) == {"First": "newer", "Second": "newer"}


def test_an_update_of_the_set_may_keep_its_values_or_fall_back_to_defaults(
    overridden: Fleet, members: list[str]
) -> None:
    overridden.run("update_stack_set", TemplateBody=two(), Parameters=given(First=None))
    assert values(overridden, members[1]) == {"First": "set", "Second": "Second of the template"}


def test_new_overrides_can_fail_and_are_kept(overridden: Fleet, member: str) -> None:
    overridden.shut_out(member)
    overridden.run("update_stack_instances", Accounts=[member], Regions=US, ParameterOverrides=given(First="newer"))
    assert overridden.overrides(member) == {"First": "newer"}
    assert overridden.states()[member, "us-east-1"] == ("OUTDATED", "FAILED")
    assert values(overridden, member) == {"First": "own", "Second": "own"}


def test_a_parameter_that_the_set_does_not_have_cannot_be_overridden(overridden: Fleet, member: str) -> None:
    with pytest.raises(ClientError, match=r"\[Third\] do not exist in the template"):
        overridden.call("update_stack_instances", Accounts=[member], Regions=US, ParameterOverrides=given(Third="own"))


def test_a_new_parameter_cannot_be_overridden_before_every_instance_has_it(
    overridden: Fleet, members: list[str]
) -> None:
    new = {"Accounts": members[:1], "Regions": US}
    overridden.run("update_stack_set", TemplateBody=two(Third=1), **new)
    with pytest.raises(ClientError, match=rf"\[Third\] cannot be overridden before .* account {members[1]}"):
        overridden.call("update_stack_instances", **new, ParameterOverrides=given(Third="own"))
    overridden.run("update_stack_set", UsePreviousTemplate=True)
    overridden.run("update_stack_instances", **new, ParameterOverrides=given(Third="own"))
    assert values(overridden, members[0])["Third"] == "own"


def test_a_new_parameter_has_no_previous_value(overridden: Fleet) -> None:
    with pytest.raises(ClientError, match="usePreviousValue as true for a parameter key not in the previous template"):
        overridden.call("update_stack_set", TemplateBody=two(Third=1), Parameters=given(Third=None))


def test_a_value_beside_use_previous_value_is_refused(overridden: Fleet, member: str) -> None:
    both = [{"ParameterKey": "First", "ParameterValue": "own", "UsePreviousValue": True}]
    with pytest.raises(ClientError, match="Cannot specify usePreviousValue as true and a value"):
        overridden.call("update_stack_instances", Accounts=[member], Regions=US, ParameterOverrides=both)


def test_an_override_that_a_constraint_forbids_fails_its_instance_only(fleet: Fleet, members: list[str]) -> None:
    template = json.loads(two())
    template["Parameters"]["First"]["AllowedValues"] = ["First of the template", "set"]
    fleet.make(template)
    fleet.deploy(members[:1], ParameterOverrides=given(First="own"))
    fleet.deploy(members[1:2])
    assert list(fleet.states().values()) == [("OUTDATED", "FAILED"), ("CURRENT", "SUCCEEDED")]
    assert "must be one of AllowedValues" in fleet.instance(members[0])["StatusReason"]
