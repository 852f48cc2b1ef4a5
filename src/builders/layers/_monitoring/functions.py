"""Alarms on what runs by itself: the rotation of the passwords, and the functions."""

from __future__ import annotations

from typing import Any

from troposphere import cloudwatch

from builders.layers._monitoring import alarms
from builders.layers._monitoring.watched import OUR_NAMESPACE, dimension, last_of
from builders.layers.rotation import DMS_ROTATION_FUNCTION_ARN, ROTATION_FUNCTION_ARN
from builders.layers.secrets import DATABASE_SECRET_ARN, DMS_SECRET_ARN
from builders.stack import Stack

ROTATION_DAYS = 30
"""The schedule of `rotation`; a day later it is late."""


def rotation(stack: Stack) -> None:
    """Rotations that failed, and one that does not happen: Secrets Manager has no metric for either."""
    for title, secret, whose in (
        ("RotationFailedAlarm", DATABASE_SECRET_ARN, "the master user"),
        ("DmsRotationFailedAlarm", DMS_SECRET_ARN, "DMS's user"),
    ):
        alarms.add(
            stack,
            title,
            f"The password of {whose} could not be rotated: the function's log names the step and the reason",
            MetricName="RotationFailed",
            Statistic="Maximum",
            ComparisonOperator="GreaterThanThreshold",
            Threshold=0,
            Period=alarms.FIVE_MINUTES,
            EvaluationPeriods=1,
            TreatMissingData="notBreaching",
            **_of_secret(stack.import_value(secret)),
        )
    alarms.add(
        stack,
        "RotationLateAlarm",
        f"The master user's password is older than {ROTATION_DAYS + 1} days, or nobody reports its age any more: "
        "rotate the secret by hand and read the function's log",
        MetricName="CurrentVersionAgeDays",
        Statistic="Maximum",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=ROTATION_DAYS + 1,
        # It comes once a day. Without any, the alarm has too little data, which has an action, too.
        Period=alarms.DAY,
        EvaluationPeriods=1,
        TreatMissingData="missing",
        **_of_secret(stack.import_value(DATABASE_SECRET_ARN)),
    )


def _of_secret(arn: Any) -> dict[str, Any]:
    return {"Namespace": OUR_NAMESPACE, "Dimensions": [dimension("SecretArn", arn)]}


def errors(stack: Stack, status_function: Any) -> None:
    """Errors of the functions that run by themselves; those behind custom resources fail their stack instead."""
    watched_functions = {
        "rotation": last_of(stack.import_value(ROTATION_FUNCTION_ARN)),
        "dmsrotation": last_of(stack.import_value(DMS_ROTATION_FUNCTION_ARN)),
        "status": status_function,
    }
    alarms.add(
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
        MetricStat=cloudwatch.MetricStat(Metric=metric, Period=alarms.FIVE_MINUTES, Stat="Sum"),
        ReturnData=False,
    )
