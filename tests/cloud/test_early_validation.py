"""Findings of CloudFormation before it makes anything: nothing is made, and DescribeEvents tells why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Account, Refused

QUEUE = {"Type": "AWS::SQS::Queue"}
TOPIC = {"Type": "AWS::SNS::Topic"}


def queue(**properties: Any) -> dict[str, Any]:
    return {**QUEUE, "Properties": properties}


def errors(account: Account, **which: str) -> list[tuple[str, str, str]]:
    found = account.client("cloudformation").describe_events(**which, Filters={"FailedEvents": True})
    told = [each for each in found["OperationEvents"] if each["EventType"] == "VALIDATION_ERROR"]
    return [(each["ValidationName"], each["ValidationPath"], each["ValidationStatusReason"]) for each in told]


def change_set(account: Account, resources: Any, kind: str = "CREATE", **more: Any) -> dict[str, Any]:
    api = account.client("cloudformation")
    body = json.dumps({"Resources": resources})
    made = {"StackName": "stack", "ChangeSetName": "changes", "ChangeSetType": kind, "TemplateBody": body, **more}
    return dict(api.describe_change_set(ChangeSetName=api.create_change_set(**made)["Id"]))


def test_a_creation_stops_before_any_resource_and_the_stack_does_not_tell_why(account: Account) -> None:
    with pytest.raises(Refused):
        account.deploy({"First": TOPIC, "Bad": {**queue(DelaySeconds="soon", Foo=1), "DependsOn": "First"}})
    assert {each["LogicalResourceId"] for each in account.events("stack")} == {"stack"}
    reasons = [each.get("ResourceStatusReason", "") for each in account.events("stack")]
    assert any("Validation failed with 2 error(s). Call DescribeEvents" in each for each in reasons)
    assert sorted(errors(account, StackName="stack")) == [
        ("PROPERTY_VALIDATION", "/Resources/Bad/Properties", "extraneous key [Foo] is not permitted"),
        ("PROPERTY_VALIDATION", "/Resources/Bad/Properties/DelaySeconds", "expected type: Integer, found: String"),
    ]


def test_an_update_stops_before_any_resource_and_the_stack_stays_as_it_was(account: Account) -> None:
    account.deploy({"First": TOPIC})
    begun = len(account.events("stack"))
    with pytest.raises(Refused, match=r"/Resources/Key/Properties: Required property \[KeyPolicy\] not found"):
        account.deploy({"First": queue(), "Key": {"Type": "AWS::KMS::ReplicaKey", "Properties": {}}})
    assert {each["LogicalResourceId"] for each in account.events("stack")[:-begun]} == {"stack"}
    assert account.status("stack") == "UPDATE_ROLLBACK_COMPLETE"


def test_properties_that_wait_for_another_resource_are_no_mistake(account: Account) -> None:
    subscription = {
        "Type": "AWS::SNS::Subscription",
        "Properties": {"TopicArn": {"Ref": "First"}, "Protocol": "sqs", "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]}},
    }
    named = {"LogGroupName": {"Fn::GetAtt": ["Queue", "QueueName"]}}
    log = {"Type": "AWS::Logs::LogGroup", "Properties": named}
    account.deploy({"First": TOPIC, "Queue": QUEUE, "Subscription": subscription, "Log": log})
    assert account.status("stack") == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("resource", "identifier"),
    [
        (queue(QueueName="taken"), "taken"),
        ({"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/taken"}}, "/taken"),
    ],
)
def test_a_name_that_is_taken_is_found_before_anything_is_made(
    account: Account, resource: dict[str, Any], identifier: str
) -> None:
    account.deploy({"Named": resource}, "owner")
    with pytest.raises(Refused):
        account.deploy({"First": TOPIC, "Named": resource})
    reason = f"Resource of type '{resource['Type']}' with identifier '{identifier}' already exists."
    assert errors(account, StackName="stack") == [("NAME_CONFLICT_VALIDATION", "/Resources/Named", reason)]
    account.deploy({"Named": resource, "More": TOPIC}, "owner")


@pytest.mark.parametrize(
    ("resource", "check"),
    [(queue(Foo=1), "PropertyValidation"), (queue(QueueName="taken"), "ResourceExistenceCheck")],
)
def test_a_change_set_fails_by_what_is_found(account: Account, resource: dict[str, Any], check: str) -> None:
    account.client("sqs").create_queue(QueueName="taken")
    found = change_set(account, {"Bad": resource})
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert found["StatusReason"] == (
        f"The following hook(s)/validation failed: [AWS::EarlyValidation::{check}]. To troubleshoot Early Validation "
        "errors, use the DescribeEvents API for detailed failure information."
    )
    told = errors(account, ChangeSetName=found["ChangeSetId"])
    assert told == errors(account, ChangeSetName="changes", StackName="stack")
    assert [path for _, path, _ in told] == ["/Resources/Bad" + "/Properties" * (check == "PropertyValidation")]


def test_validation_can_be_disabled(account: Account) -> None:
    found = change_set(account, {"Bad": queue(Foo=1)}, DisableValidation=True)
    assert found["ExecutionStatus"] == "AVAILABLE"
    with pytest.raises(Refused, match="Properties validation failed for resource Bad"):
        account.deploy({"Bad": queue(Foo=1)}, "other", DisableValidation=True)


def test_events_are_asked_for_by_stack_change_set_or_operation(account: Account) -> None:
    with pytest.raises(Refused):
        account.deploy({"Bad": queue(Foo=1)})
    api = account.client("cloudformation")
    (operation,) = {each["OperationId"] for each in api.describe_events(StackName="stack")["OperationEvents"]}
    assert errors(account, OperationId=operation) == errors(account, StackName="stack") != []
    for which in ({}, {"ChangeSetName": "changes"}):
        with pytest.raises(ClientError, match="One of ChangeSetName, OperationId or StackName must be specified"):
            api.describe_events(**which)


def test_a_property_that_is_called_as_a_function_is_left_to_the_making_of_the_stack(account: Account) -> None:
    assert change_set(account, {"Queue": queue(DelaySeconds=1, Ref=1.5)})["Status"] == "CREATE_COMPLETE"
