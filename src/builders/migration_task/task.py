"""A replication task as values: its status, its progress, why it stopped, and what may be done next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

READY, STARTING, RUNNING, STOPPED, FAILED = "ready", "starting", "running", "stopped", "failed"
AT_REST = (READY, STOPPED, FAILED, "failed-move")
"""A task stays in these until somebody asks for something (DMS API reference, "ReplicationTask", Status)."""

# What DMS says, in part, and what helps (DMS user guide, "Troubleshooting issues with PostgreSQL" and "Using a
# PostgreSQL database as an AWS DMS source").
_ADVICE = {
    "no tables": "no table fits the schemas of SchemaName1 to SchemaName5: compare their spelling, capitals too, with "
    "the source, and check that the source's user may read them",
    "replication slot": "the source has no free replication slot, or an old one is in the way: see "
    "pg_replication_slots and max_replication_slots there",
    "wal_level": "the source needs wal_level = logical, and a restart after that",
    "logical decoding": "the source needs wal_level = logical, and a restart after that",
    "password authentication": "the secret of the endpoint and the database disagree: check user and password",
    "permission denied": "the user of the endpoint lacks a right in its database: see docs/migration.md",
    "certificate": "the endpoint's certificate does not verify: check SourceCertificatePem and the host in the secret",
    "connection": "DMS does not reach the database: see what the connectivity layer says about the way",
    "memory": "the replication instance is too small: choose a larger ReplicationInstanceClass",
    "disk": "the replication instance is full: raise ReplicationStorageGiB",
    "normal": "it was asked to stop, or had nothing left to do",
}


@dataclass(frozen=True)
class Progress:
    """The progress of the full load: percent of it, and tables by what became of them."""

    percent: int
    loaded: int
    loading: int
    queued: int
    errored: int

    @property
    def is_loaded(self) -> bool:
        """True once every table is in the target, or given up."""
        return self.percent >= 100 and not self.loading and not self.queued


@dataclass(frozen=True)
class Task:
    """A task as DMS describes it at one moment."""

    arn: str
    instance_arn: str
    endpoint_arns: tuple[str, ...]
    status: str
    stop_reason: str
    failure: str
    started: str
    """When it was started last, as DMS writes it; empty for a task that never was."""
    progress: Progress

    @property
    def has_run(self) -> bool:
        """True once it was started. A changed task is ready again although it has run: the status does not say it."""
        return bool(self.started) or self.status in (STOPPED, FAILED)

    @property
    def is_at_rest(self) -> bool:
        """True while it stays as it is until somebody asks for something."""
        return self.status in AT_REST

    @property
    def has_failed(self) -> bool:
        """True when it ended by itself and not because somebody stopped it; one that runs again has not."""
        return self.is_at_rest and (self.status.startswith(FAILED) or "ERROR" in self.stop_reason)


@dataclass(frozen=True)
class Rows:
    """Rows over all tables: of the full load, changed since, and found different by validation."""

    loaded: int
    changed: int
    failed_validation: int


def task_of(described: Mapping[str, Any]) -> Task:
    """Read a task out of DescribeReplicationTasks."""
    statistics = described.get("ReplicationTaskStats", {})
    return Task(
        arn=described["ReplicationTaskArn"],
        instance_arn=described["ReplicationInstanceArn"],
        endpoint_arns=(described["SourceEndpointArn"], described["TargetEndpointArn"]),
        status=described["Status"],
        stop_reason=described.get("StopReason", ""),
        failure=described.get("LastFailureMessage", ""),
        started=str(statistics.get("StartDate", "")),
        progress=Progress(
            percent=statistics.get("FullLoadProgressPercent", 0),
            loaded=statistics.get("TablesLoaded", 0),
            loading=statistics.get("TablesLoading", 0),
            queued=statistics.get("TablesQueued", 0),
            errored=statistics.get("TablesErrored", 0),
        ),
    )


def rows_of(tables: Iterable[Mapping[str, Any]]) -> Rows:
    """Add up DescribeTableStatistics."""
    loaded = changed = failed = 0
    for table in tables:
        loaded += table.get("FullLoadRows", 0)
        changed += sum(table.get(kind, 0) for kind in ("Inserts", "Updates", "Deletes"))
        failed += table.get("ValidationFailedRecords", 0)
    return Rows(loaded, changed, failed)


def why(task: Task) -> str:
    """The reason why the task stopped, as DMS gives it, and a remedy; empty for one that runs or never started."""
    said = "; ".join(filter(None, [task.stop_reason.removeprefix("Stop Reason "), task.failure]))
    if not said or not task.is_at_rest:
        return ""
    advice = next((text for words, text in _ADVICE.items() if words in said.lower()), "")
    if not advice and task.has_failed:
        advice = "its log has more, in the log group dms-tasks-<replication instance>"
    return f"{said}: {advice}" if advice else said


def as_data(task: Task, rows: Rows) -> dict[str, Any]:
    """The task and its rows as --json prints them."""
    return {
        "task": task.arn,
        "status": task.status,
        "stopReason": task.stop_reason or None,
        "failure": task.failure or None,
        "why": why(task) or None,
        "fullLoad": asdict(task.progress),
        "rows": {"loaded": rows.loaded, "changed": rows.changed, "failedValidation": rows.failed_validation},
    }
