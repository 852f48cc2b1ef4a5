"""The foundation layer: who may use the phase's key and topic, and what outlives the stack.

Policies are asked, not read: the emulator's IAM evaluator decides each call as AWS documents it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from ministack.core import iam_evaluator

from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate

ELSEWHERE = "2" * 12
GIVEN = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", "CostCenter": "payments"}
ROLE = "arn:aws:sts::{account}:assumed-role/Deployer/session"

LOG_GROUP = "arn:aws:logs:us-east-1:{account}:log-group:/aws/rds/instance/stackferry-database-dev/postgresql"
TOPIC = "arn:aws:sns:us-east-1:{account}:notifications"


@dataclass(frozen=True)
class Call:
    """One request to a resource: by a service in its own name, or by a role of `account`."""

    action: str
    context: Mapping[str, str] = field(default_factory=dict)
    service: str | None = None
    account: str = HERE
    by_administrator: bool = False
    """True where the role's own policies allow the action; the key's policy decides the rest."""
    tls: bool = True

    def allowed_by(self, policy: Mapping[str, Any]) -> bool:
        """True where a resource of the account HERE with `policy` lets the call through."""
        caller = "" if self.service else ROLE.format(account=self.account)
        request = iam_evaluator.EvalContext(
            principal_arn=caller,
            principal_type="AssumedRole",
            principal_account=self.account,
            action=self.action,
            resource_arn="${NotificationTopic}",
            region="us-east-1",
            secure_transport=self.tls,
            service_context={key.lower(): value for key, value in self.context.items()},
        )
        if self.service:
            decided = iam_evaluator.evaluate_resource_policy(policy, request, service=self.service)
            return bool(decided.decision == "Allow")
        own = iam_evaluator.EvalResult("Allow" if self.by_administrator else "ImplicitDeny")
        combined = iam_evaluator.combine_resource_policy(own, request, policy, HERE, required=True)
        return bool(combined.decision == "Allow")


def through(service: str, action: str, *, account: str = HERE, grant: str = "") -> Call:
    """A role calls a service, and the service the key; here it has no right to KMS itself, elsewhere every right."""
    context = {"kms:ViaService": f"{service}.us-east-1.amazonaws.com", "kms:CallerAccount": account}
    if grant:
        context["kms:GrantIsForAWSResource"] = grant
    return Call(action, context, account=account, by_administrator=account != HERE)


def logs(action: str, account: str = HERE, region: str = "us-east-1") -> Call:
    context = {"kms:EncryptionContext:aws:logs:arn": LOG_GROUP.format(account=account)}
    return Call(action, context, service=f"logs.{region}.amazonaws.com")


def event_bridge(action: str, account: str = HERE) -> Call:
    """EventBridge sends KMS no source account and no source ARN, only the topic as the encryption context."""
    context = {"kms:EncryptionContext:aws:sns:topicArn": TOPIC.format(account=account)}
    return Call(action, context, service="events.amazonaws.com")


def service(name: str, action: str, account: str = HERE) -> Call:
    return Call(action, {"aws:SourceAccount": account}, service=name)


USERS_OF_THE_KEY = {
    "AccountAdministrators": [
        Call("kms:PutKeyPolicy", by_administrator=True),
        Call("kms:ScheduleKeyDeletion", by_administrator=True),
        Call("kms:Decrypt", by_administrator=True),
    ],
    "Logs": [logs("kms:GenerateDataKey"), logs("kms:Decrypt"), logs("kms:DescribeKey"), logs("kms:ReEncryptTo")],
    "CloudWatchAlarms": [
        service("cloudwatch.amazonaws.com", "kms:GenerateDataKey"),
        service("cloudwatch.amazonaws.com", "kms:Decrypt"),
    ],
    "EventBridge": [event_bridge("kms:GenerateDataKey"), event_bridge("kms:Decrypt")],
    "Notifications": [
        service("sns.amazonaws.com", "kms:GenerateDataKey"),
        service("sns.amazonaws.com", "kms:Decrypt"),
    ],
    "Database": [through("rds", "kms:GenerateDataKey"), through("rds", "kms:Decrypt"), through("rds", "kms:Encrypt")],
    "DatabaseGrants": [through("rds", "kms:CreateGrant", grant="true")],
    "Secrets": [through("secretsmanager", "kms:GenerateDataKey"), through("secretsmanager", "kms:Decrypt")],
    "Replication": [through("dms", "kms:GenerateDataKey"), through("dms", "kms:DescribeKey")],
    "ReplicationGrants": [through("dms", "kms:CreateGrant", grant="true")],
    "Functions": [through("lambda", "kms:Encrypt"), through("lambda", "kms:Decrypt")],
    "FunctionGrants": [through("lambda", "kms:CreateGrant", grant="true")],
}
"""The statement that lets a user in, and the calls that he lives on."""

REFUSED_BY_THE_KEY = {
    "a role without rights": Call("kms:Decrypt"),
    "an administrator of another account": Call("kms:Decrypt", account=ELSEWHERE, by_administrator=True),
    "another account through RDS": through("rds", "kms:Decrypt", account=ELSEWHERE),
    "another account through Secrets Manager": through("secretsmanager", "kms:Decrypt", account=ELSEWHERE),
    "a service that encrypts nothing here": through("s3", "kms:Decrypt"),
    "RDS of another region": Call(
        "kms:Decrypt", {"kms:ViaService": "rds.eu-central-1.amazonaws.com", "kms:CallerAccount": HERE}
    ),
    "a grant that a person makes for himself": through("rds", "kms:CreateGrant", grant="false"),
    "a grant outside any service": Call("kms:CreateGrant", {"kms:CallerAccount": HERE}),
    "a grant through Secrets Manager": through("secretsmanager", "kms:CreateGrant", grant="true"),
    "a deletion through RDS": through("rds", "kms:ScheduleKeyDeletion"),
    "Logs for another account's group": logs("kms:Decrypt", account=ELSEWHERE),
    "Logs without saying for which group": Call("kms:Decrypt", service="logs.us-east-1.amazonaws.com"),
    "Logs of another region": logs("kms:Decrypt", region="eu-central-1"),
    "Logs changing the policy": logs("kms:PutKeyPolicy"),
    "another account's alarms": service("cloudwatch.amazonaws.com", "kms:Decrypt", account=ELSEWHERE),
    "another account's notifications": service("sns.amazonaws.com", "kms:Decrypt", account=ELSEWHERE),
    "events for another account's topic": event_bridge("kms:Decrypt", account=ELSEWHERE),
    "a service that was never named": service("s3.amazonaws.com", "kms:Decrypt"),
}


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Callable[..., Evaluated]:
    """Evaluates the layer with parameters of one's choice."""
    return lambda **chosen: evaluate(template("foundation"), GIVEN | chosen)


@pytest.fixture
def key_policy(deploy: Callable[..., Evaluated]) -> dict[str, Any]:
    policy: dict[str, Any] = deploy().resources["Key"]["Properties"]["KeyPolicy"]
    return policy


@pytest.fixture
def topic_policy(deploy: Callable[..., Evaluated]) -> dict[str, Any]:
    policy: dict[str, Any] = deploy().resources["NotificationTopicPolicy"]["Properties"]["PolicyDocument"]
    return policy


@pytest.fixture(params=list(USERS_OF_THE_KEY))
def statement(request: pytest.FixtureRequest) -> str:
    """Each statement of the key policy in turn, by its Sid."""
    sid: str = request.param
    return sid


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("foundation")


def test_each_user_of_the_key_may_do_what_he_lives_on(key_policy: dict[str, Any], statement: str) -> None:
    refused = [call for call in USERS_OF_THE_KEY[statement] if not call.allowed_by(key_policy)]
    assert refused == []


def test_each_statement_of_the_key_is_needed(key_policy: dict[str, Any], statement: str) -> None:
    without = [each for each in key_policy["Statement"] if each["Sid"] != statement]
    still_allowed = [call for call in USERS_OF_THE_KEY[statement] if call.allowed_by({"Statement": without})]
    assert still_allowed == []


def test_every_statement_of_the_key_has_a_known_user(key_policy: dict[str, Any]) -> None:
    assert {each["Sid"] for each in key_policy["Statement"]} == set(USERS_OF_THE_KEY)


@pytest.mark.parametrize("who", REFUSED_BY_THE_KEY)
def test_the_key_refuses(key_policy: dict[str, Any], who: str) -> None:
    assert not REFUSED_BY_THE_KEY[who].allowed_by(key_policy)


def test_the_key_policy_names_nobody_who_may_not_exist_yet(key_policy: dict[str, Any]) -> None:
    """KMS refuses a policy with a role or user that is not there; the account and services always are."""
    always_there = re.compile(rf"\*|arn:aws:iam::{HERE}:root|[a-z.0-9-]+\.amazonaws\.com")
    named = [
        principal
        for each in key_policy["Statement"]
        for principals in each["Principal"].values()
        for principal in ([principals] if isinstance(principals, str) else principals)
    ]
    assert [principal for principal in named if not always_there.fullmatch(principal)] == []


def test_the_key_rotates(deploy: Callable[..., Evaluated]) -> None:
    assert deploy().resources["Key"]["Properties"]["EnableKeyRotation"] is True


def test_the_key_outlives_the_stack_since_snapshots_need_it(deploy: Callable[..., Evaluated]) -> None:
    key = deploy().resources["Key"]
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_name_of_the_key_goes_with_the_stack_so_that_the_suffix_deploys_again(
    deploy: Callable[..., Evaluated],
) -> None:
    alias = deploy().resources["KeyAlias"]
    assert alias["Properties"] == {"AliasName": "alias/stackferry-dev", "TargetKeyId": "${Key}"}
    assert "DeletionPolicy" not in alias


def test_the_topic_is_encrypted_with_the_key(deploy: Callable[..., Evaluated]) -> None:
    assert deploy().resources["NotificationTopic"]["Properties"]["KmsMasterKeyId"] == "${Key.Arn}"


@pytest.mark.parametrize(
    "call",
    [service("cloudwatch.amazonaws.com", "sns:Publish"), Call("sns:Publish", service="events.amazonaws.com")],
    ids=["alarms", "events"],
)
def test_the_topic_takes_alarms_and_events_but_only_over_tls(topic_policy: dict[str, Any], call: Call) -> None:
    assert call.allowed_by(topic_policy)
    assert not Call(call.action, call.context, call.service, tls=False).allowed_by(topic_policy)


def test_the_topic_lets_events_in_without_a_condition_since_eventbridge_meets_none(
    topic_policy: dict[str, Any],
) -> None:
    (statement,) = [each for each in topic_policy["Statement"] if each["Sid"] == "EventBridge"]
    assert "Condition" not in statement


@pytest.mark.parametrize(
    "call",
    [
        service("cloudwatch.amazonaws.com", "sns:Publish", account=ELSEWHERE),
        service("s3.amazonaws.com", "sns:Publish"),
        service("events.amazonaws.com", "sns:Subscribe"),
        Call("sns:Publish", account=ELSEWHERE, by_administrator=True),
        Call("sns:Subscribe", account=ELSEWHERE, by_administrator=True),
    ],
    ids=["another account's alarms", "another service", "a subscription", "another account", "another subscriber"],
)
def test_the_topic_refuses_everybody_else(topic_policy: dict[str, Any], call: Call) -> None:
    assert not call.allowed_by(topic_policy)


def test_an_address_is_subscribed_when_one_is_given(deploy: Callable[..., Evaluated]) -> None:
    subscription = deploy(NotificationEmail="team@example.com").resources["NotificationSubscription"]
    assert subscription["Properties"] == {
        "TopicArn": "${NotificationTopic}",
        "Protocol": "email",
        "Endpoint": "team@example.com",
    }


def test_nobody_is_subscribed_when_no_address_is_given(deploy: Callable[..., Evaluated]) -> None:
    assert "NotificationSubscription" not in deploy().resources


def test_the_flat_output_is_the_keys_id(deploy: Callable[..., Evaluated]) -> None:
    assert deploy().outputs["KmsKeyId"] == "${Key}"
