"""E9615: an encrypted topic or queue that its publisher may not use."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

from builders.rules._policies import principals, statements
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, UNKNOWN, Scenario, Value

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
    "AWS::RDS::EventSubscription": ("events.rds.amazonaws.com", ("SnsTopicArn",)),
    "AWS::S3::Bucket": (
        "s3.amazonaws.com",
        tuple(f"NotificationConfiguration.{kind}Configurations.*.{kind}" for kind in ("Topic", "Queue")),
    ),
    "AWS::SNS::Subscription": ("sns.amazonaws.com", ("Endpoint",)),
    "AWS::SNS::Topic": ("sns.amazonaws.com", ("Subscription.*.Endpoint",)),
}
"""{type: (the principal that publishes, where the type names topics and queues)} (Amazon SNS developer guide, "Key
management", "Enable compatibility between event sources from AWS services and encrypted topics"; Amazon SQS developer
guide, "Key management", "Configure KMS permissions for AWS services")."""

_MANAGED = {"AWS::SNS::Topic": "alias/aws/sns", "AWS::SQS::Queue": "alias/aws/sqs"}
_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")


class DeafTopic(Rule):
    """Reports a topic or a queue that is encrypted with a key that its publisher may not use: with `alias/aws/sns` or
    `alias/aws/sqs`, whose policies let in no service, or with a key of the template whose policy leaves out the service
    of the alarm, rule, bucket, event subscription, trail, budget or subscribed topic that publishes there.
    """

    id = "E9615"
    shortdesc = "An encrypted topic or queue that its publisher may not use"
    why = "The deploy succeeds, the alarm fires, and the message is dropped without an error anywhere."
    source = "Amazon SNS developer guide and Amazon SQS developer guide, 'Key management'"
    bad = """
    Resources:
      Topic: {Type: "AWS::SNS::Topic", Properties: {KmsMasterKeyId: alias/aws/sns}}
      Alarm: {Type: "AWS::CloudWatch::Alarm", Properties: {AlarmActions: [!Ref Topic]}}
    """
    good = """
    Resources:
      Key:
        Type: AWS::KMS::Key
        Properties:
          KeyPolicy:
            Statement:
              - {Effect: Allow, Principal: {AWS: !Ref AWS::AccountId}, Action: "kms:*", Resource: "*"}
              - Effect: Allow
                Principal: {Service: cloudwatch.amazonaws.com}
                Action: [kms:Decrypt, kms:GenerateDataKey*]
                Resource: "*"
      Topic: {Type: "AWS::SNS::Topic", Properties: {KmsMasterKeyId: !Ref Key}}
      Alarm: {Type: "AWS::CloudWatch::Alarm", Properties: {AlarmActions: [!Ref Topic]}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for topic in template.resources(*_MANAGED):
            for encryption in template.branches(topic, "KmsMasterKeyId"):
                if encryption.value is not ABSENT and template.possible(encryption):
                    for publisher, named in _publishers(template, topic.name):
                        if template.possible(encryption, named):
                            yield from _judged(template, topic, encryption, publisher, named)


def _judged(
    template: Template, topic: Resource, encryption: Value, publisher: Resource, named: Value
) -> Iterator[RuleFinding]:
    service, _ = _PUBLISHERS[publisher.type]
    said = f"{publisher.name} publishes to {topic.name} as {service}"
    need = f"{service} needs kms:Decrypt and kms:GenerateDataKey*"
    managed = _MANAGED[topic.type]
    if _is_managed(template, encryption, managed):
        advice = f"encrypt it with a key of your own, in whose policy {need}"
        yield RuleFinding(encryption, f"{said}, which {managed} does not let in: {advice}")
        return
    key = _key(template, encryption.value)
    allowed = _allowed_by(template, key, service) if key is not None and "KeyPolicy" in key.properties else None
    if key is None or allowed is None:
        return
    if any(template.can_lack(allowed[action], encryption, named, key.scenario) for action in _ACTIONS):
        yield RuleFinding(encryption, f"{said}, which the policy of {key.name} does not let in: {need} there")


def _is_managed(template: Template, encryption: Value, managed: str) -> bool:
    texts = [value.value for value in template.resolver.constants(encryption.value, encryption.path, encryption.when)]
    if texts and all(text == managed for text in texts):
        return True
    last = template.resolver.pieces(encryption.value)[-1:]  # an empty Fn::Join has none
    return any(isinstance(piece, str) and piece.endswith(f":{managed}") for piece in last)


def _publishers(template: Template, topic: str) -> Iterator[tuple[Resource, Value]]:
    """Each resource that publishes to a topic, once, with the reference."""
    for publisher in template.resources(*_PUBLISHERS):
        _, places = _PUBLISHERS[publisher.type]
        if publisher.properties.get("ActionsEnabled") in (False, "false"):
            continue
        named = [branch for place in places for branch in template.branches(publisher, place)]
        for value in (value for branch in named for value in template.items(branch)):
            target = template.target(value.value)
            if target is not None and target.name == topic and not _by_a_role(publisher, value):
                yield publisher, value
                break


def _by_a_role(publisher: Resource, value: Value) -> bool:
    """Return whether the publisher assumes a role to publish, which then needs the key."""
    node: Any = publisher.body
    for step in value.path[2:]:
        if isinstance(node, dict) and "RoleArn" in node:
            return True
        node = node[step]
    return False


def _key(template: Template, node: Any) -> Resource | None:
    """The key of this template that a topic is encrypted with, by itself or by its alias."""
    target = template.target(node)
    if target is not None and target.type == "AWS::KMS::Alias":
        target = template.target(target.properties.get("TargetKeyId"))
    return target if target is not None and target.type == "AWS::KMS::Key" else None


def _allowed_by(template: Template, key: Resource, service: str) -> dict[str, list[Scenario]] | None:
    """Return when a key's policy lets a service in, or may do so, by action; None where the policy is not known."""
    allowed: dict[str, list[Scenario]] = {action: [] for action in _ACTIONS}
    for document in template.branches(key, "KeyPolicy"):
        if not isinstance(document.value, dict) or "Statement" not in document.value:
            return None
        listed = [value for each in template.child(document, "Statement") for value in template.items(each)]
        known = [each for each in listed if each.value is not ABSENT]
        if not known or not all(isinstance(each.value, dict) and "Effect" in each.value for each in known):
            return None
        for statement in statements(template, document):
            if statement.value.get("Effect") == "Allow" and _names(template, statement, service):
                for action in _allowed(template, statement):
                    allowed[action].append(statement.when)
    return allowed


def _names(template: Template, statement: Value, service: str) -> bool:
    """Return whether a statement's principals hold a service, or something unknown."""
    given = statement.value
    if "Principal" not in given:
        return True
    if given["Principal"] == "*" or "*" in [each.value for each in principals(template, statement, "AWS")]:
        # kms:ViaService holds for callers with an identity in the account, and a service has none.
        return "kms:ViaService" not in str(given.get("Condition"))
    if not isinstance(given["Principal"], dict):
        return True
    for principal in principals(template, statement, "Service"):
        values = template.resolver.constants(principal.value, principal.path, principal.when)
        if any(value.value is UNKNOWN or _is_service(value.value, service) for value in values):
            return True
    return False


def _is_service(named: Any, service: str) -> bool:
    return not isinstance(named, str) or named in (service, "*")


def _allowed(template: Template, statement: Value) -> set[str]:
    """The needed actions that a statement allows; all of them where it cannot be known."""
    actions: list[Any] = [
        constant.value
        for listed in template.child(statement, "Action")
        for action in template.items(listed)
        for constant in template.resolver.constants(action.value, action.path, action.when)
    ]
    if not actions or not all(isinstance(action, str) for action in actions):
        return set(_ACTIONS)
    return {each for each in _ACTIONS if any(fnmatch.fnmatchcase(each.lower(), str(it).lower()) for it in actions)}
