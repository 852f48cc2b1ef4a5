"""Asks DMS how one replication task is doing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from function_log import Told

RUNNING = "running"
MOST_TASKS, MOST_TABLES = 100, 500
"""The most that one answer has (DMS API reference, MaxRecords of the two operations)."""


class ReplicationUnknown(Told):
    """DMS could not be asked; the message gives the operation and why."""


def describe_task(dms: Any, arn: str) -> dict[str, Any] | None:
    """The task as DMS describes it, or None where there is none. Raises ReplicationUnknown."""
    filters = [{"Name": "replication-task-arn", "Values": [arn]}]
    try:
        tasks = list(
            _pages(
                dms,
                "describe_replication_tasks",
                "ReplicationTasks",
                MaxRecords=MOST_TASKS,
                Filters=filters,
                WithoutSettings=True,
            )
        )
    except dms.exceptions.ResourceNotFoundFault:
        return None
    return next((task for task in tasks if task["ReplicationTaskArn"] == arn), None)


def table_statistics(dms: Any, arn: str) -> list[dict[str, Any]]:
    """The statistics of all tables of the task; none before it was started. Raises ReplicationUnknown."""
    try:
        request = {"MaxRecords": MOST_TABLES, "ReplicationTaskArn": arn}
        return list(_pages(dms, "describe_table_statistics", "TableStatistics", **request))
    except (dms.exceptions.InvalidResourceStateFault, dms.exceptions.ResourceNotFoundFault):
        return []


def measure(task: dict[str, Any] | None) -> dict[str, float]:
    """{metric: value} of what is known of the task: whether it runs and, once it has begun, how far it is."""
    values: dict[str, float] = {"ReplicationTaskStatus": int(task is not None and task["Status"] == RUNNING)}
    progress = (task or {}).get("ReplicationTaskStats")
    if progress:
        values |= {
            "FullLoadProgressPercent": progress.get("FullLoadProgressPercent", 0),
            "TablesLoaded": progress.get("TablesLoaded", 0),
            "TablesLoading": progress.get("TablesLoading", 0),
            "TablesQueued": progress.get("TablesQueued", 0),
            "TablesErrored": progress.get("TablesErrored", 0),
        }
    return values


def count(tables: list[dict[str, Any]]) -> dict[str, float]:
    """{metric: value} of the rows of tables, both ways: those of the full load, and those that changed since."""
    return {
        "RowsLoaded": _sum(tables, "FullLoadRows"),
        "RowsChanged": _sum(tables, "Inserts", "Updates", "Deletes"),
        "RowsFailedValidation": _sum(tables, "ValidationFailedRecords"),
    }


def _sum(tables: list[dict[str, Any]], *counters: str) -> int:
    return sum(table.get(counter, 0) for table in tables for counter in counters)


def _pages(dms: Any, operation: str, member: str, **request: Any) -> Iterator[dict[str, Any]]:
    """The items of all pages of an answer; named faults of DMS pass, everything else is ReplicationUnknown."""
    expected = (dms.exceptions.ResourceNotFoundFault, dms.exceptions.InvalidResourceStateFault)
    marker: dict[str, str] = {}
    while True:
        try:
            answer = getattr(dms, operation)(**marker, **request)
        except expected:
            raise
        except (ClientError, BotoCoreError) as error:
            raise ReplicationUnknown(f"{operation} failed: {error}") from error
        yield from answer.get(member, [])
        if not answer.get("Marker"):
            return
        marker = {"Marker": answer["Marker"]}
