"""Alarms on the replication itself: lag on both sides, a task that does not run, its slot, rows that differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troposphere import cloudwatch

from builders.layers._monitoring import alarms, thresholds
from builders.layers._monitoring.watched import OUR_NAMESPACE, WatchedTask
from builders.stack import Stack

_LOST_SOON = 2
"""SlotWalStatus below which the slot is lost, or will be at the next checkpoint (lambda/replication_status/slots.py).
"""


def build(stack: Stack, task: WatchedTask) -> cloudwatch.Alarm:
    """The alarms on the task of the migration; return the one on the lag of the whole way."""
    whole = watch(stack, task, "source", stack.parameter(thresholds.task_expected()).ref())
    alarms.add_for_event(
        stack,
        "ValidationAlarm",
        "Rows differ between source and target: see awsdms_control.awsdms_validation_failures_v1 in the target",
        "Maximum",
        Namespace=OUR_NAMESPACE,
        MetricName="RowsFailedValidation",
        Dimensions=task.of_ours,
    )
    return whole


def watch(stack: Stack, task: WatchedTask, source: str, expected: Any) -> cloudwatch.Alarm:
    """The alarms on a task, forth or back, and on its slot on `source`; return the one on the lag of the whole way.

    They stay quiet until `expected` is true: a task that was not started, or is still loading, has no lag to report.
    From then on silence is bad news, since DMS stops publishing when a task stops, and the status function says nothing
    of a source that it cannot ask.
    """
    _stopped(stack, task, expected)
    _slot(stack, task, source, expected)
    return _lag(stack, task, expected)


def _lag(stack: Stack, task: WatchedTask, expected: Any) -> cloudwatch.Alarm:
    """Alarms on the lag of the whole way and of its first half; return that of the whole way."""
    lag = {
        "Namespace": "AWS/DMS",
        "Dimensions": task.of_dms,
        "Statistic": "Maximum",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": thresholds.LAG_SECONDS,
        "Period": alarms.MINUTE,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 3,
        **_silence_is_bad(task, expected),
    }
    alarms.add_with_end(
        stack,
        "SourceLagAlarm",
        "DMS reads the source's changes more than 60 seconds late, or not at all: look at the source's load, its "
        "replication slot and the way to it",
        MetricName="CDCLatencySource",
        **lag,
    )
    return alarms.add_with_end(
        stack,
        "ReplicationLagAlarm",
        "The target is more than 60 seconds behind the source, or the task is silent: see the dashboard, then the "
        "task's log",
        MetricName="CDCLatencyTarget",
        **lag,
    )


def _stopped(stack: Stack, task: WatchedTask, expected: Any) -> None:
    alarms.add_with_end(
        stack,
        "ReplicationTaskStatusAlarm",
        "The replication task has not been running for five minutes: migrate-database status says why it stopped",
        MetricName="ReplicationTaskStatus",
        Statistic="Maximum",
        ComparisonOperator="LessThanThreshold",
        Threshold=1,
        **_every_five_minutes(task, expected),
    )


def _slot(stack: Stack, task: WatchedTask, source: str, expected: Any) -> None:
    """Alarms on the WAL that slots keep, and on a slot that is given up; a source that cannot be asked raises both."""
    alarms.add_with_end(
        stack,
        "SlotRetainedWalAlarm",
        f"Replication slots of the {source} keep much WAL, or it cannot be asked: see that the task runs, and the "
        "space on that server, before its disk is full",
        MetricName="SlotRetainedWalBytes",
        Statistic="Maximum",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=stack.parameter(thresholds.retained_wal()).ref(),
        **_every_five_minutes(task, expected),
    )
    alarms.add_with_end(
        stack,
        "SlotStatusAlarm",
        f"The task's replication slot on the {source} is lost, missing or about to be given up, or it cannot be asked: "
        "raise max_slot_wal_keep_size there and let the task catch up; a lost slot needs migrate-database reload",
        MetricName="SlotWalStatus",
        Statistic="Minimum",
        ComparisonOperator="LessThanThreshold",
        Threshold=_LOST_SOON,
        **_every_five_minutes(task, expected),
    )


def _every_five_minutes(task: WatchedTask, expected: Any) -> Mapping[str, Any]:
    return {
        "Namespace": OUR_NAMESPACE,
        "Dimensions": task.of_ours,
        "Period": alarms.FIVE_MINUTES,
        "EvaluationPeriods": 1,
        **_silence_is_bad(task, expected),
    }


def _silence_is_bad(task: WatchedTask, expected: Any) -> Mapping[str, Any]:
    condition = {"Condition": task.condition} if task.condition else {}
    return {"TreatMissingData": "breaching", "ActionsEnabled": expected, **condition}
