"""Refusals of IAM, KMS and Logs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Account, Refused, Template


def trusting(**statement: Any) -> dict[str, Any]:
    whole = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    merged = {key: value for key, value in {**whole, **statement}.items() if value is not None}
    return {"Version": "2012-10-17", "Statement": [merged]}


def role(document: Any, **properties: Any) -> Template:
    return {"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document, **properties}}}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (trusting(Principal={"Service": "lambda"}), 'Invalid principal in policy: "SERVICE":"lambda"'),
        (trusting(Principal={"AWS": "nobody"}), 'Invalid principal in policy: "AWS":"nobody"'),
        (trusting(Principal={"AWS": "arn:aws:iam::123456789012:role/not-there"}), "Invalid principal in policy"),
        (trusting(Principal=None), "Missing required field Principal"),
        (trusting(Resource="*"), "Has prohibited field Resource"),
        (trusting(Action="s3:GetObject"), "AssumeRole policy may only specify STS AssumeRole actions"),
        (trusting(Effect="Maybe"), "Syntax errors in policy"),
        ({"Version": "2012-10-17", "Statement": []}, "Syntax errors in policy"),
        ({"Version": "2020-01-01", "Statement": trusting()["Statement"]}, "Syntax errors in policy"),
    ],
)
def test_a_garbage_trust_policy_is_refused(account: Account, document: Any, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        account.deploy(role(document))
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "principal",
    [
        {"Service": ["dms.amazonaws.com", "dms.us-east-1.amazonaws.com"]},
        {"AWS": {"Ref": "AWS::AccountId"}},
        {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}},
    ],
)
def test_a_trust_policy_that_means_something_is_taken(account: Account, principal: Any) -> None:
    account.deploy(role(trusting(Principal=principal)))


def test_the_same_named_role_twice_is_refused(account: Account) -> None:
    named = role(trusting(), RoleName="operator")
    account.deploy(named)
    with pytest.raises(Refused, match="Role with name operator already exists"):
        account.elsewhere("eu-central-1").deploy(named)


def test_a_managed_policy_that_is_not_there_is_refused(account: Account) -> None:
    with pytest.raises(Refused, match="does not exist or is not attachable"):
        account.deploy(role(trusting(), ManagedPolicyArns=["arn:aws:iam::123456789012:policy/not-there"]))


def policy(**statement: Any) -> Template:
    whole = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"} | statement
    document = {"Version": "2012-10-17", "Statement": [{name: value for name, value in whole.items() if value}]}
    return {"Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ({"Resource": None}, "Policy statement must contain resources."),
        ({"Action": None}, "Policy statement must contain actions."),
        ({"Action": "GetObject"}, "Actions/Conditions must be prefaced by a vendor"),
        ({"Resource": "bucket"}, 'Resource bucket must be in ARN format or "\\*".'),
        ({"Principal": "*"}, "Policy document should not specify a principal."),
        ({"Resource": [f"arn:aws:s3:::{number:0100}" for number in range(60)]}, "Cannot exceed quota for PolicySize"),
    ],
)
def test_a_permission_policy_that_means_nothing_is_refused(
    account: Account, statement: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        account.deploy(policy(**statement))


def test_a_permission_policy_that_means_something_is_taken(account: Account) -> None:
    account.deploy(policy(Action=["s3:Get*", "sqs:*"], Resource=["*", "arn:aws:s3:::*"]))


def key(*statements: dict[str, Any], **properties: Any) -> Template:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return {"Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": document, **properties}}}


ADMINISTRATORS = {
    "Effect": "Allow",
    "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}},
    "Action": "kms:*",
    "Resource": "*",
}


@pytest.mark.parametrize(
    "statements",
    [
        [{**ADMINISTRATORS, "Action": ["kms:Encrypt", "kms:Decrypt"]}],
        [{**ADMINISTRATORS, "Principal": {"Service": "logs.amazonaws.com"}}],
        [ADMINISTRATORS, {**ADMINISTRATORS, "Effect": "Deny", "Action": "kms:Put*"}],
    ],
)
def test_a_key_that_locks_its_administrators_out_is_refused(account: Account, statements: list[Any]) -> None:
    with pytest.raises(Refused, match="will not allow you to update the key policy in the future"):
        account.deploy(key(*statements))


def test_a_key_that_its_account_administers_is_taken(account: Account) -> None:
    account.deploy(key(ADMINISTRATORS))


def test_what_a_key_keeps_for_ever_is_not_changed(account: Account) -> None:
    account.deploy(key(ADMINISTRATORS))
    with pytest.raises(Refused, match="a key keeps it for ever"):
        account.deploy(key(ADMINISTRATORS, MultiRegion=True))
    account.deploy(key(ADMINISTRATORS, MultiRegion=False, Description="of the phase"))


def test_a_lockout_can_be_asked_for(account: Account) -> None:
    service = {**ADMINISTRATORS, "Principal": {"Service": "logs.amazonaws.com"}}
    account.deploy(key(service, BypassPolicyLockoutSafetyCheck=True))


def test_a_key_for_a_role_that_does_not_exist_is_refused(account: Account) -> None:
    stranger = {**ADMINISTRATORS, "Principal": {"AWS": "arn:aws:iam::123456789012:role/not-there"}}
    with pytest.raises(Refused, match="invalid principals"):
        account.deploy(key(ADMINISTRATORS, stranger))


def test_the_same_log_group_twice_is_refused(account: Account) -> None:
    group = {"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/aws/rds/x"}}}
    account.deploy(group)
    with pytest.raises(Refused, match="already exists"):
        account.deploy(group, stack="other")


def test_a_log_group_with_a_key_that_does_not_exist_is_refused(account: Account) -> None:
    properties = {"KmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
    with pytest.raises(Refused, match="KMS key does not exist"):
        account.deploy({"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": properties}})


@pytest.mark.parametrize("kind", ["role", "user", "group"])
def test_a_policy_that_is_not_there_is_not_attached(account: Account, kind: str) -> None:
    iam, name = account.client("iam"), f"{kind.capitalize()}Name"
    more = {"AssumeRolePolicyDocument": json.dumps(TRUSTS_EC2)} if kind == "role" else {}
    getattr(iam, f"create_{kind}")(**{name: "x"}, **more)
    attach = getattr(iam, f"attach_{kind}_policy")
    arn = f"arn:aws:iam::{account.number}:policy/not-there"
    with pytest.raises(ClientError, match=f"Policy {arn} does not exist or is not attachable"):
        attach(**{name: "x"}, PolicyArn=arn)
    with pytest.raises(ClientError, match="Invalid ARN"):
        attach(**{name: "x"}, PolicyArn="no-arn-and-longer-than-twenty")
    attach(**{name: "x"}, PolicyArn="arn:aws:iam::aws:policy/job-function/ViewOnlyAccess")


def test_a_group_of_a_template_is_shown_by_iam_and_goes_with_its_stack(account: Account) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    group = {"Type": "AWS::IAM::Group", "Properties": {"GroupName": "readers"}}
    may = {"PolicyName": "p", "PolicyDocument": policy, "Groups": [{"Ref": "Group"}]}
    account.deploy({"Group": group, "Policy": {"Type": "AWS::IAM::Policy", "Properties": may}})
    assert account.client("iam").list_group_policies(GroupName="readers")["PolicyNames"] == ["p"]
    account.delete()
    with pytest.raises(ClientError, match="NoSuchEntity"):
        account.client("iam").get_group(GroupName="readers")


TRUSTS_EC2 = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
