"""Callers whose requests are checked against IAM: what they may do is said by set."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from builders.cloud.process import Cloud

from .conftest import SERVICE, allowing, queue
from .organization import Organization

ACCOUNT = "111111111111"


@pytest.fixture(scope="module")
def user(strict_cloud: Cloud) -> Any:
    """A user who may do everything to the set `payments`, and nothing to others."""
    iam = boto3.client("iam", **strict_cloud.client_arguments(ACCOUNT))
    iam.create_user(UserName="operator")
    policy = allowing("cloudformation:*", resource=f"arn:aws:cloudformation:*:{ACCOUNT}:stackset/payments:*")
    iam.put_user_policy(UserName="operator", PolicyName="payments", PolicyDocument=policy)
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    arguments = strict_cloud.client_arguments(ACCOUNT)
    arguments |= {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    return boto3.client("cloudformation", **arguments)


def test_a_user_works_on_the_set_that_his_policy_names(user: Any) -> None:
    made = user.create_stack_set(StackSetName="payments", TemplateBody=json.dumps(queue()))["StackSetId"]
    assert user.describe_stack_set(StackSetName=made)["StackSet"]["StackSetName"] == "payments"


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
