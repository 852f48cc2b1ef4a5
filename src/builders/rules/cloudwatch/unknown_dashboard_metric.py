"""E9607: a dashboard of metrics that do not exist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from builders.rules._json_text import document_of
from builders.rules._metric_catalog import NAMESPACES
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template, walk
from builders.rules._values import ABSENT


class UnknownDashboardMetric(Rule):
    """Reports a DashboardBody that is not JSON, and metrics in it that their AWS namespace does not publish."""

    id = "E9607"
    shortdesc = "A dashboard that is not JSON, or shows metrics that do not exist"
    why = "CloudWatch refuses the first, and draws an empty widget for the second."
    source = "Amazon CloudWatch API reference, 'Dashboard body structure and syntax'"
    bad = """
    Resources:
      Dashboard:
        Type: AWS::CloudWatch::Dashboard
        Properties:
          DashboardBody: |
            {"widgets": [{"type": "metric", "properties": {"metrics": [["AWS/DMS", "ReplicationLag"]]}}]}
    """
    good = """
    Resources:
      Dashboard:
        Type: AWS::CloudWatch::Dashboard
        Properties:
          DashboardBody: |
            {"widgets": [{"type": "metric", "properties": {"metrics": [["AWS/DMS", "CDCLatencyTarget"]]}}]}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for dashboard in template.resources("AWS::CloudWatch::Dashboard"):
            for body in template.branches(dashboard, "DashboardBody"):
                if body.value is ABSENT or not template.possible(body):
                    continue
                document = document_of(template, body)
                if isinstance(document, json.JSONDecodeError):
                    yield RuleFinding(body, f"the body of {dashboard.name} is not JSON: {document}")
                for namespace, metric in sorted(set(_unknown(document))):
                    yield RuleFinding(body, f"{dashboard.name} shows {metric!r}, which {namespace} does not publish")


def _unknown(document: Any) -> Iterator[tuple[str, str]]:
    for path, node in walk(document, ()):
        if len(path) >= 2 and path[-2] == "metrics" and isinstance(node, list) and len(node) >= 2:
            namespace, metric = node[0], node[1]
            known = NAMESPACES.get(namespace) if isinstance(namespace, str) else None
            if known and known.is_complete and isinstance(metric, str) and metric not in (*known.metrics, ".", "0"):
                yield namespace, metric
