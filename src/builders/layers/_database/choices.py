"""Choices of an environment for its database: a function per parameter, cheap and quick to delete by default."""

from __future__ import annotations

from troposphere import Parameter

from builders import parameters

_TIME = r"([01]\d|2[0-3]):[0-5]\d"
_DAY = "(mon|tue|wed|thu|fri|sat|sun)"

_MONITORING_INTERVALS_SECONDS = (0, 1, 5, 10, 15, 30, 60)
"""RDS API reference, "CreateDBInstance", MonitoringInterval."""


def engine_version() -> Parameter:
    """A major version, which lets RDS choose the minor one, or both."""
    return parameters.string(
        "EngineVersion",
        "PostgreSQL version: the major one such as 17, or one with its minor such as 17.6 to stay at that or above",
        pattern=r"^(1[5-9]|2\d)(\.\d{1,2})?$",
        explanation="a version from 15 on, such as 17 or 17.6",
        default="17",
    )


def allow_major_version_upgrade() -> Parameter:
    """The second key that a major upgrade needs beside `engine_version`."""
    return parameters.boolean(
        "AllowMajorVersionUpgrade",
        "Let a new major EngineVersion upgrade the database, which cannot be undone; turn it off again afterwards",
    )


def instance_class() -> Parameter:
    """The size of the machine."""
    return parameters.string(
        "DatabaseInstanceClass",
        "Instance class of the database",
        pattern=r"^db\.[a-z0-9]+(-[a-z]+)?\.[a-z0-9]+(-[a-z]+)?$",
        explanation="an RDS instance class such as db.t4g.micro or db.r7g.large",
        default="db.t4g.micro",
    )


def multi_az() -> Parameter:
    """A standby in a second zone."""
    return parameters.boolean("MultiAZ", "Keep a standby of the database in a second zone")


def allocated_storage() -> Parameter:
    """Storage to begin with, in GiB."""
    return parameters.integer(
        "AllocatedStorageGiB", "Storage to begin with, in GiB", minimum=20, maximum=65536, default=20
    )


def max_allocated_storage() -> Parameter:
    """Storage to grow to, in GiB; 0 turns growth off."""
    return parameters.integer(
        "MaxAllocatedStorageGiB",
        "Storage that the database may grow to, in GiB, at least a tenth above AllocatedStorageGiB; 0 for none on a "
        "new database. A later 0 changes nothing: RDS goes on until the limit is set to the present size, by "
        "modify-db-instance --max-allocated-storage",
        minimum=0,
        maximum=65536,
        default=100,
    )


def database_name() -> Parameter:
    """The database inside the instance."""
    return parameters.string(
        "DatabaseName",
        "Name of the database to make inside the instance; fixed once it is made",
        pattern="^[a-z][a-z0-9_]{0,62}$",
        explanation="up to 63 lower-case letters, digits and underscores, beginning with a letter",
        default="payments",
        max_length=63,
    )


def backup_retention() -> Parameter:
    """Days of point-in-time recovery; never none, since logical replication and rollback need it."""
    return parameters.integer(
        "BackupRetentionDays",
        "Days for which the database can be restored to any point in time",
        minimum=1,
        maximum=35,
        default=1,
    )


def backup_window() -> Parameter:
    """A daily window, UTC."""
    return parameters.string(
        "BackupWindow",
        "Daily window for backups, UTC, of at least 30 minutes and apart from MaintenanceWindow",
        pattern=f"^{_TIME}-{_TIME}$",
        explanation="two times of the day such as 03:00-03:30",
        default="03:00-03:30",
    )


def maintenance_window() -> Parameter:
    """A weekly window, UTC."""
    return parameters.string(
        "MaintenanceWindow",
        "Weekly window for maintenance and minor upgrades, UTC, of at least 30 minutes",
        pattern=f"^{_DAY}:{_TIME}-{_DAY}:{_TIME}$",
        explanation="two times of the week such as sun:04:00-sun:04:30",
        default="sun:04:00-sun:04:30",
    )


def deletion_protection() -> Parameter:
    """Covers the instance and its log groups."""
    return parameters.boolean(
        "DeletionProtection", "Refuse to delete the database and its logs until this is turned off"
    )


def insights_mode() -> Parameter:
    """Standard costs nothing, advanced by vCPU and hour."""
    return parameters.choice(
        "DatabaseInsightsMode",
        "Mode of CloudWatch Database Insights: standard keeps 7 days without charge, advanced 465 days for a charge",
        ["standard", "advanced"],
        "standard",
    )


def monitoring_interval() -> Parameter:
    """Seconds between two measurements; 0 is off."""
    return parameters.number_choice(
        "MonitoringIntervalSeconds",
        "Seconds between two measurements of enhanced monitoring; 0 turns it off",
        _MONITORING_INTERVALS_SECONDS,
        60,
    )
