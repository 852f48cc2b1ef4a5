"""Drift of a whole set: found in each member's stack, counted, and shown where AWS shows it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Fleet, queue

US = "us-east-1"


def delayed() -> dict[str, Any]:
    """A queue with a setting that can drift."""
    template = queue()
    template["Resources"]["Queue"]["Properties"]["DelaySeconds"] = 5
    return template


@pytest.fixture
def drifted(fleet: Fleet, members: list[str]) -> Fleet:
    """Two instances; somebody changed the queue of the first."""
    fleet.make(delayed())
    fleet.deploy(members[:2])
    sqs = fleet.member(members[0], "sqs")
    url = sqs.get_queue_url(QueueName="payments")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "60"})
    return fleet


def test_drift_is_not_checked_until_it_is_asked_for(drifted: Fleet) -> None:
    assert {each["DriftStatus"] for each in drifted.instances().values()} == {"NOT_CHECKED"}
    assert "StackSetDriftDetectionDetails" not in drifted.call("describe_stack_set")["StackSet"]


def test_drift_is_found_in_the_instance_that_has_it(drifted: Fleet, members: list[str]) -> None:
    drifted.run("detect_stack_set_drift")
    found = {account: each["DriftStatus"] for (account, _), each in drifted.instances().items()}
    assert found == {members[0]: "DRIFTED", members[1]: "IN_SYNC"}
    assert set(drifted.states().values()) == {("CURRENT", "SUCCEEDED")}


def test_the_set_and_the_operation_tell_the_counts(drifted: Fleet) -> None:
    operation = drifted.run("detect_stack_set_drift")
    details = drifted.call("describe_stack_set")["StackSet"]["StackSetDriftDetectionDetails"]
    assert details == operation["StackSetDriftDetectionDetails"]
    assert (details["DriftStatus"], details["DriftDetectionStatus"]) == ("DRIFTED", "COMPLETED")
    counts = {name: count for name, count in details.items() if name.endswith("Count")}
    assert counts == {
        "TotalStackInstancesCount": 2,
        "DriftedStackInstancesCount": 1,
        "InSyncStackInstancesCount": 1,
        "InProgressStackInstancesCount": 0,
        "FailedStackInstancesCount": 0,
    }
    (summary,) = drifted.api.list_stack_sets()["Summaries"]
    assert summary["DriftStatus"] == "DRIFTED"


def test_instances_are_filtered_by_their_drift(drifted: Fleet, member: str) -> None:
    drifted.run("detect_stack_set_drift")
    assert list(drifted.instances(Filters=[{"Name": "DRIFT_STATUS", "Values": "DRIFTED"}])) == [(member, US)]


def test_the_drift_of_resources_is_told_with_its_properties(drifted: Fleet, members: list[str]) -> None:
    operation = drifted.run("detect_stack_set_drift")["OperationId"]
    where = {"StackInstanceAccount": members[0], "StackInstanceRegion": US, "OperationId": operation}
    (drift,) = drifted.call("list_stack_instance_resource_drifts", **where)["Summaries"]
    assert (drift["LogicalResourceId"], drift["StackResourceDriftStatus"]) == ("Queue", "MODIFIED")
    (difference,) = drift["PropertyDifferences"]
    assert (difference["PropertyPath"], difference["ActualValue"]) == ("/DelaySeconds", "60")


def test_a_change_by_a_services_api_is_drift_of_the_set(fleet: Fleet, member: str) -> None:
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "kept", "RetentionInDays": 30}}
    fleet.make({"Resources": {"Group": group}})
    fleet.deploy([member])
    fleet.run("detect_stack_set_drift")
    assert fleet.instance(member)["DriftStatus"] == "IN_SYNC"
    fleet.member(member, "logs").delete_retention_policy(logGroupName="kept")
    fleet.run("detect_stack_set_drift")
    assert fleet.instance(member)["DriftStatus"] == "DRIFTED"


def test_an_update_by_the_member_itself_is_no_drift(fleet: Fleet, member: str) -> None:
    fleet.make(delayed())
    fleet.deploy([member])
    changed = delayed()
    changed["Resources"]["Queue"]["Properties"]["DelaySeconds"] = 60
    name = fleet.stacks(member)[0]["StackName"]
    fleet.member(member).update_stack(StackName=name, TemplateBody=json.dumps(changed))
    fleet.run("detect_stack_set_drift")
    assert fleet.instance(member)["DriftStatus"] == "IN_SYNC"


def test_an_instance_that_cannot_be_looked_at_fails_the_detection(drifted: Fleet, members: list[str]) -> None:
    drifted.shut_out(members[1])
    operation = drifted.run("detect_stack_set_drift", OperationPreferences={"FailureToleranceCount": 1})
    details = operation["StackSetDriftDetectionDetails"]
    assert (details["DriftDetectionStatus"], details["FailedStackInstancesCount"]) == ("PARTIAL_SUCCESS", 1)
    assert drifted.states()[members[1], US] == ("CURRENT", "SUCCEEDED")


def test_resource_drifts_of_another_operation_are_not_found(drifted: Fleet, member: str) -> None:
    (created,) = drifted.call("list_stack_set_operations")["Summaries"]
    where = {"StackInstanceAccount": member, "StackInstanceRegion": US}
    with pytest.raises(ClientError, match="OperationNotFoundException"):
        drifted.call("list_stack_instance_resource_drifts", **where, OperationId=created["OperationId"])
