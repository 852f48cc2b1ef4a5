"""E9601: an alarm on a metric that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from builders.rules._alarms import metrics
from builders.rules._metric_catalog import NAMESPACES
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class UnknownMetric(Rule):
    """Reports an alarm on a metric that its AWS namespace does not publish (DMS, RDS, Lambda, SNS, SQS, Events,
    EC2, classic load balancers, Secrets Manager).
    """

    id = "E9601"
    shortdesc = "An alarm on a metric that does not exist"
    why = "CloudWatch takes any name, and the alarm waits for data that never comes: nobody is ever called."
    source = "The user guides that src/builders/rules/_metric_catalog.py names, one a namespace"
    bad = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/DMS, MetricName: ReplicationTaskStatus}
    """
    good = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/DMS, MetricName: CDCLatencyTarget}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for metric in metrics(template):
            known = NAMESPACES.get(metric.namespace)
            if known is None or not known.is_complete or metric.name.value in known.metrics:
                continue
            meant = difflib.get_close_matches(metric.name.value, known.metrics, n=1)
            hint = f": {meant[0]} is meant" if meant else ""
            message = f"{metric.namespace} has no metric {metric.name.value!r}{metric.name.source}{hint}"
            yield RuleFinding(metric.name, message)
