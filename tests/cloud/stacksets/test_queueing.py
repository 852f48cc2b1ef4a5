"""One operation of a set after the other; ids of operations as idempotency tokens; managed execution."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ..conftest import until
from .conftest import Fleet, queue


@pytest.fixture
def busy(fleet: Fleet, member: str) -> Fleet:
    """The fleet while the operation `running` of its set is in progress, until it is let finish."""
    fleet.make()
    fleet.drive(StackSeconds=60)
    fleet.call("create_stack_instances", Accounts=[member], Regions=["us-east-1"], OperationId="running")
    return fleet


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("create_stack_instances", {"Accounts": ["111111111111"], "Regions": ["us-east-1"]}),
        ("update_stack_instances", {"Accounts": [], "Regions": ["us-east-1"]}),
        ("delete_stack_instances", {"Accounts": ["111111111111"], "Regions": ["us-east-1"], "RetainStacks": True}),
        ("update_stack_set", {"UsePreviousTemplate": True}),
        ("detect_stack_set_drift", {}),
        ("delete_stack_set", {}),
    ],
)
def test_another_operation_is_refused_while_one_is_in_progress(
    busy: Fleet, member: str, operation: str, request_: dict[str, Any]
) -> None:
    if request_.get("Accounts") == []:
        request_ = {**request_, "Accounts": [member]}
    with pytest.raises(
        ClientError, match=r"Another Operation on StackSet arn:.*:stackset/payments:.* is in"
    ) as refused:
        busy.call(operation, **request_)
    assert refused.value.response["Error"]["Code"] == "OperationInProgressException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    busy.finish("running")


def test_the_same_request_with_its_id_is_performed_once(busy: Fleet, member: str) -> None:
    request = {"Accounts": [member], "Regions": ["us-east-1"], "OperationId": "running"}
    assert busy.call("create_stack_instances", **request)["OperationId"] == "running"
    busy.finish("running")
    assert busy.call("create_stack_instances", **request)["OperationId"] == "running"
    assert [each["OperationId"] for each in busy.call("list_stack_set_operations")["Summaries"]] == ["running"]


def test_another_request_with_a_used_id_is_refused(busy: Fleet, members: list[str]) -> None:
    busy.finish("running")
    request = {"Accounts": members[1:2], "Regions": ["us-east-1"], "OperationId": "running"}
    with pytest.raises(ClientError, match="OperationIdAlreadyExistsException"):
        busy.call("create_stack_instances", **request)


def test_the_same_request_is_stale_once_the_set_has_moved_on(busy: Fleet, member: str) -> None:
    busy.finish("running")
    busy.run("update_stack_set", TemplateBody=json.dumps(queue("orders")))
    request = {"Accounts": [member], "Regions": ["us-east-1"], "OperationId": "running"}
    with pytest.raises(ClientError, match="StaleRequestException"):
        busy.call("create_stack_instances", **request)


def test_a_fresh_request_is_stale_now_and_then_and_is_taken_the_next_time(fleet: Fleet, member: str) -> None:
    fleet.make()
    fleet.drive(StaleRequests={"Share": 0.5, "Seed": 3})
    request = {"Accounts": [member], "Regions": ["us-east-1"], "OperationId": "fresh"}
    with pytest.raises(ClientError, match="StaleRequestException"):
        fleet.call("create_stack_instances", **request)
    with pytest.raises(ClientError, match="OperationNotFoundException"):
        fleet.operation("fresh")
    until(lambda: submitted(fleet, request))
    assert fleet.finish("fresh")["Status"] == "SUCCEEDED"


def submitted(fleet: Fleet, request: dict[str, Any]) -> bool:
    try:
        fleet.call("create_stack_instances", **request)
    except ClientError:
        return False
    return True


def test_a_list_may_miss_an_operation_that_is_there(busy: Fleet) -> None:
    busy.drive(OperationsLagSeconds=60)
    assert busy.operation("running")["Status"] == "RUNNING"
    assert busy.call("list_stack_set_operations")["Summaries"] == []
    time.sleep(1)
    ended = busy.finish("running")["EndTimestamp"].timestamp()

    def listed_as_before_its_end() -> list[tuple[str, bool]]:
        """Where the request takes longer than the half second, the operation is listed as it is."""
        busy.drive(OperationsLagSeconds=time.time() - ended + 0.5)
        summaries = busy.call("list_stack_set_operations")["Summaries"]
        return [(each["Status"], "EndTimestamp" in each) for each in summaries]

    until(lambda: listed_as_before_its_end() == [("RUNNING", False)])
    busy.drive(OperationsLagSeconds=0)
    (listed,) = busy.call("list_stack_set_operations")["Summaries"]
    assert (listed["Status"], "EndTimestamp" in listed) == ("SUCCEEDED", True)


def test_instances_under_way_in_a_region_are_limited_over_all_sets(busy: Fleet, members: list[str]) -> None:
    busy.default["StackSetName"] = "orders"
    busy.make()
    busy.drive(InstancesUnderWay=2)
    request = {"Accounts": members[1:3], "Regions": ["us-east-1", "eu-west-1"]}
    with pytest.raises(ClientError, match=r"LimitExceeded.*StackSet operations cannot involve more than 2"):
        busy.call("create_stack_instances", **request)
    assert busy.states() == {}
    busy.default["StackSetName"] = "payments"
    busy.finish("running")
    busy.default["StackSetName"] = "orders"
    busy.drive(StackSeconds=0)
    assert busy.run("create_stack_instances", **request)["OperationId"]


def test_operations_are_listed_newest_first(deployed: Fleet) -> None:
    deployed.run("update_stack_set", TemplateBody=json.dumps(queue("orders")))
    actions = [each["Action"] for each in deployed.call("list_stack_set_operations")["Summaries"]]
    assert actions == ["UPDATE", "CREATE"]


@pytest.fixture
def queueing(fleet: Fleet) -> Fleet:
    """A set with managed execution and slow stacks."""
    fleet.make(ManagedExecution={"Active": True})
    fleet.drive(StackSeconds=60)
    return fleet


def create(fleet: Fleet, account: str, name: str) -> str:
    request = {"Accounts": [account], "Regions": ["us-east-1"], "OperationId": name}
    return str(fleet.call("create_stack_instances", **request)["OperationId"])


def test_managed_execution_runs_what_does_not_conflict_together(queueing: Fleet, members: list[str]) -> None:
    names = [create(queueing, members[0], "one"), create(queueing, members[1], "two")]
    until(lambda: [queueing.operation(name)["Status"] for name in names] == ["RUNNING", "RUNNING"])
    assert [queueing.finish(name)["Status"] for name in names] == ["SUCCEEDED", "SUCCEEDED"]


def test_managed_execution_queues_what_conflicts(queueing: Fleet, member: str) -> None:
    names = [create(queueing, member, "one"), "two"]
    queueing.call("update_stack_instances", Accounts=[member], Regions=["us-east-1"], OperationId="two")
    until(lambda: [queueing.operation(name)["Status"] for name in names] == ["RUNNING", "QUEUED"])
    ended = [queueing.finish(name) for name in names]
    assert [each["Status"] for each in ended] == ["SUCCEEDED", "SUCCEEDED"]
    assert queueing.instance(member)["LastOperationId"] == "two"


def test_what_conflicts_with_a_queued_operation_waits_behind_it(queueing: Fleet, members: list[str]) -> None:
    create(queueing, members[0], "one")
    body = json.dumps(queue("orders"))
    queueing.call("update_stack_set", TemplateBody=body, OperationId="all")
    create(queueing, members[1], "two")
    assert [queueing.operation(name)["Status"] for name in ("one", "all", "two")] == ["RUNNING", "QUEUED", "QUEUED"]
    queueing.finish("two")
    assert queueing.stacks(members[1])[0]["Parameters"][0]["ParameterValue"] == "orders"


def test_a_queued_operation_can_be_stopped(queueing: Fleet, member: str) -> None:
    create(queueing, member, "one")
    create(queueing, member, "two")
    queueing.call("stop_stack_set_operation", OperationId="two")
    assert queueing.operation("two")["Status"] == "STOPPED"
    assert queueing.finish("one")["Status"] == "SUCCEEDED"


def test_managed_execution_is_turned_on_by_an_update_and_stays(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    fleet.run("update_stack_set", UsePreviousTemplate=True, ManagedExecution={"Active": True})
    fleet.run("update_stack_set", UsePreviousTemplate=True)
    assert fleet.call("describe_stack_set")["StackSet"]["ManagedExecution"] == {"Active": True}
    fleet.drive(StackSeconds=60)
    names = [create(fleet, members[0], "one"), create(fleet, members[1], "two")]
    assert [fleet.finish(name)["Status"] for name in names] == ["SUCCEEDED", "SUCCEEDED"]


def test_managed_execution_cannot_be_changed_while_operations_run(queueing: Fleet, member: str) -> None:
    create(queueing, member, "one")
    with pytest.raises(ClientError, match="OperationInProgressException"):
        queueing.call("update_stack_set", UsePreviousTemplate=True, ManagedExecution={"Active": False})
    queueing.finish("one")
