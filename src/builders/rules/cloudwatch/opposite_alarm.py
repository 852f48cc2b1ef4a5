"""W9608: an alarm that is raised because things go well."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.rules._alarms import Watched, number, watched
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value

_LOW_BOUND = 10
"""Work that is done passes this within a minute: a throughput above it is no news of trouble."""
_ABOVE = ("GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "GreaterThanUpperThreshold")
_BELOW = ("LessThanThreshold", "LessThanOrEqualToThreshold", "LessThanLowerThreshold")
_IDLE = re.compile(r"(?i:idle|unused|under-?utili[sz]|scal(?:e|ing)|shrink)|Low(?![a-z])|\blow\b|LOW")
"""Words of an alarm that is meant to tell of too little load."""
_LOADS = ("CPUUtilization", "MemoryUtilization", "SwapUsage")


class OppositeAlarm(Rule):
    """Reports an alarm that notifies of a low latency, error count or load, of much free storage or memory, or of work
    that is done (throughput, rows, successes above a low bound); also through a band of anomaly detection, and through
    metric math where arithmetic tells which direction is bad. Alarms on which something scales are left alone.
    """

    id = "W9608"
    shortdesc = "An alarm that is raised because things go well"
    why = "The comparison is turned round: the alarm is quiet in trouble, and goes off when the work is done."
    source = "Amazon CloudWatch API reference, 'PutMetricAlarm', ComparisonOperator"
    bad = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties:
          {Namespace: AWS/DMS, MetricName: CDCLatencyTarget, ComparisonOperator: LessThanThreshold, Threshold: 60}
    """
    good = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties:
          {Namespace: AWS/DMS, MetricName: CDCLatencyTarget, ComparisonOperator: GreaterThanThreshold, Threshold: 60}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for one in watched(template):
            if _scales(template, one.alarm) or _tells_of_idleness(one):
                continue
            operators = template.constants(one.alarm, "ComparisonOperator")
            if one.metric.name.parameter or any(operator.parameter for operator in operators):
                continue  # a choice of whoever deploys it
            for operator in operators:
                for threshold in template.constants(one.alarm, "Threshold"):
                    said = _turned(one, operator.value, threshold)
                    possible = said and template.possible(operator, threshold, one.metric.name)
                    if possible and not _is_half_of_a_pair(template, one, operator):
                        yield RuleFinding(operator, f"{one.alarm.name} {said}: turn the comparison round")


def _turned(one: Watched, operator: object, threshold: Value) -> str | None:
    """The sentence on an alarm that goes off while its metric is fine; None where it does not."""
    if (one.bad == "high" and operator in _BELOW) or (one.bad == "low" and operator in _ABOVE):
        return f"fires while {one.said} is fine"
    bound = number(threshold.value)
    is_work_done = one.bad == "stop" and operator in _ABOVE and not one.by_band
    if is_work_done and bound is not None and bound <= _LOW_BOUND:
        return f"fires because {one.said} is above {bound:g}{threshold.source}, which is good"
    return None


def _tells_of_idleness(one: Watched) -> bool:
    properties = one.alarm.properties
    words = f"{one.alarm.name} {properties.get('AlarmName')} {properties.get('AlarmDescription')}"
    return one.said in _LOADS and bool(_IDLE.search(words))


_ACTS = re.compile(r"arn:[^:]*:(?:automate|swf|autoscaling)\b")
"""Actions on an instance or a group, which an alarm on too little load takes on purpose."""


def _scales(template: Template, alarm: Resource) -> bool:
    actions = [alarm.properties.get("AlarmActions"), alarm.properties.get("OKActions")]
    targets = [template.resource(name) for name in template.references(actions)]
    return bool(_ACTS.search(repr(actions))) or any(target and "Scaling" in target.type for target in targets)


def _is_half_of_a_pair(template: Template, one: Watched, operator: Value) -> bool:
    """Return whether another alarm watches the same metric the other way round with the same action: what is behind a
    topic then scales by both.
    """
    wanted = _BELOW if operator.value in _ABOVE else _ABOVE
    actions = _actions(template, one.alarm)
    others = [
        other
        for other in watched(template)
        if (other.metric.namespace, other.said) == (one.metric.namespace, one.said)
        and other.alarm is not one.alarm
        and actions & _actions(template, other.alarm)
    ]
    compared = [value.value for other in others for value in template.constants(other.alarm, "ComparisonOperator")]
    return any(operator in wanted for operator in compared)


def _actions(template: Template, alarm: Resource) -> set[str]:
    listed = template.branches(alarm, "AlarmActions")
    return {repr(action.value) for value in listed for action in template.items(value) if action.value is not ABSENT}
