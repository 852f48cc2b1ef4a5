"""The customer-managed key of a phase, and the encrypted topic that its alarms and events are sent to."""

from __future__ import annotations

from collections.abc import Sequence

from awacs import kms as kms_actions, sns as sns_actions
from awacs.aws import Action, ArnLike, Bool, Condition, Principal, Statement, StringEquals
from troposphere import AccountId, Equals, Not, Sub, kms, sns

from builders import parameters, policies, scanners
from builders.stack import Export, Scope, Stack

SCOPE = Scope.PHASE

KEY_ARN = Export("foundation", "KmsKeyArn", "ARN of the customer-managed key that encrypts all data of the phase")
TOPIC_ARN = Export("foundation", "NotificationTopicArn", "ARN of the encrypted topic for alarms and events")

ENCRYPT_AND_DECRYPT: tuple[Action, ...] = (
    kms_actions.Encrypt,
    kms_actions.Decrypt,
    kms_actions.ReEncryptFrom,
    kms_actions.ReEncryptTo,
    kms_actions.GenerateDataKey,
    kms_actions.GenerateDataKeyWithoutPlaintext,
    kms_actions.DescribeKey,
)
ENVELOPE: tuple[Action, ...] = (kms_actions.Decrypt, kms_actions.GenerateDataKey)
"""Permissions to publish to an encrypted topic (SNS developer guide, "Managing encryption keys and costs")."""

THIS_KEY = ["*"]
"""Resource of a key policy, which is always the key that the policy is attached to."""


def build(stack: Stack) -> None:
    """Make the key, its alias, the topic with its policy and, where an address is given, the subscription."""
    key = stack.add(
        kms.Key(
            "Key",
            Description=Sub("Encrypts the data of the migration in ${EnvironmentSuffix}"),
            EnableKeyRotation=True,
            KeyPolicy=policies.document(*_key_statements()),
            # Snapshots, secrets and logs outlive the stack, and nobody reads them without this key.
            # Not RetainExceptOnCreate: taking it back after a failed creation would need kms:ScheduleKeyDeletion, which
            # no stack set has (`account`), and the rollback would fail.
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        )
    )
    this_account = (
        "Conditions bind * to callers of this account (kms:CallerAccount) through one service (kms:ViaService)"
    )
    scanners.accept(key, {"CKV_AWS_33": this_account})
    # The alias goes with the stack while the key stays, so that the same suffix deploys again.
    stack.add(kms.Alias("KeyAlias", AliasName=stack.name("alias/stackferry"), TargetKeyId=key.ref()))
    topic = stack.add(sns.Topic("NotificationTopic", KmsMasterKeyId=key.get_att("Arn")))
    stack.add(
        sns.TopicPolicy(
            "NotificationTopicPolicy",
            Topics=[topic.ref()],
            PolicyDocument=policies.document(*_topic_statements(topic)),
        )
    )
    _subscription(stack, topic)
    stack.export(KEY_ARN, key.get_att("Arn"))
    stack.output("KmsKeyId", key.ref(), "Id of the customer-managed key")
    stack.export(TOPIC_ARN, topic.ref())


def _subscription(stack: Stack, topic: sns.Topic) -> None:
    address = stack.parameter(
        parameters.string(
            "NotificationEmail",
            "Address that alarms and events are mailed to, once its owner has confirmed; empty for none",
            pattern=r"^$|^[^@\s]+@[^@\s]+\.[^@\s]+$",
            explanation="an e-mail address, or empty",
            default="",
            max_length=320,
        )
    )
    subscribed = stack.condition("HasNotificationEmail", Not(Equals(address.ref(), "")))
    stack.add(
        sns.SubscriptionResource(
            "NotificationSubscription",
            Condition=subscribed,
            TopicArn=topic.ref(),
            Protocol="email",
            Endpoint=address.ref(),
        )
    )


def _key_statements() -> list[Statement]:
    """One statement a user of the key, so that taking one away takes the key from him alone."""
    return [
        # Without this, IAM policies of the account have no effect on the key and nobody can ever change its policy
        # (KMS developer guide, "Default key policy").
        policies.allow("AccountAdministrators", [Action("kms", "*")], THIS_KEY, principal=policies.account()),
        _logs(),
        policies.allow(
            "CloudWatchAlarms",
            ENVELOPE,
            THIS_KEY,
            principal=policies.service("cloudwatch.amazonaws.com"),
            condition=policies.from_this_account(),
        ),
        _event_bridge(),
        policies.allow(
            "Notifications",
            ENVELOPE,
            THIS_KEY,
            principal=policies.service("sns.amazonaws.com"),
            condition=policies.from_this_account(),
        ),
        _through("Database", "rds", ENCRYPT_AND_DECRYPT),
        _grants_through("DatabaseGrants", "rds"),
        _through("Secrets", "secretsmanager", (*ENVELOPE, kms_actions.DescribeKey)),
        _through("Replication", "dms", ENCRYPT_AND_DECRYPT),
        _grants_through("ReplicationGrants", "dms"),
        _through("Functions", "lambda", ENCRYPT_AND_DECRYPT),
        _grants_through("FunctionGrants", "lambda"),
    ]


def _logs() -> Statement:
    """CloudWatch Logs, for this account's log groups alone.

    Source: CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS Key Management Service".
    """
    groups = policies.arn("logs", "log-group:*")
    return policies.allow(
        "Logs",
        ENCRYPT_AND_DECRYPT,
        THIS_KEY,
        principal=policies.regional_service("logs"),
        condition=Condition(ArnLike({"kms:EncryptionContext:aws:logs:arn": groups})),
    )


def _event_bridge() -> Statement:
    """EventBridge, for this account's topics alone.

    EventBridge sends no aws:SourceAccount or aws:SourceArn to KMS when it publishes to an encrypted topic: with such
    a condition every event is dropped in silence (SNS developer guide, "Managing encryption keys and costs"). The
    encryption context, which SNS sets to the topic, confines it instead.
    """
    topics = policies.arn("sns", "*")
    return policies.allow(
        "EventBridge",
        ENVELOPE,
        THIS_KEY,
        principal=policies.service("events.amazonaws.com"),
        condition=Condition(ArnLike({"kms:EncryptionContext:aws:sns:topicArn": topics})),
    )


def _through(sid: str, service_name: str, actions: Sequence[Action]) -> Statement:
    """Whoever in this account may use the service may use the key through it, and not otherwise."""
    return policies.allow(
        sid, actions, THIS_KEY, principal=Principal("AWS", "*"), condition=Condition(_via(service_name))
    )


def _grants_through(sid: str, service_name: str) -> Statement:
    """Lets the service keep its access for the life of the resource (KMS developer guide, "Grants in AWS KMS")."""
    return policies.allow(
        sid,
        [kms_actions.CreateGrant],
        THIS_KEY,
        principal=Principal("AWS", "*"),
        condition=Condition([_via(service_name), Bool({"kms:GrantIsForAWSResource": "true"})]),
    )


def _via(service_name: str) -> StringEquals:
    return StringEquals(
        {"kms:CallerAccount": AccountId, "kms:ViaService": Sub(f"{service_name}.${{AWS::Region}}.amazonaws.com")}
    )


def _topic_statements(topic: sns.Topic) -> list[Statement]:
    publish = [sns_actions.Publish]
    return [
        policies.allow(
            "CloudWatchAlarms",
            publish,
            [topic.ref()],
            principal=policies.service("cloudwatch.amazonaws.com"),
            condition=policies.from_this_account(),
        ),
        # No condition: a topic's policy with one refuses every event, and only the rule's FailedInvocations metric
        # shows it (EventBridge user guide, "Using resource-based policies for Amazon EventBridge", SNS permissions).
        policies.allow("EventBridge", publish, [topic.ref()], principal=policies.service("events.amazonaws.com")),
        policies.deny_without_tls(publish, [topic.ref()]),
    ]
