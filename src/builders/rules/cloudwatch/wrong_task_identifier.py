"""E9603: a task's metrics asked for by the wrong identifier."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._alarms import metrics
from builders.rules._functions import function_of, reference_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value

_LAST = "6"  # arn:<partition>:dms:<region>:<account>:task:<identifier>


class WrongTaskIdentifier(Rule):
    """Reports a dimension ReplicationTaskIdentifier that is the task's whole ARN, its name, or another part of its ARN
    than the last.
    """

    id = "E9603"
    shortdesc = "A DMS task's metric asked for by the wrong identifier"
    why = (
        "DMS publishes under the last part of the ARN, or the ResourceIdentifier; under others the alarm finds nothing."
    )
    source = "AWS DMS user guide, 'Monitoring replication tasks using Amazon CloudWatch' (dimensions)"
    bad = """
    Resources:
      Task: {Type: "AWS::DMS::ReplicationTask", Properties: {ReplicationTaskIdentifier: payments}}
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties:
          Namespace: AWS/DMS
          MetricName: CDCLatencyTarget
          Dimensions:
            - {Name: ReplicationInstanceIdentifier, Value: payments}
            - {Name: ReplicationTaskIdentifier, Value: !Ref Task}
    """
    good = """
    Resources:
      Task: {Type: "AWS::DMS::ReplicationTask", Properties: {ReplicationTaskIdentifier: payments}}
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties:
          Namespace: AWS/DMS
          MetricName: CDCLatencyTarget
          Dimensions:
            - {Name: ReplicationInstanceIdentifier, Value: payments}
            - {Name: ReplicationTaskIdentifier, Value: !Select [6, !Split [":", !Ref Task]]}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for metric in metrics(template):
            if metric.namespace != "AWS/DMS":
                continue
            for name, value in metric.dimensions(template) or []:
                problem = _problem(template, value) if name == "ReplicationTaskIdentifier" else None
                if problem and template.possible(value):
                    wanted = 'use Select 6 of Split ":" of the task\'s ARN, or its ResourceIdentifier'
                    yield RuleFinding(value, f"{metric.alarm.name} asks for {problem}: {wanted}")


def _problem(template: Template, value: Value) -> str | None:
    if _is_task(template.target(value.value)):
        return "the task's whole ARN"
    function, argument = function_of(value.value)
    if function == "Fn::Select" and isinstance(argument, list) and len(argument) == 2:
        inner, split = function_of(argument[1])
        of_an_arn = inner == "Fn::Split" and isinstance(split, list) and split[:1] == [":"]
        if of_an_arn and isinstance(argument[0], (int, str)) and str(argument[0]) != _LAST:
            return f"part {argument[0]} of the task's ARN"
    for task in template.resources("AWS::DMS::ReplicationTask"):
        named = task.properties.get("ReplicationTaskIdentifier", ABSENT)
        same = named is not ABSENT and named == value.value and reference_of(named) is None
        if same and named != task.properties.get("ResourceIdentifier"):
            return "the task's name"
    return None


def _is_task(resource: Resource | None) -> bool:
    return resource is not None and resource.type == "AWS::DMS::ReplicationTask"
