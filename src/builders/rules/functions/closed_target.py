"""E9505: a function, topic or queue that a service may not use."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._policies import lets_in
from builders.rules._publishers import publishers
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Scenario

_SERVICES = {
    "events.amazonaws.com": "EventBridge",
    "logs.amazonaws.com": "CloudWatch Logs",
    "s3.amazonaws.com": "Amazon S3",
    "sns.amazonaws.com": "Amazon SNS",
}
"""The services that need a resource-based policy. A topic lets the alarms of its own account in by itself."""
_WAYS = {
    "AWS::Lambda::Function": ("call", "AWS::Lambda::Permission"),
    "AWS::SNS::Topic": ("publish to", "AWS::SNS::TopicPolicy"),
    "AWS::SQS::Queue": ("send to", "AWS::SQS::QueuePolicy"),
}
_POLICIES = {
    "AWS::SNS::Topic": (
        "sns:Publish",
        (("AWS::SNS::TopicPolicy", "Topics"), ("AWS::SNS::TopicInlinePolicy", "TopicArn")),
    ),
    "AWS::SQS::Queue": (
        "sqs:SendMessage",
        (("AWS::SQS::QueuePolicy", "Queues"), ("AWS::SQS::QueueInlinePolicy", "Queue")),
    ),
}
"""{type: (the action, the types of its policies with the property that names whose they are)}."""


class ClosedTarget(Rule):
    """Reports a function, a topic or a queue of the template that a rule of EventBridge, a bucket, a subscribed topic
    or a log group names, and that no permission and no policy lets the service use: there is none, each is for another
    service or another source, or a condition can take it away.
    """

    id = "E9505"
    shortdesc = "A function, topic or queue that its publisher may not use"
    why = (
        "S3 and CloudWatch Logs try it, and the stack fails. EventBridge and SNS take it all the same: no event"
        " arrives, and only a metric shows it."
    )
    source = (
        "Amazon EventBridge user guide, 'Using resource-based policies for Amazon EventBridge'; Amazon S3 user guide,"
        " 'Granting permissions to publish event notification messages to a destination'; Amazon SNS developer guide,"
        " 'Subscribing an Amazon SQS queue to an Amazon SNS topic'"
    )
    bad = """
    Resources:
      Function: {Type: "AWS::Lambda::Function", Properties: {}}
      Daily:
        Type: AWS::Events::Rule
        Properties: {ScheduleExpression: rate(1 day), Targets: [{Id: function, Arn: !GetAtt Function.Arn}]}
    """
    good = """
    Resources:
      Function: {Type: "AWS::Lambda::Function", Properties: {}}
      Daily:
        Type: AWS::Events::Rule
        Properties: {ScheduleExpression: rate(1 day), Targets: [{Id: function, Arn: !GetAtt Function.Arn}]}
      Permission:
        Type: AWS::Lambda::Permission
        Properties:
          Action: lambda:InvokeFunction
          FunctionName: !Ref Function
          Principal: events.amazonaws.com
          SourceArn: !GetAtt Daily.Arn
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        if template.cfn.transform_pre.get("Transform"):
            return  # a transform makes permissions and policies that are not seen here
        for target in template.resources(*_WAYS):
            verb, needed = _WAYS[target.type]
            for publisher, service, named in publishers(template, target):
                if service not in _SERVICES:
                    continue
                letting = _letting(template, target, publisher, service)
                if letting is not None and template.can_lack(letting, named, target.scenario):
                    said = f"{_SERVICES[service]} may not {verb} {target.name} for {publisher.name}"
                    yield RuleFinding(named, f"{said}: add an {needed}")


def _letting(template: Template, target: Resource, publisher: Resource, service: str) -> list[Scenario] | None:
    """The conditions under which a target lets the service in; None where it is not known."""
    if target.type == "AWS::Lambda::Function":
        return _permissions(template, target, publisher, service)
    return _statements(template, target, service)


def _permissions(template: Template, function: Resource, publisher: Resource, service: str) -> list[Scenario]:
    """The conditions of the permissions that let the service call the function, or may do so for all that is known."""
    return [
        permission.scenario
        for permission in template.resources("AWS::Lambda::Permission")
        if _is_for(template, permission, service)
        and any(
            target in (None, function) or target.type != "AWS::Lambda::Function"
            for name in template.branches(permission, "FunctionName")
            for target in [template.target(name.value)]
        )
        and _is_from(template, permission, publisher)
    ]


def _is_for(template: Template, permission: Resource, service: str) -> bool:
    """Return whether a permission names a service, which may be one of a region."""
    return any(
        not isinstance(who.value, str) or who.value == "*" or who.value.partition(".")[0] == service.partition(".")[0]
        for who in template.constants(permission, "Principal")
    )


def _is_from(template: Template, permission: Resource, publisher: Resource) -> bool:
    """Return whether a permission is for the publisher, or what it publishes of, such as a topic or a log group."""
    own = {publisher.name} | template.references(publisher.properties)
    return any(
        source.value is ABSENT or (target := template.target(source.value)) is None or target.name in own
        for source in template.branches(permission, "SourceArn")
    )


def _statements(template: Template, target: Resource, service: str) -> list[Scenario] | None:
    """The conditions of the statements that let the service in; None where somebody else's policy may do so."""
    action, kinds = _POLICIES[target.type]
    found: list[Scenario] = []
    for kind, holder in kinds:
        for policy in template.resources(kind):
            named = [entry for value in template.branches(policy, holder) for entry in template.items(value)]
            targets = [template.target(entry.value) for entry in named]
            if not named or None in targets:
                return None  # it may be this one's, by its name
            if target in targets:
                allowed = lets_in(template, template.branches(policy, "PolicyDocument"), service, [action])
                if allowed is None:
                    return None
                found += allowed[action]
    return found
