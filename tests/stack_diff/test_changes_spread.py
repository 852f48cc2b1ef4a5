"""A replaced resource changes those that refer to it."""

from __future__ import annotations

from typing import Any

import pytest

from .changing import Resources, compared, effects

ROUTES = {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}}


def vpc(width: int) -> dict[str, Any]:
    return {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": f"10.0.0.0/{width}"}}


def replaced(others: Resources) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The changes of resources beside a VPC that is replaced."""
    found = effects(compared({"Vpc": vpc(16), **others}, {"Vpc": vpc(15), **others}))
    assert found.pop("Vpc") == ("replace", ("CidrBlock",))
    return found


def test_replacement_goes_on_from_resource_to_resource() -> None:
    route = {
        "Type": "AWS::EC2::Route",
        "Properties": {"RouteTableId": {"Ref": "Routes"}, "DestinationCidrBlock": "0/0"},
    }
    assert replaced({"Routes": ROUTES, "Route": route}) == {
        "Routes": ("replace", ("VpcId (Vpc is replaced)",)),
        "Route": ("replace", ("RouteTableId (Routes is replaced)",)),
    }


@pytest.mark.parametrize(
    ("value", "effect"),
    [
        ({"Ref": "Vpc"}, "replace"),
        ({"Fn::Sub": "vpc is ${Vpc}"}, "replace"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Vpc"}]]}, "replace"),
        ({"Fn::Select": [0, [{"Fn::GetAtt": ["Vpc", "VpcId"]}]]}, "replace"),
        ({"Fn::GetAtt": ["Vpc", "DefaultNetworkAcl"]}, "may replace"),
    ],
)
def test_an_identifier_surely_changes_and_another_attribute_may(value: Any, effect: str) -> None:
    group = {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": value}}
    assert replaced({"Group": group}) == {"Group": (effect, ("GroupDescription (Vpc is replaced)",))}


def test_an_attribute_that_repeats_a_property_is_compared_by_its_value() -> None:
    zone = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Fn::GetAtt": ["Vpc", "CidrBlock"]}}}
    assert replaced({"Topic": zone}) == {"Topic": ("modify", ("DisplayName",))}


def test_a_reference_in_a_property_that_can_change_modifies() -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Vpc"}}}
    assert replaced({"Topic": topic}) == {"Topic": ("modify", ("DisplayName (Vpc is replaced)",))}


@pytest.mark.parametrize(
    ("kind", "properties", "path"),
    [
        ("AWS::EC2::FlowLog", {"DestinationOptions": {"FileFormat": {"Ref": "Vpc"}}}, "DestinationOptions.FileFormat"),
        ("AWS::Route53Resolver::ResolverEndpoint", {"SecurityGroupIds": ["a", {"Ref": "Vpc"}]}, "SecurityGroupIds.*"),
    ],
)
def test_a_reference_anywhere_in_a_create_only_property_replaces(kind: str, properties: Any, path: str) -> None:
    found = replaced({"Thing": {"Type": kind, "Properties": properties}})
    assert found == {"Thing": ("replace", (f"{path} (Vpc is replaced)",))}


def test_a_property_whose_name_begins_like_a_create_only_one_is_another() -> None:
    # No real type has such a pair today; CidrBlock alone is the schema's.
    found = replaced({"Thing": {"Type": "AWS::EC2::Subnet", "Properties": {"CidrBlocks": {"Ref": "Vpc"}}}})
    assert found == {"Thing": ("modify", ("CidrBlocks (Vpc is replaced)",))}


def test_what_a_template_splits_off_is_still_a_reference() -> None:
    first = {"Fn::Select": [0, {"Fn::Split": [".", {"Fn::GetAtt": ["Vpc", "VpcId"]}]}]}
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": first}}
    assert replaced({"Topic": topic}) == {"Topic": ("modify", ("DisplayName (Vpc is replaced)",))}


def test_a_reference_within_a_list_is_found() -> None:
    rule = {"IpProtocol": "-1", "DestinationSecurityGroupId": {"Ref": "Other"}}
    groups = {
        "Other": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "a", "VpcId": {"Ref": "Vpc"}}},
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": "a", "SecurityGroupEgress": [rule]},
        },
    }
    causes = ("SecurityGroupEgress.*.DestinationSecurityGroupId (Other is replaced)",)
    assert replaced(groups)["Group"] == ("modify", causes)


def test_a_property_of_a_custom_resource_may_replace_it_and_its_answer_may_replace_others() -> None:
    others = {
        "Check": {"Type": "Custom::Check", "Properties": {"VpcId": {"Ref": "Vpc"}}},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Fn::GetAtt": ["Check", "Name"]}}},
    }
    assert replaced(others) == {
        "Check": ("may replace", ("VpcId (Vpc is replaced)",)),
        "Topic": ("may replace", ("TopicName (Check may be replaced)",)),
    }


def test_a_policy_variable_is_no_reference() -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "${aws:PrincipalTag/Vpc} ${AWS::Region}"}}
    assert replaced({"Topic": topic}) == {}


@pytest.mark.parametrize("order", [("Surely", "Maybe"), ("Maybe", "Surely")])
def test_what_may_be_replaced_is_replaced_once_that_is_certain(order: tuple[str, str]) -> None:
    ways = {
        "Surely": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
        "Maybe": {
            "Type": "AWS::EC2::RouteTable",
            "Properties": {"VpcId": {"Fn::GetAtt": ["Vpc", "DefaultNetworkAcl"]}},
        },
    }
    both = {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Fn::Sub": "${Surely}${Maybe}"}}}
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Both"}}}
    found = replaced({**{name: ways[name] for name in order}, "Both": both, "Topic": topic})
    assert found["Both"] == ("replace", ("VpcId (Surely is replaced)",))
    assert found["Topic"] == ("modify", ("DisplayName (Both is replaced)",))


def test_an_added_resource_that_refers_to_a_replaced_one_is_only_added() -> None:
    found = effects(compared({"Vpc": vpc(16)}, {"Vpc": vpc(15), "Routes": ROUTES}))
    assert found["Routes"] == ("add", ())


def test_resources_that_refer_to_each_other_come_to_an_end() -> None:
    others = {
        name: {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": {"Fn::Sub": f"${{Vpc}} ${{{other}}}"}},
        }
        for name, other in (("A", "B"), ("B", "A"))
    }
    assert {name: effect for name, (effect, _) in replaced(others).items()} == {"A": "replace", "B": "replace"}
