"""The monitored resources: CloudWatch's names of the task, the instance, the database and the functions."""

from __future__ import annotations

from typing import Any

from troposphere import Select, Split, cloudwatch

from builders.stack import Value

OUR_NAMESPACE = "Stackferry"
"""Namespace in which the functions publish (lambda/shared/embedded_metrics.py), and the filters of logs."""

_LAST_OF_ARN = 6
"""The seventh part of arn:partition:service:region:account:kind:id."""


class WatchedTask(Value):
    """A task: its ARN, the end of its ARN, and the condition under which it is there, if there is one."""

    arn: Any
    identifier: Any
    instance: Any
    condition: str | None = None

    @property
    def of_dms(self) -> list[cloudwatch.MetricDimension]:
        """The dimensions of DMS's own metrics: the instance's name and the task's.

        The task's is the end of its ARN, and not its name (DMS user guide, "Monitoring AWS DMS tasks", dimensions).
        """
        return [dimension("ReplicationInstanceIdentifier", self.instance), *self.of_ours]

    @property
    def of_ours(self) -> list[cloudwatch.MetricDimension]:
        """The dimension of the function's own metrics: the task's name alone (lambda/replication_status/index.py)."""
        return [dimension("ReplicationTaskIdentifier", self.identifier)]


class Watched(Value):
    """The values of dimensions, and the ARNs of the tasks and their instance."""

    task: WatchedTask
    fallback_arn: Any
    has_fallback: str
    instance_arn: Any
    instance: Any
    database: Any

    @property
    def of_instance(self) -> list[cloudwatch.MetricDimension]:
        """An instance's metrics are under its name."""
        return [dimension("ReplicationInstanceIdentifier", self.instance)]

    @property
    def of_database(self) -> list[cloudwatch.MetricDimension]:
        """RDS publishes under the instance's name."""
        return [dimension("DBInstanceIdentifier", self.database)]


def last_of(arn: Any) -> Select:
    """The last part of an ARN: a function's name, or a task's identifier."""
    return Select(_LAST_OF_ARN, Split(":", arn))


def dimension(name: str, value: Any) -> cloudwatch.MetricDimension:
    """One dimension of a metric."""
    return cloudwatch.MetricDimension(Name=name, Value=value)
