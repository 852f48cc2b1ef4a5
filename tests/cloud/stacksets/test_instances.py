"""Instances: real stacks in the members' accounts, their failures, their repair, and their end."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from .conftest import Fleet, queue


def test_an_instance_is_a_real_stack_of_the_member(deployed: Fleet, member: str) -> None:
    (stack,) = deployed.stacks(member)
    assert stack["StackName"].startswith("StackSet-payments-")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["StackId"] == deployed.instance(member)["StackId"]
    assert deployed.member(member, "sqs").get_queue_url(QueueName="payments")["QueueUrl"].endswith("/payments")


def test_the_tags_of_the_set_are_on_the_stack_and_its_resources(fleet: Fleet, member: str) -> None:
    fleet.make(Tags=[{"Key": "Phase", "Value": "dev"}])
    fleet.deploy([member])
    (stack,) = fleet.stacks(member)
    sqs = fleet.member(member, "sqs")
    url = sqs.get_queue_url(QueueName="payments")["QueueUrl"]
    assert stack["Tags"] == [{"Key": "Phase", "Value": "dev"}]
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"]["Phase"] == "dev"


def test_a_failure_tells_the_first_failed_resource_and_leaves_no_stack(fleet: Fleet, member: str) -> None:
    nowhere = {"VpcId": "vpc-0123456789abcdef0", "CidrBlock": "10.0.0.0/24"}
    fleet.make({"Resources": {"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": nowhere}}})
    operation = fleet.deploy([member])
    instance = fleet.instance(member)
    assert (operation["Status"], operation["StatusDetails"]) == ("FAILED", {"FailedStackInstancesCount": 1})
    assert (instance["Status"], instance["StackInstanceStatus"]) == ("OUTDATED", {"DetailedStatus": "FAILED"})
    assert instance["StatusReason"].startswith(
        "ResourceLogicalId:Subnet, ResourceType:AWS::EC2::Subnet, ResourceStatusReason:"
    )
    assert "vpc-0123456789abcdef0" in instance["StatusReason"]
    (result,) = fleet.call("list_stack_set_operation_results", OperationId=operation["OperationId"])["Summaries"]
    assert (result["Status"], result["StatusReason"]) == ("FAILED", instance["StatusReason"])
    assert fleet.stacks(member) == []


def test_what_a_validation_finds_is_told_by_the_events_of_the_members_stack_alone(fleet: Fleet, member: str) -> None:
    fleet.make({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"Nonsense": 1}}}})
    fleet.deploy([member])
    instance = fleet.instance(member)
    assert instance["StatusReason"].startswith("Validation failed with 1 error(s). Call DescribeEvents")
    assert fleet.account(member).validation_errors(StackName=instance["StackId"]) == [
        "/Resources/Queue/Properties: extraneous key [Nonsense] is not permitted"
    ]


def test_a_new_operation_tries_a_failed_instance_again(fleet: Fleet, member: str) -> None:
    fleet.shut_out(member)
    fleet.make()
    fleet.deploy([member])
    assert fleet.states() == {(member, "us-east-1"): ("OUTDATED", "FAILED")}
    fleet.enroll(member)
    fleet.deploy([member])
    assert fleet.states() == {(member, "us-east-1"): ("CURRENT", "SUCCEEDED")}


def test_a_creation_leaves_instances_that_are_current_alone(deployed: Fleet, members: list[str]) -> None:
    (before,) = deployed.stacks(members[0])
    override = [{"ParameterKey": "QueueName", "ParameterValue": "other"}]
    operation = deployed.deploy(members[:2], ParameterOverrides=override)
    assert (deployed.overrides(members[0]), deployed.overrides(members[1])) == ({}, {"QueueName": "other"})
    assert deployed.stacks(members[0]) == [before]
    results = deployed.call("list_stack_set_operation_results", OperationId=operation["OperationId"])["Summaries"]
    assert [each["Account"] for each in results] == [members[1]]


def test_a_deletion_of_what_is_gone_succeeds_or_finds_no_instance_on_request(
    deployed: Fleet, members: list[str]
) -> None:
    request = {"Regions": ["us-east-1"], "RetainStacks": False}
    for _ in range(2):
        assert deployed.run("delete_stack_instances", Accounts=members[:2], **request)["Status"] == "SUCCEEDED"
    deployed.drive(GoneIsNotFound=True)
    with pytest.raises(ClientError, match="StackInstanceNotFoundException"):
        deployed.call("delete_stack_instances", Accounts=members[:2], **request)


def test_an_update_of_the_set_makes_what_a_failed_creation_left_out(fleet: Fleet, member: str) -> None:
    fleet.make({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"Nonsense": 1}}}})
    fleet.deploy([member])
    fleet.run("update_stack_set", TemplateBody=json.dumps(queue()))
    assert fleet.states() == {(member, "us-east-1"): ("CURRENT", "SUCCEEDED")}
    assert [each["StackStatus"] for each in fleet.stacks(member)] == ["CREATE_COMPLETE"]


def test_a_failed_update_rolls_back_and_is_repaired_by_the_next(deployed: Fleet, member: str) -> None:
    broken = {**queue(), "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": "soon"}}}}
    failed = deployed.run("update_stack_set", TemplateBody=json.dumps(broken))
    assert failed["Status"] == "FAILED"
    assert deployed.states() == {(member, "us-east-1"): ("OUTDATED", "FAILED")}
    assert deployed.stacks(member)[0]["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    repaired = deployed.run("update_stack_set", TemplateBody=json.dumps(queue("repaired")))
    assert repaired["Status"] == "SUCCEEDED"
    assert deployed.states() == {(member, "us-east-1"): ("CURRENT", "SUCCEEDED")}


def test_an_update_that_fails_is_kept_in_the_set(deployed: Fleet) -> None:
    broken = {**queue(), "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": "soon"}}}}
    deployed.run("update_stack_set", TemplateBody=json.dumps(broken))
    assert json.loads(deployed.call("describe_stack_set")["StackSet"]["TemplateBody"]) == broken


def test_an_update_of_some_leaves_the_others_outdated(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    fleet.deploy(members[:2])
    new = json.dumps(queue("orders"))
    fleet.run("update_stack_set", TemplateBody=new, Accounts=members[:1], Regions=["us-east-1"])
    assert fleet.states() == {
        (members[0], "us-east-1"): ("CURRENT", "SUCCEEDED"),
        (members[1], "us-east-1"): ("OUTDATED", "PENDING"),
    }


def test_an_update_without_template_and_parameters_leaves_the_others_as_they_are(
    fleet: Fleet, members: list[str]
) -> None:
    fleet.make()
    fleet.deploy(members[:2])
    fleet.run("update_stack_set", UsePreviousTemplate=True, Accounts=members[:1], Regions=["us-east-1"])
    assert set(fleet.states().values()) == {("CURRENT", "SUCCEEDED")}


def test_an_update_that_changes_nothing_succeeds(deployed: Fleet, member: str) -> None:
    operation = deployed.run("update_stack_set", TemplateBody=json.dumps(queue()))
    assert (operation["Status"], operation["StatusDetails"]) == ("SUCCEEDED", {"FailedStackInstancesCount": 0})
    assert deployed.stacks(member)[0]["StackStatus"] == "CREATE_COMPLETE"


def test_an_update_names_only_instances_that_are_there(deployed: Fleet, members: list[str]) -> None:
    for operation, more in (("update_stack_set", {"UsePreviousTemplate": True}), ("update_stack_instances", {})):
        with pytest.raises(ClientError, match="StackInstanceNotFoundException"):
            deployed.call(operation, Accounts=members[1:2], Regions=["us-east-1"], **more)


def test_a_deleted_instance_takes_its_stack_with_it(deployed: Fleet, member: str) -> None:
    deployed.run("delete_stack_instances", Accounts=[member], Regions=["us-east-1"], RetainStacks=False)
    assert deployed.instances() == {}
    assert deployed.stacks(member) == []


def test_a_retained_stack_stays_and_can_be_deleted_by_the_member(deployed: Fleet, member: str) -> None:
    name = deployed.stacks(member)[0]["StackName"]
    deployed.run("delete_stack_instances", Accounts=[member], Regions=["us-east-1"], RetainStacks=True)
    assert deployed.instances() == {}
    deployed.member(member).delete_stack(StackName=name)
    assert deployed.stacks(member) == []


def test_a_stack_that_its_member_deleted_is_made_anew(deployed: Fleet, member: str) -> None:
    gone = deployed.stacks(member)[0]
    deployed.member(member).delete_stack(StackName=gone["StackName"])
    deployed.run("update_stack_set", TemplateBody=json.dumps(queue()))
    assert deployed.stacks(member)[0]["StackId"] != gone["StackId"]


@pytest.fixture
def inoperable(deployed: Fleet, member: str) -> Fleet:
    """The fleet whose one instance could not be deleted."""
    name = deployed.stacks(member)[0]["StackName"]
    deployed.member(member).update_termination_protection(EnableTerminationProtection=True, StackName=name)
    deployed.run("delete_stack_instances", Accounts=[member], Regions=["us-east-1"], RetainStacks=False)
    return deployed


def test_an_instance_that_cannot_be_deleted_is_inoperable(inoperable: Fleet, member: str) -> None:
    assert inoperable.states() == {(member, "us-east-1"): ("INOPERABLE", "INOPERABLE")}
    assert "TerminationProtection is enabled" in inoperable.instance(member)["StatusReason"]


def test_an_inoperable_instance_is_left_out_of_updates(inoperable: Fleet, member: str) -> None:
    inoperable.run("update_stack_set", TemplateBody=json.dumps(queue("orders")))
    assert inoperable.states() == {(member, "us-east-1"): ("INOPERABLE", "INOPERABLE")}
    assert inoperable.stacks(member)[0]["StackStatus"] == "CREATE_COMPLETE"


def test_an_inoperable_instance_goes_by_retaining_its_stack(inoperable: Fleet, member: str) -> None:
    inoperable.run("delete_stack_instances", Accounts=[member], Regions=["us-east-1"], RetainStacks=True)
    assert inoperable.instances() == {}
    inoperable.call("delete_stack_set")


def test_an_instance_in_a_region_that_does_not_exist_is_refused(fleet: Fleet, member: str) -> None:
    fleet.make()
    with pytest.raises(ClientError, match=r"\[us-east-7\] do not exist"):
        fleet.call("create_stack_instances", Accounts=[member], Regions=["us-east-1", "us-east-7"])


def test_an_instance_beyond_the_quota_is_refused(fleet: Fleet, members: list[str]) -> None:
    fleet.drive(Instances=1)
    fleet.make()
    with pytest.raises(ClientError, match="LimitExceededException"):
        fleet.call("create_stack_instances", Accounts=members[:2], Regions=["us-east-1"])


def test_a_region_must_be_enabled_for_the_member_and_for_the_administrator(fleet: Fleet, member: str) -> None:
    fleet.make()
    place = member, "eu-south-1"
    for account in (member, fleet.administrator.number):
        operation = fleet.deploy([member], "eu-south-1")
        assert operation["Status"] == "FAILED"
        assert fleet.instance(*place)["StatusReason"] == f"Region eu-south-1 is not enabled for account {account}"
        fleet.member(account, "account").enable_region(RegionName="eu-south-1")
    fleet.deploy([member], "eu-south-1")
    assert fleet.states()[place] == ("CURRENT", "SUCCEEDED")
