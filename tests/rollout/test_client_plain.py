"""Plain stacks are created, updated and deleted as `aws cloudformation deploy` does it, in any account."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import pytest
from cloud.conftest import Account

from builders.aws import change_sets, stacks
from builders.aws.stacks import FEW, TEMPLATE_TAG
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.model import Target
from builders.template_bodies import digest

from .conftest import Administrator, Watch, deploy_plain, plain_stack, template

VALUES = {"QueueName": "payments"}
NO_VPC = "vpc-0123456789abcdef0"
BROKEN = json.dumps(
    {
        "Resources": {
            "Good": {"Type": "AWS::SQS::Queue"},
            "Broken": {
                "Type": "AWS::EC2::Subnet",
                "DependsOn": "Good",
                "Properties": {"VpcId": NO_VPC, "CidrBlock": "10.0.0.0/24"},
            },
        }
    }
)
INVALID = json.dumps({"Resources": {"Broken": {"Type": "AWS::SQS::Queue", "Properties": {"Colour": "red"}}}})


@pytest.fixture
def owner(administrator: Administrator, member: str) -> Account:
    """The account that the stacks live in, as it sees itself."""
    return Account(administrator.cloud, member)


@pytest.fixture
def target(owner: Account) -> Target:
    return Target(owner.number, "us-east-1")


def deploy(client: Client, target: Target, body: str = "", **values: str) -> dict[str, str]:
    return dict(deploy_plain(client, plain_stack(target, body, values or VALUES)).outputs)


def test_a_stack_is_created_in_the_account_that_lends_the_role(client: Client, owner: Account, target: Target) -> None:
    found = deploy_plain(client, plain_stack(target))
    assert (found.status, found.parameters) == ("CREATE_COMPLETE", VALUES)
    assert owner.status("routes") == "CREATE_COMPLETE"
    described = owner.client("cloudformation").describe_stacks(StackName="routes")["Stacks"][0]
    assert described["Tags"] == [{"Key": "Environment", "Value": "dev"}]
    assert stacks.standing(client.reading_shared(target), "routes") == found
    protection = owner.client("cloudformation").update_termination_protection
    protection(StackName="routes", EnableTerminationProtection=True)
    assert stacks.standing(client.reading_shared(target), "routes") == dataclasses.replace(found, protected=True)


def test_many_stacks_are_read_from_the_pages_of_a_list(administrator: Administrator, target: Target) -> None:
    client, body = administrator.client(), template()
    made = {
        name: deploy_plain(
            client,
            dataclasses.replace(plain_stack(target, values={"QueueName": name}, name=name), tags={TEMPLATE_TAG: tag}),
        )
        for name, tag in (("routes-1", digest(body)), ("routes-2", "of another template"))
    }
    reader = administrator.client()
    assert (
        stacks.standing_of(reader.reading_shared(target), {f"routes-{number}": body for number in range(FEW + 1)})
        == made
    )
    counts = reader.calls.counts
    assert (counts["cloudformation:DescribeStacks"], counts["cloudformation:GetTemplate"]) == (1, 1)


def test_a_stack_of_our_own_account_needs_no_role(client: Client, administrator: Administrator) -> None:
    found = deploy_plain(client, plain_stack(Target(administrator.number, "eu-west-1"), name="artifacts"))
    assert found.outputs["Url"].endswith("/payments")
    assert "sts:AssumeRole" not in client.calls.counts


def test_a_stack_is_updated(client: Client, owner: Account, target: Target) -> None:
    deploy(client, target)
    assert deploy(client, target, template("Second"), QueueName="refunds")["Url"].endswith("/refunds")
    assert owner.status("routes") == "UPDATE_COMPLETE"


def test_nothing_happens_where_nothing_changes(client: Client, owner: Account, target: Target) -> None:
    before = deploy(client, target)
    events = owner.events("routes")
    assert deploy(client, target) == before
    assert owner.events("routes") == events
    assert owner.client("cloudformation").list_change_sets(StackName="routes")["Summaries"] == []


def test_a_creation_that_fails_gives_the_reason_and_can_be_tried_again(
    client: Client, owner: Account, target: Target
) -> None:
    with pytest.raises(RolloutError, match=rf"stack routes in account .* is ROLLBACK_COMPLETE; Broken .*{NO_VPC}"):
        deploy_plain(client, plain_stack(target, BROKEN, {}))
    assert owner.status("routes") == "ROLLBACK_COMPLETE"
    assert stacks.standing(client.reading_shared(target), "routes") is None
    before = Counter(client.calls.counts)
    assert deploy_plain(client, plain_stack(target)).status == "CREATE_COMPLETE"
    assert (client.calls.counts - before)["cloudformation:DeleteStack"] == 1


def test_an_update_that_fails_rolls_back_and_gives_the_reason(client: Client, target: Target) -> None:
    deploy(client, target)
    with pytest.raises(RolloutError, match=rf"is UPDATE_ROLLBACK_COMPLETE; Broken .*{NO_VPC}"):
        deploy_plain(client, plain_stack(target, BROKEN, {}))
    found = stacks.standing(client.reading_shared(target), "routes")
    assert found is not None
    assert json.loads(found.template) == json.loads(template())


def test_what_a_validation_finds_before_anything_is_made_is_the_reason(
    client: Client, owner: Account, target: Target
) -> None:
    reason = r"Broken \(AWS::SQS::Queue\): extraneous key \[Colour\] is not permitted at /Resources/Broken/Properties"
    with pytest.raises(RolloutError, match=f"CloudFormation cannot change routes in account .*: {reason}$"):
        deploy_plain(client, plain_stack(target, INVALID, {}))
    assert owner.status("routes") == ""


def test_a_stack_that_waits_for_its_first_change_set_takes_ours(client: Client, owner: Account, target: Target) -> None:
    owner.client("cloudformation").create_change_set(
        StackName="routes", ChangeSetName="theirs", ChangeSetType="CREATE", TemplateBody=template()
    )
    assert stacks.standing(client.reading_shared(target), "routes") is None
    assert deploy(client, target)["Url"].endswith("/payments")


def test_a_creation_that_cannot_begin_leaves_no_stack(client: Client, owner: Account, target: Target) -> None:
    body = json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "No"}}}}})
    with pytest.raises(RolloutError, match="No"):
        deploy_plain(client, plain_stack(target, body, {}))
    assert owner.status("routes") == ""


def test_a_creation_that_is_interrupted_before_it_begins_leaves_no_stack(
    administrator: Administrator, owner: Account, target: Target
) -> None:
    class Interrupt(Watch):
        def __call__(self, *seen: object) -> None:
            if str(seen[1]) == "cloudformation:ExecuteChangeSet":
                raise KeyboardInterrupt

    client = administrator.client(observe=Interrupt())
    with pytest.raises(KeyboardInterrupt):
        deploy(client, target)
    assert owner.status("routes") == ""


def test_a_stack_is_deleted_and_deleting_again_does_nothing(client: Client, owner: Account, target: Target) -> None:
    deploy(client, target)
    change_sets.delete(client.deploying(target), "routes")
    assert owner.status("routes") in ("", "DELETE_COMPLETE")
    change_sets.delete(client.deploying(target), "routes")
    assert stacks.standing(client.reading_shared(target), "routes") is None


def test_a_stack_that_cannot_be_deleted_gives_the_reason(client: Client, owner: Account, target: Target) -> None:
    resources = {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}
    owner.deploy(resources, "routes")
    owner.client("ec2").create_subnet(VpcId=owner.physical_id("Vpc", "routes"), CidrBlock="10.0.0.0/24")
    with pytest.raises(RolloutError, match=r"stack routes in .* is DELETE_FAILED; Vpc \(AWS::EC2::VPC\): "):
        change_sets.delete(client.deploying(target), "routes")
    with pytest.raises(RolloutError, match="is DELETE_FAILED; delete it by `aws cloudformation delete-stack`, then"):
        deploy(client, target)
