"""A replication task as values: its status, its progress and its tables, and what may be done next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

READY, STARTING, RUNNING, STOPPED, FAILED = "ready", "starting", "running", "stopped", "failed"
AT_REST = (READY, STOPPED, FAILED, "failed-move")
"""A task stays in these until somebody asks for something (DMS API reference, "ReplicationTask", Status)."""

_ASKED_FOR = ("", "NORMAL", "STOPPED_AT_SERVER_TIME", "STOPPED_AT_COMMIT_TIME")
"""Reasons of a stop that somebody wanted; every other one, also one that is new, is a failure."""


@dataclass(frozen=True)
class LoadProgress:
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
    migration_type: str
    started: str
    """Time of the last start, as DMS writes it; empty for a task that never was started."""
    progress: LoadProgress
    fresh_start: datetime | None = None
    """Begin of the last load of all tables; a resume is none (DMS API reference, "ReplicationTaskStats")."""

    @property
    def has_run(self) -> bool:
        """True once it was started. A changed task is ready again although it has run: the status does not say it."""
        return bool(self.started) or self.status in (STOPPED, FAILED)

    @property
    def is_at_rest(self) -> bool:
        """True while it stays as it is until somebody asks for something."""
        return self.status in AT_REST

    @property
    def is_loaded(self) -> bool:
        """True once the load is done; a task that replicates changes alone has none."""
        return self.migration_type == "cdc" or self.progress.is_loaded

    @property
    def has_failed(self) -> bool:
        """True when it ended by itself and not because somebody stopped it; one that runs again has not."""
        return self.is_at_rest and (self.status.startswith(FAILED) or self.reason not in _ASKED_FOR)

    @property
    def reason(self) -> str:
        """The word of the stop reason: FATAL_ERROR of "Stop Reason FATAL_ERROR Error Level FATAL"."""
        return next(iter(self.stop_reason.removeprefix("Stop Reason ").split()), "")


@dataclass(frozen=True)
class TableStatistics:
    """A table as DescribeTableStatistics shows it; the words of its states are DMS's own."""

    name: str
    """Schema and table, with a dot between them."""
    state: str
    loaded: int
    changed: int
    validation: str
    validation_details: str
    failed_validation: int
    suspended_validation: int
    reloaded: datetime | None = None
    """End of a load of this table alone (ReloadTables); None where there was none."""


@dataclass(frozen=True)
class RowCounts:
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
        migration_type=described.get("MigrationType", ""),
        started=str(statistics.get("StartDate", "")),
        progress=LoadProgress(
            percent=statistics.get("FullLoadProgressPercent", 0),
            loaded=statistics.get("TablesLoaded", 0),
            loading=statistics.get("TablesLoading", 0),
            queued=statistics.get("TablesQueued", 0),
            errored=statistics.get("TablesErrored", 0),
        ),
        fresh_start=statistics.get("FreshStartDate"),
    )


def table_of(described: Mapping[str, Any]) -> TableStatistics:
    """Read a table out of DescribeTableStatistics."""
    return TableStatistics(
        name=f"{described.get('SchemaName', '')}.{described.get('TableName', '')}",
        state=described.get("TableState", ""),
        loaded=described.get("FullLoadRows", 0),
        changed=sum(described.get(kind, 0) for kind in ("Inserts", "Updates", "Deletes")),
        validation=described.get("ValidationState", ""),
        validation_details=described.get("ValidationStateDetails", ""),
        failed_validation=described.get("ValidationFailedRecords", 0),
        suspended_validation=described.get("ValidationSuspendedRecords", 0),
        reloaded=described.get("FullLoadEndTime") if described.get("FullLoadReloaded") else None,
    )


def rows_of(tables: Iterable[TableStatistics]) -> RowCounts:
    """Add up the rows of tables."""
    loaded = changed = failed = 0
    for table in tables:
        loaded += table.loaded
        changed += table.changed
        failed += table.failed_validation
    return RowCounts(loaded, changed, failed)
