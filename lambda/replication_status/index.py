"""Publishes whether the replication task runs, and how far it is: DMS itself has no metric that says so.

Environment: REPLICATION_TASK_ARN, the task. Region and endpoints come from the variables that boto3 itself reads.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

import boto3
import embedded_metrics
from botocore.config import Config
from replication import describe_task, measure, table_statistics

log = logging.getLogger("replication_status")
log.setLevel(logging.INFO)

DIMENSION = "ReplicationTaskIdentifier"
_UNITS = {"ReplicationTaskStatus": "None", "FullLoadProgressPercent": "Percent"}
# A silent call ends after 3 * (2 + 5) s, which leaves the second one its time within the function's minute.
_CALLS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


def handler(_event: dict[str, Any], _context: object) -> None:
    """Publish the metrics of one task; raises ReplicationUnknown where DMS does not say.

    Nothing is published then, and the alarm takes the missing metric for a task that does not run.
    """
    arn = os.environ["REPLICATION_TASK_ARN"]
    publish(_client(), arn)


def publish(dms: Any, arn: str) -> None:
    """Ask about the task and write its metrics, under the identifier that DMS's own metrics have."""
    task = describe_task(dms, arn)
    if task is None:
        log.warning("there is no task %s", arn)
    tables = table_statistics(dms, arn) if task else []
    embedded_metrics.emit(DIMENSION, arn.rsplit(":", 1)[-1], measure(task, tables), _UNITS)


@functools.cache
def _client() -> Any:
    return boto3.client("dms", config=_CALLS)
