"""A role is assumed by those whom its trust policy lets in, on a server that does not check IAM otherwise."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from builders.cloud.process import Cloud

from .conftest import Account

STRANGER = "710000000002"


def trust(**statement: Any) -> str:
    whole = {"Effect": "Allow", "Principal": {"AWS": STRANGER}, "Action": "sts:AssumeRole"} | statement
    return json.dumps({"Version": "2012-10-17", "Statement": [whole]})


def make_role(account: Account, document: str, name: str = "reader") -> str:
    api = account.client("iam")
    return str(api.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])


def assume(by: Account, arn: str, **more: Any) -> dict[str, Any]:
    answer = by.client("sts").assume_role(RoleArn=arn, RoleSessionName="test", **more)
    return dict(answer["Credentials"])


def refusal(by: Account, arn: str, **more: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        assume(by, arn, **more)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def session_client(cloud: Cloud, credentials: dict[str, Any], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=cloud.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


@pytest.fixture
def stranger(cloud: Cloud) -> Account:
    return Account(cloud, STRANGER)


def test_a_role_that_is_not_there_is_refused_like_one_that_does_not_trust(account: Account, stranger: Account) -> None:
    there = make_role(account, trust(Principal={"AWS": "710000000003"}))
    for arn in (there, f"arn:aws:iam::{account.number}:role/nobody", there.replace("role/", "role/path/")):
        sentence = f"User: arn:aws:iam::{STRANGER}:root is not authorized to perform: sts:AssumeRole on resource: {arn}"
        assert refusal(stranger, arn) == ("AccessDenied", sentence)


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": STRANGER},
        {"AWS": f"arn:aws:iam::{STRANGER}:root"},
        {"AWS": "*"},
        "*",
        {"AWS": ["710000000003", STRANGER]},
    ],
    ids=["number", "root", "any-aws", "any", "one-of-several"],
)
def test_an_account_that_the_policy_names_acts_in_the_roles_account(
    account: Account, stranger: Account, principal: Any
) -> None:
    credentials = assume(stranger, make_role(account, trust(Principal=principal)))
    identity = session_client(account.cloud, credentials, "sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{account.number}:assumed-role/reader/test"


def test_a_service_principal_lets_no_account_in(account: Account, stranger: Account) -> None:
    arn = make_role(account, trust(Principal={"Service": "lambda.amazonaws.com"}))
    assert refusal(stranger, arn)[0] == refusal(account, arn)[0] == "AccessDenied"


def test_a_role_that_the_policy_names_is_let_in_and_its_account_is_not(account: Account, stranger: Account) -> None:
    caller = make_role(account, trust(), "caller")
    arn = make_role(account, trust(Principal={"AWS": caller}), "called")
    assert refusal(stranger, arn)[0] == refusal(account, arn)[0] == "AccessDenied"
    chained = session_client(account.cloud, assume(stranger, caller), "sts")
    answer = chained.assume_role(RoleArn=arn, RoleSessionName="chained")
    assert answer["AssumedRoleUser"]["Arn"].endswith(":assumed-role/called/chained")


def test_a_denial_counts_more_than_a_permission(account: Account, stranger: Account) -> None:
    statements = [json.loads(trust(Effect=effect))["Statement"][0] for effect in ("Allow", "Deny")]
    arn = make_role(account, json.dumps({"Version": "2012-10-17", "Statement": statements}))
    assert refusal(stranger, arn)[0] == "AccessDenied"


def test_the_external_id_must_be_the_one_that_is_asked_for(account: Account, stranger: Account) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "migration-dev"}}
    arn = make_role(account, trust(Condition=condition))
    assert refusal(stranger, arn)[0] == refusal(stranger, arn, ExternalId="migration-prod")[0] == "AccessDenied"
    assert assume(stranger, arn, ExternalId="migration-dev")["AccessKeyId"]


def test_the_organization_of_the_caller_must_be_the_one_that_is_asked_for(account: Account, stranger: Account) -> None:
    organization = account.client("organizations").create_organization()["Organization"]["Id"]
    member = Account(account.cloud, account.number.replace("500", "720", 1))
    offer = account.client("organizations").invite_account_to_organization(
        Target={"Id": member.number, "Type": "ACCOUNT"}
    )
    member.client("organizations").accept_handshake(HandshakeId=offer["Handshake"]["Id"])
    condition = {"StringEquals": {"aws:PrincipalOrgID": organization}}
    arn = make_role(account, trust(Principal="*", Condition=condition))
    assert assume(member, arn)["AccessKeyId"]
    assert refusal(stranger, arn)[0] == "AccessDenied"


def test_a_source_account_is_known_of_services_only(account: Account, stranger: Account) -> None:
    condition = {"StringEquals": {"aws:SourceAccount": STRANGER}}
    assert refusal(stranger, make_role(account, trust(Condition=condition)))[0] == "AccessDenied"
    optional = {"StringEqualsIfExists": {"aws:SourceAccount": STRANGER}}
    assert assume(stranger, make_role(account, trust(Condition=optional), "optional"))["AccessKeyId"]


def test_a_changed_trust_policy_counts_at_once(account: Account, stranger: Account) -> None:
    arn = make_role(account, trust())
    assert assume(stranger, arn)["AccessKeyId"]
    closed = trust(Principal={"AWS": account.number})
    account.client("iam").update_assume_role_policy(RoleName="reader", PolicyDocument=closed)
    assert refusal(stranger, arn)[0] == "AccessDenied"


def test_a_session_lasts_no_longer_than_its_role_and_a_chained_one_no_longer_than_an_hour(
    account: Account, stranger: Account
) -> None:
    api, day = account.client("iam"), {"DurationSeconds": 43200}
    arn = make_role(account, trust())
    code, sentence = refusal(stranger, arn, **day)
    assert code == "ValidationError"
    assert sentence == "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    api.update_role(RoleName="reader", MaxSessionDuration=43200)
    first = session_client(account.cloud, assume(stranger, arn, **day), "sts")
    chained = make_role(account, trust(Principal={"AWS": arn}), "chained")
    api.update_role(RoleName="chained", MaxSessionDuration=43200)
    with pytest.raises(ClientError, match="1 hour session limit for roles assumed by role chaining"):
        first.assume_role(RoleArn=chained, RoleSessionName="test", **day)
    assert first.assume_role(RoleArn=chained, RoleSessionName="test")["Credentials"]


def allow(account: Account, role: str, *actions: str) -> None:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    account.client("iam").put_role_policy(RoleName=role, PolicyName="allowed", PolicyDocument=document)


def test_where_iam_is_asked_the_assumed_role_does_what_its_policies_allow(strict_account: Account) -> None:
    stranger = Account(strict_account.cloud, STRANGER)
    arn = make_role(strict_account, trust())
    allow(strict_account, "reader", "sqs:ListQueues")
    queues = session_client(strict_account.cloud, assume(stranger, arn), "sqs")
    assert queues.list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
    with pytest.raises(ClientError, match="assumed-role/reader/test is not authorized to perform: sqs:CreateQueue"):
        queues.create_queue(QueueName="more")


def test_where_iam_is_asked_a_caller_of_another_account_needs_a_permission_of_his_own(strict_account: Account) -> None:
    stranger = Account(strict_account.cloud, STRANGER)
    caller = assume(stranger, make_role(stranger, trust(), "caller"))
    arn = make_role(strict_account, trust())
    sts = session_client(strict_account.cloud, caller, "sts")
    with pytest.raises(ClientError, match=f"not authorized to perform: sts:AssumeRole on resource: {arn}"):
        sts.assume_role(RoleArn=arn, RoleSessionName="test")
    allow(stranger, "caller", "sts:AssumeRole")
    assert sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]


def test_a_session_has_a_name_of_the_characters_that_sts_takes(account: Account) -> None:
    with pytest.raises(ClientError, match="Value 'a:b' at 'roleSessionName' failed to satisfy constraint"):
        account.client("sts").assume_role(RoleArn=f"arn:aws:iam::{account.number}:role/r", RoleSessionName="a:b")


@pytest.mark.parametrize(
    ("by_principal", "is_stranger"), [(True, True), (False, False)], ids=["principal", "condition"]
)
def test_a_remade_role_is_a_stranger_to_who_trusts_it_as_principal(
    account: Account, stranger: Account, by_principal: bool, is_stranger: bool
) -> None:
    """A trust keeps the unique id of a role, and the next one of that name has another."""
    caller = f"caller-of-{account.number}"
    arn = f"arn:aws:iam::{STRANGER}:role/{caller}"
    own_trust = trust()
    make_role(stranger, own_trust, caller)
    whole = {"Condition": {"ArnEquals": {"aws:PrincipalArn": arn}}}
    target = make_role(account, trust(Principal={"AWS": arn}) if by_principal else trust(**whole))
    session = session_client(account.cloud, assume(stranger, arn), "sts")
    session.assume_role(RoleArn=target, RoleSessionName="test")
    stranger.client("iam").delete_role(RoleName=caller)
    make_role(stranger, own_trust, caller)
    remade = session_client(account.cloud, assume(stranger, arn), "sts")
    if is_stranger:
        with pytest.raises(ClientError, match="is not authorized to perform: sts:AssumeRole"):
            remade.assume_role(RoleArn=target, RoleSessionName="test")
    else:
        remade.assume_role(RoleArn=target, RoleSessionName="test")


def test_a_source_identity_needs_the_trust_for_it_and_must_be_a_name(account: Account, stranger: Account) -> None:
    both = ["sts:AssumeRole", "sts:SetSourceIdentity"]
    one, other = make_role(account, trust()), make_role(account, trust(Action=both), "named")
    sentence = f"User: arn:aws:iam::{STRANGER}:root is not authorized to perform: sts:SetSourceIdentity on resource: "
    assert refusal(stranger, one, SourceIdentity="anna") == ("AccessDenied", f"{sentence}{one}")
    code, message = refusal(stranger, other, SourceIdentity="anna:b")
    assert (code, "at 'sourceIdentity'" in message) == ("ValidationError", True)
    assert assume(stranger, other, SourceIdentity="anna")
