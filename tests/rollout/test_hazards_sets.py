"""Hazards of a stack set as a whole, and of names that are given twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from stack_diff.changing import ROOT, layer, phase_values, template

from builders.rollout.model import (
    CurrentState,
    DeployedStack,
    Instance,
    Permissions,
    StackSet,
    StackSetSpec,
    Status,
    Target,
)
from builders.rollout.plan.hazards import limit_hazards, name_conflicts, names_of, new_parameter_hazards
from builders.stack_diff.hazards import Hazard, HazardKind

HERE = Target("111111111111", "us-east-1")
THERE = Target("111111111111", "eu-west-1")
OTHER = Target("222222222222", "us-east-1")
TOPIC = {"Type": "AWS::SNS::Topic"}
PLAIN = Permissions()
SERVICE = Permissions(service_managed=True)
OLD = template({"A": TOPIC}, Parameters={"Old": {"Type": "String"}})
NEW = template({"A": TOPIC}, Parameters={"Old": {"Type": "String"}, "New": {"Type": "String", "Default": "x"}})


def test_our_own_templates_keep_the_limits() -> None:
    for path in sorted((ROOT / "templates").glob("*.json")):
        assert list(limit_hazards(path.stem, path.read_text(encoding="utf-8"), SERVICE)) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (template({"A": TOPIC}, Description="x" * 51_200), "51,200 go without a bucket"),
        (template({f"A{number}": TOPIC for number in range(501)}), "the template has 501 resources"),
        (
            template({"A": TOPIC}, Parameters={str(number): {"Type": "String"} for number in range(201)}),
            "the template has 201 parameters",
        ),
        (
            template({"A": TOPIC}, Outputs={str(number): {"Value": "-"} for number in range(201)}),
            "the template has 201 outputs",
        ),
    ],
)
def test_a_template_beyond_a_limit_is_refused_with_the_limit(body: str, message: str) -> None:
    (hazard,) = limit_hazards("layer", body, PLAIN)
    assert (hazard.kind, hazard.acknowledgeable) == (HazardKind.LIMIT, False)
    assert message in hazard.message


@pytest.mark.parametrize(
    ("body", "resource"),
    [
        (template({"A": TOPIC}, Transform="AWS::Serverless-2016-10-31"), "Transform"),
        (template({"A": {**TOPIC, "Properties": {"Fn::Transform": {"Name": "Own"}}}}), "Transform"),
        (template({"Inner": {"Type": "AWS::CloudFormation::Stack"}}), "Inner"),
    ],
)
def test_a_service_managed_set_takes_no_transforms_and_no_nested_stacks(body: str, resource: str) -> None:
    (hazard,) = limit_hazards("layer", body, SERVICE)
    assert (hazard.kind, hazard.resource, hazard.acknowledgeable) == (HazardKind.SERVICE_MANAGED, resource, False)
    assert list(limit_hazards("layer", body, PLAIN)) == []


def desired(overrides: Mapping[Target, Mapping[str, str]]) -> StackSetSpec:
    return StackSetSpec("network", "stackferry-network-dev", NEW, {"Old": "a"}, overrides)


def state(*targets: Target) -> StackSet:
    instances = {target: Instance(target, Status.CURRENT, "SUCCEEDED") for target in targets}
    return StackSet("network", "stackferry-network-dev", OLD, {"Old": "a"}, {}, instances)


def new_parameters(spec: StackSetSpec, present: StackSet | None, here: str = "") -> tuple[Hazard, ...]:
    """The hazards of new parameters, where the stack at one target is known to have a template."""
    deployed = {("network", HERE): DeployedStack(here, {}, "UPDATE_COMPLETE")} if here else {}
    return new_parameter_hazards(spec, CurrentState({"network": present} if present else {}, deployed))


def test_a_new_parameter_cannot_have_a_value_of_its_own_at_once() -> None:
    (hazard,) = new_parameters(desired({HERE: {"New": "1"}, THERE: {"New": "2"}}), state(HERE, THERE))
    assert hazard == Hazard(
        HazardKind.NEW_PARAMETER,
        "network",
        "New",
        "parameter New is new and has a value of its own at 111111111111/eu-west-1 and 111111111111/us-east-1: "
        "an instance cannot be given one before every instance has the parameter",
        "first roll out with one value of New for all, then with the values of their own",
        acknowledgeable=False,
    )


@pytest.mark.parametrize(
    ("spec", "present"),
    [
        (desired({HERE: {}}), state(HERE)),
        (desired({HERE: {"Old": "b"}}), state(HERE)),
        (desired({HERE: {"New": "1"}}), state()),
        (desired({HERE: {"New": "1"}}), None),
        (desired({HERE: {}, THERE: {"New": "1"}}), state(HERE)),
    ],
)
def test_one_value_for_all_and_instances_to_come_are_no_hazard(spec: StackSetSpec, present: StackSet | None) -> None:
    assert new_parameters(spec, present) == ()


def test_what_an_instance_is_deployed_with_counts_more_than_the_sets_template() -> None:
    spec = desired({HERE: {"New": "1"}})
    stored = StackSet("network", "name", NEW, {}, {}, state(HERE).instances)
    assert new_parameters(spec, state(HERE), NEW) == ()
    # UpdateStackSet stores a template even where the operation fails, so that the set knows more than the instance.
    (hazard,) = new_parameters(spec, stored, OLD)
    assert hazard.resource == "New"


def test_thousands_of_targets_are_named_in_a_line() -> None:
    targets = [Target(f"{number:012}", "us-east-1") for number in range(2_000)]
    (hazard,) = new_parameters(desired({target: {"New": str(target)} for target in targets}), state(*targets))
    assert "000000000002/us-east-1 and 1,997 more" in hazard.message


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
