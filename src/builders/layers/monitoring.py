"""What watches a phase: alarms, events of the replication task, a dashboard, the function that publishes progress."""

from __future__ import annotations

from builders.layers._monitoring import alarms, dashboard, status, thresholds, watched
from builders.stack import Scope, Stack

SCOPE = Scope.PHASE


def build(stack: Stack) -> None:
    """Watch the task, its instance, the database, the rotation and the functions; tell the topic."""
    things = watched.declare(stack)
    function = status.publish(stack, things)
    status.tell_of_stops(stack, things)
    cpu_percent = stack.parameter(thresholds.cpu()).ref()
    lag = alarms.replication(stack, things)
    alarms.instance(stack, things, cpu_percent)
    alarms.database(stack, things, cpu_percent)
    alarms.rotation(stack)
    alarms.functions(stack, function.ref())
    dashboard.build(stack, things)
    stack.output("ReplicationLagAlarmArn", lag.get_att("Arn"), "ARN of the alarm on the lag of the replication")
