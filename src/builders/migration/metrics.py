"""The newest values of metrics in CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from builders.aws.calls import Session
from builders.errors import StackferryError

MINUTES = 10
"""Maximum age of a value."""


def newest(
    session: Session,
    namespace: str,
    dimensions: Mapping[str, str],
    names: Sequence[str],
    statistic: Literal["Maximum", "Minimum"],
) -> dict[str, float]:
    """The newest value of each metric; none of those that have none, or that this role may not read."""
    now = datetime.now(UTC)
    named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    queries = [
        {"Id": name[0].lower() + name[1:], "Label": name,
         "MetricStat": {"Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": named}, "Period": 60,
                        "Stat": statistic}}
        for name in names
    ]  # fmt: skip
    request = {"MetricDataQueries": queries, "StartTime": now - timedelta(minutes=MINUTES), "EndTime": now}
    try:
        results = session.ask("cloudwatch", "GetMetricData", ScanBy="TimestampDescending", **request)
    except StackferryError:
        return {}
    return {each["Label"]: float(each["Values"][0]) for each in results["MetricDataResults"] if each["Values"]}
