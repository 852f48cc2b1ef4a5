"""Keeps the password of DMS's own user from changing under a running task.

A running task is not known to survive a new password, and a migration that stops at night is found in the morning. So
the user of DMS has a secret and a rotation function of its own, told by REPLICATION_TASK which task to look at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deadline import Deadline
from rotation_errors import AwsCallFailed, TaskRunning
from secret_store import call

# Statuses in which a task holds no connection and will not open one by itself (AWS DMS, "Replication task status").
_AT_REST = ("ready", "stopped", "failed", "failed-move")


class ReplicationGuard:
    """Asks DMS about one task, given by ARN or identifier; without a task it asks nothing."""

    def __init__(self, client: Callable[[], Any], task: str, deadline: Deadline) -> None:
        self._client = client
        self._task = task
        self._deadline = deadline

    def require_at_rest(self) -> None:
        """Raise TaskRunning unless the task is at rest, or does not exist (not made yet, or removed at the end)."""
        if not self._task:
            return
        self._deadline.remaining()
        name = "replication-task-arn" if self._task.startswith("arn:") else "replication-task-id"
        filters = [{"Name": name, "Values": [self._task]}]
        for task in self._matching(filters):
            if task["Status"] not in _AT_REST:
                raise TaskRunning(
                    f"the replication task {self._task} is {task['Status']}: the password of its user stays as it is. "
                    '`migrate-database rotate` stops it meanwhile: see "The user of DMS" in docs/rotation.md'
                )

    def _matching(self, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            answer = call(
                self._client().describe_replication_tasks,
                "describe_replication_tasks",
                Filters=filters,
                WithoutSettings=True,
            )
        except AwsCallFailed as error:
            if error.code != "ResourceNotFoundFault":
                raise
            return []
        return list(answer["ReplicationTasks"])
