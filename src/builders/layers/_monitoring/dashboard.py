"""The dashboard of a phase: how far the migration is, how late it runs, and how its machines are.

Source of the form: CloudWatch API reference, "Dashboard body structure and syntax".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from troposphere import Sub, cloudwatch

from builders.layers._monitoring import thresholds
from builders.layers._monitoring.watched import OUR_NAMESPACE, Watched
from builders.stack import Stack

DASHBOARD = "stackferry-${AWS::Region}"
"""Given, since a person looks for it in a list: that of all regions, since dashboards are global (CloudFormation
template reference, "AWS::CloudWatch::Dashboard")."""

_WIDTH, _HEIGHT, _COLUMNS = 8, 6, 3
"""The grid is 24 wide."""

_INSTANCE = ("ReplicationInstanceIdentifier", "${Instance}")
_TASK = ("ReplicationTaskIdentifier", "${Task}")
_DATABASE = ("DBInstanceIdentifier", "${Database}")


def build(stack: Stack, watched: Watched) -> None:
    """Make the dashboard; its body is JSON, into which the names of what is watched are put."""
    body = {"widgets": [_placed(number, widget) for number, widget in enumerate(_widgets())]}
    names = {"Task": watched.task.identifier, "Instance": watched.instance, "Database": watched.database}
    stack.add(
        cloudwatch.Dashboard(
            "Dashboard",
            DashboardName=stack.name(DASHBOARD),
            DashboardBody=Sub(json.dumps(body, separators=(",", ":")), names),
        )
    )


def _widgets() -> list[dict[str, Any]]:
    ours = (OUR_NAMESPACE, *_TASK)
    task = ("AWS/DMS", *_INSTANCE, *_TASK)
    instance = ("AWS/DMS", *_INSTANCE)
    database = ("AWS/RDS", *_DATABASE)
    return [
        _graph("Full load, percent", ours, ["FullLoadProgressPercent"]),
        _graph("Tables", ours, ["TablesLoaded", "TablesLoading", "TablesQueued", "TablesErrored"]),
        _graph("Rows", ours, ["RowsLoaded", "RowsChanged", "RowsFailedValidation"]),
        _lag("Lag, seconds", task, ["CDCLatencySource", "CDCLatencyTarget"]),
        _graph("Changes, rows a second", task, ["CDCThroughputRowsSource", "CDCThroughputRowsTarget"]),
        _graph("Full load, rows a second", task, ["FullLoadThroughputRowsTarget"]),
        _graph("Changes that wait for the target", task, ["CDCChangesMemoryTarget", "CDCChangesDiskTarget"]),
        _graph("Task runs (1) or not (0)", ours, ["ReplicationTaskStatus"]),
        _graph("WAL kept by slots of the source, bytes", ours, ["SlotRetainedWalBytes"]),
        _graph("Replication instance: CPU, percent", instance, ["CPUUtilization"]),
        _graph("Replication instance: free, bytes", instance, ["AvailableMemory", "FreeStorageSpace"]),
        _graph("Database: CPU, percent", database, ["CPUUtilization"]),
        _graph("Database: connections", database, ["DatabaseConnections"]),
        _graph("Database: free, bytes", database, ["FreeableMemory", "FreeStorageSpace"]),
        _graph("Database: latency, seconds", database, ["ReadLatency", "WriteLatency"]),
        _graph("Database: unread WAL of the slowest slot, bytes", database, ["OldestReplicationSlotLag"]),
    ]


def _graph(title: str, of: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Metrics of one thing over time; `of` is its namespace, then names and values of its dimensions.

    A dot repeats what stands above it, since the template has little room.
    """
    namespace, *dimensions = of
    first, *others = names
    return {
        "title": title,
        "region": "${AWS::Region}",
        "stat": "Average",
        "period": 60,
        "metrics": [[namespace, first, *dimensions], *([".", name, *("." for _ in dimensions)] for name in others)],
    }


def _lag(title: str, of: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    line = {"label": "alarm", "value": thresholds.LAG_SECONDS}
    return _graph(title, of, names) | {"stat": "Maximum", "annotations": {"horizontal": [line]}}


def _placed(number: int, properties: dict[str, Any]) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    place = {"x": column * _WIDTH, "y": row * _HEIGHT, "width": _WIDTH, "height": _HEIGHT}
    return {"type": "metric", **place, "properties": properties}
