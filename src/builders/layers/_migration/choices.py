"""Choices of an environment for the replication instance and for the data that the task carries."""

from __future__ import annotations

from troposphere import Parameter

from builders import parameters

MOST_SCHEMAS = 5
_DAY = "(mon|tue|wed|thu|fri|sat|sun)"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"

_SCHEMA = r"(?!pg_|information_schema$|[\d$-])[^\s%\"'`.,;:/\\\[\]()]{1,63}"
"""Letters of any script. Refused are the wildcards of a mapping, what ends a text in JSON, and what separates names."""
_SCHEMA_WORDS = (
    "the name of one schema, written as in the source: letters of any script, digits, underscores, hyphens and dollar "
    "signs, beginning with a letter or an underscore; no %, and none of PostgreSQL's own schemas (pg_..., "
    "information_schema)"
)
_SLOT = "[a-z0-9_]{1,63}"


def instance_class() -> Parameter:
    """Burstable by default; a steady stream of changes wants a dms.c6i or dms.r6i."""
    return parameters.string(
        "ReplicationInstanceClass",
        "Class of the replication instance, such as dms.t3.medium for a test or dms.r6i.large for production",
        pattern=r"^dms\.[a-z0-9]+\.[a-z0-9]+$",
        explanation="a class of DMS such as dms.t3.medium",
        default="dms.t3.medium",
    )


def engine_version() -> Parameter:
    """No default: versions of DMS end, and which one is right depends on the source's PostgreSQL.

    As a source PostgreSQL 15 needs 3.5.1, 16 needs 3.5.3, 17 needs 3.6.1; as a target 17 needs 3.5.4 (DMS user guide,
    "Sources for AWS DMS" and "Targets for AWS DMS").
    DMS raises the minor version by itself; docs/migration.md says what to do before the next deploy.
    """
    return parameters.string(
        "ReplicationEngineVersion",
        "Version of the replication engine, from: aws dms describe-orderable-replication-instances",
        pattern=r"^[0-9]{1,2}(\.[0-9]{1,2}){2}$",
        explanation="a version of DMS such as 3.6.1",
    )


def major_upgrade() -> Parameter:
    """Off by default: DMS refuses another major version unless the same request allows it."""
    return parameters.boolean(
        "ReplicationAllowMajorVersionUpgrade", "Let ReplicationEngineVersion name another major version than is running"
    )


def storage() -> Parameter:
    """Holds the log of the task and the changes that wait while the full load runs."""
    return parameters.integer(
        "ReplicationStorageGiB",
        "Storage of the replication instance in GiB, for logs and for changes that wait",
        minimum=5,
        maximum=6144,
        default=50,
    )


def multi_az() -> Parameter:
    """A standby of the replication instance in a second zone."""
    return parameters.boolean("ReplicationMultiAZ", "Keep a standby of the replication instance in a second zone")


def maintenance_window() -> Parameter:
    """A weekly window, UTC; a minor upgrade interrupts the replication for minutes."""
    return parameters.string(
        "ReplicationMaintenanceWindow",
        "Weekly window for maintenance and minor upgrades of the replication instance, UTC, of at least 30 minutes",
        pattern=f"^{_DAY}:{_TIME}-{_DAY}:{_TIME}$",
        explanation="two times of the week such as sun:05:00-sun:05:30",
        default="sun:05:00-sun:05:30",
    )


def plugin() -> Parameter:
    """The API's own words (DMS API reference, "PostgreSQLSettings", PluginName)."""
    return parameters.choice(
        "SourcePlugin",
        "Logical decoding plug-in on the source: test-decoding comes with PostgreSQL, pglogical is installed there",
        ["test-decoding", "pglogical"],
        "test-decoding",
    )


def schema_name(number: int) -> Parameter:
    """Schema 1 has to be named; 2 to MOST_SCHEMAS may stay empty."""
    optional = number > 1
    return parameters.string(
        f"SchemaName{number}",
        f"Schema {number} of the source whose tables are migrated" + (", or empty" if optional else ""),
        pattern=f"^$|^{_SCHEMA}$" if optional else f"^{_SCHEMA}$",
        explanation=_SCHEMA_WORDS + (", or empty" if optional else ""),
        default="" if optional else None,
        max_length=63,
    )


def table_preparation() -> Parameter:
    """The preparation of target tables before the full load; by default none, since their definitions are ours."""
    return parameters.choice(
        "TargetTablePreparation",
        "What DMS does to tables that exist in the target before it loads them; DROP_AND_CREATE loses indexes",
        ["DO_NOTHING", "TRUNCATE_BEFORE_LOAD", "DROP_AND_CREATE"],
        "DO_NOTHING",
    )


def source_slot() -> Parameter:
    """A slot that exists already; DMS makes and drops one of its own where there is none."""
    return parameters.string(
        "SourceSlotName",
        "Logical replication slot on the source that was made before a load by other means; empty for DMS's own",
        pattern=f"^$|^{_SLOT}$",
        explanation="the name of a replication slot: lower-case letters, digits and underscores, or empty",
        default="",
        max_length=63,
    )


def cdc_start_position() -> Parameter:
    """The position from which a task without a load of its own begins.

    Source: DMS user guide, "Creating tasks for ongoing replication using AWS DMS", native start points of PostgreSQL.
    """
    return parameters.string(
        "CdcStartPosition",
        "Log sequence number from which changes are replicated after a load by other means; empty for a load by DMS",
        pattern="^$|^[0-9A-F]{1,8}/[0-9A-F]{1,8}$",
        explanation="a position in the write-ahead log such as 4AF/B00000D0, or empty",
        default="",
    )
