"""Alarms on the replication itself: lag on both sides, a task that does not run, rows that differ."""

from __future__ import annotations

from troposphere import cloudwatch

from builders.layers._monitoring import alarms, thresholds
from builders.layers._monitoring.watched import OUR_NAMESPACE, Watched
from builders.stack import Stack


def build(stack: Stack, watched: Watched) -> cloudwatch.Alarm:
    """Lag on both sides and a task that does not run; return the alarm on the lag of the whole way.

    These stay quiet until TaskExpected is true: a task that was not started, or is still loading, has no lag to
    report. From then on silence is bad news, since DMS stops publishing when a task stops.
    """
    expected = stack.parameter(thresholds.task_expected()).ref()
    lag = {
        "Namespace": "AWS/DMS",
        "Dimensions": watched.of_task,
        "Statistic": "Maximum",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": thresholds.LAG_SECONDS,
        "Period": alarms.MINUTE,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 3,
        "TreatMissingData": "breaching",
        "ActionsEnabled": expected,
    }
    whole = alarms.add_with_end(
        stack,
        "ReplicationLagAlarm",
        "The target is more than 60 seconds behind the source, or the task is silent: see the dashboard, then the "
        "task's log",
        MetricName="CDCLatencyTarget",
        **lag,
    )
    alarms.add_with_end(
        stack,
        "SourceLagAlarm",
        "DMS reads the source's changes more than 60 seconds late, or not at all: look at the source's load, its "
        "replication slot and the way to it",
        MetricName="CDCLatencySource",
        **lag,
    )
    alarms.add_with_end(
        stack,
        "ReplicationTaskStatusAlarm",
        "The replication task has not been running for five minutes: migrate-database status says why it stopped",
        Namespace=OUR_NAMESPACE,
        MetricName="ReplicationTaskStatus",
        Dimensions=watched.of_task_status,
        Statistic="Maximum",
        ComparisonOperator="LessThanThreshold",
        Threshold=1,
        Period=alarms.FIVE_MINUTES,
        EvaluationPeriods=1,
        TreatMissingData="breaching",
        ActionsEnabled=expected,
    )
    alarms.add_for_event(
        stack,
        "ValidationAlarm",
        "Rows differ between source and target: see awsdms_control.awsdms_validation_failures_v1 in the target",
        "Maximum",
        Namespace=OUR_NAMESPACE,
        MetricName="RowsFailedValidation",
        Dimensions=watched.of_task_status,
    )
    return whole
