"""E9605: an alarm that never fires, or always."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._alarms import metrics, number
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template

_BEYOND = float("inf")


class ConstantAlarm(Rule):
    """Reports a comparison that every value of the metric fails, or every value passes: above 100 %, below 0."""

    id = "E9605"
    shortdesc = "An alarm that can never fire, or always does"
    why = "The alarm looks like a guard and is none."
    source = "Amazon CloudWatch API reference, 'PutMetricAlarm', ComparisonOperator"
    bad = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties:
          Namespace: AWS/RDS
          MetricName: CPUUtilization
          Statistic: Average
          ComparisonOperator: GreaterThanThreshold
          Threshold: 100
    """
    good = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties:
          Namespace: AWS/RDS
          MetricName: CPUUtilization
          Statistic: Average
          ComparisonOperator: GreaterThanThreshold
          Threshold: 80
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for metric in metrics(template):
            kind = metric.facts.kind if metric.facts else None
            sums = any(value.value in ("Sum", "SampleCount") for value in template.constants(metric.alarm, "Statistic"))
            if kind is None or not metric.alone or metric.statistic_name != "Statistic":
                continue
            highest = 100.0 if kind == "percent" and not sums else _BEYOND
            for operator in template.constants(metric.alarm, "ComparisonOperator"):
                for threshold in template.constants(metric.alarm, "Threshold"):
                    fires = _fires(str(operator.value), number(threshold.value), highest)
                    if fires and threshold.parameter is None and template.possible(operator, threshold, metric.name):
                        said = f"{metric.name.value} {operator.value} {threshold.value}"
                        yield RuleFinding(threshold, f"{metric.alarm.name} {fires} fires: {said}")


def _fires(operator: str, threshold: float | None, highest: float) -> str | None:
    """ "always", "never", or None where it depends; values run from 0 to `highest`."""
    if threshold is None:
        return None
    never = {
        "GreaterThanThreshold": threshold >= highest,
        "GreaterThanOrEqualToThreshold": threshold > highest,
        "LessThanThreshold": threshold <= 0,
        "LessThanOrEqualToThreshold": threshold < 0,
    }
    always = {
        "GreaterThanThreshold": threshold < 0,
        "GreaterThanOrEqualToThreshold": threshold <= 0,
        "LessThanThreshold": threshold > highest,
        "LessThanOrEqualToThreshold": threshold >= highest,
    }
    return "never" if never.get(operator) else "always" if always.get(operator) else None
