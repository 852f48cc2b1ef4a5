"""Refusals of RDS: storage by its kind and size, backups, windows and ports.

Sources: RDS user guide, "Amazon RDS DB instance storage"; RDS API reference, CreateDBInstance: AllocatedStorage, Iops,
StorageThroughput, BackupRetentionPeriod, PreferredBackupWindow, PreferredMaintenanceWindow, Port.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from builders.resource_types import Json

Properties = Mapping[str, Json]

# {kind: (the least and the most GiB)} for PostgreSQL, MySQL and MariaDB.
_SIZES = {"standard": (5, 3072), "gp2": (20, 65536), "gp3": (20, 65536), "io1": (100, 65536), "io2": (100, 65536)}
_RATIOS = {"io1": (0.5, 50), "io2": (0.5, 1000), "gp3": (0, 500)}
"""The least and the most Iops for each GiB."""
_STRIPED_GIB = 400
"""From this size on gp3 may have Iops and throughput of its own."""
_IOPS = (1000, 256_000)
_PORTS = (1150, 65535)
_LONGEST_RETENTION = 35
_SHORTEST_WINDOW = 30
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY, _WEEK = 24 * 60, 7 * 24 * 60


def check(properties: Properties) -> None:
    """Refuse storage that RDS does not have. Raises ValueError with RDS's sentence."""
    restored = any(properties.get(each) for each in ("DBSnapshotIdentifier", "SourceDBInstanceIdentifier"))
    engine, iops = properties["Engine"], properties.get("Iops")
    kind = str(properties.get("StorageType") or ("io1" if iops else "gp2")).lower()
    if kind not in _SIZES:
        raise ValueError(f"Invalid storage type: {kind} (Service: Rds, Status Code: 400)")
    given = properties.get("AllocatedStorage")
    if given is None and restored:
        return
    size = int(given) if given is not None else None
    least, most = _SIZES[kind]
    if size is None or not least <= size <= most:
        shown = "null" if size is None else size
        raise ValueError(f"Invalid storage size for engine name {engine} and storage type {kind}: {shown}")
    _check_iops(properties, kind, size)
    largest = properties.get("MaxAllocatedStorage")
    if largest is not None and int(largest) <= size:
        raise ValueError("Max storage size must be greater than storage size")


def _check_iops(properties: Properties, kind: str, size: int) -> None:
    engine = properties["Engine"]
    iops = int(properties["Iops"]) if properties.get("Iops") is not None else None
    if kind in ("io1", "io2") and (iops is None or not _IOPS[0] <= iops <= _IOPS[1]):
        raise ValueError(f"Invalid iops for engine name {engine} and storage type {kind}: {iops or 'null'}")
    if kind in ("standard", "gp2") and iops:
        raise ValueError(f"Invalid iops for engine name {engine} and storage type {kind}: {iops}")
    throughput = properties.get("StorageThroughput")
    if kind == "gp3" and size < _STRIPED_GIB and (iops or throughput):
        raise ValueError(
            f"You can't specify IOPS or storage throughput for engine {engine} and a storage size less than "
            f"{_STRIPED_GIB}."
        )
    if throughput and kind != "gp3":
        raise ValueError(f"You can't specify storage throughput for storage type {kind}.")
    least, most = _RATIOS.get(kind, (0, float("inf")))
    if iops and not least <= iops / size <= most:
        ratio = f"Invalid iops to storage (GB) ratio for engine name {engine} and storage type {kind}"
        raise ValueError(f"{ratio}: {iops / size:.4f}")


def check_windows(properties: Properties) -> None:
    """Refuse windows that are too short, malformed or over each other, a retention and a port out of bounds."""
    retention = properties.get("BackupRetentionPeriod")
    if retention is not None and not 0 <= int(retention) <= _LONGEST_RETENTION:
        raise ValueError(f"Invalid backup retention period: {retention}. Must be between 0 and {_LONGEST_RETENTION}.")
    port = properties.get("Port")
    if port is not None and not _PORTS[0] <= int(port) <= _PORTS[1]:
        raise ValueError(f"Invalid database port: {port}. It must be between {_PORTS[0]} and {_PORTS[1]}.")
    backup = _span(properties.get("PreferredBackupWindow"), "backup")
    maintenance = _span(properties.get("PreferredMaintenanceWindow"), "maintenance")
    if backup and maintenance and _overlap(backup, maintenance):
        raise ValueError("The backup window and maintenance window must not overlap.")


def _span(window: Json, kind: str) -> tuple[int, int] | None:
    """Return the first minute and the length of a window, within a day or a week; None where there is none."""
    if not window:
        return None
    day = r"(sun|mon|tue|wed|thu|fri|sat):" if kind == "maintenance" else "()"
    found = re.fullmatch(rf"{day}([01]\d|2[0-3]):([0-5]\d)-{day}([01]\d|2[0-3]):([0-5]\d)", str(window).lower())
    if not found:
        raise ValueError(f"Invalid {kind} window format: {window}. Specify it as "
                         + ("ddd:hh24:mi-ddd:hh24:mi." if kind == "maintenance" else "hh24:mi-hh24:mi."))  # fmt: skip
    first, last = (
        (_DAYS.index(name) * _DAY if name else 0) + int(hour) * 60 + int(minute)
        for name, hour, minute in (found.groups()[:3], found.groups()[3:])
    )
    length = (last - first) % (_WEEK if kind == "maintenance" else _DAY)
    if length < _SHORTEST_WINDOW:
        raise ValueError(f"The {kind} window must be at least {_SHORTEST_WINDOW} minutes.")
    return first, length


def _overlap(backup: tuple[int, int], maintenance: tuple[int, int]) -> bool:
    """Return whether a window of each day and one of the week have a minute in common."""
    for day in range(7):
        begin = day * _DAY + backup[0]
        if (maintenance[0] - begin) % _WEEK < backup[1] or (begin - maintenance[0]) % _WEEK < maintenance[1]:
            return True
    return False
