"""Monitoring of a phase: alarms, events of the replication task, a dashboard, the function that publishes progress.

The alarms on the way back are in the layer `fallback`.
"""

from __future__ import annotations

from builders.layers import _source
from builders.layers._monitoring import dashboard, functions, machines, replication, status
from builders.layers._monitoring.watched import Watched, WatchedTask, last_of
from builders.layers.database import INSTANCE_IDENTIFIER
from builders.layers.fallback import TASK_ARN as FALLBACK_TASK_ARN
from builders.layers.migration import INSTANCE_ARN, TASK_ARN
from builders.naming import REPLICATION_INSTANCE
from builders.stack import Scope, Stack

SCOPE = Scope.PHASE


def build(stack: Stack) -> None:
    """Watch the task, its instance, the database and its changes, the rotation and the functions; tell the topic."""
    watched = _watched(stack)
    status_function = status.publish(stack, watched)
    status.tell_of_stops(stack, watched)
    lag = replication.build(stack, watched.task)
    machines.build(stack, watched)
    functions.rotation(stack)
    functions.errors(stack, status_function.ref())
    dashboard.build(stack, watched)
    stack.output("ReplicationLagAlarmArn", lag.get_att("Arn"), "ARN of the alarm on the lag of the replication")


def _watched(stack: Stack) -> Watched:
    """Import what the other layers made."""
    instance, arn = stack.name(REPLICATION_INSTANCE), stack.import_value(TASK_ARN)
    has_fallback, _ = _source.declare_fallback(stack)
    return Watched(
        task=WatchedTask(arn, last_of(arn), instance),
        fallback_arn=stack.import_value(FALLBACK_TASK_ARN),
        has_fallback=has_fallback,
        instance_arn=stack.import_value(INSTANCE_ARN),
        instance=instance,
        database=stack.import_value(INSTANCE_IDENTIFIER),
    )
