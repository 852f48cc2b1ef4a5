"""From where on a person is called, where that depends on the sizes that an environment chooses."""

from __future__ import annotations

from troposphere import Parameter

from builders import parameters

LAG_SECONDS = 60
GIBIBYTE = 1024**3
MEBIBYTE = 1024**2
_MOST_BYTES = 64 * GIBIBYTE


def cpu() -> Parameter:
    """One figure for both machines."""
    return parameters.integer(
        "CpuAlarmPercent",
        "CPU of the database or the replication instance above which an alarm is raised, in percent",
        minimum=1,
        maximum=99,
        default=80,
    )


def replication_memory() -> Parameter:
    """Below it the task begins to swap changes to disk."""
    return _bytes(
        "ReplicationFreeMemoryAlarmBytes", "memory of the replication instance", 512 * MEBIBYTE, "536870912 is 512 MiB"
    )


def replication_storage() -> Parameter:
    """A full replication instance stops the task."""
    return _bytes(
        "ReplicationFreeStorageAlarmBytes", "storage of the replication instance", 5 * GIBIBYTE, "5368709120 is 5 GiB"
    )


def database_storage() -> Parameter:
    """A full database stops."""
    return _bytes("DatabaseFreeStorageAlarmBytes", "storage of the database", 4 * GIBIBYTE, "4294967296 is 4 GiB")


def database_connections() -> Parameter:
    """The limit follows from the class: LEAST(memory in bytes / 9531392, 5000), less those that are reserved."""
    return parameters.integer(
        "DatabaseConnectionsAlarmCount",
        "Connections to the database above which an alarm is raised; db.t4g.micro takes about 80",
        minimum=1,
        maximum=5000,
        default=60,
    )


def task_expected() -> Parameter:
    """Off until the task has been started and its full load is done."""
    return parameters.boolean(
        "TaskExpected", "Whether the replication task should be running by now, and lag or silence raises an alarm"
    )


def fallback_expected() -> Parameter:
    """Off until the cut-over has started the way back."""
    return parameters.boolean(
        "FallbackExpected", "Whether the task of the way back should be running by now, and its silence raises an alarm"
    )


def alarm_on_database_changes() -> Parameter:
    """Off while the migration makes roles and definitions."""
    return parameters.boolean(
        "AlarmOnDatabaseChanges",
        "Whether statements that change roles or definitions of the database raise an alarm: once it is migrated",
    )


def retained_wal() -> Parameter:
    """Threshold in bytes, since a template cannot multiply. An hour's pause keeps an hour's WAL."""
    return parameters.integer(
        "SlotRetainedWalAlarmBytes",
        "WAL kept by a replication slot above which an alarm is raised, in bytes: 10737418240 is 10 GiB",
        minimum=MEBIBYTE,
        maximum=16 * 1024 * GIBIBYTE,
        default=10 * GIBIBYTE,
    )


def _bytes(name: str, what: str, default: int, example: str) -> Parameter:
    return parameters.integer(
        name,
        f"Free {what} below which an alarm is raised, in bytes: {example}",
        minimum=1,
        maximum=_MOST_BYTES,
        default=default,
    )
