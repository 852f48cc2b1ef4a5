"""The roles of self-managed sets: there, trusting rightly, and allowed what the stacks need."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from builders.cloud.process import Cloud

from .conftest import ADMINISTRATION, ADMINISTRATOR_ACCESS, EXECUTION, Fleet, allowing, queue, trusting

STACKS = "cloudformation:*"


def reason(fleet: Fleet, account: str) -> str:
    """Why the one instance failed."""
    fleet.make()
    assert fleet.deploy([account])["Status"] == "FAILED"
    return str(fleet.instance(account)["StatusReason"])


def permit(fleet: Fleet, account: str, *actions: str) -> None:
    """Let the execution role do that, and nothing else."""
    iam = fleet.member(account, "iam")
    iam.detach_role_policy(RoleName=EXECUTION, PolicyArn=ADMINISTRATOR_ACCESS)
    iam.put_role_policy(RoleName=EXECUTION, PolicyName="own", PolicyDocument=allowing(*actions))


def test_without_the_administration_role_nothing_can_be_done(cloud: Cloud, number: Callable[[], str]) -> None:
    fleet = Fleet(cloud, number())
    assert reason(fleet, number()) == (
        f"Account {fleet.administrator.number} should have '{ADMINISTRATION}' role with trust relationship to "
        "CloudFormation service."
    )


def test_an_administration_role_that_trusts_another_service_is_none(fleet: Fleet, member: str) -> None:
    iam = fleet.administrator.client("iam")
    trust = trusting({"Service": "lambda.amazonaws.com"})
    iam.update_assume_role_policy(RoleName=ADMINISTRATION, PolicyDocument=trust)
    assert "with trust relationship to CloudFormation service." in reason(fleet, member)


@pytest.mark.parametrize(
    ("name", "is_trusted"), [("payments-*", True), ("orders-*", False)], ids=["its own sets", "other sets"]
)
def test_an_administration_role_acts_for_the_stack_sets_that_its_trust_names(
    fleet: Fleet, member: str, name: str, is_trusted: bool
) -> None:
    sets = f"arn:aws:cloudformation:*:{fleet.administrator.number}:stackset/{name}:*"
    trust = json.loads(trusting({"Service": "cloudformation.amazonaws.com"}))
    trust["Statement"][0]["Condition"] = {"ArnLike": {"aws:SourceArn": sets}}
    iam = fleet.administrator.client("iam")
    iam.update_assume_role_policy(RoleName=ADMINISTRATION, PolicyDocument=json.dumps(trust))
    fleet.default["StackSetName"] = "payments-dev"
    fleet.make()
    assert (fleet.deploy([member])["Status"] == "SUCCEEDED") is is_trusted


def test_without_the_execution_role_its_account_fails(fleet: Fleet, member: str) -> None:
    fleet.shut_out(member)
    assert reason(fleet, member) == (
        f"Account {member} should have '{EXECUTION}' role with trust relationship to Role '{ADMINISTRATION}'."
    )


def test_an_execution_role_that_trusts_another_account_is_none(fleet: Fleet, member: str) -> None:
    trust = trusting({"AWS": "999999999999"})
    fleet.member(member, "iam").update_assume_role_policy(RoleName=EXECUTION, PolicyDocument=trust)
    assert f"should have '{EXECUTION}' role with trust relationship" in reason(fleet, member)


def test_an_execution_role_may_trust_the_administration_role_alone(fleet: Fleet, member: str) -> None:
    trust = trusting({"AWS": f"arn:aws:iam::{fleet.administrator.number}:role/{ADMINISTRATION}"})
    fleet.member(member, "iam").update_assume_role_policy(RoleName=EXECUTION, PolicyDocument=trust)
    fleet.make()
    assert fleet.deploy([member])["Status"] == "SUCCEEDED"


def test_the_administration_role_must_be_allowed_to_assume_the_other(fleet: Fleet, member: str) -> None:
    fleet.administrator.client("iam").delete_role_policy(RoleName=ADMINISTRATION, PolicyName="assume")
    told = reason(fleet, member)
    assert told.startswith(f"User: arn:aws:sts::{fleet.administrator.number}:assumed-role/{ADMINISTRATION}/")
    assert told.endswith(
        f"not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::{member}:role/{EXECUTION}"
    )


def test_roles_of_other_names_are_used_where_the_set_names_them(fleet: Fleet, member: str) -> None:
    fleet.shut_out(member)
    iam = fleet.administrator.client("iam")
    trust = trusting({"Service": "cloudformation.amazonaws.com"})
    arn = iam.create_role(RoleName="rollout", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName="rollout", PolicyName="assume", PolicyDocument=allowing("sts:AssumeRole"))
    members_iam = fleet.member(member, "iam")
    members_iam.create_role(RoleName="deployed", AssumeRolePolicyDocument=trusting({"AWS": arn}))
    members_iam.attach_role_policy(RoleName="deployed", PolicyArn=ADMINISTRATOR_ACCESS)
    fleet.make(AdministrationRoleARN=arn, ExecutionRoleName="deployed")
    assert fleet.deploy([member])["Status"] == "SUCCEEDED"


def test_the_execution_role_must_be_allowed_to_make_stacks(fleet: Fleet, member: str) -> None:
    permit(fleet, member, "sqs:*")
    assert f"assumed-role/{EXECUTION}/" in (told := reason(fleet, member))
    assert "not authorized to perform: cloudformation:CreateStack on resource: arn:aws:cloudformation:" in told


def test_the_execution_role_must_be_allowed_to_make_the_resources(fleet: Fleet, member: str) -> None:
    permit(fleet, member, STACKS, "sns:*")
    told = reason(fleet, member)
    assert told.startswith("ResourceLogicalId:Queue, ResourceType:AWS::SQS::Queue, ResourceStatusReason:User: ")
    assert "is not authorized to perform: sqs:CreateQueue" in told
    assert fleet.stacks(member) == []


def test_the_least_that_the_resources_need_is_enough(fleet: Fleet, member: str) -> None:
    permit(fleet, member, STACKS, "sqs:CreateQueue", "sqs:DeleteQueue")
    fleet.make()
    assert fleet.deploy([member])["Status"] == "SUCCEEDED"


def test_a_role_that_may_not_delete_leaves_an_inoperable_instance(fleet: Fleet, member: str) -> None:
    permit(fleet, member, STACKS, "sqs:CreateQueue")
    fleet.make()
    fleet.deploy([member])
    fleet.run("delete_stack_instances", Accounts=[member], Regions=["us-east-1"], RetainStacks=False)
    assert fleet.states() == {(member, "us-east-1"): ("INOPERABLE", "INOPERABLE")}
    assert "sqs:DeleteQueue" in fleet.instance(member)["StatusReason"]


def test_a_role_that_may_not_update_fails_the_update(fleet: Fleet, member: str) -> None:
    permit(fleet, member, STACKS, "sqs:CreateQueue", "sqs:DeleteQueue")
    fleet.make()
    fleet.deploy([member])
    changed = queue()
    changed["Resources"]["Queue"]["Properties"]["DelaySeconds"] = 5
    fleet.run("update_stack_set", TemplateBody=json.dumps(changed))
    assert "sqs:SetQueueAttributes" in fleet.instance(member)["StatusReason"]


def test_an_explicit_deny_outweighs_what_is_allowed(fleet: Fleet, member: str) -> None:
    deny = {"Effect": "Deny", "Action": "sqs:CreateQueue", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    fleet.member(member, "iam").put_role_policy(RoleName=EXECUTION, PolicyName="deny", PolicyDocument=policy)
    assert "sqs:CreateQueue" in reason(fleet, member)


def test_the_member_deploys_by_itself_whatever_the_execution_role_may(fleet: Fleet, member: str) -> None:
    permit(fleet, member, STACKS)
    stack = fleet.member(member).create_stack(StackName="own", TemplateBody=json.dumps(queue()))["StackId"]
    assert [each["StackStatus"] for each in fleet.stacks(member) if each["StackId"] == stack] == ["CREATE_COMPLETE"]


@pytest.mark.parametrize("retain", [True, False])
def test_only_retaining_takes_out_an_account_that_shut_us_out(deployed: Fleet, member: str, retain: bool) -> None:
    deployed.shut_out(member)
    deployed.run("delete_stack_instances", Accounts=[member], Regions=["us-east-1"], RetainStacks=retain)
    assert deployed.states() == ({} if retain else {(member, "us-east-1"): ("INOPERABLE", "INOPERABLE")})


def test_an_allow_for_some_queues_allows_those_of_the_set(fleet: Fleet, member: str) -> None:
    permit(fleet, member, STACKS)
    queues = allowing("sqs:*", resource=f"arn:aws:sqs:*:{member}:payments*")
    fleet.member(member, "iam").put_role_policy(RoleName=EXECUTION, PolicyName="queues", PolicyDocument=queues)
    fleet.make()
    assert fleet.deploy([member])["Status"] == "SUCCEEDED"
