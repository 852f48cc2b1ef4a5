"""E9620: an alarm on a unit in which nothing is published."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._alarms import metrics
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class ImpossibleUnit(Rule):
    """Reports the Unit of an alarm when the catalog knows that AWS publishes the metric in another one."""

    id = "E9620"
    shortdesc = "An alarm on a unit in which the metric is not published"
    why = "The unit is a filter and no conversion: data in another one is not seen, and the alarm never has any."
    source = "Amazon CloudWatch API reference, 'PutMetricAlarm', Unit"
    bad = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/RDS, MetricName: FreeStorageSpace, Unit: Gigabytes}
    """
    good = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/RDS, MetricName: FreeStorageSpace, Unit: Bytes}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for metric in metrics(template):
            if metric.facts is None or metric.facts.unit == "-":
                continue
            for unit in template.constants_in(metric.measured, "Unit"):
                is_written = isinstance(unit.value, str) and unit.parameter is None
                if is_written and unit.value != metric.facts.unit and template.possible(unit, metric.name):
                    said = f"{metric.alarm.name} asks for {metric.name.value} in {unit.value}"
                    yield RuleFinding(unit, f"{said}, and it is published in {metric.facts.unit}: leave Unit out")
