"""Stacks that stand already become members of a set, as they are; what differs is left alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Fleet, allowing, queue
from .organization import Organization

DONE = ("CURRENT", "SUCCEEDED")
NOT_IMPORTED = ("INOPERABLE", "FAILED_IMPORT")


def plain(fleet: Fleet, account: str, template: Any = None, name: str = "by-hand", **given: str) -> str:
    """Deploy a stack as its owner does by hand, and return its id."""
    api = fleet.member(account)
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
    body = json.dumps(template or queue())
    arn = str(api.create_stack(StackName=name, TemplateBody=body, Parameters=parameters)["StackId"])
    api.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.02})
    return arn


def imported(fleet: Fleet, *stacks: str, **more: Any) -> dict[str, Any]:
    return fleet.run("import_stacks_to_stack_set", StackIds=list(stacks), **more)


def test_a_stack_becomes_a_member_as_it_is(fleet: Fleet, members: list[str]) -> None:
    stacks = [plain(fleet, account) for account in members[:2]]
    fleet.make(json.loads(json.dumps(queue(), indent=4)))
    operation = imported(fleet, *stacks)
    assert (operation["Action"], operation["Status"]) == ("CREATE", "SUCCEEDED")
    assert fleet.states() == {(account, "us-east-1"): DONE for account in members[:2]}
    assert [fleet.instance(account)["StackId"] for account in members[:2]] == stacks
    (stack,) = fleet.stacks(members[0])
    assert (stack["StackName"], stack["StackStatus"]) == ("by-hand", "CREATE_COMPLETE")


def test_a_member_that_was_imported_is_updated_and_deleted_like_the_others(fleet: Fleet, member: str) -> None:
    arn = plain(fleet, member)
    fleet.make()
    imported(fleet, arn)
    fleet.run("update_stack_set", TemplateBody=json.dumps(queue("new")))
    assert fleet.states() == {(member, "us-east-1"): DONE}
    assert [(each["StackId"], each["StackStatus"]) for each in fleet.stacks(member)] == [(arn, "UPDATE_COMPLETE")]
    fleet.run("delete_stack_instances", Accounts=[member], Regions=["us-east-1"], RetainStacks=False)
    assert fleet.stacks(member) == []


def test_values_by_which_a_stack_differs_are_its_overrides(fleet: Fleet, member: str) -> None:
    arn = plain(fleet, member, QueueName="theirs")
    fleet.make()
    imported(fleet, arn)
    assert fleet.overrides(member) == {"QueueName": "theirs"}
    fleet.run("update_stack_set", UsePreviousTemplate=True)
    assert fleet.member(member, "sqs").get_queue_url(QueueName="theirs")["QueueUrl"].endswith("/theirs")


def secret() -> dict[str, Any]:
    return {**queue(), "Parameters": {"QueueName": {"Type": "String", "Default": "payments", "NoEcho": True}}}


@pytest.mark.parametrize(
    ("of_the_stack", "of_the_set", "reason"),
    [
        (queue(), queue("other"), "The template of stack .* differs"),
        (secret(), secret(), r"has the NoEcho parameters \[QueueName\]"),
    ],
)
def test_a_stack_that_differs_stays_out_and_is_not_touched(
    fleet: Fleet, member: str, of_the_stack: Any, of_the_set: Any, reason: str
) -> None:
    arn = plain(fleet, member, of_the_stack)
    fleet.make(of_the_set)
    operation = imported(fleet, arn)
    assert (operation["Status"], operation["StatusDetails"]["FailedStackInstancesCount"]) == ("FAILED", 1)
    assert fleet.states() == {(member, "us-east-1"): NOT_IMPORTED}
    assert re.search(reason, fleet.instance(member)["StatusReason"])
    assert [each["StackStatus"] for each in fleet.stacks(member)] == ["CREATE_COMPLETE"]


def test_a_stack_that_no_change_set_could_be_made_of_stays_out(fleet: Fleet, member: str) -> None:
    broken = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"Nonsense": 1}}}}
    arn = fleet.member(member).create_stack(StackName="by-hand", TemplateBody=json.dumps(broken))["StackId"]
    assert fleet.account(member).settled("by-hand") == "ROLLBACK_COMPLETE"
    fleet.make(broken)
    imported(fleet, arn)
    assert (
        fleet.instance(member)["StatusReason"] == f"Stack {arn} is in ROLLBACK_COMPLETE state and can not be imported"
    )


def test_a_failed_import_is_tried_again_when_its_cause_is_gone(fleet: Fleet, member: str) -> None:
    arn = plain(fleet, member)
    fleet.make(queue("other"))
    imported(fleet, arn)
    fleet.run("update_stack_set", TemplateBody=json.dumps(queue()))
    assert fleet.states() == {(member, "us-east-1"): NOT_IMPORTED}
    imported(fleet, arn)
    assert fleet.states() == {(member, "us-east-1"): DONE}


def test_a_stack_belongs_to_one_set_only(fleet: Fleet, member: str) -> None:
    arn = plain(fleet, member)
    fleet.make()
    imported(fleet, arn)
    fleet.default["StackSetName"] = "second"
    fleet.make()
    imported(fleet, arn)
    assert "already belongs to stack set payments:" in fleet.instance(member)["StatusReason"]
    fleet.default["StackSetName"] = "payments"
    fleet.run("delete_stack_instances", Accounts=[member], Regions=["us-east-1"], RetainStacks=True)
    fleet.default["StackSetName"] = "second"
    imported(fleet, arn)
    assert fleet.states() == {(member, "us-east-1"): DONE}


def test_the_execution_role_must_read_the_template(fleet: Fleet, member: str) -> None:
    arn = plain(fleet, member)
    iam = fleet.member(member, "iam")
    role = "AWSCloudFormationStackSetExecutionRole"
    iam.detach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    policy = allowing("cloudformation:DescribeStacks", "cloudformation:UpdateStack")
    iam.put_role_policy(RoleName=role, PolicyName="narrow", PolicyDocument=policy)
    fleet.make()
    imported(fleet, arn)
    assert "is not authorized to perform: cloudformation:GetTemplate" in fleet.instance(member)["StatusReason"]


def test_a_set_is_made_from_a_stack(fleet: Fleet, member: str) -> None:
    arn = plain(fleet, member)
    fleet.call("create_stack_set", StackId=arn)
    assert json.loads(fleet.call("describe_stack_set")["StackSet"]["TemplateBody"]) == queue()
    assert fleet.states() == {}
    fleet.default["StackSetName"] = "another"
    with pytest.raises(ClientError, match="StackId together with TemplateBody"):
        fleet.make(StackId=arn)


def test_a_set_that_is_made_from_a_stack_must_acknowledge_what_its_template_makes(fleet: Fleet, member: str) -> None:
    trust = {"Version": "2012-10-17", "Statement": []}
    role = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}}}
    acknowledged = {"Capabilities": ["CAPABILITY_IAM"]}
    body = json.dumps(role)
    arn = fleet.member(member).create_stack(StackName="by-hand", TemplateBody=body, **acknowledged)["StackId"]
    with pytest.raises(ClientError, match="InsufficientCapabilitiesException"):
        fleet.call("create_stack_set", StackId=arn)
    fleet.call("create_stack_set", StackId=arn, **acknowledged)


def test_stack_ids_may_come_from_an_object(fleet: Fleet, member: str) -> None:
    arn = plain(fleet, member)
    fleet.make()
    bucket = f"stacks-{member}"
    s3 = fleet.administrator.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="ids.json", Body=json.dumps([arn]).encode())
    fleet.run("import_stacks_to_stack_set", StackIdsUrl=f"s3://{bucket}/ids.json")
    assert fleet.states() == {(member, "us-east-1"): DONE}


def test_what_cannot_be_imported_is_refused_at_once(fleet: Fleet, member: str) -> None:
    arn = plain(fleet, member)
    gone = arn.replace("by-hand", "nobody")
    fleet.make()
    refused: list[tuple[dict[str, Any], str]] = [
        ({"StackIds": [gone]}, f"StackNotFoundException.*{gone}"),
        ({"StackIds": ["by-hand"]}, "is not the ARN of a stack"),
        ({}, "either StackIds or StackIdsUrl"),
        ({"StackIds": [arn], "StackIdsUrl": "s3://bucket/key"}, "either StackIds or StackIdsUrl"),
        ({"StackIds": [f"{arn}{number}" for number in range(11)]}, "LimitExceededException.*at most 10"),
        ({"StackIds": [arn, plain(fleet, member, queue("two"), "two")]}, "two of one"),
        ({"StackIds": [arn], "OrganizationalUnitIds": ["ou-none-12345678"]}, "only valid for .* SERVICE_MANAGED"),
    ]
    for request, sentence in refused:
        with pytest.raises(ClientError, match=sentence):
            fleet.call("import_stacks_to_stack_set", **request)
    imported(fleet, arn)
    with pytest.raises(ClientError, match=r"InvalidOperationException.*already exists in the stack set"):
        fleet.call("import_stacks_to_stack_set", StackIds=[arn])


def test_a_service_managed_set_imports_from_the_units_that_are_named(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    outer = organization.unit("phases")
    inner = organization.unit("dev", outer)
    account = organization.admit(number(), inner)
    arn = plain(managed, account)
    elsewhere = organization.unit("other")
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "OrganizationalUnitIds are required"),
        ({"OrganizationalUnitIds": [elsewhere]}, "StackNotFoundException"),
        (
            {"StackIds": [plain(managed, organization.management)], "OrganizationalUnitIds": [organization.root]},
            "management account cannot be imported",
        ),
    ]
    for request, sentence in refused:
        with pytest.raises(ClientError, match=sentence):
            managed.call("import_stacks_to_stack_set", **{"StackIds": [arn], **request})
    imported(managed, arn, OrganizationalUnitIds=[organization.root, outer])
    assert managed.states() == {(account, "us-east-1"): DONE}
    assert managed.instance(account)["OrganizationalUnitId"] == outer
