"""The resources through which a service publishes to a topic or a queue, or calls a function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from builders.rules._template import Resource, Template
from builders.rules._values import Value

_ALARM = ("AlarmActions", "OKActions", "InsufficientDataActions")
_PUBLISHERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "AWS::Budgets::Budget": ("budgets.amazonaws.com", ("NotificationsWithSubscribers.*.Subscribers.*.Address",)),
    "AWS::CloudTrail::Trail": ("cloudtrail.amazonaws.com", ("SnsTopicName",)),
    "AWS::CloudWatch::Alarm": ("cloudwatch.amazonaws.com", _ALARM),
    "AWS::CloudWatch::CompositeAlarm": ("cloudwatch.amazonaws.com", _ALARM),
    "AWS::CodeStarNotifications::NotificationRule": (
        "codestar-notifications.amazonaws.com",
        ("Targets.*.TargetAddress",),
    ),
    "AWS::DMS::EventSubscription": ("dms.amazonaws.com", ("SnsTopicArn",)),
    "AWS::Events::Rule": ("events.amazonaws.com", ("Targets.*.Arn",)),
    "AWS::Logs::SubscriptionFilter": ("logs.amazonaws.com", ("DestinationArn",)),
    "AWS::RDS::EventSubscription": ("events.rds.amazonaws.com", ("SnsTopicArn",)),
    "AWS::S3::Bucket": (
        "s3.amazonaws.com",
        tuple(
            f"NotificationConfiguration.{kind}Configurations.*.{key}"
            for kind, key in (("Topic", "Topic"), ("Queue", "Queue"), ("Lambda", "Function"))
        ),
    ),
    "AWS::SNS::Subscription": ("sns.amazonaws.com", ("Endpoint",)),
    "AWS::SNS::Topic": ("sns.amazonaws.com", ("Subscription.*.Endpoint",)),
}
"""{type: (the principal that publishes, where the type names what it publishes to)} (Amazon SNS developer guide, "Key
management", "Enable compatibility between event sources from AWS services and encrypted topics"; Amazon SQS developer
guide, "Key management", "Configure KMS permissions for AWS services")."""


def publishers(template: Template, target: Resource) -> Iterator[tuple[Resource, str, Value]]:
    """Each resource that publishes to a target by the service itself and by no role, the service, and the reference."""
    for publisher in template.resources(*_PUBLISHERS):
        service, places = _PUBLISHERS[publisher.type]
        if publisher.properties.get("ActionsEnabled") in (False, "false"):
            continue
        for named in (branch for place in places for branch in template.branches(publisher, place)):
            for value in template.items(named):
                if template.target(value.value) is target and not _by_a_role(publisher, value):
                    yield publisher, service, value


def _by_a_role(publisher: Resource, value: Value) -> bool:
    """Return whether the publisher assumes a role to publish, which then needs the rights."""
    node: Any = publisher.body
    for step in value.path[2:]:
        if isinstance(node, dict) and "RoleArn" in node:
            return True
        node = node[step]
    return False
