"""The replication task: how it loads, goes on, and stops."""

from __future__ import annotations

import json
from typing import Any

from troposphere import And, Equals, If, Not, NoValue, Or, Parameter, Sub, dms

from builders.layers._migration import choices, tables
from builders.naming import FALLBACK_TASK, FALLBACK_TASK_RESOURCE, REPLICATION_TASK, REPLICATION_TASK_RESOURCE
from builders.stack import Stack, Value

SETTINGS: dict[str, Any] = {
    "TargetMetadata": {
        # Whole values, of whatever size: the default cuts them off at 32 KiB in silence. A table whose largest value is
        # known has a faster mode by TableRules, and FailTasksOnLobTruncation of the source guards it.
        "SupportLobs": True,
        "FullLobMode": True,
        "LimitedSizeLobMode": False,
        "LobChunkSize": 64,
        # KiB; during the full load smaller values travel with their row, and not by a query each.
        "InlineLobMaxSize": 32,
    },
    "FullLoadSettings": {
        "TargetTablePrepMode": "${TargetTablePreparation}",
        # The cut-over waits for changes, so the task goes on by itself once the tables are loaded.
        "StopTaskCachedChangesApplied": False,
        "StopTaskCachedChangesNotApplied": False,
        "MaxFullLoadSubTasks": 8,
        "CommitRate": 10000,
    },
    "Logging": {"EnableLogging": True},
    "ControlTablesSettings": {
        # In the target: how far it is, and which rows failed validation.
        "ControlSchema": "awsdms_control",
        "StatusTableEnabled": True,
        "SuspendedTablesTableEnabled": True,
        "HistoryTableEnabled": True,
        "HistoryTimeslotInMinutes": 5,
    },
    "ValidationSettings": {
        "EnableValidation": True,
        "ThreadCount": 5,
        "FailureMaxCount": 10000,
        "TableFailureMaxCount": 1000,
        "RecordFailureDelayLimitInMinutes": 0,
        # The libraries on both sides sort text differently; rows read in another order would count as different.
        "HandleCollationDiff": True,
    },
    "ErrorBehavior": {
        # A payment that cannot be written stops the task for a person, and is not logged and left out.
        "DataErrorPolicy": "STOP_TASK",
        "DataTruncationErrorPolicy": "STOP_TASK",
        "TableErrorPolicy": "STOP_TASK",
        "ApplyErrorDeletePolicy": "STOP_TASK",
        "ApplyErrorInsertPolicy": "STOP_TASK",
        "ApplyErrorUpdatePolicy": "STOP_TASK",
        # Changes that come while a table loads are applied after it, and some of their rows the load has read already.
        # Without this every such row is a conflict, and the task stops at the first table that is written meanwhile.
        # The policies above hold for the changes after that.
        "FullLoadIgnoreConflicts": True,
        # A TRUNCATE is not carried: it must not pass unseen, or the target keeps rows that the source has lost.
        "ApplyErrorFailOnTruncationDdl": True,
        "FailOnNoTablesCaptured": True,
        # A network that fails is tried again for ever, every 5 to 1800 seconds. The last setting is what makes it so:
        # a count of -1 alone ends once the interval has grown to its maximum.
        "RecoverableErrorCount": -1,
        "RecoverableErrorInterval": 5,
        "RecoverableErrorThrottling": True,
        "RecoverableErrorThrottlingMax": 1800,
        "RecoverableErrorStopRetryAfterThrottlingMax": False,
    },
    "ChangeProcessingDdlHandlingPolicy": {
        "HandleSourceTableDropped": False,
        "HandleSourceTableTruncated": False,
        "HandleSourceTableAltered": False,
    },
}
"""The settings of the task (DMS user guide, "Specifying task settings for AWS Database Migration Service tasks").

`${TargetTablePreparation}` is the parameter; a setting that is missing has DMS's default.
"""

FALLBACK_SETTINGS: dict[str, Any] = SETTINGS | {
    # Never to be loaded anew: what is there is the data that the phase falls back to.
    "FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"},
    # A task without a load would first compare every row of every table, on both servers, in the hours after the
    # cut-over. `migrate-database fallback` compares what has changed since.
    "ValidationSettings": {"EnableValidation": False},
}
"""The settings of the way back: errors stop it, and control tables stand in the on-premises database."""


class Beginning(Value):
    """The way a task begins: by a load of its own, or where a load by other means was read from."""

    migration_type: If
    """Create-only: whoever loads by other means says so before the first deployment."""
    position: If
    slot: If
    """DMS takes a position of PostgreSQL only together with the slot that keeps the log from there on (DMS API
    reference, "CreateReplicationTask", CdcStartPosition)."""


def declare_beginning(stack: Stack) -> Beginning:
    """Declare slot and position of a load by other means; by default DMS loads, with a slot that it makes."""
    slot: Parameter = stack.parameter(choices.source_slot())
    position: Parameter = stack.parameter(choices.cdc_start_position())
    no_slot, no_position = Equals(slot.ref(), ""), Equals(position.ref(), "")
    has_position = stack.condition("HasCdcStartPosition", Not(no_position))
    stack.rule(
        "SlotAndPositionTogether",
        Or(And(no_slot, no_position), And(Not(no_slot), Not(no_position))),
        "SourceSlotName and CdcStartPosition belong together: give both after a load by other means, or neither",
    )
    return Beginning(
        migration_type=If(has_position, "cdc", "full-load-and-cdc"),
        position=If(has_position, position.ref(), NoValue),
        slot=If(has_position, slot.ref(), NoValue),
    )


def build(
    stack: Stack, instance: Any, source: dms.Endpoint, target: dms.Endpoint, beginning: Beginning
) -> dms.ReplicationTask:
    """Make the task that loads and follows. `migrate-database start` starts it."""
    preparation: Parameter = stack.parameter(choices.table_preparation())
    return _add(
        stack,
        (REPLICATION_TASK, REPLICATION_TASK_RESOURCE),
        (instance, source, target),
        Sub(json.dumps(SETTINGS, separators=(",", ":")), {str(preparation.title): preparation.ref()}),
        MigrationType=beginning.migration_type,
        CdcStartPosition=beginning.position,
    )


def build_fallback(
    stack: Stack, instance: Any, source: dms.Endpoint, target: dms.Endpoint, **attributes: Any
) -> dms.ReplicationTask:
    """Make the task of the way back, which follows the target from the slot of the cut-over on and loads nothing.

    No CdcStartPosition: it is not known before the cut-over, which hands it to StartReplicationTask.
    """
    return _add(
        stack,
        (FALLBACK_TASK, FALLBACK_TASK_RESOURCE),
        (instance, source, target),
        json.dumps(FALLBACK_SETTINGS, separators=(",", ":")),
        MigrationType="cdc",
        **attributes,
    )


def _add(
    stack: Stack, names: tuple[str, str], ends: tuple[Any, dms.Endpoint, dms.Endpoint], settings: Any, **more: Any
) -> dms.ReplicationTask:
    """Add the task, which CloudFormation never starts.

    Named on purpose: CloudFormation then refuses to replace it, which would load every table again.
    """
    identifier, resource = names
    instance, source, target = ends
    return stack.add(
        dms.ReplicationTask(
            "ReplicationTask",
            ReplicationTaskIdentifier=stack.name(identifier),
            # The end of the task's ARN, and so the dimension of its metrics.
            ResourceIdentifier=stack.name(resource),
            ReplicationInstanceArn=instance,
            SourceEndpointArn=source.ref(),
            TargetEndpointArn=target.ref(),
            TableMappings=tables.mappings(stack),
            ReplicationTaskSettings=settings,
            **more,
        )
    )
