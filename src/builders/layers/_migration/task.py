"""The replication task: which tables it carries, and how."""

from __future__ import annotations

import json
from typing import Any

from troposphere import Equals, If, Join, Not, NoValue, Parameter, Ref, Split, Sub, dms

from builders.layers._migration import choices
from builders.naming import REPLICATION_TASK, REPLICATION_TASK_RESOURCE
from builders.stack import Stack

SETTINGS: dict[str, Any] = {
    "TargetMetadata": {
        # Whole values, of whatever size: the default cuts them off at 32 KiB in silence.
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
    },
    "ErrorBehavior": {
        # A payment that cannot be written stops the task for a person, and is not logged and left out.
        "DataErrorPolicy": "STOP_TASK",
        "DataTruncationErrorPolicy": "STOP_TASK",
        "TableErrorPolicy": "STOP_TASK",
        "ApplyErrorDeletePolicy": "STOP_TASK",
        "ApplyErrorInsertPolicy": "STOP_TASK",
        "ApplyErrorUpdatePolicy": "STOP_TASK",
        "FullLoadIgnoreConflicts": False,
        "FailOnNoTablesCaptured": True,
        # A network that fails is tried again for ever, every 5 to 1800 seconds.
        "RecoverableErrorCount": -1,
        "RecoverableErrorInterval": 5,
        "RecoverableErrorThrottling": True,
        "RecoverableErrorThrottlingMax": 1800,
    },
    "ChangeProcessingDdlHandlingPolicy": {
        "HandleSourceTableDropped": False,
        "HandleSourceTableTruncated": False,
        "HandleSourceTableAltered": False,
    },
}
"""What the task is told (DMS user guide, "Specifying task settings for AWS Database Migration Service tasks").

`${TargetTablePreparation}` is the parameter; a setting that is missing has DMS's default.
"""


def build(
    stack: Stack, instance: dms.ReplicationInstance, source: dms.Endpoint, target: dms.Endpoint
) -> dms.ReplicationTask:
    """Make the task. CloudFormation never starts it; `migration-task start` does.

    Named on purpose: CloudFormation then refuses to replace it, which would load every table again.
    """
    preparation: Parameter = stack.parameter(choices.table_preparation())
    return stack.add(
        dms.ReplicationTask(
            "ReplicationTask",
            ReplicationTaskIdentifier=stack.name(REPLICATION_TASK),
            # The end of the task's ARN, and so the dimension of its metrics.
            ResourceIdentifier=stack.name(REPLICATION_TASK_RESOURCE),
            MigrationType="full-load-and-cdc",
            ReplicationInstanceArn=instance.ref(),
            SourceEndpointArn=source.ref(),
            TargetEndpointArn=target.ref(),
            TableMappings=_table_mappings(stack),
            ReplicationTaskSettings=Sub(json.dumps(SETTINGS), {str(preparation.title): preparation.ref()}),
        )
    )


def _table_mappings(stack: Stack) -> Join:
    """A selection rule for each schema that is named: all its tables, and no other schema's.

    Never the schema `%`, which takes system tables, too.
    """
    rules: list[Sub | If] = [_selection(1, _literal(stack.parameter(choices.schema_name(1)).ref()))]
    for number in range(2, choices.MOST_SCHEMAS + 1):
        name = stack.parameter(choices.schema_name(number)).ref()
        given = stack.condition(f"HasSchemaName{number}", Not(Equals(name, "")))
        rules.append(If(given, _selection(number, _literal(name)), NoValue))
    return Join("", ['{"rules":[', Join(",", rules), "]}"])


def _selection(number: int, schema: Any) -> Sub:
    rule = {
        "rule-type": "selection",
        "rule-id": str(number),
        "rule-name": f"schema-{number}",
        "object-locator": {"schema-name": "${Schema}", "table-name": "%"},
        "rule-action": "include",
    }
    return Sub(json.dumps(rule), {"Schema": schema})


def _literal(name: Ref) -> Join:
    """The name with its underscores kept from matching any character (DMS user guide, "Wildcards in table mapping")."""
    return Join("[_]", Split("_", name))
