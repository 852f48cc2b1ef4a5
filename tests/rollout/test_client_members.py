"""Members are read through the plan role, and previews of changes leave nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cloud.conftest import Account

from builders.aws import change_sets, stacks
from builders.aws.change_sets import ResourceChange
from builders.aws.errors import AccessDenied
from builders.aws.objects import Objects
from builders.aws.resources import Alarm, alarms
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.executor.current_state import read_stacks
from builders.rollout.model import DeployedStack, Target

from .conftest import Administrator, Rollout, Watch, template

EAST = "us-east-1"


@pytest.fixture
def target(member: str) -> Target:
    return Target(member, EAST)


@pytest.fixture
def stack(administrator: Administrator, target: Target) -> Account:
    """A member's stack with one queue, named `stack`."""
    account = Account(administrator.cloud, target.account)
    body = json.loads(template())
    sections = {"Parameters": body["Parameters"], "Outputs": body["Outputs"]}
    account.deploy(body["Resources"], sections=sections, given={"QueueName": "payments"})
    return account


def test_a_stack_is_read_with_its_own_template_and_values(client: Client, target: Target, stack: Account) -> None:
    found = stacks.deployed(client.reading(target), "stack")
    assert found is not None
    assert json.loads(found.template) == json.loads(template())
    assert (found.parameters, found.status) == ({"QueueName": "payments"}, "CREATE_COMPLETE")
    assert found.outputs["Url"].endswith("/payments")
    assert stacks.outputs(client.reading(target), "stack") == found.outputs


def test_a_stack_that_is_gone_is_none(client: Client, target: Target, stack: Account) -> None:
    arn = stack.client("cloudformation").describe_stacks(StackName="stack")["Stacks"][0]["StackId"]
    stack.delete()
    assert stacks.deployed(client.reading(target), arn) is None
    assert stacks.deployed(client.reading(target), "never") is None
    assert stacks.outputs(client.reading(target), "never") == {}


def test_many_stacks_come_with_their_keys_and_a_locked_account_with_its_error(
    rolled_out: Rollout, members: list[str], number: Callable[[], str]
) -> None:
    instances = rolled_out.client.sets.instances(rolled_out.spec.name)
    stranger = ("network", Target(number(), EAST))
    ids = {("network", target): each.stack_id for target, each in instances.items()} | {stranger: "stack"}
    found = dict(read_stacks(rolled_out.client, ids))
    locked = found.pop(stranger)
    assert isinstance(locked, AccessDenied)
    assert set(found) == {("network", Target(each, EAST)) for each in members}
    assert all(isinstance(each, DeployedStack) and each.outputs["Url"] for each in found.values())


def test_a_role_is_assumed_once_for_many_calls(client: Client, target: Target, stack: Account) -> None:
    for _ in range(3):
        stacks.deployed(client.reading(target), "stack")
    assert client.calls.counts == {
        "sts:AssumeRole": 1,
        "cloudformation:DescribeStacks": 3,
        "cloudformation:GetTemplate": 3,
    }


def test_a_role_that_asks_for_another_external_id_names_what_is_missing(
    administrator: Administrator, client: Client, number: Callable[[], str]
) -> None:
    account = number()
    administrator.lend(account, "stackferry-plan-dev", {"StringEquals": {"sts:ExternalId": "migration-prod"}})
    with pytest.raises(AccessDenied, match=r"^a role cannot be assumed: .*sts:AssumeRole.*external id") as refused:
        stacks.deployed(client.reading(Target(account, EAST)), "stack")
    assert "\n" not in str(refused.value)


def test_the_first_failure_is_the_cause_and_not_what_was_cancelled_with_it(
    client: Client, target: Target, stack: Account
) -> None:
    api = stack.client("cloudformation")
    body = json.loads(template())
    body["Resources"]["Second"] = {"Type": "AWS::SQS::Queue", "DependsOn": "Broken"}
    body["Resources"]["Broken"] = {"Type": "AWS::SQS::Queue", "Properties": {"Colour": "red"}}
    api.update_stack(StackName="stack", TemplateBody=json.dumps(body), DisableValidation=True)
    assert stack.settled("stack") == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.first_failure(client.reading(target), "stack").startswith("Broken (AWS::SQS::Queue): ")
    assert "Colour" in stacks.first_failure(client.reading(target), "stack")


def test_a_failure_before_the_last_operation_does_not_count(client: Client, target: Target, stack: Account) -> None:
    test_the_first_failure_is_the_cause_and_not_what_was_cancelled_with_it(client, target, stack)
    body = template("Second")
    stack.client("cloudformation").update_stack(StackName="stack", TemplateBody=body)
    assert stack.settled("stack") == "UPDATE_COMPLETE"
    assert stacks.first_failure(client.reading(target), "stack") == ""


def test_a_stack_that_could_not_be_created_and_was_deleted_still_has_its_reason(
    client: Client, target: Target, administrator: Administrator
) -> None:
    account = Account(administrator.cloud, target.account)
    api = account.client("cloudformation")
    body = {"Resources": {"Broken": {"Type": "AWS::SQS::Queue", "Properties": {"Colour": "red"}}}}
    arn = api.create_stack(StackName="stack", TemplateBody=json.dumps(body))["StackId"]
    assert account.settled("stack") == "ROLLBACK_COMPLETE"
    account.delete()
    assert "Colour" in stacks.first_failure(client.reading(target), arn)


def test_alarms_are_found_by_any_of_the_prefixes_over_many_pages(
    client: Client, target: Target, administrator: Administrator
) -> None:
    api = administrator.api("cloudwatch", target.account)
    shared: dict[str, Any] = {"MetricName": "Lag", "Namespace": "Test", "Period": 60, "EvaluationPeriods": 1}
    shared.update(Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Maximum")
    names = [f"payments-{number:03}" for number in range(101)]
    for name in [*names, "refunds-lag", "other"]:
        api.put_metric_alarm(AlarmName=name, ActionsEnabled=name != "refunds-lag", **shared)
    api.put_metric_alarm(AlarmName="payments-001", **shared, TreatMissingData="breaching")
    api.put_composite_alarm(AlarmName="payments-all", AlarmRule="ALARM(payments-001)")
    found = {each.name: each for each in alarms(client.reading(target), ["payments-", "refunds-"])}
    assert sorted(found) == [*names, "payments-all", "refunds-lag"]
    assert found["payments-001"] == Alarm("payments-001", "ALARM", actions_enabled=True)
    assert found["refunds-lag"].actions_enabled is False
    assert alarms(client.reading(target), []) == []


def test_a_preview_has_each_change_with_its_cause_and_leaves_no_change_set(
    client: Client, target: Target, stack: Account
) -> None:
    found = change_sets.preview(client.reading(target), "stack", template("Second"), {"QueueName": "refunds"})
    by_name = {each.logical_id: each for each in found}
    assert by_name["Second"] == ResourceChange("Second", "AWS::SQS::Queue", "Add")
    named = by_name["Named"]
    assert (named.action, named.replacement, named.causes) == ("Modify", "True", ("Properties.QueueName",))
    assert stack.client("cloudformation").list_change_sets(StackName="stack")["Summaries"] == []
    assert stack.status("stack") == "CREATE_COMPLETE"


def test_a_preview_of_nothing_is_empty(client: Client, target: Target, stack: Account) -> None:
    assert change_sets.preview(client.reading(target), "stack", template(), {"QueueName": "payments"}) == []
    assert stack.client("cloudformation").list_change_sets(StackName="stack")["Summaries"] == []


def test_a_preview_that_is_interrupted_leaves_no_change_set(
    administrator: Administrator, target: Target, stack: Account
) -> None:
    class Interrupt(Watch):
        def __call__(self, *seen: Any) -> None:
            super().__call__(*seen)
            if str(seen[1]) == "cloudformation:DescribeChangeSet":
                raise KeyboardInterrupt

    client = administrator.client(observe=Interrupt())
    with pytest.raises(KeyboardInterrupt):
        change_sets.preview(client.reading(target), "stack", template("Second"), {})
    assert stack.client("cloudformation").list_change_sets(StackName="stack")["Summaries"] == []


def test_a_preview_of_a_template_that_cannot_be_sent_is_refused_before(client: Client, target: Target) -> None:
    with pytest.raises(RolloutError, match="51,200"):
        change_sets.preview(client.reading(target), "stack", " " * 51_201, {})
    assert not client.calls.counts


def test_a_preview_of_a_stack_that_is_not_there_says_so(client: Client, target: Target) -> None:
    with pytest.raises(RolloutError, match=r"refused CreateChangeSet: .*\[never\] does not exist"):
        change_sets.preview(client.reading(target), "never", template(), {})


def test_an_object_that_is_there_can_be_read_and_one_that_is_not_cannot(
    client: Client, target: Target, administrator: Administrator
) -> None:
    bucket = administrator.bucket()
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        ],
    }
    administrator.api("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    client.objects(EAST).put(bucket, "package.zip", b"zip")
    assert Objects(client.reading(target)).readable(bucket, "package.zip") is True
    assert Objects(client.reading(target)).readable(bucket, "other.zip") is False
