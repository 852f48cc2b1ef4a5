"""Callers whose requests are checked against IAM: what they may do is said by set, target, type and passed role."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from builders.cloud.process import Cloud

from .conftest import ADMINISTRATION, SERVICE, allowing, queue, trusting
from .organization import Organization

ACCOUNT, MEMBER = "111111111111", "222222222222"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/of-payments"
DENIED = "not authorized to perform: "


@pytest.fixture(scope="module")
def session(strict_cloud: Cloud) -> Callable[[str], Any]:
    """Clients of a user who may do everything to the set `payments` of queues in one account, and nothing else."""
    iam = boto3.client("iam", **strict_cloud.client_arguments(ACCOUNT))
    iam.create_user(UserName="operator")
    sets = f"arn:aws:cloudformation:*:{ACCOUNT}:stackset"
    allowed = {
        "cloudformation:*": [
            *(f"{sets}/payments:*", f"{sets}-target/payments:*/{MEMBER}"),
            "arn:aws:cloudformation:*:*:type/resource/AWS-SQS-*",
        ],
        "iam:PassRole": [ROLE],
        "sts:AssumeRole": ["*"],
        "s3:GetObject": ["*"],
    }
    statements = [{"Effect": "Allow", "Action": action, "Resource": each} for action, each in allowed.items()]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="operator", PolicyName="payments", PolicyDocument=policy)
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    arguments = strict_cloud.client_arguments(ACCOUNT)
    arguments |= {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    return lambda service: boto3.client(service, **arguments)


@pytest.fixture(scope="module")
def user(session: Callable[[str], Any]) -> Any:
    api = session("cloudformation")
    payments = {"StackSetName": "payments", "TemplateBody": json.dumps(queue()), "AdministrationRoleARN": ROLE}
    api.create_stack_set(**payments, Tags=[{"Key": "Phase", "Value": "dev"}])
    return api


def test_a_user_works_on_the_set_that_his_policy_names(user: Any) -> None:
    assert user.describe_stack_set(StackSetName="payments")["StackSet"]["AdministrationRoleARN"] == ROLE
    user.update_stack_set(StackSetName="payments", UsePreviousTemplate=True, AdministrationRoleARN=ROLE)


@pytest.mark.parametrize("named", [{"AdministrationRoleARN": f"{ROLE}-and-orders"}, {}], ids=["another", "the default"])
@pytest.mark.parametrize("operation", ["create_stack_set", "update_stack_set"])
def test_a_user_passes_stacksets_no_role_but_his_own(user: Any, operation: str, named: dict[str, str]) -> None:
    role = named.get("AdministrationRoleARN") or f"arn:aws:iam::{ACCOUNT}:role/{ADMINISTRATION}"
    with pytest.raises(ClientError, match=f"{DENIED}iam:PassRole on resource: {role}$"):
        getattr(user, operation)(StackSetName="payments", TemplateBody=json.dumps(queue()), **named)


@pytest.mark.parametrize("operation", ["create_stack_instances", "delete_stack_instances", "update_stack_instances"])
def test_a_user_reaches_no_account_that_his_policy_does_not_name(user: Any, operation: str) -> None:
    more = {"RetainStacks": True} if operation.startswith("delete") else {}
    with pytest.raises(ClientError, match=f"{DENIED}cloudformation:.*:stackset-target/payments:.*/333333333333$"):
        getattr(user, operation)(
            StackSetName="payments", Accounts=[MEMBER, "333333333333"], Regions=["us-east-1"], **more
        )


def test_a_user_deploys_no_type_that_his_policy_does_not_name(user: Any) -> None:
    topic = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    with pytest.raises(ClientError, match=f"{DENIED}cloudformation:UpdateStackSet on .*::type/resource/AWS-SNS-Topic$"):
        user.update_stack_set(StackSetName="payments", TemplateBody=topic, AdministrationRoleARN=ROLE)


@pytest.mark.parametrize(
    ("tags", "action"), [([{"Key": "Phase", "Value": "prod"}], "TagResource"), ([], "UntagResource")]
)
def test_a_user_who_may_not_tag_changes_no_tags_of_a_set(
    strict_cloud: Cloud, user: Any, tags: list[dict[str, str]], action: str
) -> None:
    iam = boto3.client("iam", **strict_cloud.client_arguments(ACCOUNT))
    deny = {"Effect": "Deny", "Action": "cloudformation:*Resource", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_user_policy(UserName="operator", PolicyName="no-tags", PolicyDocument=document)
    try:
        with pytest.raises(ClientError, match=f"{DENIED}cloudformation:{action} on resource: .*:stackset/payments:"):
            user.update_stack_set(
                StackSetName="payments", UsePreviousTemplate=True, AdministrationRoleARN=ROLE, Tags=tags
            )
    finally:
        iam.delete_user_policy(UserName="operator", PolicyName="no-tags")


def test_a_source_identity_takes_the_caller_s_own_permission(
    strict_cloud: Cloud, session: Callable[[str], Any]
) -> None:
    iam = boto3.client("iam", **strict_cloud.client_arguments(ACCOUNT))
    trust = json.loads(trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    trust["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:SetSourceIdentity"]
    role = iam.create_role(RoleName="read", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    request = {"RoleArn": role, "RoleSessionName": "read"}
    assert session("sts").assume_role(**request)["Credentials"]
    with pytest.raises(ClientError, match=f"{DENIED}sts:SetSourceIdentity"):
        session("sts").assume_role(**request, SourceIdentity="somebody")


def test_an_object_that_is_not_there_is_denied_to_whoever_may_not_list(
    strict_cloud: Cloud, session: Callable[[str], Any]
) -> None:
    boto3.client("s3", **strict_cloud.client_arguments(ACCOUNT)).create_bucket(Bucket="journals-of-payments")
    there = {"Bucket": "journals-of-payments", "Key": "run.json"}
    with pytest.raises(ClientError, match=f"AccessDenied.*{DENIED}s3:ListBucket"):
        session("s3").get_object(**there)
    with pytest.raises(ClientError, match="403"):
        session("s3").head_object(**there)
    with pytest.raises(ClientError, match="NoSuchKey"):
        boto3.client("s3", **strict_cloud.client_arguments(ACCOUNT)).get_object(**there)


def test_a_user_is_denied_other_sets(user: Any) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: cloudformation:CreateStackSet"):
        user.create_stack_set(StackSetName="orders", TemplateBody=json.dumps(queue()))


def test_a_delegated_administrator_is_one_by_the_permission_to_list_them(strict_cloud: Cloud) -> None:
    organization = Organization(strict_cloud, "121212121212")
    organization.of(organization.management, "cloudformation").activate_organizations_access()
    delegate = organization.admit("131313131313")
    organization.api.register_delegated_administrator(AccountId=delegate, ServicePrincipal=SERVICE)
    iam = organization.of(delegate, "iam")
    iam.create_user(UserName="operator")
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    arguments = strict_cloud.client_arguments(delegate)
    arguments |= {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    api = boto3.client("cloudformation", **arguments)
    sets = f"arn:aws:cloudformation:*:{organization.management}:stackset/*"
    document = json.loads(allowing("cloudformation:*", resource=sets))
    document["Statement"].append({"Effect": "Allow", "Action": "cloudformation:ListStackSets", "Resource": "*"})
    iam.put_user_policy(UserName="operator", PolicyName="sets", PolicyDocument=json.dumps(document))
    with pytest.raises(ClientError, match="Account used is not a delegated administrator"):
        api.list_stack_sets(CallAs="DELEGATED_ADMIN")
    listing = allowing("organizations:ListDelegatedAdministrators")
    iam.put_user_policy(UserName="operator", PolicyName="list", PolicyDocument=listing)
    assert api.list_stack_sets(CallAs="DELEGATED_ADMIN")["Summaries"] == []
