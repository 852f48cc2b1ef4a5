"""Alarms on the machines: the replication instance and the database."""

from __future__ import annotations

from typing import Any

from builders.layers._database.monitoring import CHANGES
from builders.layers._monitoring import alarms, thresholds
from builders.layers._monitoring.watched import OUR_NAMESPACE, Watched
from builders.stack import Stack


def build(stack: Stack, watched: Watched) -> None:
    """Watch both; one figure of CPU serves them."""
    cpu_percent = stack.parameter(thresholds.cpu()).ref()
    _instance(stack, watched, cpu_percent)
    _database(stack, watched, cpu_percent)


def _instance(stack: Stack, watched: Watched, cpu_percent: Any) -> None:
    """CPU, memory and storage of the replication instance."""
    own = {"Namespace": "AWS/DMS", "Dimensions": watched.of_instance}
    alarms.high(
        stack,
        "ReplicationCpuAlarm",
        "The replication instance is short of CPU: choose a larger ReplicationInstanceClass",
        cpu_percent,
        MetricName="CPUUtilization",
        **own,
    )
    alarms.low(
        stack,
        "ReplicationMemoryAlarm",
        "The replication instance is short of memory: choose a larger ReplicationInstanceClass",
        stack.parameter(thresholds.replication_memory()).ref(),
        # What is left for programs. FreeableMemory of DMS is a part of what is in use, and says nothing of the rest
        # (DMS user guide, "Monitoring AWS DMS tasks", replication instance metrics).
        MetricName="AvailableMemory",
        **own,
    )
    alarms.low(
        stack,
        "ReplicationStorageAlarm",
        "The replication instance is short of storage: raise ReplicationStorageGiB, and see why changes wait",
        stack.parameter(thresholds.replication_storage()).ref(),
        MetricName="FreeStorageSpace",
        **own,
    )


def _database(stack: Stack, watched: Watched, cpu_percent: Any) -> None:
    """CPU, storage and connections of the database, and changes that pgaudit logged."""
    own = {"Namespace": "AWS/RDS", "Dimensions": watched.of_database}
    alarms.high(
        stack,
        "DatabaseCpuAlarm",
        "The database is short of CPU: see Database Insights for the statements, or choose a larger class",
        cpu_percent,
        MetricName="CPUUtilization",
        **own,
    )
    alarms.low(
        stack,
        "DatabaseStorageAlarm",
        "The database is short of storage: raise MaxAllocatedStorageGiB, and look for a replication slot that is "
        "not read",
        stack.parameter(thresholds.database_storage()).ref(),
        MetricName="FreeStorageSpace",
        **own,
    )
    alarms.high(
        stack,
        "DatabaseConnectionsAlarm",
        "The database has many connections: see pg_stat_activity for who does not close them",
        stack.parameter(thresholds.database_connections()).ref(),
        MetricName="DatabaseConnections",
        **own,
    )
    alarms.add_for_event(
        stack,
        "DatabaseChangesAlarm",
        "A statement changed roles or definitions of the database while no change was announced: the postgresql log "
        "has it, and who sent it, in a line with AUDIT",
        "Sum",
        Namespace=OUR_NAMESPACE,
        MetricName=stack.name(CHANGES),
        ActionsEnabled=stack.parameter(thresholds.alarm_on_database_changes()).ref(),
    )
