"""E9621: an action that an alarm cannot take."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.rules._alarms import metrics
from builders.rules._functions import Reference, reference_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value

_LISTS = ("AlarmActions", "OKActions", "InsufficientDataActions")
_ALARMS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
_TAKES_NONE = {
    *("AWS::SQS::Queue", "AWS::Logs::LogGroup", "AWS::IAM::Role", "AWS::Events::Rule", "AWS::S3::Bucket"),
    *("AWS::StepFunctions::StateMachine", "AWS::SNS::Subscription", "AWS::SNS::TopicPolicy", "AWS::EC2::Instance"),
    "AWS::AutoScaling::AutoScalingGroup",
}
"""Types on which an alarm cannot act by itself."""
_NAMES = {"AWS::Lambda::Function": None, "AWS::SNS::Topic": "TopicName"}
"""Types on which an alarm can act by the ARN, and what gives their name: None is Ref."""
_ON_AN_INSTANCE = re.compile(r":automate:.*:ec2:|:action/actions/AWS_EC2\.")


class ImpossibleAction(Rule):
    """Reports an action that is no ARN, a name where the ARN belongs, a resource on which no alarm can act, and an
    action on an EC2 instance for a metric that names no instance.
    """

    id = "E9621"
    shortdesc = "An action that an alarm cannot take"
    why = "CloudWatch refuses the alarm, and with it the stack."
    source = (
        "Amazon CloudWatch API reference, 'PutMetricAlarm', AlarmActions; Amazon CloudWatch user guide, 'Create alarms"
        " to stop, terminate, reboot, or recover an EC2 instance'"
    )
    bad = """
    Resources:
      Topic: {Type: "AWS::SNS::Topic"}
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/RDS, MetricName: CPUUtilization, AlarmActions: [!GetAtt Topic.TopicName]}
    """
    good = """
    Resources:
      Topic: {Type: "AWS::SNS::Topic"}
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/RDS, MetricName: CPUUtilization, AlarmActions: [!Ref Topic]}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for alarm in template.resources(*_ALARMS):
            for name in _LISTS:
                for listed in template.branches(alarm, name):
                    for action in template.items(listed):
                        problem = _problem(template, action) or _without_instance(template, alarm, action)
                        if problem and template.possible(action):
                            yield RuleFinding(action, f"{alarm.name} {problem}")


def _problem(template: Template, action: Value) -> str | None:
    text = action.value
    if isinstance(text, str):
        is_arn = text.startswith(("arn:", "{{resolve:")) or not text.strip()
        return None if is_arn else f"acts on {text!r}, which is not an ARN: give the ARN of a topic"
    reference, target = reference_of(text), template.target(text)
    if target is None or not isinstance(reference, Reference):
        return None
    if target.type in _TAKES_NONE:
        return f"acts on {target.name}, and no alarm can act on {target.type}: send it through a topic"
    if target.type in _NAMES and reference.attribute == _NAMES[target.type]:
        return f"acts on the name of {target.name}: give its ARN"
    return None


def _without_instance(template: Template, alarm: Resource, action: Value) -> str | None:
    if action.value is ABSENT:
        return None
    text = "".join(piece for piece in template.resolver.pieces(action.value) if isinstance(piece, str))
    if not _ON_AN_INSTANCE.search(text):
        return None
    known = [metric.dimensions(template) for metric in metrics(template) if metric.alarm is alarm]
    named = [None if one is None else {name for name, _ in one} for one in known]
    if named and all(one is not None and "InstanceId" not in one for one in named):
        return "acts on an EC2 instance, and its metric has no dimension InstanceId: name the instance"
    return None
