"""The replication slots of a side's database, and how long its server can keep its log for them.

While nobody reads a slot, the server keeps its log: until the disk is full, or, with max_slot_wal_keep_size, until the
slot is lost. Then only another load helps (PostgreSQL, "pg_replication_slots").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from builders.errors import MigrationError, StackferryError
from builders.migration.databases import Database, Side
from builders.migration.phase import Phase

LOST = "lost"
OWN = "stackferry_"
"""Begins the names of our own slots; the others of the database are DMS's, or yours."""

RATE_SECONDS = 1.0
DAY = 86_400

# wal_status and safe_wal_size came with PostgreSQL 13. On a standby the log is what it has replayed.
_SLOTS = """
SELECT slot_name::text, plugin::text, active, coalesce(to_jsonb(s)->>'wal_status', ''),
  pg_wal_lsn_diff({now}, restart_lsn)::int8, pg_wal_lsn_diff({now}, confirmed_flush_lsn)::int8,
  (to_jsonb(s)->>'safe_wal_size')::int8
FROM pg_replication_slots s WHERE database = current_database() AND slot_type = 'logical' ORDER BY slot_name
"""
_NOW = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"
_POSITION = f"SELECT pg_wal_lsn_diff({_NOW}, '0/0')::int8"
_LIMIT = "SELECT setting::int8 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'"
# Mean of all time since the counters were reset.
_MEAN = "SELECT (wal_bytes / greatest(1, extract(epoch FROM now() - stats_reset)))::float8 FROM pg_stat_wal"


@dataclass(frozen=True)
class Slot:
    """A slot. `status` is PostgreSQL's wal_status; sizes are bytes, None where the server does not say."""

    name: str
    plugin: str
    is_active: bool
    status: str
    retained: int | None
    """Log that the source keeps for it."""
    behind: int | None
    """Log that whoever reads it has not confirmed."""
    safe: int | None
    """Log that may yet be written before it is lost; None without a limit."""

    @property
    def is_lost(self) -> bool:
        """True where it has lost log that its reader still needs."""
        return self.status == LOST

    def days_left(self, bytes_per_second: float) -> float | None:
        """Days until it is lost, if its reader stands still; None without a limit or without writes."""
        return None if self.safe is None or bytes_per_second <= 0 else max(0, self.safe) / bytes_per_second / DAY


@dataclass(frozen=True)
class Slots:
    """The slots of a database, the limit of what is kept (bytes, None without one), and how fast log is written."""

    slots: tuple[Slot, ...]
    limit: int | None
    bytes_per_second: float
    side: Side = "source"

    def as_data(self) -> dict[str, Any]:
        """The form of --json."""
        return {
            "limitBytes": self.limit,
            "bytesPerSecond": round(self.bytes_per_second),
            "slots": [asdict(each) | {"days_left": each.days_left(self.bytes_per_second)} for each in self.slots],
        }


def read(database: Database, *, measure: bool = True) -> Slots:
    """Read a side's slots; with `measure` the rate is the larger of the mean and that of a second, which it takes."""
    slots = tuple(Slot(*row) for row in database.run(_SLOTS.format(now=_NOW)))
    setting = database.value(_LIMIT)
    limit = None if setting is None or setting < 0 else int(setting) * 1024 * 1024
    return Slots(slots, limit, _rate(database) if measure else 0.0, database.side)


def _rate(source: Database) -> float:
    began, first = time.monotonic(), source.value(_POSITION)
    time.sleep(RATE_SECONDS)
    now = (source.value(_POSITION) - first) / (time.monotonic() - began)
    mean = source.value(_MEAN) if source.version >= 140000 else 0
    return max(float(now), float(mean or 0))


def must_not_be_lost(found: Sequence[Slot]) -> None:
    """Raise `MigrationError` where the slot of the task is lost: to resume it would stop at once."""
    others = [each for each in found if not each.name.startswith(OWN)]
    lost = [each for each in others if each.is_lost]
    if lost and len(lost) == len(others):
        raise MigrationError(
            f"the source has lost the slot {lost[0].name}: it kept its log as long as max_slot_wal_keep_size allows, "
            "and the changes since are gone from it; the task cannot go on: empty the target and load again with "
            "`migrate-database reload`"
        )


def check(phase: Phase, say: Callable[[str], None]) -> None:
    """Raise `MigrationError` where a phase's task has lost its slot; a source that cannot be asked is named."""
    try:
        with phase.source() as source:
            found = read(source, measure=False)
    except StackferryError as error:
        say(f"the slot on the source is not looked at: {error}")
        return
    must_not_be_lost(found.slots)
