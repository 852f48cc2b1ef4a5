"""W9604: a statistic that says nothing about the metric."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._alarms import metrics
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template

_SENSELESS = (("percent", "Sum"), ("percent", "SampleCount"), ("level", "SampleCount"))


class SenselessStatistic(Rule):
    """Reports Sum over a percentage, and SampleCount over a level, of the namespaces whose metrics are known."""

    id = "W9604"
    shortdesc = "A statistic that says nothing about the metric"
    why = "The sum of five minutes of 30 % is 150 %, and the number of samples says nothing about their height."
    source = "Amazon CloudWatch user guide, 'Statistics definitions'"
    bad = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/RDS, MetricName: CPUUtilization, Statistic: Sum}
    """
    good = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/RDS, MetricName: CPUUtilization, Statistic: Average}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for metric in metrics(template):
            kind = metric.facts.kind if metric.facts else None
            if kind is None or metric.statistic_name != "Statistic":
                continue
            for statistic in template.constants(metric.alarm, "Statistic"):
                senseless = (kind, statistic.value) in _SENSELESS
                if senseless and template.possible(statistic, metric.name):
                    message = f"{statistic.value} of {metric.name.value} says nothing: use Average, Maximum or Minimum"
                    yield RuleFinding(statistic, message)
