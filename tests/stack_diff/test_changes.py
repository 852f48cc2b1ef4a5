"""The effect of an update on each resource, by the schemas of real types."""

from __future__ import annotations

from typing import Any

import pytest

from builders.stack_diff.effects import Change, Effect

from .changing import HERE, Resources, changes, compared, deployed, effects, template

VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}
WIDER_VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/15"}}
TOPIC = {"Type": "AWS::SNS::Topic"}


def of(kind: str, /, **properties: Any) -> dict[str, Any]:
    return {"Thing": {"Type": kind, "Properties": properties}}


@pytest.mark.parametrize(
    ("before", "after", "effect", "causes"),
    [
        (of("AWS::SNS::Topic"), of("AWS::SNS::Topic", DisplayName="x"), "modify", ("DisplayName",)),
        (of("AWS::SNS::Topic", TopicName="a"), of("AWS::SNS::Topic", TopicName="b"), "replace", ("TopicName",)),
        (
            of("AWS::EC2::Subnet", VpcId="vpc-1", AvailabilityZone="us-east-1a"),
            of("AWS::EC2::Subnet", VpcId="vpc-1", AvailabilityZone="us-east-1b"),
            "replace",
            ("AvailabilityZone",),
        ),
        (
            of("AWS::EC2::VPC", CidrBlock="10.0.0.0/16"),
            of("AWS::EC2::VPC", CidrBlock="10.0.0.0/16", InstanceTenancy="dedicated"),
            "may replace",
            ("InstanceTenancy",),
        ),
        (
            of("AWS::DMS::Endpoint", EngineName="mongodb", MongoDbSettings={"AuthType": "no", "Port": 1}),
            of("AWS::DMS::Endpoint", EngineName="mongodb", MongoDbSettings={"AuthType": "password", "Port": 2}),
            "replace",
            ("MongoDbSettings.AuthType",),
        ),
        (
            of("AWS::DMS::Endpoint", EngineName="mongodb", MongoDbSettings={"AuthType": "no", "Port": 1}),
            of("AWS::DMS::Endpoint", EngineName="mongodb", MongoDbSettings={"AuthType": "no", "Port": 2}),
            "modify",
            ("MongoDbSettings.Port",),
        ),
        (
            of(
                "AWS::EC2::TransitGatewayConnectPeer",
                ConnectPeerConfiguration={"BgpConfigurations": [{"PeerAsn": 1}, {"PeerAsn": 2}]},
            ),
            of(
                "AWS::EC2::TransitGatewayConnectPeer",
                ConnectPeerConfiguration={"BgpConfigurations": [{"PeerAsn": 1}, {"PeerAsn": 3}]},
            ),
            "replace",
            ("ConnectPeerConfiguration.BgpConfigurations.*.PeerAsn",),
        ),
        (of("Custom::Check", Host="a"), of("Custom::Check", Host="b"), "may replace", ("Host",)),
        (of("Own::Registry::Type", A=1), of("Own::Registry::Type", A=2), "may replace", ("A",)),
        (
            of("AWS::RDS::DBInstance", MultiAZ=False, AutoMinorVersionUpgrade=True),
            of("AWS::RDS::DBInstance", MultiAZ=True, AutoMinorVersionUpgrade=False),
            "modify",
            ("AutoMinorVersionUpgrade", "MultiAZ"),
        ),
        (
            of("AWS::RDS::DBInstance", MultiAZ=False, SourceDBInstanceIdentifier="primary"),
            of("AWS::RDS::DBInstance", MultiAZ=True, SourceDBInstanceIdentifier="primary"),
            "may replace",
            ("MultiAZ",),
        ),
        (
            of("AWS::RDS::DBInstance", DBSnapshotIdentifier="last"),
            of("AWS::RDS::DBInstance"),
            "may replace",
            ("DBSnapshotIdentifier",),
        ),
        (
            of("AWS::SNS::Topic", Tags=[{"Key": "CostCenter", "Value": "a"}]),
            of("AWS::SNS::Topic", Tags=[{"Key": "CostCenter", "Value": "b"}]),
            "modify",
            ("Tags",),
        ),
        (of("AWS::SNS::Topic"), of("AWS::SQS::Queue"), "replace", ("Type",)),
    ],
)
def test_the_schema_and_the_page_of_a_type_decide_what_a_change_does(
    before: Resources, after: Resources, effect: str, causes: tuple[str, ...]
) -> None:
    assert effects(compared(before, after)) == {"Thing": (effect, causes)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (of("AWS::SQS::Queue", DelaySeconds=5), of("AWS::SQS::Queue", DelaySeconds="5")),
        (of("AWS::SNS::Topic", FifoTopic=True), of("AWS::SNS::Topic", FifoTopic="true")),
        (
            of("AWS::EC2::Subnet", CidrBlock={"Fn::Sub": "10.0.0.0/24"}),
            of("AWS::EC2::Subnet", CidrBlock={"Fn::Join": ["/", ["10.0.0.0", "24"]]}),
        ),
        ({"Thing": TOPIC}, {"Thing": {**TOPIC, "DependsOn": []}}),
    ],
)
def test_what_is_only_written_otherwise_is_no_change(before: Resources, after: Resources) -> None:
    assert effects(compared(before, after)) == {}


@pytest.mark.parametrize(
    "attribute", ["CreationPolicy", "DeletionPolicy", "Metadata", "UpdatePolicy", "UpdateReplacePolicy"]
)
def test_an_attribute_of_the_resource_alone_is_a_modification_that_names_it(attribute: str) -> None:
    after = {"Thing": {**TOPIC, attribute: {"a": "b"} if attribute.endswith("n") else "Retain"}}
    assert effects(compared({"Thing": TOPIC}, after)) == {"Thing": ("modify", (attribute,))}


@pytest.mark.parametrize(
    ("policy", "effect", "retained"),
    [
        (None, Effect.REMOVE, False),
        ("Delete", Effect.REMOVE, False),
        ("Snapshot", Effect.REMOVE, False),
        ("Retain", Effect.RETAIN, True),
        ("RetainExceptOnCreate", Effect.RETAIN, True),
    ],
)
def test_the_deletion_policy_of_the_deployed_template_decides_what_becomes_of_a_removed_resource(
    policy: str | None, effect: Effect, retained: bool
) -> None:
    before = {"Thing": {**TOPIC, **({"DeletionPolicy": policy} if policy else {})}, "Other": TOPIC}
    expected = Change("Thing", "AWS::SNS::Topic", effect, retained=retained)
    assert compared(before, {"Other": TOPIC}).changes == (expected,)


@pytest.mark.parametrize(
    ("before", "after", "retained"),
    [("Retain", "Retain", True), ("Retain", "Delete", False), ("Delete", "Retain", False)],
)
def test_a_replaced_resource_counts_as_retained_only_when_both_versions_say_so(
    before: str, after: str, retained: bool
) -> None:
    found = compared(
        {"Vpc": {**VPC, "UpdateReplacePolicy": before}}, {"Vpc": {**WIDER_VPC, "UpdateReplacePolicy": after}}
    )
    assert found.changes == (Change("Vpc", "AWS::EC2::VPC", Effect.REPLACE, ("CidrBlock",), retained=retained),)


def test_where_there_is_no_stack_everything_is_added_with_its_name() -> None:
    named = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "alarms"}}
    expected = (
        Change("Named", "AWS::SNS::Topic", Effect.ADD, named="alarms"),
        Change("Thing", "AWS::SNS::Topic", Effect.ADD),
    )
    assert changes(None, template({"Thing": TOPIC, "Named": named}), {}, HERE) == expected


def test_a_name_with_a_part_that_aws_chooses_is_no_custom_name() -> None:
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::Sub": "/aws/lambda/${Function}"}}}
    function = {"Type": "AWS::Lambda::Function", "Properties": {"Code": {}}}
    found = changes(None, template({"Function": function, "Logs": group}), {}, HERE)
    assert {change.logical_id: change.named for change in found} == {"Function": "", "Logs": ""}


@pytest.mark.parametrize("status", ["REVIEW_IN_PROGRESS", "DELETE_COMPLETE"])
def test_a_stack_without_resources_is_no_stack(status: str) -> None:
    found = changes(deployed({"Thing": TOPIC}, status), template({"Thing": TOPIC}), {}, HERE)
    assert found == (Change("Thing", "AWS::SNS::Topic", Effect.ADD),)


def test_no_template_removes_everything() -> None:
    found = changes(deployed({"Thing": TOPIC, "Kept": {**TOPIC, "DeletionPolicy": "Retain"}}), "", {}, HERE)
    assert [(change.logical_id, change.effect) for change in found] == [
        ("Thing", Effect.REMOVE),
        ("Kept", Effect.RETAIN),
    ]


def test_a_condition_that_turns_adds_and_removes() -> None:
    sections: dict[str, Any] = {
        "Parameters": {"Two": {"Type": "String", "Default": "no"}},
        "Conditions": {
            "IsTwo": {"Fn::Equals": [{"Ref": "Two"}, "yes"]},
            "IsOne": {"Fn::Not": [{"Condition": "IsTwo"}]},
        },
    }
    resources = {"One": {**TOPIC, "Condition": "IsOne"}, "Two2": {**TOPIC, "Condition": "IsTwo"}}
    found = changes(deployed(resources, **sections), template(resources, **sections), {"Two": "yes"}, HERE)
    assert [(change.logical_id, change.effect) for change in found] == [("One", Effect.REMOVE), ("Two2", Effect.ADD)]


def test_outputs_alone_are_a_change_without_a_resource() -> None:
    before = deployed({"Thing": TOPIC}, Outputs={"A": {"Value": "1"}, "B": {"Value": "1"}, "C": {"Value": "1"}})
    outputs = {"A": {"Value": "2"}, "B": {"Value": "1", "Description": "new"}, "C": {"Value": "1"}, "D": {"Value": "1"}}
    found = changes(before, template({"Thing": TOPIC}, Outputs=outputs), {}, HERE)
    assert found == (Change("", "", Effect.OUTPUTS, ("A", "B", "D")),)


def test_a_template_that_says_more_about_itself_changes_nothing() -> None:
    after = template({"Thing": TOPIC}, Description="new", Metadata={"Stackferry": {"Scope": "PHASE", "Needs": []}})
    assert changes(deployed({"Thing": TOPIC}), after, {}, HERE) == ()


def test_the_gravest_effect_comes_first() -> None:
    before = {"Vpc": VPC, "A": TOPIC, "Gone": TOPIC}
    after = {"B": TOPIC, "A": {**TOPIC, "Properties": {"DisplayName": "x"}}, "Vpc": WIDER_VPC}
    found = compared(before, after)
    assert [change.effect for change in found.changes] == [Effect.REPLACE, Effect.REMOVE, Effect.ADD, Effect.MODIFY]
