"""Reports of a running task: its log, the statistics of its tables, its metrics.

Sources: DMS user guide, "Logging task settings" (group and stream of the log), "Monitoring AWS DMS tasks" (metrics of
a task and their dimensions; states of tables); DMS API reference, "TableStatistics" and "ReplicationTaskStats".
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from builders.cloud.dms.tables import Table
from builders.cloud.internals import cloudwatch, logs
from builders.logical_decoding import Change, Insert, Name, Update
from builders.resource_types import Json

NAMESPACE = "AWS/DMS"
BEFORE, LOADING, COMPLETED, ERROR = "Before load", "Full load", "Table completed", "Table error"
NOT_ENABLED = "Not enabled"

_COUNTERS = ("Inserts", "Deletes", "Updates", "Ddls", "AppliedInserts", "AppliedDeletes", "AppliedUpdates",
             "AppliedDdls", "FullLoadRows", "FullLoadCondtnlChkFailedRows", "FullLoadErrorRows",
             "ValidationPendingRecords", "ValidationFailedRecords", "ValidationSuspendedRecords")  # fmt: skip


@dataclass(frozen=True)
class Report:
    """The task's log: in CloudWatch Logs where the task's settings say so."""

    group: str
    stream: str
    enabled: bool

    def write(self, component: str, severity: str, message: str) -> None:
        """Write one line; severities are those of DMS: I, W, E."""
        if not self.enabled:
            return
        at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
        if self.group not in logs.log_groups:
            logs.create_group({"logGroupName": self.group})
        if self.stream not in logs.log_groups[self.group]["streams"]:
            logs.create_stream({"logGroupName": self.group, "logStreamName": self.stream})
        event = {"timestamp": int(time.time() * 1000), "message": f"{at} [{component:<15}]{severity}:  {message}"}
        logs.put_events({"logGroupName": self.group, "logStreamName": self.stream, "logEvents": [event]})


class Tables:
    """The statistics of the tables, as DescribeTableStatistics shows them: the very dictionaries of the task."""

    def __init__(self, shown: list[dict[str, Json]], tables: Iterable[Table], validated: bool) -> None:
        before = {(each["SchemaName"], each["TableName"]): each for each in shown}
        self._lock = threading.Lock()
        self._failures: dict[Name, int] = {}
        self._of: dict[Name, dict[str, Json]] = {}
        for table in tables:
            self._of[table.name] = before.get(table.name) or _new(table, validated)
        shown[:] = list(self._of.values())

    def __getitem__(self, name: Name) -> dict[str, Json]:
        """Return a table's statistics."""
        return self._of[name]

    def begin(self, table: Table) -> None:
        """A table's load begins."""
        one = self._of[table.name]
        one.update(dict.fromkeys(_COUNTERS, 0))
        one.update(TableState=LOADING, FullLoadStartTime=time.time(), FullLoadEndTime=None, LastUpdateTime=time.time())

    def loaded(self, table: Table, rows: int, errors: int = 0) -> None:
        """Rows of a table were loaded, or refused."""
        one = self._of[table.name]
        one["FullLoadRows"] += rows
        one["FullLoadErrorRows"] += errors
        one["LastUpdateTime"] = time.time()

    def complete(self, table: Table) -> None:
        """A table's load is over."""
        self._of[table.name].update(TableState=COMPLETED, FullLoadEndTime=time.time(), LastUpdateTime=time.time())

    def applied(self, table: Table, change: Change) -> None:
        """A change is in the target."""
        one = self._of[table.name]
        word = "Inserts" if isinstance(change, Insert) else "Updates" if isinstance(change, Update) else "Deletes"
        one[word] += 1
        one["Applied" + word] += 1
        one["LastUpdateTime"] = time.time()

    def failed(self, table: Table) -> None:
        """A change of a table was refused."""
        self._failures[table.name] = self._failures.get(table.name, 0) + 1

    def failures(self, table: Table) -> int:
        """Return how many changes of a table were refused."""
        return self._failures.get(table.name, 0)

    def suspend(self, table: Table) -> None:
        """A table is carried no longer."""
        one = self._of[table.name]
        one.update(TableState=ERROR, LastUpdateTime=time.time())
        if one["ValidationState"] != NOT_ENABLED:
            one["ValidationState"] = "Table error"

    def is_suspended(self, name: Name) -> bool:
        """Return whether a table is carried no longer."""
        return bool(self._of[name]["TableState"] == ERROR)

    def counts(self) -> dict[str, int]:
        """Return the members of ReplicationTaskStats that count tables."""
        states = [one["TableState"] for one in self._of.values()]
        return {"TablesLoaded": states.count(COMPLETED), "TablesLoading": states.count(LOADING),
                "TablesQueued": states.count(BEFORE), "TablesErrored": states.count(ERROR)}  # fmt: skip

    def total(self, member: str) -> int:
        """Return the sum of a counter over all tables."""
        return sum(int(one[member]) for one in self._of.values())


def _new(table: Table, validated: bool) -> dict[str, Json]:
    state = ("Pending records" if table.key else "No primary key") if validated else NOT_ENABLED
    return {
        "SchemaName": table.name[0], "TableName": table.name[1], **dict.fromkeys(_COUNTERS, 0),
        "LastUpdateTime": time.time(), "FullLoadStartTime": None, "FullLoadEndTime": None,
        "FullLoadReloaded": False, "TableState": BEFORE, "ValidationState": state,
    }  # fmt: skip


@dataclass
class Metrics:
    """The metrics of a task; rates are counted from one publication to the next."""

    instance: str
    task: str
    _counted: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.monotonic)

    def publish(self, gauges: Mapping[str, tuple[float, str]], counters: Mapping[str, float]) -> None:
        """Publish values as they are, and counters as a rate a second."""
        now = time.monotonic()
        seconds, self._last = max(now - self._last, 0.001), now
        for name, total in counters.items():
            rate = (total - self._counted.get(name, 0)) / seconds
            self._counted[name] = total
            self._record(name, max(rate, 0.0), "Count/Second")
        for name, (value, unit) in gauges.items():
            self._record(name, value, unit)

    def _record(self, name: str, value: float, unit: str) -> None:
        dimensions: dict[str, Any] = {
            "ReplicationInstanceIdentifier": self.instance,
            "ReplicationTaskIdentifier": self.task,
        }
        cloudwatch.record_metric(NAMESPACE, name, value, unit, dimensions)
