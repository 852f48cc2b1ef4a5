"""The monitored resources: CloudWatch's names of the task, the instance, the database and the functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from troposphere import Select, Split, cloudwatch

from builders.layers.database import INSTANCE_IDENTIFIER
from builders.layers.migration import INSTANCE_ARN, TASK_ARN
from builders.naming import REPLICATION_INSTANCE
from builders.stack import Stack

OUR_NAMESPACE = "Stackferry"
"""Where the functions publish (lambda/shared/embedded_metrics.py)."""

_LAST_OF_ARN = 6
"""The seventh part of arn:partition:service:region:account:kind:id."""


@dataclass(frozen=True)
class Watched:
    """The values of dimensions, and the ARNs of the task and its instance."""

    task_arn: Any
    task: Any
    instance_arn: Any
    instance: Any
    database: Any

    @property
    def of_task(self) -> list[cloudwatch.MetricDimension]:
        """DMS publishes a task's metrics under both names.

        The task's is the end of its ARN, and not its name (DMS user guide, "Monitoring AWS DMS tasks", dimensions).
        """
        return [*self.of_instance, dimension("ReplicationTaskIdentifier", self.task)]

    @property
    def of_task_status(self) -> list[cloudwatch.MetricDimension]:
        """The dimension of the function's own metrics: the task's name alone (lambda/replication_status/index.py)."""
        return [dimension("ReplicationTaskIdentifier", self.task)]

    @property
    def of_instance(self) -> list[cloudwatch.MetricDimension]:
        """An instance's metrics are under its name."""
        return [dimension("ReplicationInstanceIdentifier", self.instance)]

    @property
    def of_database(self) -> list[cloudwatch.MetricDimension]:
        """RDS publishes under the instance's name."""
        return [dimension("DBInstanceIdentifier", self.database)]


def declare(stack: Stack) -> Watched:
    """Import what the other layers made."""
    task_arn = stack.import_value(TASK_ARN)
    return Watched(
        task_arn=task_arn,
        task=last_of(task_arn),
        instance_arn=stack.import_value(INSTANCE_ARN),
        instance=stack.name(REPLICATION_INSTANCE),
        database=stack.import_value(INSTANCE_IDENTIFIER),
    )


def last_of(arn: Any) -> Select:
    """The last part of an ARN: a function's name, or a task's identifier."""
    return Select(_LAST_OF_ARN, Split(":", arn))


def dimension(name: str, value: Any) -> cloudwatch.MetricDimension:
    """One dimension of a metric."""
    return cloudwatch.MetricDimension(Name=name, Value=value)
