"""Stack sets are driven and read as the model says, against real servers of the embedded cloud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from builders.aws import stacks
from builders.aws.errors import (
    OperationIdExists,
    OperationInProgress,
    StackSetExists,
    StackSetNotEmpty,
    StackSetNotFound,
    StaleRequest,
)
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.model import ConcurrencyMode, Permissions, Preferences, Status, Target
from builders.rollout.plan.calls import Action
from builders.rollout.stack_sets import DriftedProperty

from .conftest import Administrator, Rollout, spec, template


def test_a_set_that_is_not_there_reads_as_none(client: Client) -> None:
    assert client.sets.read("network", "stackferry-network-dev") is None
    assert client.sets.names() == []


def test_a_new_set_is_read_as_it_was_submitted(rollout: Rollout) -> None:
    rollout.submit(rollout.step(Action.CREATE_SET))
    found = rollout.client.sets.read("network", rollout.spec.name)
    assert found is not None
    assert (found.layer, found.name) == ("network", "stackferry-network-dev")
    assert (found.template, found.parameters) == (rollout.spec.template, {"QueueName": "payments"})
    assert (found.tags, found.instances, found.active) == ({"Environment": "dev"}, {}, ())
    assert rollout.client.sets.names() == ["stackferry-network-dev"]


def test_a_new_set_queues_operations_that_do_not_conflict(rollout: Rollout, administrator: Administrator) -> None:
    rollout.submit(rollout.step(Action.CREATE_SET))
    found = administrator.fleet.call("describe_stack_set")["StackSet"]
    assert found["ManagedExecution"] == {"Active": True}
    assert found["Capabilities"] == ["CAPABILITY_NAMED_IAM"]


def test_instances_are_read_with_where_they_are_and_what_they_last_went_through(
    rollout: Rollout, members: list[str]
) -> None:
    rollout.submit(rollout.step(Action.CREATE_SET))
    operation = rollout.run(rollout.step(Action.CREATE, members, ("eu-west-1", "us-east-1")))
    found = rollout.client.sets.instances(rollout.spec.name)
    assert set(found) == {Target(each, region) for each in members for region in ("eu-west-1", "us-east-1")}
    one = found[Target(members[0], "eu-west-1")]
    assert (one.status, one.detailed, one.last_operation_id) == (Status.CURRENT, "SUCCEEDED", operation.id)
    assert one.stack_id.startswith(
        f"arn:aws:cloudformation:eu-west-1:{members[0]}:stack/StackSet-stackferry-network-dev-"
    )
    assert one.overrides is None


def test_more_instances_than_a_page_holds_are_all_read(rollout: Rollout, number: Callable[[], str]) -> None:
    accounts = [number() for _ in range(101)]
    rollout.submit(rollout.step(Action.CREATE_SET))
    desired = Preferences(max_concurrent="100%", failure_tolerance="100%", mode=ConcurrencyMode.SOFT)
    operation = rollout.run(rollout.step(Action.CREATE, accounts), preferences=desired)
    before = Counter(rollout.client.calls.counts)
    assert set(rollout.client.sets.instances(rollout.spec.name)) == {Target(each, "us-east-1") for each in accounts}
    assert rollout.client.calls.counts - before == {"cloudformation:ListStackInstances": 2}
    assert set(rollout.client.sets.results(rollout.spec.name, operation.id)) == {
        Target(each, "us-east-1") for each in accounts
    }


def test_overrides_are_read_by_instance(rollout: Rollout, members: list[str]) -> None:
    rollout.submit(rollout.step(Action.CREATE_SET))
    rollout.run(rollout.step(Action.CREATE, members[:1], overrides={"QueueName": "refunds"}))
    rollout.run(rollout.step(Action.CREATE, members[1:2]))
    found = [rollout.client.sets.overrides(rollout.spec.name, Target(each, "us-east-1")) for each in members]
    assert found == [{"QueueName": "refunds"}, {}, {}]


def test_an_update_of_the_set_changes_its_targets_and_leaves_the_others_outdated(
    rolled_out: Rollout, members: list[str]
) -> None:
    rolled_out.spec = spec(body=template("Second"), QueueName="refunds")
    operation = rolled_out.run(rolled_out.step(Action.UPDATE_SET, members[:1]))
    assert (operation.action, operation.status, operation.failed) == ("UPDATE", "SUCCEEDED", 0)
    found = rolled_out.client.sets.read("network", rolled_out.spec.name)
    assert found is not None
    assert (found.template, found.parameters) == (rolled_out.spec.template, {"QueueName": "refunds"})
    states = [found.instances[Target(each, "us-east-1")].status for each in members]
    assert states == [Status.CURRENT, Status.OUTDATED, Status.OUTDATED]


def test_an_update_of_instances_gives_them_their_overrides(rolled_out: Rollout, members: list[str]) -> None:
    rolled_out.run(rolled_out.step(Action.UPDATE, members[:1], overrides={"QueueName": "refunds"}))
    deployed = rolled_out.client.sets.instances(rolled_out.spec.name)[Target(members[0], "us-east-1")]
    found = stacks.deployed(rolled_out.client.reading(deployed.target), deployed.stack_id)
    assert found is not None
    assert found.parameters == {"QueueName": "refunds"}


def test_a_set_is_emptied_and_deleted(rolled_out: Rollout, members: list[str]) -> None:
    with pytest.raises(StackSetNotEmpty):
        rolled_out.submit(rolled_out.step(Action.DELETE_SET))
    rolled_out.run(rolled_out.step(Action.DELETE, members))
    rolled_out.submit(rolled_out.step(Action.DELETE_SET))
    assert rolled_out.client.sets.read("network", rolled_out.spec.name) is None
    with pytest.raises(StackSetNotFound):
        rolled_out.client.sets.instances(rolled_out.spec.name)


def test_instances_that_are_retained_leave_their_stacks(
    rolled_out: Rollout, members: list[str], administrator: Administrator
) -> None:
    rolled_out.run(rolled_out.step(Action.DELETE, members[:1], retain=True))
    assert Target(members[0], "us-east-1") not in rolled_out.client.sets.instances(rolled_out.spec.name)
    assert [each["StackStatus"] for each in administrator.fleet.stacks(members[0])] == ["CREATE_COMPLETE"]


def test_a_set_of_the_name_is_not_made_again(rollout: Rollout) -> None:
    rollout.submit(rollout.step(Action.CREATE_SET), "first")
    rollout.spec = spec(QueueName="refunds")
    with pytest.raises(StackSetExists):
        rollout.submit(rollout.step(Action.CREATE_SET), "second")


def test_an_id_that_came_before_with_another_request_is_refused(rolled_out: Rollout, members: list[str]) -> None:
    rolled_out.run(rolled_out.step(Action.UPDATE, members[:1]), operation_id="mine")
    with pytest.raises(OperationIdExists):
        rolled_out.submit(rolled_out.step(Action.UPDATE, members[1:]), "mine")


def test_a_request_that_came_before_operations_of_others_is_stale(rolled_out: Rollout, members: list[str]) -> None:
    step = rolled_out.step(Action.UPDATE, members[:1])
    rolled_out.run(step, operation_id="mine")
    rolled_out.run(rolled_out.step(Action.UPDATE, members[1:]))
    with pytest.raises(StaleRequest):
        rolled_out.submit(step, "mine")


def test_the_same_request_twice_is_one_operation(
    rolled_out: Rollout, members: list[str], administrator: Administrator
) -> None:
    step = rolled_out.step(Action.UPDATE, members)
    rolled_out.submit(step, "mine")
    rolled_out.submit(step, "mine")
    operations = administrator.fleet.operations()
    assert [each["OperationId"] for each in operations] == ["mine", "operation-2"]


def test_while_another_operation_runs_a_set_without_managed_execution_refuses(
    administrator: Administrator, rollout: Rollout, member: str
) -> None:
    administrator.fleet.make()
    administrator.fleet.drive(StackSeconds=60, OperationsLagSeconds=0)
    rollout.submit(rollout.step(Action.CREATE, [member]), "first")
    with pytest.raises(OperationInProgress):
        rollout.submit(rollout.step(Action.UPDATE_SET, [member]), "second")
    assert [each.id for each in rollout.client.sets.active(rollout.spec.name)] == ["first"]


def test_operations_that_are_not_over_are_read_oldest_first(
    rolled_out: Rollout, members: list[str], administrator: Administrator
) -> None:
    administrator.fleet.drive(StackSeconds=60, OperationsLagSeconds=0)
    for name in ("first", "second"):
        rolled_out.submit(rolled_out.step(Action.UPDATE, members[:1]), name)
    found = rolled_out.client.sets.read("network", rolled_out.spec.name)
    assert found is not None
    assert [(each.id, each.status) for each in found.active] == [("first", "RUNNING"), ("second", "QUEUED")]


def test_an_operation_that_is_stopped_begins_nothing_more(
    rolled_out: Rollout, members: list[str], administrator: Administrator
) -> None:
    administrator.fleet.drive(StackSeconds=60)
    operation_id = rolled_out.submit(rolled_out.step(Action.UPDATE, members), preferences=Preferences())
    api = administrator.api("cloudformation")
    api.stop_stack_set_operation(StackSetName=rolled_out.spec.name, OperationId=operation_id)
    administrator.fleet.drive(StackSeconds=0)
    assert rolled_out.over(operation_id).status == "STOPPED"
    results = rolled_out.client.sets.results(rolled_out.spec.name, operation_id)
    assert sorted(each.status for each in results.values()) == ["CANCELLED", "CANCELLED", "SUCCEEDED"]


def test_an_operation_that_was_never_submitted_is_none(rolled_out: Rollout) -> None:
    assert rolled_out.client.sets.operation(rolled_out.spec.name, "never") is None


def test_results_tell_why_an_account_failed(
    rolled_out: Rollout, members: list[str], administrator: Administrator
) -> None:
    administrator.fleet.drive(Accounts={members[1]: {"Failure": "Rate exceeded"}})
    operation = rolled_out.run(rolled_out.step(Action.UPDATE, members), preferences=Preferences("100%", "100%"))
    assert operation.failed == 1
    results = rolled_out.client.sets.results(rolled_out.spec.name, operation.id)
    assert results[Target(members[0], "us-east-1")].status == "SUCCEEDED"
    assert results[Target(members[1], "us-east-1")].status == "FAILED"
    assert "Rate exceeded" in results[Target(members[1], "us-east-1")].reason


@pytest.mark.parametrize("parallel", [True, False])
def test_preferences_reach_the_operation_and_regions_in_parallel_have_no_order(
    rolled_out: Rollout, members: list[str], administrator: Administrator, parallel: bool
) -> None:
    desired = Preferences("2", "10%", ConcurrencyMode.SOFT, parallel_regions=parallel)
    operation = rolled_out.run(rolled_out.step(Action.UPDATE, members), preferences=desired)
    found = administrator.fleet.operation(operation.id)["OperationPreferences"]
    assert found == {
        "MaxConcurrentCount": 2,
        "FailureTolerancePercentage": 10,
        "ConcurrencyMode": "SOFT_FAILURE_TOLERANCE",
        "RegionConcurrencyType": "PARALLEL" if parallel else "SEQUENTIAL",
        "RegionOrder": [] if parallel else ["us-east-1"],
    }


@pytest.mark.parametrize("action", [Action.CREATE, Action.UPDATE, Action.DELETE])
def test_an_operation_without_accounts_is_not_submitted(rollout: Rollout, action: Action) -> None:
    with pytest.raises(RolloutError, match="names no account or no region; nothing was submitted"):
        rollout.submit(rollout.step(action))
    assert not rollout.client.calls.counts


def test_a_template_that_is_too_large_to_be_sent_is_refused_before(rollout: Rollout) -> None:
    rollout.spec = spec(body=template() + " " * 51_200)
    with pytest.raises(RolloutError, match="bytes; CloudFormation takes 51,200"):
        rollout.submit(rollout.step(Action.CREATE_SET))
    assert not rollout.client.calls.counts


def test_roles_of_a_self_managed_set_are_the_given_ones(rollout: Rollout, administrator: Administrator) -> None:
    administrator.api("iam").create_role(RoleName="ours", AssumeRolePolicyDocument=_TRUST)
    arn = f"arn:aws:iam::{administrator.number}:role/ours"
    permissions = Permissions(administration_role_arn=arn, execution_role_name="theirs")
    rollout.submit(rollout.step(Action.CREATE_SET), permissions=permissions)
    found = rollout.client.sets.read("network", rollout.spec.name)
    assert found is not None
    assert found.permissions == permissions


_TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
    '"Principal": {"Service": "cloudformation.amazonaws.com"}}]}'
)


def test_drift_is_read_resource_by_resource(
    rolled_out: Rollout, members: list[str], administrator: Administrator
) -> None:
    sqs = administrator.api("sqs", members[1])
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="payments")["QueueUrl"])
    rolled_out.client.sets.detect_drift(rolled_out.spec.name, "look", Preferences("100%"))
    assert rolled_out.over("look").status == "SUCCEEDED"
    first, second = (Target(each, "us-east-1") for each in members[:2])
    which = "network", rolled_out.spec.name, "look"
    found = rolled_out.client.sets.resource_drifts(*which, second)
    assert found == [DriftedProperty("network", second, "Named", "AWS::SQS::Queue", "DELETED")]
    assert rolled_out.client.sets.resource_drifts(*which, first) == []
    instances = rolled_out.client.sets.instances(rolled_out.spec.name)
    assert instances[Target(members[1], "us-east-1")].drift == "DRIFTED"
