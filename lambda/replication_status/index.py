"""Publishes whether the replication tasks run, how far they are, and how much WAL their sources keep for them.

DMS itself has no metric that says so. Environment: REPLICATION_TASK_ARN, the task, and FALLBACK_TASK_ARN, that of the
way back, where there is one. CA_BUNDLE, a file with certificate authorities instead of the RDS roots that are shipped.
Region and endpoints come from the variables that boto3 itself reads.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import boto3
import embedded_metrics
import function_log
import slots
from botocore.config import Config
from deadline import Deadline, LambdaContext
from replication import count, describe_task, measure, table_statistics

log = function_log.logger("replication_status")

DIMENSION = "ReplicationTaskIdentifier"
_UNITS = {
    "ReplicationTaskStatus": "None",
    "FullLoadProgressPercent": "Percent",
    "SlotRetainedWalBytes": "Bytes",
    "SlotWalStatus": "None",
}
# A silent call ends after 3 * (2 + 5) s, which leaves the second one its time within the function's minute.
_CALLS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


def handler(_event: dict[str, Any], context: LambdaContext) -> None:
    """Publish the metrics of the tasks; raises ReplicationUnknown where DMS does not say.

    The alarms take a missing metric for a task that does not run, or for a slot that is lost: so what they look at goes
    first, and the rows, of as many tables as there are, go last. A source that does not answer for its slots takes
    nothing from the rest.
    """
    deadline = Deadline.before_timeout(context)
    dms = _client("dms")
    forward, back = os.environ["REPLICATION_TASK_ARN"], os.environ.get("FALLBACK_TASK_ARN", "")
    tasks = {arn: describe_task(dms, arn) for arn in (forward, back) if arn}
    for arn, task in tasks.items():
        if task is None:
            log.warning("there is no task %s", arn)
        _emit(arn, measure(task))
    there = {arn: task for arn, task in tasks.items() if task is not None}
    for arn, task in there.items():
        publish_slots(arn, slots.Source(dms, _client("secretsmanager"), task, in_rds=arn == back), deadline)
    for arn in there:
        tables = table_statistics(dms, arn)
        if tables:
            _emit(arn, count(tables))


def publish_slots(arn: str, source: slots.Source, deadline: Deadline) -> None:
    """Ask a task's source for its slots and write their metrics, or the reason why it does not say into the log."""
    try:
        _emit(arn, source.ask(deadline))
    except slots.SlotsUnknown as unknown:
        log.warning("the slots of %s are not known: %s", arn, unknown)


def _emit(arn: str, values: dict[str, float]) -> None:
    embedded_metrics.emit(DIMENSION, arn.rsplit(":", 1)[-1], values, _UNITS)


@functools.cache
def _client(service: str) -> Any:
    return boto3.client(service, config=_CALLS)
