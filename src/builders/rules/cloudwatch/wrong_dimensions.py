"""E9602: an alarm on dimensions under which nothing is published."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._alarms import Metric, metrics
from builders.rules._metric_catalog import DMS_INSTANCE, DMS_TASK, NAMESPACES
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template

_INSTANCE, _TASK = "ReplicationInstanceIdentifier", "ReplicationTaskIdentifier"


class WrongDimensions(Rule):
    """Reports a dimension that the namespace does not know, a DMS task metric without both of its dimensions, and a DMS
    instance metric with the dimension of a task.
    """

    id = "E9602"
    shortdesc = "An alarm on dimensions that the metric does not have"
    why = "A metric is found by its exact set of dimensions; with another set the alarm waits for data for ever."
    source = "Amazon CloudWatch user guide, 'Dimensions'; AWS DMS user guide, 'Monitoring replication tasks'"
    bad = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties:
          Namespace: AWS/RDS
          MetricName: CPUUtilization
          Dimensions: [{Name: DBInstanceId, Value: payments}]
    """
    good = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties:
          Namespace: AWS/RDS
          MetricName: CPUUtilization
          Dimensions: [{Name: DBInstanceIdentifier, Value: payments}]
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for metric in metrics(template):
            known = NAMESPACES.get(metric.namespace)
            dimensions = metric.dimensions(template) if known else None
            if known is None or not known.is_complete or dimensions is None or metric.name.value not in known.metrics:
                continue
            for name, value in dimensions:
                if name not in known.dimensions and template.possible(value):
                    allowed = ", ".join(sorted(known.dimensions))
                    yield RuleFinding(value, f"{metric.namespace} has no dimension {name!r}: it has {allowed}")
            if metric.namespace == "AWS/DMS":
                yield from self._check_dms(metric, {name for name, _ in dimensions})

    def _check_dms(self, metric: Metric, names: set[str]) -> Iterator[RuleFinding]:
        name = metric.name.value
        serverless = any(dimension.startswith("ReplicationConfig") for dimension in names)
        if serverless:
            return
        if name in DMS_TASK and name not in DMS_INSTANCE and not {_INSTANCE, _TASK} <= names:
            yield RuleFinding(metric.name, f"{name} is published by task: give {_INSTANCE} and {_TASK}")
        if name in DMS_INSTANCE and name not in DMS_TASK and _TASK in names:
            yield RuleFinding(metric.name, f"{name} is published by instance: leave {_TASK} out")
