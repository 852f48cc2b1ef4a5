"""Resolved properties against the registry's schema, for types that ministack handles and types that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Account, Refused

RIGHT: dict[str, dict[str, Any]] = {
    "AWS::DMS::ReplicationInstance": {"ReplicationInstanceClass": "dms.t3.micro"},
    "AWS::DMS::Endpoint": {"EndpointType": "source", "EngineName": "postgres"},
    "AWS::EC2::VPC": {"CidrBlock": "10.0.0.0/16"},
    "AWS::SQS::Queue": {"DelaySeconds": 5},
    "AWS::Logs::LogGroup": {"RetentionInDays": 30},
}


@pytest.mark.parametrize("kind", RIGHT)
def test_right_properties_are_taken(account: Account, kind: str) -> None:
    account.deploy({"Thing": {"Type": kind, "Properties": RIGHT[kind]}})


@pytest.mark.parametrize("kind", RIGHT)
def test_an_unknown_property_is_refused(account: Account, kind: str) -> None:
    thing = {"Type": kind, "Properties": {**RIGHT[kind], "Foo": "bar"}}
    with pytest.raises(Refused) as refused:
        account.deploy({"Thing": thing}, DisableValidation=True)
    assert (
        "Properties validation failed for resource Thing with message:\n#: extraneous key [Foo] is not permitted"
        in (str(refused.value))
    )


@pytest.mark.parametrize(
    ("kind", "properties", "reason"),
    [
        ("AWS::DMS::ReplicationInstance", {}, "#: required key [ReplicationInstanceClass] not found"),
        ("AWS::DMS::Endpoint", {"EndpointType": "source"}, "#: required key [EngineName] not found"),
        ("AWS::SQS::Queue", {"DelaySeconds": "soon"}, "#/DelaySeconds: expected type: Integer, found: String"),
        ("AWS::EC2::VPC", {"CidrBlock": ["10.0.0.0/16"]}, "#/CidrBlock: expected type: String, found: JSONArray"),
        ("AWS::Logs::LogGroup", {"RetentionInDays": 31}, "#/RetentionInDays: 31 is not a valid enum value"),
        (
            "AWS::Logs::LogGroup",
            {"LogGroupName": "no spaces"},
            "#/LogGroupName: failed validation constraint for keyword [pattern]",
        ),
        (
            "AWS::EC2::VPC",
            {"CidrBlock": "10.0.0.0/16", "Tags": [{"Key": "a", "Value": "b", "Extra": "c"}]},
            "#/Tags/0: extraneous key [Extra] is not permitted",
        ),
        ("AWS::EC2::VPC", {"CidrBlock": "10.0.0.0/16", "VpcId": "vpc-1"}, "#: extraneous key [VpcId] is not permitted"),
    ],
)
def test_a_property_against_its_schema_is_refused_with_its_path(
    account: Account, kind: str, properties: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Refused) as refused:
        account.deploy({"Thing": {"Type": kind, "Properties": properties}}, DisableValidation=True)
    assert reason in str(refused.value)


def test_a_refused_resource_is_not_made(account: Account) -> None:
    with pytest.raises(Refused):
        account.deploy({"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", "Foo": 1}}})
    assert account.client("sqs").list_queues().get("QueueUrls", []) == []


def test_scalars_are_taken_in_the_form_of_another_type(account: Account) -> None:
    account.deploy(
        {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": "5", "QueueName": "q"}},
            "Rule": {
                "Type": "AWS::DMS::ReplicationInstance",
                "Properties": {"ReplicationInstanceClass": "dms.t3.micro", "MultiAZ": "false"},
            },
        }
    )
    assert account.status("stack") == "CREATE_COMPLETE"


def test_an_update_is_checked_too(account: Account) -> None:
    account.deploy({"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 5}}})
    with pytest.raises(Refused, match=r"extraneous key \[Foo\]"):
        account.deploy({"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 6, "Foo": 1}}})
    assert account.status("stack") == "UPDATE_ROLLBACK_COMPLETE"
