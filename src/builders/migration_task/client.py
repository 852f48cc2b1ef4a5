"""All calls to DMS. Errors leave here as `ReplicationError`, one line for the user."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config

from builders.aws.errors import Advice, NotFound, translated
from builders.errors import ReplicationError, RolloutError
from builders.migration_task.task import Table, Task, table_of, task_of

ADVICE = Advice(retry="run this again", permissions="docs/migration.md")

DEFAULT_ATTEMPTS = 7
"""Throttling, too, is tried again by boto3: over about half a minute, unless AWS_MAX_ATTEMPTS says otherwise."""


class Replication:
    """One replication task, by its ARN. The region is the ARN's unless another is given."""

    def __init__(self, arn: str, profile: str | None = None, region: str | None = None) -> None:
        self.arn = arn
        self._region = region or arn.split(":")[3]
        with self._asking("a client"):
            session = boto3.Session(profile_name=profile, region_name=self._region)
            attempts = int(os.environ.get("AWS_MAX_ATTEMPTS", DEFAULT_ATTEMPTS))
            retries = {"mode": "standard", "total_max_attempts": attempts}
            self._dms: Any = session.client("dms", config=Config(connect_timeout=10, read_timeout=30, retries=retries))

    def task(self) -> Task:
        """The task as it is now."""
        return task_of(self._described(WithoutSettings=True))

    def table_preparation(self) -> str:
        """TargetTablePrepMode of the task's settings: what a load does to tables that are there."""
        settings = json.loads(self._described().get("ReplicationTaskSettings") or "{}")
        return str(settings.get("FullLoadSettings", {}).get("TargetTablePrepMode", ""))

    def _described(self, **options: bool) -> dict[str, Any]:
        filters = [{"Name": "replication-task-arn", "Values": [self.arn]}]
        with self._asking("DescribeReplicationTasks"):
            pages = self._dms.get_paginator("describe_replication_tasks").paginate(Filters=filters, **options)
            found = [task for page in pages for task in page["ReplicationTasks"]]
        if not found:
            raise _missing(self.arn)
        task: dict[str, Any] = found[0]
        return task

    def tables(self) -> list[Table]:
        """The tables that the task knows; none before it has run."""
        with self._asking("DescribeTableStatistics"):
            pages = self._dms.get_paginator("describe_table_statistics").paginate(ReplicationTaskArn=self.arn)
            try:
                return [table_of(table) for page in pages for table in page["TableStatistics"]]
            except self._dms.exceptions.InvalidResourceStateFault:
                return []

    def begin(self, kind: str) -> bool:
        """Ask for a start; `kind` is start-replication, resume-processing or reload-target.

        Return False where DMS does not count the tests of the connections yet: it may do so for a while after both
        were successful (cockroachdb/cockroach#101621).
        """
        with self._asking("StartReplicationTask"):
            try:
                self._dms.start_replication_task(ReplicationTaskArn=self.arn, StartReplicationTaskType=kind)
            except self._dms.exceptions.InvalidResourceStateFault as fault:
                if "test connection" not in str(fault).lower():
                    raise
                return False
        return True

    def stop(self) -> None:
        """Ask for a stop."""
        with self._asking("StopReplicationTask"):
            self._dms.stop_replication_task(ReplicationTaskArn=self.arn)

    def test_connection(self, instance_arn: str, endpoint_arn: str) -> bool:
        """Ask for a test of the connection from the instance to an endpoint.

        Return False where one is under way: DMS tests by itself after an endpoint was changed, and refuses another
        one meanwhile (boto/boto3#1760, "Connection is already being tested").
        """
        with self._asking("TestConnection"):
            try:
                self._dms.test_connection(ReplicationInstanceArn=instance_arn, EndpointArn=endpoint_arn)
            except self._dms.exceptions.InvalidResourceStateFault:
                return False
        return True

    def connection(self, instance_arn: str, endpoint_arn: str) -> tuple[str, str]:
        """Status and failure of the last test; an untested one has no status."""
        filters = [
            {"Name": "replication-instance-arn", "Values": [instance_arn]},
            {"Name": "endpoint-arn", "Values": [endpoint_arn]},
        ]
        with self._asking("DescribeConnections"):
            try:
                found = self._dms.describe_connections(Filters=filters)["Connections"]
            except self._dms.exceptions.ResourceNotFoundFault:
                found = []
        return (found[0]["Status"], found[0].get("LastFailureMessage", "")) if found else ("", "")

    @contextlib.contextmanager
    def _asking(self, operation: str) -> Iterator[None]:
        try:
            with translated("dms", operation, self._region, advice=ADVICE):
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
