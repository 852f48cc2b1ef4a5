"""Sets: made once, found by name and id, refused when their template cannot be, deleted when empty."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from .conftest import Fleet, queue

ROLE = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}


def test_a_set_is_described_as_it_was_made(fleet: Fleet) -> None:
    tags = [{"Key": "Phase", "Value": "dev"}]
    given = [{"ParameterKey": "QueueName", "ParameterValue": "orders"}]
    identifier = fleet.make(Description="queues", Tags=tags, Parameters=given)
    described = fleet.call("describe_stack_set")["StackSet"]
    assert identifier == described["StackSetId"]
    assert (described["StackSetName"], described["Status"], described["Description"]) == (
        "payments",
        "ACTIVE",
        "queues",
    )
    assert (described["Tags"], described["Parameters"]) == (tags, given)
    assert json.loads(described["TemplateBody"]) == queue()
    assert described["StackSetARN"].endswith(f":{fleet.administrator.number}:stackset/{identifier}")


def test_a_parameter_without_a_value_has_its_default(fleet: Fleet) -> None:
    fleet.make()
    described = fleet.call("describe_stack_set")["StackSet"]
    assert described["Parameters"] == [{"ParameterKey": "QueueName", "ParameterValue": "payments"}]


def test_a_secret_parameter_is_not_shown(fleet: Fleet) -> None:
    template = queue()
    template["Parameters"]["QueueName"]["NoEcho"] = True
    fleet.make(template)
    described = fleet.call("describe_stack_set")["StackSet"]
    assert described["Parameters"] == [{"ParameterKey": "QueueName", "ParameterValue": "****"}]


def test_a_name_is_taken_in_its_region_only(fleet: Fleet) -> None:
    fleet.make()
    with pytest.raises(ClientError, match="NameAlreadyExistsException"):
        fleet.make()
    elsewhere = fleet.administrator.elsewhere("eu-west-1").client("cloudformation")
    elsewhere.create_stack_set(StackSetName="payments", TemplateBody=json.dumps(queue()))


def test_the_same_request_makes_a_set_once(fleet: Fleet) -> None:
    assert fleet.make(ClientRequestToken="once") == fleet.make(ClientRequestToken="once")


def test_a_deleted_set_is_found_by_its_id_only_and_frees_its_name(fleet: Fleet) -> None:
    identifier = fleet.make()
    fleet.call("delete_stack_set")
    with pytest.raises(ClientError, match="StackSet payments not found"):
        fleet.call("describe_stack_set")
    described = fleet.api.describe_stack_set(StackSetName=identifier)["StackSet"]
    assert described["Status"] == "DELETED"
    assert fleet.make() != identifier
    listed = fleet.api.list_stack_sets(Status="ACTIVE")["Summaries"]
    assert [each["StackSetId"] for each in listed] != [identifier]


def test_a_set_with_instances_cannot_be_deleted(deployed: Fleet) -> None:
    with pytest.raises(ClientError, match="StackSet is not empty") as refused:
        deployed.call("delete_stack_set")
    assert refused.value.response["Error"]["Code"] == "StackSetNotEmptyException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409


@pytest.mark.parametrize(
    ("template", "more", "sentence"),
    [
        ({"Resources": {}}, {}, "At least one Resources member"),
        ({**queue(), "Resources": {"A": {"Type": "AWS::SQS::Queue", "DependsOn": "B"}}}, {}, "Unresolved resource"),
        (queue(), {"Parameters": [{"ParameterKey": "X", "ParameterValue": "1"}]}, r"\[X\] do not exist"),
        ({**queue(), "Parameters": {"QueueName": {"Type": "String"}}}, {}, r"\[QueueName\] must have values"),
        ({"Resources": {"Role": ROLE}}, {}, r"Requires capabilities : \[CAPABILITY_IAM\]"),
        (queue(), {"AutoDeployment": {"Enabled": True}}, "AutoDeployment is only valid for SERVICE_MANAGED"),
    ],
)
def test_a_set_that_cannot_be_is_refused(fleet: Fleet, template: dict, more: dict, sentence: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ClientError, match=sentence):
        fleet.make(template, **more)
    assert fleet.api.list_stack_sets()["Summaries"] == []


def test_a_name_of_other_characters_is_refused(fleet: Fleet) -> None:
    fleet.default["StackSetName"] = "payments_dev"
    with pytest.raises(ClientError, match="regular expression pattern"):
        fleet.make()


def test_a_set_beyond_the_quota_is_refused(fleet: Fleet) -> None:
    fleet.drive(StackSets=1)
    fleet.make()
    fleet.default["StackSetName"] = "orders"
    with pytest.raises(ClientError, match="LimitExceededException"):
        fleet.make()


def test_an_update_without_a_template_is_refused(deployed: Fleet) -> None:
    with pytest.raises(ClientError, match="Either Template URL or Template Body must be specified"):
        deployed.call("update_stack_set")


def test_a_template_from_a_bucket_may_be_larger_than_a_body(fleet: Fleet, member: str) -> None:
    template = {**queue(), "Metadata": {"Notes": "n" * 60_000}}
    s3 = fleet.administrator.client("s3")
    bucket = f"templates-{fleet.administrator.number}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="queue.json", Body=json.dumps(template))
    url = f"https://s3.amazonaws.com/{bucket}/queue.json"
    fleet.call("create_stack_set", TemplateURL=url)
    fleet.deploy([member])
    assert fleet.states() == {(member, "us-east-1"): ("CURRENT", "SUCCEEDED")}
    with pytest.raises(ClientError, match="51200"):
        fleet.call("update_stack_set", TemplateBody=json.dumps(template))
