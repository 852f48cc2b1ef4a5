"""W9606: an alarm that takes a dead task for a healthy one."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._alarms import metrics
from builders.rules._metric_catalog import MUST_KEEP_COMING
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import UNKNOWN


class SilentDeath(Rule):
    """Reports an alarm on a DMS task's changes or latency that does not treat missing data as breaching."""

    id = "W9606"
    shortdesc = "An alarm that takes a stopped DMS task for a healthy one"
    why = "The metrics stop when the task stops, and an alarm without data keeps its state or says OK."
    source = "Amazon CloudWatch user guide, 'Configuring how CloudWatch alarms treat missing data'"
    bad = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/DMS, MetricName: CDCLatencyTarget, TreatMissingData: notBreaching}
    """
    good = """
    Resources:
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties: {Namespace: AWS/DMS, MetricName: CDCLatencyTarget, TreatMissingData: breaching}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for metric in metrics(template):
            if metric.namespace != "AWS/DMS" or metric.name.value not in MUST_KEEP_COMING:
                continue
            for treatment in template.constants(metric.alarm, "TreatMissingData"):
                settled = treatment.value in ("breaching", UNKNOWN) or treatment.parameter is not None
                if not settled and template.possible(treatment, metric.name):
                    message = f"{metric.alarm.name} stays quiet when the task stops: treat missing data as breaching"
                    yield RuleFinding(treatment, message)
