"""The function that publishes how the task is doing, and the events that say at once that it stopped."""

from __future__ import annotations

from awacs import dms as dms_actions
from troposphere import AccountId, awslambda, events

from builders import policies
from builders.layers import _functions
from builders.layers._monitoring.watched import Watched
from builders.layers.foundation import TOPIC_ARN
from builders.stack import Stack

TIMEOUT_SECONDS = 60
EVERY = "rate(1 minute)"

FAILED, STOPPED = "DMS-EVENT-0078", "DMS-EVENT-0079"
"""Events of a task that are told (DMS user guide, "AWS DMS event categories and event messages")."""

_WILDCARDS = {"FindTask": "DMS describes tasks without a resource (Service Authorization Reference)"}


def publish(stack: Stack, watched: Watched) -> awslambda.Function:
    """Make the function, and the schedule that calls it every minute."""
    function, policy = _functions.add(
        stack,
        "ReplicationStatusFunction",
        _functions.Settings.declare(stack, "replication_status"),
        description="Publishes whether the replication task runs, and how far it is",
        statements=[
            policies.allow("FindTask", [dms_actions.DescribeReplicationTasks], ["*"]),
            policies.allow("ReadProgress", [dms_actions.DescribeTableStatistics], [watched.task_arn]),
        ],
        timeout_seconds=TIMEOUT_SECONDS,
        environment={"REPLICATION_TASK_ARN": watched.task_arn},
        wildcards=_WILDCARDS,
    )
    rule = stack.add(
        events.Rule(
            "ReplicationStatusSchedule",
            Description="Asks every minute how the replication task is doing",
            ScheduleExpression=EVERY,
            Targets=[events.Target(Id="ReplicationStatusFunction", Arn=function.get_att("Arn"))],
            DependsOn=[policy],
        )
    )
    stack.add(
        awslambda.Permission(
            "ReplicationStatusPermission",
            Action="lambda:InvokeFunction",
            FunctionName=function.ref(),
            Principal="events.amazonaws.com",
            SourceAccount=AccountId,
            SourceArn=rule.get_att("Arn"),
        )
    )
    return function


def tell_of_stops(stack: Stack, watched: Watched) -> None:
    """Send the topic a sentence when the task fails or stops.

    This is quicker than the alarm, and comes also while TaskExpected is false. The topic's policy lets EventBridge
    publish (`foundation`).
    """
    stack.add(
        events.Rule(
            "TaskEnded",
            Description="Tells the topic that the replication task failed or stopped",
            EventPattern={
                "source": ["aws.dms"],
                "detail-type": ["DMS Replication Task State Change"],
                "resources": [watched.task_arn],
                "detail": {"eventId": [FAILED, STOPPED]},
            },
            Targets=[
                events.Target(
                    Id="NotificationTopic",
                    Arn=stack.import_value(TOPIC_ARN),
                    InputTransformer=events.InputTransformer(
                        InputPathsMap={"task": "$.resources[0]", "time": "$.time", "message": "$.detail.detailMessage"},
                        InputTemplate='"At <time> DMS said of the replication task <task>: <message>"',
                    ),
                )
            ],
        )
    )
