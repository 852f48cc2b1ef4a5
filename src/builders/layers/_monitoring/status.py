"""The function that publishes how the task is doing, and the events that say at once that it stopped."""

from __future__ import annotations

from typing import Any

from awacs import dms as dms_actions
from awacs.aws import Statement
from troposphere import Equals, If, Not, NoValue, awslambda, events

from builders import policies
from builders.layers import _functions, _source
from builders.layers._monitoring.watched import Watched
from builders.layers.fallback import SECRET_ARN as FALLBACK_SECRET_ARN
from builders.layers.foundation import KEY_ARN, TOPIC_ARN
from builders.layers.network import DMS_SECURITY_GROUP_ID
from builders.stack import Stack

TIMEOUT_SECONDS = 60
EVERY = "rate(1 minute)"

FAILED, STOPPED = "DMS-EVENT-0078", "DMS-EVENT-0079"
"""Events of a task that are told (DMS user guide, "AWS DMS event categories and event messages")."""

_DESCRIBE = [
    dms_actions.DescribeCertificates,
    dms_actions.DescribeEndpoints,
    dms_actions.DescribeReplicationTasks,
]
_WILDCARDS = {
    "FindTask": "DMS describes tasks, endpoints and certificates without a resource (Service Authorization Reference)"
}


def publish(stack: Stack, watched: Watched) -> awslambda.Function:
    """Make the function, and the schedule that calls it every minute."""
    function, policy = _functions.add(
        stack,
        "ReplicationStatusFunction",
        _functions.Settings.declare(
            stack,
            "replication_status",
            DMS_SECURITY_GROUP_ID,  # it reaches the source, which the functions' own does not
            # A DMS that does not answer fails every call: the alarm says so once, instead of a message a minute.
            _functions.FailedEvents.DROP,
        ),
        description="Publishes whether the replication tasks run, how far they are, and what their slots keep",
        statements=[
            policies.allow("FindTask", _DESCRIBE, ["*"]),
            policies.allow("ReadProgress", [dms_actions.DescribeTableStatistics], _tasks(watched)),
            *_read_secrets(stack, watched),
        ],
        timeout_seconds=TIMEOUT_SECONDS,
        environment={
            "REPLICATION_TASK_ARN": watched.task.arn,
            "FALLBACK_TASK_ARN": If(watched.has_fallback, watched.fallback_arn, NoValue),
        },
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
    _functions.let_rule_call(stack, "ReplicationStatusPermission", rule, function)
    return function


def _tasks(watched: Watched) -> list[Any]:
    return [watched.task.arn, If(watched.has_fallback, watched.fallback_arn, NoValue)]


def _read_secrets(stack: Stack, watched: Watched) -> list[Statement]:
    """The secrets of the users that the tasks read as: on-premises, and on the way back in RDS."""
    source = stack.parameter(_source.secret_arn()).ref()
    key = stack.parameter(_source.secret_key_arn()).ref()
    has_key = stack.condition("HasSourceSecretKey", Not(Equals(key, "")))
    return _functions.reading_statements(
        [source, If(watched.has_fallback, stack.import_value(FALLBACK_SECRET_ARN), NoValue)],
        [stack.import_value(KEY_ARN), If(has_key, key, NoValue)],
    )


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
                "resources": _tasks(watched),
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
