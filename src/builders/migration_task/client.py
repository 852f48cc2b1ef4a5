"""All calls to DMS. Errors leave here as `ReplicationError`, one line in the user's words."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

from builders.errors import ReplicationError
from builders.migration_task.task import Rows, Task, rows_of, task_of

DEFAULT_ATTEMPTS = 7
"""Throttling, too, is tried again by boto3: over about half a minute, unless AWS_MAX_ATTEMPTS says otherwise."""


class Replication:
    """One replication task, by its ARN. The region is the ARN's unless another is given."""

    def __init__(self, arn: str, profile: str | None = None, region: str | None = None) -> None:
        self.arn = arn
        with _in_our_words(arn):
            session = boto3.Session(profile_name=profile, region_name=region or arn.split(":")[3])
            attempts = int(os.environ.get("AWS_MAX_ATTEMPTS", DEFAULT_ATTEMPTS))
            retries = {"mode": "standard", "total_max_attempts": attempts}
            self._dms: Any = session.client("dms", config=Config(connect_timeout=10, read_timeout=30, retries=retries))

    def task(self) -> Task:
        """The task as it is now."""
        filters = [{"Name": "replication-task-arn", "Values": [self.arn]}]
        with _in_our_words(self.arn):
            pages = self._dms.get_paginator("describe_replication_tasks").paginate(
                Filters=filters, WithoutSettings=True
            )
            found = [task for page in pages for task in page["ReplicationTasks"]]
        if not found:
            raise _missing(self.arn)
        return task_of(found[0])

    def rows(self) -> Rows:
        """Rows over all tables; none before the task has run."""
        with _in_our_words(self.arn):
            pages = self._dms.get_paginator("describe_table_statistics").paginate(ReplicationTaskArn=self.arn)
            try:
                return rows_of(table for page in pages for table in page["TableStatistics"])
            except self._dms.exceptions.InvalidResourceStateFault:
                return Rows(0, 0, 0)

    def begin(self, kind: str) -> None:
        """Ask for a start; `kind` is start-replication or resume-processing."""
        with _in_our_words(self.arn):
            self._dms.start_replication_task(ReplicationTaskArn=self.arn, StartReplicationTaskType=kind)

    def stop(self) -> None:
        """Ask for a stop."""
        with _in_our_words(self.arn):
            self._dms.stop_replication_task(ReplicationTaskArn=self.arn)

    def test_connection(self, instance_arn: str, endpoint_arn: str) -> None:
        """Ask for a test of the way from the instance to an endpoint."""
        with _in_our_words(self.arn):
            self._dms.test_connection(ReplicationInstanceArn=instance_arn, EndpointArn=endpoint_arn)

    def connection(self, instance_arn: str, endpoint_arn: str) -> tuple[str, str]:
        """Status and failure of the last test; an untested one has no status."""
        filters = [
            {"Name": "replication-instance-arn", "Values": [instance_arn]},
            {"Name": "endpoint-arn", "Values": [endpoint_arn]},
        ]
        with _in_our_words(self.arn):
            try:
                found = self._dms.describe_connections(Filters=filters)["Connections"]
            except self._dms.exceptions.ResourceNotFoundFault:
                found = []
        return (found[0]["Status"], found[0].get("LastFailureMessage", "")) if found else ("", "")


@contextlib.contextmanager
def _in_our_words(arn: str) -> Iterator[None]:
    try:
        yield
    except NoCredentialsError as error:
        raise ReplicationError("no AWS credentials were found; log in, or name a profile with --profile") from error
    except ProfileNotFound as error:
        raise ReplicationError(f"{error}; name one of ~/.aws/config with --profile") from error
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "ResourceNotFoundFault":
            raise _missing(arn) from error
        raise ReplicationError(f"DMS refused {error.operation_name}: {code}: {message}") from error
    except BotoCoreError as error:
        raise ReplicationError(f"DMS cannot be asked: {error}") from error


def _missing(arn: str) -> ReplicationError:
    account = arn.split(":")[4]
    return ReplicationError(
        f"there is no replication task {arn}; are these credentials of account {account}, and are the outputs of the "
        "phase those of its last deployment?"
    )
