"""W9608: an alarm that fires when all is well."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._alarms import metrics
from builders.rules._metric_catalog import LITTLE_IS_BAD, MUCH_IS_BAD, NAMESPACES
from builders.rules._rule import Finding, Rule
from builders.rules._template import Template
from builders.rules._values import ABSENT


class OppositeAlarm(Rule):
    """Reports an alarm that notifies of a low latency, error count or load, or of much free storage or memory."""

    id = "W9608"
    shortdesc = "An alarm that fires when all is well"
    why = (
        "The comparison is turned round: the alarm is quiet in trouble. Alarms that scale something down are left"
        " alone."
    )
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

    def _findings(self, template: Template) -> Iterator[Finding]:
        for metric in metrics(template):
            if metric.namespace not in NAMESPACES or not metric.alone or _scales(template, metric.alarm.properties):
                continue
            for operator in template.constants(metric.alarm, "ComparisonOperator"):
                text, name = str(operator.value), metric.name.value
                turned = (name in MUCH_IS_BAD and text.startswith("LessThan")) or (
                    name in LITTLE_IS_BAD and text.startswith("GreaterThan")
                )
                if turned and operator.value is not ABSENT and template.possible(operator, metric.name):
                    yield Finding(
                        operator, f"{metric.alarm.name} fires while {name} is fine: turn the comparison round"
                    )


def _scales(template: Template, properties: dict[str, object]) -> bool:
    names = template.references([properties.get("AlarmActions"), properties.get("OKActions")])
    return any("Scaling" in target.type for name in names if (target := template.resource(name)))
