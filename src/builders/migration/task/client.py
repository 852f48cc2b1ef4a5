"""All calls to DMS about one task. Errors leave here as `ReplicationError`, one line for the user."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from builders.aws.calls import Session
from builders.aws.errors import NotFound, Refused
from builders.errors import ReplicationError, RolloutError
from builders.migration.task.values import TableStatistics, Task, table_of, task_of

_WRONG_STATE = "InvalidResourceStateFault"


class Replication:
    """One replication task, by its ARN."""

    def __init__(self, arn: str, session: Session) -> None:
        self.arn = arn
        self._session = session

    def task(self) -> Task:
        """The task as it is now."""
        return task_of(self._described(WithoutSettings=True))

    def table_preparation(self) -> str:
        """TargetTablePrepMode of the task's settings: what a load does to tables that are there."""
        settings = json.loads(self._described().get("ReplicationTaskSettings") or "{}")
        return str(settings.get("FullLoadSettings", {}).get("TargetTablePrepMode", ""))

    def applies_in_batches(self) -> bool:
        """Return whether changes are applied table after table within a batch (BatchApplyEnabled)."""
        settings = json.loads(self._described().get("ReplicationTaskSettings") or "{}")
        return bool(settings.get("TargetMetadata", {}).get("BatchApplyEnabled"))

    def table_mappings(self) -> list[dict[str, Any]]:
        """The rules of the task's table mapping, as DMS has them."""
        rules: list[dict[str, Any]] = json.loads(self._described()["TableMappings"])["rules"]
        return rules

    def _described(self, **options: bool) -> dict[str, Any]:
        filters = [{"Name": "replication-task-arn", "Values": [self.arn]}]
        with self._asking():
            found = list(self._session.pages("dms", "DescribeReplicationTasks", Filters=filters, **options))
        if not found:
            raise _missing(self.arn)
        task: dict[str, Any] = found[0]
        return task

    def tables(self) -> list[TableStatistics]:
        """The tables that the task knows; none before it has run."""
        with self._asking():
            try:
                pages = self._session.pages("dms", "DescribeTableStatistics", ReplicationTaskArn=self.arn)
                return [table_of(table) for table in pages]
            except Refused as refused:
                if refused.code != _WRONG_STATE:
                    raise
                return []

    def begin(self, kind: str, position: str = "") -> bool:
        """Ask for a start; `kind` is start-replication, resume-processing or reload-target.

        `position` is the log sequence number from which a task without a load of its own begins. Return False where
        DMS does not count the tests of the connections yet: it may do so for a while after both were successful
        (cockroachdb/cockroach#101621).
        """
        start = {"CdcStartPosition": position} if position else {}
        with self._asking():
            try:
                self._session.ask(
                    "dms",
                    "StartReplicationTask",
                    ReplicationTaskArn=self.arn,
                    StartReplicationTaskType=kind,
                    **start,
                )
            except Refused as refused:
                if refused.code != _WRONG_STATE or "test connection" not in str(refused).lower():
                    raise
                return False
        return True

    def stop(self) -> None:
        """Ask for a stop."""
        with self._asking():
            self._session.ask("dms", "StopReplicationTask", ReplicationTaskArn=self.arn)

    def test_connection(self, instance_arn: str, endpoint_arn: str) -> bool:
        """Ask for a test of the connection from the instance to an endpoint.

        Return False where one is under way: DMS tests by itself after an endpoint was changed, and refuses another
        one meanwhile (boto/boto3#1760, "Connection is already being tested").
        """
        with self._asking():
            try:
                self._session.ask(
                    "dms", "TestConnection", ReplicationInstanceArn=instance_arn, EndpointArn=endpoint_arn
                )
            except Refused as refused:
                if refused.code != _WRONG_STATE:
                    raise
                return False
        return True

    def connection(self, instance_arn: str, endpoint_arn: str) -> tuple[str, str]:
        """Status and failure of the last test; an untested one has no status."""
        filters = [
            {"Name": "replication-instance-arn", "Values": [instance_arn]},
            {"Name": "endpoint-arn", "Values": [endpoint_arn]},
        ]
        with self._asking():
            try:
                found = self._session.ask("dms", "DescribeConnections", Filters=filters)["Connections"]
            except NotFound:
                found = []
        return (found[0]["Status"], found[0].get("LastFailureMessage", "")) if found else ("", "")

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except NotFound as error:
            raise _missing(self.arn) from error
        except RolloutError as error:
            raise ReplicationError(str(error)) from error


def _missing(arn: str) -> ReplicationError:
    account = arn.split(":")[4]
    return ReplicationError(
        f"there is no replication task {arn}; are these credentials of account {account}, and are the outputs of the "
        "phase those of its last deployment?"
    )
