"""Refusals of CloudFormation before a stack exists."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Account, Template

QUEUE: Template = {"Queue": {"Type": "AWS::SQS::Queue"}}


def queue_named(value: Any) -> Template:
    return {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": value}}}


@pytest.mark.parametrize(
    ("resources", "sections", "reason"),
    [
        (queue_named({"Ref": "Nothing"}), {}, "Unresolved resource dependencies [Nothing] in the Resources block"),
        (queue_named({"Fn::Sub": "${Nothing}-x"}), {}, "Unresolved resource dependencies [Nothing]"),
        ({"Queue": {"Type": "AWS::SQS::Queue", "DependsOn": "Nothing"}}, {}, "Unresolved resource dependencies"),
        (QUEUE, {"Outputs": {"X": {"Value": {"Ref": "Nothing"}}}}, "[Nothing] in the Outputs block of the template"),
        (queue_named({"Fn::GetAtt": ["Nothing", "Arn"]}), {}, "references undefined resource Nothing"),
        ({"Queue": {"Type": "AWS::SQS::Queue", "Condition": "Nothing"}}, {}, "Unresolved condition dependency Nothing"),
        (
            queue_named({"Fn::If": ["Nothing", "a", "b"]}),
            {},
            "Unresolved condition dependency Nothing in the Resources block",
        ),
    ],
)
def test_a_reference_to_nothing_is_refused(
    account: Account, resources: Template, sections: Template, reason: str
) -> None:
    with pytest.raises(ClientError) as refused:
        account.deploy(resources, sections=sections)
    assert reason in str(refused.value)


def test_references_to_parameters_resources_and_pseudo_parameters_are_taken(account: Account) -> None:
    resources = {
        **queue_named({"Fn::Sub": ["${Name}-${AWS::Region}-${Extra}", {"Extra": "x"}]}),
        "Policy": {
            "Type": "AWS::SQS::QueuePolicy",
            "DependsOn": ["Queue"],
            "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {"Statement": []}},
        },
    }
    sections = {"Parameters": {"Name": {"Type": "String", "Default": "q"}}}
    made = account.deploy(resources, sections={**sections, "Outputs": {"Arn": {"Value": {"Fn::GetAtt": "Queue.Arn"}}}})
    assert made["Arn"].endswith(":q-us-east-1-x")


def test_a_template_that_was_good_is_judged_again_by_other_values_and_in_another_region(account: Account) -> None:
    """The looks that one body passed once are not repeated; these depend on more than the body."""
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue", "Condition": "IsMade"},
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"DisplayName": {"Fn::If": ["IsNamed", {"Fn::GetAtt": "Queue.QueueName"}, "none"]}},
        },
        "Other": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"DisplayName": {"Fn::FindInMap": ["Names", {"Ref": "AWS::Region"}, "Name"]}},
        },
    }
    sections = {
        "Parameters": {"Made": {"Type": "String"}, "Named": {"Type": "String"}},
        "Mappings": {"Names": {"us-east-1": {"Name": "a"}, "eu-west-1": {"Name": "b"}}},
        "Conditions": {
            "IsMade": {"Fn::Equals": [{"Ref": "Made"}, "yes"]},
            "IsNamed": {"Fn::Equals": [{"Ref": "Named"}, "yes"]},
        },
        "Rules": {
            "NotBoth": {
                "Assertions": [
                    {"Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Made"}, "never"]}]}, "AssertDescription": "made"}
                ]
            }
        },
    }
    good = {"Made": "yes", "Named": "yes"}
    account.deploy(resources, "first", sections=sections, given=good)
    account.deploy(resources, "second", sections=sections, given={"Made": "no", "Named": "no"})
    for given, region, reason in (
        ({"Made": "no", "Named": "yes"}, "us-east-1", r"Unresolved resource dependencies \[Queue\]"),
        ({"Made": "never", "Named": "no"}, "us-east-1", "made"),
        (good, "eu-north-1", "Unable to get mapping for Names::eu-north-1::Name"),
    ):
        with pytest.raises(ClientError, match=reason):
            account.elsewhere(region).deploy(resources, "third", sections=sections, given=given)
    account.elsewhere("eu-west-1").deploy(resources, "third", sections=sections, given=good)


@pytest.mark.parametrize(
    ("definition", "given", "reason"),
    [
        ({"Type": "String"}, {}, r"Parameters: \[P\] must have values"),
        ({"Type": "String", "AllowedValues": ["a", "b"]}, {"P": "c"}, "Parameter 'P' must be one of AllowedValues"),
        (
            {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]},
            {"P": "a,c"},
            "Parameter 'P' must be one of AllowedValues",
        ),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, {"P": "A"}, "must match pattern"),
        ({"Type": "String", "MinLength": 3}, {"P": "ab"}, "must contain at least 3 characters"),
        ({"Type": "String", "MaxLength": 3}, {"P": "abcd"}, "must contain at most 3 characters"),
        ({"Type": "Number", "MinValue": 3}, {"P": "2"}, "must be a number not less than 3"),
        ({"Type": "Number", "MaxValue": 3}, {"P": "4"}, "must be a number not greater than 3"),
        ({"Type": "Number"}, {"P": "many"}, "must be a number"),
        ({"Type": "AWS::EC2::VPC::Id"}, {"P": "vpc-12345678"}, "parameter value vpc-12345678 .* does not exist"),
        ({"Type": "List<AWS::EC2::Subnet::Id>"}, {"P": "subnet-1"}, "parameter value subnet-1 .* does not exist"),
        ({"Type": "String"}, {"P": "a", "Q": "b"}, r"Parameters: \[Q\] do not exist in the template"),
    ],
)
def test_a_parameter_against_its_constraints_is_refused(
    account: Account, definition: Template, given: dict[str, str], reason: str
) -> None:
    with pytest.raises(ClientError, match=reason):
        account.deploy(QUEUE, sections={"Parameters": {"P": definition}}, given=given)


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ({"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, "a,b"),
        ({"Type": "String", "AllowedPattern": "[a-z]+", "MinLength": 1, "MaxLength": 3}, "abc"),
        ({"Type": "Number", "MinValue": 1, "MaxValue": 3}, "2"),
    ],
)
def test_a_parameter_within_its_constraints_is_taken(account: Account, definition: Template, value: str) -> None:
    account.deploy(QUEUE, sections={"Parameters": {"P": definition}}, given={"P": value})


def test_a_parameter_that_names_a_vpc_of_the_account_is_taken(account: Account, vpc: Template) -> None:
    account.deploy(vpc, stack="network")
    given = {"P": account.physical_id("Vpc", stack="network")}
    account.deploy(QUEUE, sections={"Parameters": {"P": {"Type": "AWS::EC2::VPC::Id"}}}, given=given)


def test_a_rule_that_does_not_hold_is_refused_with_its_description(account: Account) -> None:
    rule = {"Assertions": [{"Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "P"}, ""]}]},
                            "AssertDescription": "P says which"}]}  # fmt: skip
    sections = {"Parameters": {"P": {"Type": "String", "Default": ""}}, "Rules": {"HasP": rule}}
    with pytest.raises(ClientError, match="P says which"):
        account.deploy(QUEUE, sections=sections)
    account.deploy(QUEUE, sections=sections, given={"P": "this"})


def test_a_role_needs_a_capability(account: Account, lambda_role: Template) -> None:
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_IAM\]"):
        account.deploy(lambda_role, capabilities=[])
    account.deploy(lambda_role, capabilities=["CAPABILITY_IAM"])


def test_a_named_role_needs_the_capability_for_names(account: Account, lambda_role: Template) -> None:
    lambda_role["Role"]["Properties"]["RoleName"] = "named"
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_NAMED_IAM\]"):
        account.deploy(lambda_role, capabilities=["CAPABILITY_IAM"])
    account.deploy(lambda_role, capabilities=["CAPABILITY_NAMED_IAM"])


def test_a_body_over_51200_bytes_is_refused(account: Account) -> None:
    with pytest.raises(ClientError, match="length less than or equal to 51200"):
        account.deploy(QUEUE, sections={"Metadata": {"Padding": "x" * 51_200}})


def test_intrinsic_functions_have_the_values_that_they_have_on_aws(account: Account, vpc: Template) -> None:
    ranges = {"Fn::Cidr": [{"Fn::GetAtt": ["Vpc", "CidrBlock"]}, 3, "8"]}
    sections = {
        "Conditions": {"IsHere": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
                       "IsElsewhere": {"Fn::Not": [{"Condition": "IsHere"}]}},
        "Outputs": {
            "Third": {"Value": {"Fn::Select": [2, ranges]}},
            "OfRef": {"Value": {"Fn::Select": [1, {"Fn::Cidr": [{"Ref": "Block"}, 2, 4]}]}},
            "Zones": {"Value": {"Fn::Join": [",", {"Fn::GetAZs": ""}]}},
            "Here": {"Value": {"Fn::If": ["IsHere", "yes", "no"]}},
            "Elsewhere": {"Value": "never", "Condition": "IsElsewhere"},
        },
        "Parameters": {"Block": {"Type": "String", "Default": "10.9.0.0/24"}},
    }  # fmt: skip
    made = account.deploy(vpc, sections=sections)
    zones = ",".join(f"us-east-1{letter}" for letter in "abcdef")
    assert made == {"Third": "10.0.2.0/24", "OfRef": "10.9.0.16/28", "Zones": zones, "Here": "yes"}


def test_a_resource_waits_for_what_its_metadata_refers_to(account: Account) -> None:
    waits = {"WaitsFor": {"Fn::If": ["IsHere", {"Ref": "Second"}, {"Ref": "Third"}]}}
    account.deploy(
        {"First": {"Type": "AWS::SNS::Topic", "Metadata": waits}, "Second": {"Type": "AWS::SNS::Topic"}}
        | {"Third": {"Type": "AWS::SNS::Topic", "Condition": "IsElsewhere"}},
        sections={
            "Conditions": {
                "IsHere": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
                "IsElsewhere": {"Fn::Not": [{"Condition": "IsHere"}]},
            }
        },
    )
    made = [
        event["LogicalResourceId"] for event in account.events("stack") if event["ResourceStatus"] == "CREATE_COMPLETE"
    ]
    assert made == ["stack", "First", "Second"]  # the last event first


def test_a_region_with_two_zones_has_two(account: Account) -> None:
    sections = {"Outputs": {"Zones": {"Value": {"Fn::Join": [",", {"Fn::GetAZs": {"Ref": "AWS::Region"}}]}}}}
    made = account.elsewhere("us-west-1").deploy(QUEUE, sections=sections)
    assert made["Zones"] == "us-west-1a,us-west-1c"
    described = account.elsewhere("us-west-1").client("ec2").describe_availability_zones()["AvailabilityZones"]
    assert [zone["ZoneName"] for zone in described] == made["Zones"].split(",")


HOLD_AND_NOT = [
    ({"Fn::Contains": [["dev", "prod"], {"Ref": "Phase"}]}, "dev", "test"),
    ({"Fn::EachMemberIn": [{"Ref": "Phases"}, ["dev", "prod"]]}, "dev,prod", "dev,test"),
    ({"Fn::EachMemberEquals": [{"Ref": "Phases"}, "dev"]}, "dev,dev", "dev,prod"),
    ({"Fn::And": [{"Fn::Not": [{"Fn::Equals": [{"Ref": "Phase"}, ""]}]}, {"Fn::Equals": ["a", "a"]}]}, "dev", ""),
    ({"Fn::Or": [{"Fn::Equals": [{"Ref": "Phase"}, "dev"]}, {"Fn::Equals": ["a", "b"]}]}, "dev", "prod"),
]


@pytest.mark.parametrize(("assertion", "right", "wrong"), HOLD_AND_NOT, ids=[str(case[0]) for case in HOLD_AND_NOT])
def test_the_functions_of_rules_decide_as_on_aws(account: Account, assertion: Template, right: str, wrong: str) -> None:
    sections = {
        "Parameters": {"Phase": {"Type": "String"}, "Phases": {"Type": "CommaDelimitedList"}},
        "Rules": {"Phases": {"Assertions": [{"Assert": assertion, "AssertDescription": "not such a phase"}]}},
    }
    resources = {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}
    with pytest.raises(Exception, match="not such a phase"):
        account.deploy(resources, sections=sections, given={"Phase": wrong, "Phases": wrong})
    account.deploy(resources, sections=sections, given={"Phase": right, "Phases": right})


@pytest.mark.parametrize(
    ("assertion", "right"),
    [
        ({"Fn::Contains": [{"Fn::RefAll": "AWS::EC2::VPC::Id"}, {"Ref": "Vpc"}]}, True),
        ({"Fn::Equals": [{"Fn::ValueOf": ["Vpc", "Tags.Phase"]}, "dev"]}, True),
        ({"Fn::Equals": [{"Fn::ValueOf": ["Vpc", "Tags.Phase"]}, "prod"]}, False),
    ],
)
def test_rules_look_at_what_the_account_has(account: Account, vpc: Template, assertion: Template, right: bool) -> None:
    vpc["Vpc"]["Properties"]["Tags"] = [{"Key": "Phase", "Value": "dev"}]
    account.deploy(vpc)
    sections = {
        "Parameters": {"Vpc": {"Type": "AWS::EC2::VPC::Id"}},
        "Rules": {"Vpcs": {"Assertions": [{"Assert": assertion, "AssertDescription": "not such a VPC"}]}},
    }
    resources = {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}
    given = {"Vpc": account.physical_id("Vpc")}
    if right:
        account.deploy(resources, stack="other", sections=sections, given=given)
    else:
        with pytest.raises(Exception, match="not such a VPC"):
            account.deploy(resources, stack="other", sections=sections, given=given)
