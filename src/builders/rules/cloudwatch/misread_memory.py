"""W9610: an alarm on little FreeableMemory of a DMS instance."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._alarms import metrics
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class MisreadMemory(Rule):
    """Reports an alarm that takes FreeableMemory of AWS/DMS for the memory that is left."""

    id = "W9610"
    shortdesc = "An alarm on FreeableMemory of DMS"
    why = (
        "DMS counts buffers and caches as FreeableMemory: memory in use that could be freed. It is low on an idle"
        " instance and high on a full one. AvailableMemory is what is left for the tasks."
    )
    source = 'DMS user guide, "Monitoring AWS DMS tasks", replication instance metrics'
    bad = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/DMS, MetricName: FreeableMemory, ComparisonOperator: LessThanThreshold}
    """
    good = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/DMS, MetricName: AvailableMemory, ComparisonOperator: LessThanThreshold}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for metric in metrics(template):
            if metric.namespace == "AWS/DMS" and metric.name.value == "FreeableMemory" and metric.alone:
                yield RuleFinding(
                    metric.name,
                    f"FreeableMemory of DMS is memory in use that could be freed: {metric.alarm.name} wants "
                    "AvailableMemory, which is what is left",
                )
