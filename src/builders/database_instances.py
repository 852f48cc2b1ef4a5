"""Judges an RDS instance by its properties, as RDS does beyond the registry's schema: what it refuses, in its words.

The one judge for `build-templates --check`, for a lint rule, and for the embedded cloud. Sources: RDS user guide,
"Amazon RDS DB instance storage", "Managing capacity automatically with Amazon RDS storage autoscaling", "Turning on the
Advanced mode of Database Insights"; RDS API reference, CreateDBInstance: AllocatedStorage, Iops, StorageThroughput,
BackupRetentionPeriod, PreferredBackupWindow, PreferredMaintenanceWindow, Port, MonitoringInterval, DBName,
MasterUsername.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders.intrinsics import only_aws_knows

Properties = Mapping[str, Any]
"""Properties of AWS::RDS::DBInstance or AWS::RDS::DBCluster; one that nobody gave is absent, or None."""

STORAGE_ENGINES = ("postgres", "mysql", "mariadb")
"""The engines whose storage is judged. Others have other sizes."""

# {kind: (the least and the most GiB)}
_SIZES = {"standard": (5, 3072), "gp2": (20, 65536), "gp3": (20, 65536), "io1": (100, 65536), "io2": (100, 65536)}
_RATIOS = {"io1": (0.5, 50), "io2": (0.5, 1000), "gp3": (0, 500)}
"""The least and the most Iops for each GiB."""
_STRIPED_GIB = 400
"""From this size on gp3 may have Iops and throughput of its own, from these on."""
_STRIPED_IOPS, _STRIPED_THROUGHPUT = 12_000, 500
_IOPS = (1000, 256_000)
_PORTS = (1150, 65535)
_LONGEST_RETENTION_DAYS = 35
_SHORTEST_WINDOW_MINUTES = 30
_ADVANCED_INSIGHTS_DAYS = 465
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY, _WEEK = 24 * 60, 7 * 24 * 60
_RESERVED_USERS: Mapping[str, frozenset[str]] = {
    "postgres": frozenset({"admin", "rdsadmin", "rds_superuser", "rdsrepladmin", "public"}),
    "mysql": frozenset({"rdsadmin", "rdsrepladmin"}),
    "mariadb": frozenset({"rdsadmin", "rdsrepladmin"}),
}
"""Not all of them are documented. `postgres` is the console's own suggestion, and taken."""
_RESERVED_DATABASES = frozenset({"rdsadmin", "template0", "template1"})
_LOGS = {
    "postgres": {"postgresql", "upgrade", "iam-db-auth-error"},
    "mysql": {"audit", "error", "general", "slowquery", "iam-db-auth-error"},
    "mariadb": {"audit", "error", "general", "slowquery", "iam-db-auth-error"},
}
"""The logs that each engine exports (RDS user guide, "Monitoring Amazon RDS log files")."""
_RESTORED = ("DBSnapshotIdentifier", "SourceDBInstanceIdentifier")


@dataclass(frozen=True)
class Check:
    """One thing that RDS looks at: the properties that it needs to know, and its sentence, or None where all is well.

    A check that is `of_new` looks at new instances alone.
    """

    properties: tuple[str, ...]
    refusal: Callable[[Properties], str | None]
    of_new: bool = False


def refusals(properties: Properties, checks: tuple[Check, ...], *, is_new: bool = True) -> Iterator[tuple[Check, str]]:
    """Yield the checks that an instance, or for windows a cluster, does not pass, each with RDS's sentence.

    A check that needs a value that only AWS knows says nothing.
    """
    for check in checks:
        known = not any(only_aws_knows(properties.get(name)) for name in set(check.properties) - _OF_PRESENCE)
        sentence = check.refusal(properties) if known and (is_new or not check.of_new) else None
        if sentence:
            yield check, sentence


def change_refusals(old: Properties, new: Properties) -> Iterator[tuple[str, str]]:
    """Yield the properties to which RDS refuses to change an instance in place, each with RDS's sentence.

    Sources: RDS user guide, "Scaling up DB instance storage"; cloudformation-coverage-roadmap#1312 (a growth of less
    than a tenth, which ends in UPDATE_ROLLBACK_FAILED); RDS API reference, ModifyDBInstance: AllowMajorVersionUpgrade.
    """
    (engine, kind, before), (_, _, after) = _storage(old), _storage(new)
    if before and after and after != before and after * 10 < before * 11:
        wrong = new["AllocatedStorage"]
        yield "AllocatedStorage", f"Invalid storage size for engine name {engine} and storage type {kind}: {wrong}"
    versions = version_change(old, new) if old.get("Engine") == new.get("Engine") else None
    if versions and versions[1] < versions[0]:
        yield "EngineVersion", f"Cannot upgrade {engine} from {old['EngineVersion']} to {new['EngineVersion']}"
    allowed = engine != "postgres" or _is_true(new.get("AllowMajorVersionUpgrade"))
    if versions and versions[1][0] > versions[0][0] and not allowed:
        sentence = "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
        yield "EngineVersion", sentence


def version_change(old: Properties, new: Properties) -> tuple[list[int], list[int]] | None:
    """The numbers of both engine versions, as far as both have them: the minor one that a service has chosen for a
    major one is not told. None where one is not given as numbers."""
    versions = [str(each.get("EngineVersion") or "") for each in (old, new)]
    if not all(re.fullmatch(r"\d+(\.\d+)*", each) for each in versions):
        return None
    was, becomes = ([int(part) for part in each.split(".")] for each in versions)
    known = min(len(was), len(becomes))
    return was[:known], becomes[:known]


_OF_PRESENCE = {"AvailabilityZone", "DBClusterIdentifier", "MonitoringRoleArn", "Parameters", *_RESTORED}
"""Properties of which checks ask only whether they are given, or for the names in them."""


def _number(value: Any) -> float | None:
    """Return a number, also one that is written as a text; None for what only AWS knows."""
    try:
        return float(value) if value is not None and not isinstance(value, bool) else None
    except (TypeError, ValueError):
        return None


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _storage(properties: Properties) -> tuple[str, str, float | None]:
    """Return engine, storage type and GiB of an instance whose storage is judged; GiB is None where it is not."""
    engine, iops = str(properties.get("Engine") or "").lower(), properties.get("Iops")
    kind = str(properties.get("StorageType") or ("io1" if iops else "gp3")).lower()
    judged = engine in STORAGE_ENGINES and not properties.get("DBClusterIdentifier") and kind in _SIZES
    return engine, kind, _number(properties.get("AllocatedStorage")) if judged else None


def _size(properties: Properties) -> str | None:
    engine, kind, size = _storage(properties)
    if engine not in STORAGE_ENGINES or properties.get("DBClusterIdentifier"):
        return None
    if kind not in _SIZES:
        return f"Invalid storage type: {kind}"
    given = properties.get("AllocatedStorage")
    if given is None:
        restored = any(properties.get(each) for each in _RESTORED)
        return None if restored else f"Invalid storage size for engine name {engine} and storage type {kind}: null"
    least, most = _SIZES[kind]
    wrong = size is not None and not least <= size <= most
    return f"Invalid storage size for engine name {engine} and storage type {kind}: {given}" if wrong else None


def _iops(properties: Properties) -> str | None:
    engine, kind, size = _storage(properties)
    iops = _number(properties.get("Iops"))
    if size is None or (kind == "gp3" and size < _STRIPED_GIB):  # the check of throughput refuses any
        return None
    provisioned = iops is None or not _IOPS[0] <= iops <= _IOPS[1]
    few = iops is not None and iops < _STRIPED_IOPS
    wrong = {"io1": provisioned, "io2": provisioned, "standard": bool(iops), "gp2": bool(iops), "gp3": few}
    if wrong[kind]:
        return f"Invalid iops for engine name {engine} and storage type {kind}: {properties.get('Iops') or 'null'}"
    least, most = _RATIOS.get(kind, (0, float("inf")))
    if iops and not least <= iops / size <= most:
        ratio = f"Invalid iops to storage (GB) ratio for engine name {engine} and storage type {kind}"
        return f"{ratio}: {iops / size:.4f}"
    return None


def _throughput(properties: Properties) -> str | None:
    engine, kind, size = _storage(properties)
    throughput = _number(properties.get("StorageThroughput"))
    if size is None:
        return None
    if kind == "gp3" and size < _STRIPED_GIB and (properties.get("Iops") or properties.get("StorageThroughput")):
        return (
            f"You can't specify IOPS or storage throughput for engine {engine} and a storage size less than "
            f"{_STRIPED_GIB}."
        )
    if throughput and kind != "gp3":
        return f"You can't specify storage throughput for storage type {kind}."
    if throughput is not None and throughput < _STRIPED_THROUGHPUT:
        return (
            f"Invalid storage throughput for engine name {engine} and storage type {kind}: {throughput:.15g}. Valid "
            f"throughput begins at {_STRIPED_THROUGHPUT}."
        )
    return None


def _growth(properties: Properties) -> str | None:
    """Return what is wrong with a limit of growth that is below a tenth.

    On an instance that is there the limit may equal the storage, which turns growth off.
    """
    size, most = _number(properties.get("AllocatedStorage")), _number(properties.get("MaxAllocatedStorage"))
    if size is None or most is None:
        return None
    if most < size:
        return "Max storage size must be greater than storage size"
    if size < most and most * 10 < size * 11:
        return "The maximum allocated storage must be increased by at least 10 percent."
    return None


def _no_growth(properties: Properties) -> str | None:
    size, most = _number(properties.get("AllocatedStorage")), _number(properties.get("MaxAllocatedStorage"))
    return "Max storage size must be greater than storage size" if size is not None and size == most else None


def _retention(properties: Properties) -> str | None:
    days = _number(properties.get("BackupRetentionPeriod"))
    if days is None or 0 <= days <= _LONGEST_RETENTION_DAYS:
        return None
    return f"Invalid backup retention period: {days:.15g}. Must be between 0 and {_LONGEST_RETENTION_DAYS}."


def _port(properties: Properties) -> str | None:
    port = _number(properties.get("Port"))
    wrong = port is not None and not _PORTS[0] <= port <= _PORTS[1]
    return f"Invalid database port: {port:.15g}. It must be between {_PORTS[0]} and {_PORTS[1]}." if wrong else None


def _backup_window(properties: Properties) -> str | None:
    return _malformed(properties.get("PreferredBackupWindow"), "backup")


def _maintenance_window(properties: Properties) -> str | None:
    return _malformed(properties.get("PreferredMaintenanceWindow"), "maintenance")


def _overlap(properties: Properties) -> str | None:
    backup = _span(properties.get("PreferredBackupWindow"), "backup")
    maintenance = _span(properties.get("PreferredMaintenanceWindow"), "maintenance")
    if backup is None or maintenance is None:
        return None
    for day in range(7):
        begin = day * _DAY + backup[0]
        if (maintenance[0] - begin) % _WEEK < backup[1] or (begin - maintenance[0]) % _WEEK < maintenance[1]:
            return "The backup window and maintenance window must not overlap."
    return None


def _malformed(window: Any, kind: str) -> str | None:
    if not window:
        return None
    span = _span(window, kind)
    if span is None:
        form = "ddd:hh24:mi-ddd:hh24:mi" if kind == "maintenance" else "hh24:mi-hh24:mi"
        return f"Invalid {kind} window format: {window}. Specify it as {form}."
    if span[1] < _SHORTEST_WINDOW_MINUTES:
        return f"The {kind} window must be at least {_SHORTEST_WINDOW_MINUTES} minutes."
    return None


def _span(window: Any, kind: str) -> tuple[int, int] | None:
    """Return the first minute and the length of a window, within a day or a week; None where there is none."""
    day = r"(sun|mon|tue|wed|thu|fri|sat):" if kind == "maintenance" else "()"
    time = r"([01]\d|2[0-3]):([0-5]\d)"
    found = re.fullmatch(f"{day}{time}-{day}{time}", str(window or "").lower())
    if not found:
        return None
    first, last = (
        (_DAYS.index(name) * _DAY if name else 0) + int(hour) * 60 + int(minute)
        for name, hour, minute in (found.groups()[:3], found.groups()[3:])
    )
    return first, (last - first) % (_WEEK if kind == "maintenance" else _DAY)


def _monitoring(properties: Properties) -> str | None:
    interval, role = properties.get("MonitoringInterval"), properties.get("MonitoringRoleArn")
    off = not interval or _number(interval) == 0
    if not off and not role:
        return "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0."
    if role and off:
        return "You must specify a MonitoringInterval value other than 0 when you specify a MonitoringRoleARN value."
    return None


def _insights(properties: Properties) -> str | None:
    if properties.get("DBClusterIdentifier"):
        return None
    on = _is_true(properties.get("EnablePerformanceInsights"))
    days = properties.get("PerformanceInsightsRetentionPeriod")
    kept = _number(days) if days is not None else 7
    if properties.get("DatabaseInsightsMode") == "advanced" and (
        not on or (kept is not None and kept < _ADVANCED_INSIGHTS_DAYS)
    ):
        return (
            "To enable the Advanced mode of Database Insights, modify your instance to enable Performance Insights "
            f"and set the retention period for Performance Insights to at least {_ADVANCED_INSIGHTS_DAYS} days."
        )
    if days is not None and not on:
        return "You can't specify PerformanceInsightsRetentionPeriod without EnablePerformanceInsights."
    return None


def _database_name(properties: Properties) -> str | None:
    name = str(properties.get("DBName") or "")
    if not _has_own_login(properties) or not name:
        return None
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name):
        return "DBName must begin with a letter and contain only alphanumeric characters."
    reserved = name.lower() in _RESERVED_DATABASES
    return f"DBName {name} cannot be used as it is a reserved word used by the engine" if reserved else None


def _master_user(properties: Properties) -> str | None:
    engine, user = str(properties.get("Engine") or "").lower(), str(properties.get("MasterUsername") or "")
    if not _has_own_login(properties) or not user:
        return None
    if user.lower() in _RESERVED_USERS[engine] or (engine == "postgres" and user.lower().startswith("pg_")):
        return f"MasterUsername {user} cannot be used as it is a reserved word used by the engine"
    form = r"[A-Za-z_][A-Za-z0-9_]{0,62}" if engine == "postgres" else r"[A-Za-z]\w{0,31}"
    return None if re.fullmatch(form, user) else "The parameter MasterUsername is not a valid identifier."


def _has_own_login(properties: Properties) -> bool:
    of_cluster = properties.get("DBClusterIdentifier")
    return str(properties.get("Engine") or "").lower() in _RESERVED_USERS and not of_cluster


def _logs(properties: Properties) -> str | None:
    engine, given = str(properties.get("Engine") or "").lower(), properties.get("EnableCloudwatchLogsExports")
    exported = [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
    unknown = sorted(set(exported) - _LOGS.get(engine, set(exported)))
    version = " ".join(filter(None, (engine, str(properties.get("EngineVersion") or ""))))
    said = f"You cannot use the log types '{', '.join(unknown)}' with engine version {version}."
    return f"{said} For supported log types, see the documentation." if unknown else None


def _zone(properties: Properties) -> str | None:
    if _is_true(properties.get("MultiAZ")) and properties.get("AvailabilityZone"):
        return "Requesting a specific availability zone is not valid for Multi-AZ instances."
    return None


_ABOUT_STORAGE = ("Engine", "StorageType", "AllocatedStorage", "Iops", "DBClusterIdentifier", *_RESTORED)
_INSIGHTS = (
    "DatabaseInsightsMode",
    "EnablePerformanceInsights",
    "PerformanceInsightsRetentionPeriod",
    "DBClusterIdentifier",
)

MAINTENANCE_WINDOW = Check(("PreferredMaintenanceWindow",), _maintenance_window)
"""A check that a replication instance of DMS has to pass, too."""
WINDOWS = (
    Check(("PreferredBackupWindow",), _backup_window),
    MAINTENANCE_WINDOW,
    Check(("PreferredBackupWindow", "PreferredMaintenanceWindow"), _overlap),
)
"""The checks that a cluster has to pass, too."""
INSTANCE = (
    Check(("Engine", "MasterUsername", "DBClusterIdentifier"), _master_user),
    Check(("Engine", "DBName", "DBClusterIdentifier"), _database_name),
    Check(_ABOUT_STORAGE, _size),
    Check((*_ABOUT_STORAGE, "StorageThroughput"), _throughput),
    Check(_ABOUT_STORAGE, _iops),
    Check(("AllocatedStorage", "MaxAllocatedStorage"), _growth),
    Check(("AllocatedStorage", "MaxAllocatedStorage"), _no_growth, of_new=True),
    Check(("BackupRetentionPeriod",), _retention),
    Check(("Port",), _port),
    *WINDOWS,
    Check(("MonitoringInterval", "MonitoringRoleArn"), _monitoring),
    Check(_INSIGHTS, _insights),
    Check(("MultiAZ", "AvailabilityZone"), _zone),
    Check(("Engine", "EnableCloudwatchLogsExports"), _logs),
)
CHECKS = {"AWS::RDS::DBInstance": INSTANCE, "AWS::RDS::DBCluster": WINDOWS}
"""{type: its checks}."""
