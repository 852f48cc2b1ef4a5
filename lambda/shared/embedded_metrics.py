"""Metrics in CloudWatch's embedded metric format: a line on standard output.

CloudWatch reads them out of the function's log (CloudWatch user guide, "Embedding metrics within logs"), so that they
need no call, no permission and no endpoint in the VPC.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

NAMESPACE = "Stackferry"


def emit(dimension: str, of: str, values: Mapping[str, float], units: Mapping[str, str] | None = None) -> None:
    """Write `values`, {metric: value}, as one line, all of them under one dimension.

    `units` gives a metric's unit (CloudWatch API reference, "MetricDatum"); one that is not in it is a Count.
    """
    known = units or {}
    metrics = [{"Name": name, "Unit": known.get(name, "Count")} for name in values]
    definition = {"Namespace": NAMESPACE, "Dimensions": [[dimension]], "Metrics": metrics}
    line = {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [definition]},
        dimension: of,
        **values,
    }
    print(json.dumps(line), flush=True)
