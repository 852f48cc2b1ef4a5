"""Alarms on what runs by itself: the rotation of the passwords, and the functions."""

from __future__ import annotations

from typing import Any

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
        alarms.add_for_event(
            stack,
            title,
            f"The password of {whose} could not be rotated: the function's log names the step and the reason",
            "Maximum",
            MetricName="RotationFailed",
            **_of_secret(stack.import_value(secret)),
        )
    alarms.add_with_end(
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
    event_sent = "its log has the reason, and the event that it failed on was sent to this topic"
    for title, name, where in (
        ("RotationErrorsAlarm", last_of(stack.import_value(ROTATION_FUNCTION_ARN)), event_sent),
        ("DmsRotationErrorsAlarm", last_of(stack.import_value(DMS_ROTATION_FUNCTION_ARN)), event_sent),
        ("ReplicationStatusErrorsAlarm", status_function, "its log has the reason; it is called again every minute"),
    ):
        alarms.add_for_event(
            stack,
            title,
            f"A function failed: {where}",
            "Sum",
            Namespace="AWS/Lambda",
            MetricName="Errors",
            Dimensions=[dimension("FunctionName", name)],
        )
