"""Sizes and rates: how long a load takes at least, how much log a pause keeps, and for how long.

Lower bounds, from what the servers count: the line's rate alone limits the load here, and nobody knows before how fast
DMS reads, converts and writes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders.migration.check.hazards import Hazard, HazardFinding, Severity, finding, prelude
from builders.migration.databases import Database

GIB = 1 << 30
MARGIN = 1.2
"""Rows take somewhat more on the target while they are loaded and indexed; a disk that is full stops the load."""

STORAGE = Hazard(
    "target-storage", Severity.BLOCKS, "The target's storage is too small",
    "tables and indexes have {size} now, and the target may grow to {storage} GiB",
    "AllocatedStorageGiB and MaxAllocatedStorageGiB: {needed} or more",
    'RDS user guide, "Managing capacity automatically with Amazon RDS storage autoscaling"',
)  # fmt: skip
INSTANCE = Hazard(
    "instance-storage", Severity.BLOCKS, "The storage of the replication instance is too small",
    "changes wait on it while tables load: {wal} of log in the {hours} hours that the load takes at least, and it has "
    "{storage} GiB",
    "ReplicationStorageGiB: {needed} or more; or fewer tables at a time",
    'DMS user guide, "Choosing the right AWS DMS replication instance for your migration"',
)  # fmt: skip
BURSTABLE = Hazard(
    "instance-class", Severity.NOTE, "The class of the replication instance is burstable",
    "{object} slows down when its credits are used, and {size} of tables load for {hours} hours at least",
    "ReplicationInstanceClass: dms.c6i or dms.r6i for production",
    'DMS user guide, "Choosing the right AWS DMS replication instance for your migration"',
)  # fmt: skip
LIMIT = Hazard(
    "slot-limit", Severity.NOTE, "max_slot_wal_keep_size limits what a slot keeps",
    "a slot that keeps more than {limit} is lost, and all tables load again: the log of {hours} hours at the "
    "present rate",
    "ALTER SYSTEM SET max_slot_wal_keep_size = '{needed}GB'; SELECT pg_reload_conf(); -- two days of log",
    'DMS user guide, "PostgreSQL assessments", postgres-check-maxslot-wal-keep-size',
)  # fmt: skip
HAZARDS: Sequence[Hazard] = (STORAGE, INSTANCE, BURSTABLE, LIMIT)

_SIZES = """
SELECT count(*), coalesce(sum(pg_table_size(oid)), 0)::int8, coalesce(sum(pg_indexes_size(oid)), 0)::int8,
  coalesce((SELECT sum(greatest(c.reltuples, 0)) FROM pg_class c WHERE c.oid IN (SELECT oid FROM chosen)), 0)::int8
FROM chosen WHERE relkind = 'r'
"""
_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8, pg_is_in_recovery()"
_COUNTED = """
SELECT wal_bytes::float8, extract(epoch FROM now() - stats_reset)::float8 FROM pg_stat_wal
WHERE stats_reset < now() - interval '1 hour'
"""
_KEEP = """
SELECT CASE WHEN setting::int8 < 0 THEN NULL ELSE setting::int8 << 20 END FROM pg_settings
WHERE name = 'max_slot_wal_keep_size'
"""


@dataclass(frozen=True)
class Instance:
    """Properties of the replication instance and of the database, from AWS; zero and empty where it was not asked."""

    dms_version: str = ""
    dms_class: str = ""
    dms_storage_gib: int = 0
    target_storage_gib: int = 0
    """The most that it may grow to."""


@dataclass(frozen=True)
class Estimate:
    """Sizes in bytes, rates in bytes a second, of the tables that are carried."""

    tables: int
    rows: int
    size: int
    index_size: int
    wal_rate: float
    is_counted: bool
    """True where the server has counted the log for an hour or more; else it was looked at for a moment."""
    keep: int | None
    """max_slot_wal_keep_size; None where a slot keeps the log until the disk is full."""
    line_mbit: float

    @property
    def load_hours(self) -> float:
        """Hours that the line needs for the tables, at least."""
        return self.size * 8 / (self.line_mbit * 1e6) / 3600

    @property
    def wal_per_day(self) -> int:
        """Bytes of log that a day of pause keeps on the source."""
        return int(self.wal_rate * 86400)

    @property
    def pause_hours(self) -> float | None:
        """Hours after which a slot is lost; None where the disk alone limits them."""
        return None if self.keep is None or self.wal_rate <= 0 else self.keep / self.wal_rate / 3600

    def as_data(self) -> dict[str, Any]:
        """Return the form of --json."""
        return {
            "tables": self.tables, "rows": self.rows, "bytes": self.size, "indexBytes": self.index_size,
            "lineMbit": self.line_mbit, "loadHours": round(self.load_hours, 2), "walBytesPerDay": self.wal_per_day,
            "walIsCounted": self.is_counted, "slotKeepsBytes": self.keep,
            "pauseHours": None if self.pause_hours is None else round(self.pause_hours, 1),
        }  # fmt: skip


def estimate(source: Database, parameters: Mapping[str, Any], line_mbit: float, watch_seconds: float) -> Estimate:
    """Measure sizes and the rate of the log; without a count of the server the log is looked at twice."""
    ((tables, size, index_size, rows),) = source.run(prelude(source.version) + _SIZES, parameters)
    rate, is_counted = _rate(source, watch_seconds)
    keep = source.value(_KEEP) if source.version >= 130000 else None
    return Estimate(tables, rows, size, index_size, rate, is_counted, keep, line_mbit)


def _rate(source: Database, watch_seconds: float) -> tuple[float, bool]:
    if source.value("SELECT pg_is_in_recovery()"):
        return 0.0, False
    counted = source.run(_COUNTED) if source.version >= 140000 else []
    for size, seconds in counted:
        return size / seconds, True
    before, began = source.run(_WAL)[0][0], time.monotonic()
    time.sleep(watch_seconds)
    return (source.run(_WAL)[0][0] - before) / (time.monotonic() - began), False


def judge(estimated: Estimate, instance: Instance) -> list[HazardFinding]:
    """Compare the estimate with what the instances have."""
    found: list[HazardFinding] = []
    total, hours = (estimated.size + estimated.index_size) * MARGIN / GIB, round(estimated.load_hours, 1)
    if instance.target_storage_gib and total > instance.target_storage_gib:
        row = {"object": "target", "size": size_text(estimated.size + estimated.index_size),
               "storage": instance.target_storage_gib, "needed": int(total) + 1}  # fmt: skip
        found.append(finding(STORAGE, row))
    waiting = estimated.wal_rate * estimated.load_hours * 3600
    if instance.dms_storage_gib and waiting / GIB > instance.dms_storage_gib:
        row = {"object": "replication instance", "wal": size_text(int(waiting)), "hours": hours,
               "storage": instance.dms_storage_gib, "needed": int(waiting * MARGIN / GIB) + 1}  # fmt: skip
        found.append(finding(INSTANCE, row))
    if instance.dms_class.startswith("dms.t") and hours >= 1:
        row = {"object": instance.dms_class, "size": size_text(estimated.size), "hours": hours}
        found.append(finding(BURSTABLE, row))
    if estimated.keep is not None:
        pause = estimated.pause_hours
        row = {"object": "max_slot_wal_keep_size", "limit": size_text(estimated.keep),
               "hours": "many" if pause is None else f"{pause:,.1f}",
               "needed": max(1, int(2 * estimated.wal_per_day / GIB) + 1),
               "severity": "blocks" if pause is not None and pause < 24 else None}  # fmt: skip
        found.append(finding(LIMIT, row))
    return found


def size_text(size: int) -> str:
    """A size as people read it."""
    value, units = float(size), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:,.0f} {units[0]}" if units[0] == "bytes" else f"{value:,.1f} {units[0]}"
