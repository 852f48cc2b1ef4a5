"""The alarms. Each says in its description what is wrong and what to do first."""

from __future__ import annotations

from typing import Any

from troposphere import cloudwatch

from builders.layers._monitoring import thresholds
from builders.layers._monitoring.watched import OUR_NAMESPACE, Watched, dimension, last_of
from builders.layers.foundation import TOPIC_ARN
from builders.layers.rotation import DMS_ROTATION_FUNCTION_ARN, ROTATION_FUNCTION_ARN
from builders.layers.secrets import DATABASE_SECRET_ARN, DMS_SECRET_ARN
from builders.stack import Stack

ROTATION_DAYS = 30
"""The schedule of `rotation`; a day later it is late."""

_MINUTE, _FIVE_MINUTES, _DAY = 60, 300, 86_400


def replication(stack: Stack, watched: Watched) -> cloudwatch.Alarm:
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
        "Period": _MINUTE,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 3,
        "TreatMissingData": "breaching",
        "ActionsEnabled": expected,
    }
    whole = _alarm(
        stack,
        "ReplicationLagAlarm",
        "The target is more than 60 seconds behind the source, or the task is silent: see the dashboard, then the "
        "task's log",
        MetricName="CDCLatencyTarget",
        **lag,
    )
    _alarm(
        stack,
        "SourceLagAlarm",
        "DMS reads the source's changes more than 60 seconds late, or not at all: look at the source's load, its "
        "replication slot and the way to it",
        MetricName="CDCLatencySource",
        **lag,
    )
    _alarm(
        stack,
        "ReplicationTaskStatusAlarm",
        "The replication task has not been running for five minutes: migration-task status says why it stopped",
        Namespace=OUR_NAMESPACE,
        MetricName="ReplicationTaskStatus",
        Dimensions=watched.of_task_status,
        Statistic="Maximum",
        ComparisonOperator="LessThanThreshold",
        Threshold=1,
        Period=_FIVE_MINUTES,
        EvaluationPeriods=1,
        TreatMissingData="breaching",
        ActionsEnabled=expected,
    )
    _alarm(
        stack,
        "ValidationAlarm",
        "Rows differ between source and target: see awsdms_control.awsdms_validation_failures_v1 in the target",
        Namespace=OUR_NAMESPACE,
        MetricName="RowsFailedValidation",
        Dimensions=watched.of_task_status,
        Statistic="Maximum",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0,
        Period=_FIVE_MINUTES,
        EvaluationPeriods=1,
        TreatMissingData="notBreaching",
    )
    return whole


def instance(stack: Stack, watched: Watched, cpu_percent: Any) -> None:
    """CPU, memory and storage of the replication instance."""
    own = {"Namespace": "AWS/DMS", "Dimensions": watched.of_instance}
    _high(
        stack,
        "ReplicationCpuAlarm",
        "The replication instance is short of CPU: choose a larger ReplicationInstanceClass",
        cpu_percent,
        MetricName="CPUUtilization",
        **own,
    )
    _low(
        stack,
        "ReplicationMemoryAlarm",
        "The replication instance is short of memory: choose a larger ReplicationInstanceClass",
        stack.parameter(thresholds.replication_memory()).ref(),
        MetricName="FreeableMemory",
        **own,
    )
    _low(
        stack,
        "ReplicationStorageAlarm",
        "The replication instance is short of storage: raise ReplicationStorageGiB, and see why changes wait",
        stack.parameter(thresholds.replication_storage()).ref(),
        MetricName="FreeStorageSpace",
        **own,
    )


def database(stack: Stack, watched: Watched, cpu_percent: Any) -> None:
    """CPU, storage and connections of the database."""
    own = {"Namespace": "AWS/RDS", "Dimensions": watched.of_database}
    _high(
        stack,
        "DatabaseCpuAlarm",
        "The database is short of CPU: see Performance Insights for the statements, or choose a larger class",
        cpu_percent,
        MetricName="CPUUtilization",
        **own,
    )
    _low(
        stack,
        "DatabaseStorageAlarm",
        "The database is short of storage: raise MaxAllocatedStorageGiB, and look for a replication slot that is "
        "not read",
        stack.parameter(thresholds.database_storage()).ref(),
        MetricName="FreeStorageSpace",
        **own,
    )
    _high(
        stack,
        "DatabaseConnectionsAlarm",
        "The database has many connections: see pg_stat_activity for who does not close his",
        stack.parameter(thresholds.database_connections()).ref(),
        MetricName="DatabaseConnections",
        **own,
    )


def rotation(stack: Stack) -> None:
    """Rotations that failed, and one that does not happen: Secrets Manager has no metric for either."""
    for title, secret, whose in (
        ("RotationFailedAlarm", DATABASE_SECRET_ARN, "the master user"),
        ("DmsRotationFailedAlarm", DMS_SECRET_ARN, "DMS's user"),
    ):
        _alarm(
            stack,
            title,
            f"The password of {whose} could not be rotated: the function's log names the step and the reason",
            MetricName="RotationFailed",
            Statistic="Maximum",
            ComparisonOperator="GreaterThanThreshold",
            Threshold=0,
            Period=_FIVE_MINUTES,
            EvaluationPeriods=1,
            TreatMissingData="notBreaching",
            **_of_secret(stack.import_value(secret)),
        )
    _alarm(
        stack,
        "RotationLateAlarm",
        f"The master user's password is older than {ROTATION_DAYS + 1} days, or nobody reports its age any more: "
        "rotate the secret by hand and read the function's log",
        MetricName="CurrentVersionAgeDays",
        Statistic="Maximum",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=ROTATION_DAYS + 1,
        # It comes once a day. Without any, the alarm has too little data, which has an action, too.
        Period=_DAY,
        EvaluationPeriods=1,
        TreatMissingData="missing",
        **_of_secret(stack.import_value(DATABASE_SECRET_ARN)),
    )


def functions(stack: Stack, status_function: Any) -> None:
    """Errors of the functions that run by themselves; those behind custom resources fail their stack instead."""
    watched_functions = {
        "rotation": last_of(stack.import_value(ROTATION_FUNCTION_ARN)),
        "dmsrotation": last_of(stack.import_value(DMS_ROTATION_FUNCTION_ARN)),
        "status": status_function,
    }
    _alarm(
        stack,
        "FunctionErrorsAlarm",
        "A function failed: its log has the reason, and the event that it failed on was sent to this topic",
        Metrics=[
            cloudwatch.MetricDataQuery(Id="errors", Expression="SUM(METRICS())", Label="Errors of all functions"),
            *(_errors_of(word, name) for word, name in watched_functions.items()),
        ],
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0,
        EvaluationPeriods=1,
        TreatMissingData="notBreaching",
    )


def _errors_of(word: str, function: Any) -> cloudwatch.MetricDataQuery:
    metric = cloudwatch.Metric(
        Namespace="AWS/Lambda", MetricName="Errors", Dimensions=[dimension("FunctionName", function)]
    )
    return cloudwatch.MetricDataQuery(
        Id=word,
        MetricStat=cloudwatch.MetricStat(Metric=metric, Period=_FIVE_MINUTES, Stat="Sum"),
        ReturnData=False,
    )


def _of_secret(arn: Any) -> dict[str, Any]:
    return {"Namespace": OUR_NAMESPACE, "Dimensions": [dimension("SecretArn", arn)]}


def _high(stack: Stack, title: str, description: str, threshold: Any, **metric: Any) -> None:
    _sustained(stack, title, description, "GreaterThanThreshold", threshold, metric)


def _low(stack: Stack, title: str, description: str, threshold: Any, **metric: Any) -> None:
    _sustained(stack, title, description, "LessThanThreshold", threshold, metric)


def _sustained(
    stack: Stack, title: str, description: str, comparison: str, threshold: Any, metric: dict[str, Any]
) -> None:
    """A quarter of an hour beyond the threshold; a machine that says nothing has too little data, which is told."""
    _alarm(
        stack,
        title,
        description,
        Statistic="Average",
        ComparisonOperator=comparison,
        Threshold=threshold,
        Period=_FIVE_MINUTES,
        EvaluationPeriods=3,
        TreatMissingData="missing",
        **metric,
    )


def _alarm(stack: Stack, title: str, description: str, **properties: Any) -> cloudwatch.Alarm:
    """An alarm that tells the topic when it is raised, when it is over, and when its metric is gone."""
    topic = stack.import_value(TOPIC_ARN)
    return stack.add(
        cloudwatch.Alarm(
            title,
            AlarmDescription=description,
            AlarmActions=[topic],
            OKActions=[topic],
            InsufficientDataActions=[topic],
            **properties,
        )
    )
