"""E9615: an encrypted topic or queue that its publisher may not use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from builders.rules._policies import lets_in
from builders.rules._publishers import publishers
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value

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
                    for publisher, service, named in publishers(template, topic):
                        if template.possible(encryption, named):
                            yield from _judged(template, topic, encryption, (publisher, service, named))


def _judged(
    template: Template, topic: Resource, encryption: Value, published: tuple[Resource, str, Value]
) -> Iterator[RuleFinding]:
    publisher, service, named = published
    said = f"{publisher.name} publishes to {topic.name} as {service}"
    need = f"{service} needs kms:Decrypt and kms:GenerateDataKey*"
    managed = _MANAGED[topic.type]
    if _is_managed(template, encryption, managed):
        advice = f"encrypt it with a key of your own, in whose policy {need}"
        yield RuleFinding(encryption, f"{said}, which {managed} does not let in: {advice}")
        return
    key = _key(template, encryption.value)
    if key is None or "KeyPolicy" not in key.properties:
        return
    allowed = lets_in(template, template.branches(key, "KeyPolicy"), service, _ACTIONS)
    if allowed is None:
        return
    if any(template.can_lack(allowed[action], encryption, named, key.scenario) for action in _ACTIONS):
        yield RuleFinding(encryption, f"{said}, which the policy of {key.name} does not let in: {need} there")


def _is_managed(template: Template, encryption: Value, managed: str) -> bool:
    texts = [value.value for value in template.resolver.constants(encryption.value, encryption.path, encryption.when)]
    if texts and all(text == managed for text in texts):
        return True
    last = template.resolver.pieces(encryption.value)[-1:]  # an empty Fn::Join has none
    return any(isinstance(piece, str) and piece.endswith(f":{managed}") for piece in last)


def _key(template: Template, node: Any) -> Resource | None:
    """The key of this template that a topic is encrypted with, by itself or by its alias."""
    target = template.target(node)
    if target is not None and target.type == "AWS::KMS::Alias":
        target = template.target(target.properties.get("TargetKeyId"))
    return target if target is not None and target.type == "AWS::KMS::Key" else None
