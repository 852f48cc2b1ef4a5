"""The rotation of the database's passwords: the function, its 30-day schedule, a daily look at the password's age."""

from __future__ import annotations

from typing import Any

from awacs import dms as dms_actions, secretsmanager as secret_actions
from awacs.aws import Statement
from troposphere import AccountId, Join, awslambda, events, iam, secretsmanager

from builders import policies
from builders.layers import _functions
from builders.layers.foundation import KEY_ARN
from builders.layers.secrets import DATABASE_SECRET_ARN, DMS_SECRET_ARN
from builders.naming import REPLICATION_TASK
from builders.stack import Export, Scope, Stack

SCOPE = Scope.PHASE

# The first rotation begins as soon as the schedule stands. It needs the host in the secret, which `database` attaches,
# and a way to Secrets Manager; both are in other stacks, and without this order the rotation races them. It comes after
# `database_users`, too, which logs in as the master user: on a first deployment nothing changes the password under it.
AFTER = ("database", "database_users", "endpoints")

ROTATION_FUNCTION_ARN = Export(
    "rotation", "RotationFunctionArn", "The function that rotates the master user's password"
)
DMS_ROTATION_FUNCTION_ARN = Export(
    "rotation", "DmsRotationFunctionArn", "The function that rotates the password of DMS's user, by hand"
)

TIMEOUT_SECONDS = 60
ROTATE_EVERY = "rate(30 days)"
WINDOW = "4h"

_ROTATE = [
    secret_actions.DescribeSecret,
    secret_actions.GetSecretValue,
    secret_actions.ListSecretVersionIds,
    secret_actions.PutSecretValue,
    secret_actions.UpdateSecretVersionStage,
]

_GUARD_WILDCARDS = {"SeeWhetherTheTaskRuns": "DMS describes tasks without a resource (Service Authorization Reference)"}


def build(stack: Stack) -> None:
    """Rotate the master user's password every 30 days, and let a person rotate that of DMS's user."""
    settings = _functions.Settings.declare(stack, "secret_rotation")
    function, permission, policy = _rotation(
        stack, "Rotation", settings, DATABASE_SECRET_ARN, description="Rotates the master user's password"
    )
    stack.add(
        secretsmanager.RotationSchedule(
            "RotationSchedule",
            SecretId=stack.import_value(DATABASE_SECRET_ARN),
            RotationLambdaARN=function.get_att("Arn"),
            RotationRules=secretsmanager.RotationRules(ScheduleExpression=ROTATE_EVERY, Duration=WINDOW),
            # It rotates at once, and races whatever it does not wait for (github.com/aws/aws-cdk, issue 26481).
            DependsOn=[permission, policy],
        )
    )
    _report_age_daily(stack, function)
    # No schedule: a running task is not known to survive a new password. A person stops the task, rotates, resumes
    # (docs/rotation.md), and the function refuses while the task runs.
    dms_function, *_ = _rotation(
        stack,
        "DmsRotation",
        settings,
        DMS_SECRET_ARN,
        description="Rotates the password of DMS's user while its task does not run",
        guarded_task=stack.name(REPLICATION_TASK),
    )
    stack.export(ROTATION_FUNCTION_ARN, function.get_att("Arn"))
    stack.export(DMS_ROTATION_FUNCTION_ARN, dms_function.get_att("Arn"))


def _rotation(
    stack: Stack,
    role: str,
    settings: _functions.Settings,
    secret: Export,
    *,
    description: str,
    guarded_task: Any = None,
) -> tuple[awslambda.Function, awslambda.Permission, iam.ManagedPolicy]:
    """A function that rotates one secret, and Secrets Manager's permission to call it for that secret alone."""
    arn = stack.import_value(secret)
    statements = _functions.secret_statements(_ROTATE, [arn], stack.import_value(KEY_ARN))
    if guarded_task is not None:
        statements.append(_look_at_tasks())
    function, policy = _functions.add(
        stack,
        f"{role}Function",
        settings,
        description=description,
        statements=statements,
        timeout_seconds=TIMEOUT_SECONDS,
        environment={"REPLICATION_TASK": guarded_task} if guarded_task is not None else None,
        wildcards=_GUARD_WILDCARDS if guarded_task is not None else None,
    )
    permission = stack.add(
        awslambda.Permission(
            f"{role}Permission",
            Action="lambda:InvokeFunction",
            FunctionName=function.ref(),
            Principal="secretsmanager.amazonaws.com",
            SourceAccount=AccountId,
            SourceArn=arn,
        )
    )
    return function, permission, policy


def _look_at_tasks() -> Statement:
    return policies.allow("SeeWhetherTheTaskRuns", [dms_actions.DescribeReplicationTasks], ["*"])


def _report_age_daily(stack: Stack, function: awslambda.Function) -> None:
    """A rotation that does not happen reports nothing, so the age is asked for by a schedule of its own."""
    rule = stack.add(
        events.Rule(
            "DailyAgeReport",
            Description="Reports the age of the master user's password, on which the alarm for a late rotation stands",
            ScheduleExpression="rate(1 day)",
            Targets=[
                events.Target(
                    Id="RotationFunction",
                    Arn=function.get_att("Arn"),
                    Input=Join(
                        "", ['{"Step": "reportAge", "SecretId": "', stack.import_value(DATABASE_SECRET_ARN), '"}']
                    ),
                )
            ],
        )
    )
    _functions.let_rule_call(stack, "DailyAgeReportPermission", rule, function)
