"""Names that are given twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builders.scopes import Target
from builders.stack_diff.hazards import Hazard, HazardKind
from builders.stack_diff.names import name_conflicts, names_of
from stack_diff.changing import HERE, ROOT, layer, phase_values, template

THERE = Target("111111111111", "eu-west-1")
OTHER = Target("222222222222", "us-east-1")
TOPIC = {"Type": "AWS::SNS::Topic"}


def stack(kind: str, **properties: Any) -> str:
    outputs = {"Out": {"Value": "x", "Export": {"Name": "out"}}} if kind == "export" else {}
    resource = TOPIC if kind == "export" else {"Type": kind, "Properties": properties}
    return template({"Thing": resource}, Outputs=outputs)


def colliding(body: str, *where: tuple[str, Target]) -> tuple[Hazard, ...]:
    return name_conflicts(name for each, target in where for name in names_of(each, body, {}, target))


@pytest.mark.parametrize(
    ("body", "scope"),
    [
        (stack("AWS::S3::Bucket", BucketName="logs"), "world"),
        (stack("AWS::IAM::Role", RoleName="operator"), "account"),
        (stack("AWS::IAM::ManagedPolicy", ManagedPolicyName="operator"), "account"),
        (stack("AWS::IAM::InstanceProfile", InstanceProfileName="operator"), "account"),
        (stack("AWS::IAM::User", UserName="operator"), "account"),
        (stack("AWS::CloudWatch::Dashboard", DashboardName="phase"), "account"),
        (stack("AWS::SNS::Topic", TopicName="alarms"), "region"),
        (stack("export"), "region"),
        (stack("AWS::SNS::Topic"), "nowhere"),
        (stack("AWS::SNS::Topic", TopicName={"Fn::Sub": "${AWS::StackName}-alarms"}), "nowhere"),
        (stack("AWS::IAM::Role", RoleName={"Fn::Sub": "operator-${AWS::Region}"}), "region"),
    ],
)
def test_a_name_conflicts_where_it_can_exist_once(body: str, scope: str) -> None:
    assert bool(colliding(body, ("a", HERE), ("a", OTHER))) == (scope == "world")
    assert bool(colliding(body, ("a", HERE), ("a", THERE))) == (scope in ("world", "account"))
    assert bool(colliding(body, ("a", HERE), ("b", HERE))) == (scope != "nowhere")
    assert colliding(body, ("a", HERE)) == ()


def test_a_name_conflict_names_the_stacks_and_the_remedy() -> None:
    (hazard,) = colliding(stack("AWS::IAM::Role", RoleName="operator"), ("access", HERE), ("access", THERE))
    assert hazard == Hazard(
        HazardKind.NAME_CONFLICT,
        "access",
        "Thing",
        "AWS::IAM::Role operator is given more than once: "
        "access/Thing at 111111111111/eu-west-1 and access/Thing at 111111111111/us-east-1",
        "the name is the account's, not the region's: put the region into it",
        acknowledgeable=False,
    )


def test_our_own_layers_share_an_account_and_two_regions() -> None:
    names = [
        name
        for path in sorted((ROOT / "templates").glob("*.json"))
        for target in (HERE, THERE)
        if json.loads(layer(path.stem))["Metadata"]["Stackferry"]["Scope"] == "PHASE"
        for name in names_of(path.stem, layer(path.stem), phase_values(), target)
    ]
    assert {"stackferry-database-dev", "network-VpcId-dev"} <= {name.name for name in names}
    assert name_conflicts(names) == ()
