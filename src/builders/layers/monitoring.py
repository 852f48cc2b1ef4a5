"""Monitoring of a phase: alarms, events of the replication task, a dashboard, the function that publishes progress."""

from __future__ import annotations

from builders.layers._monitoring import dashboard, functions, machines, replication, status, watched
from builders.stack import Scope, Stack

SCOPE = Scope.PHASE


def build(stack: Stack) -> None:
    """Watch the task, its instance, the database, the rotation and the functions; tell the topic."""
    things = watched.declare(stack)
    status_function = status.publish(stack, things)
    status.tell_of_stops(stack, things)
    lag = replication.build(stack, things)
    machines.build(stack, things)
    functions.rotation(stack)
    functions.errors(stack, status_function.ref())
    dashboard.build(stack, things)
    stack.output("ReplicationLagAlarmArn", lag.get_att("Arn"), "ARN of the alarm on the lag of the replication")
