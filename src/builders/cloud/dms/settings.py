"""Task settings: all keys that DMS knows, their defaults, and those that the embedded DMS heeds.

Sources: DMS user guide, "Specifying task settings for AWS Database Migration Service tasks" with its pages on target
metadata, full load, control tables, error handling, data validation, change processing tuning and DDL handling. An
unknown key is refused, as DMS does ("Invalid task settings JSON").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.cloud.dms.faults import invalid

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "TargetMetadata": {
        "TargetSchema": "", "SupportLobs": True, "FullLobMode": False, "LobChunkSize": 64, "LimitedSizeLobMode": True,
        "LobMaxSize": 32, "InlineLobMaxSize": 0, "LoadMaxFileSize": 0, "ParallelLoadThreads": 0,
        "ParallelLoadBufferSize": 0, "ParallelLoadQueuesPerThread": 0, "ParallelApplyThreads": 0,
        "ParallelApplyBufferSize": 0, "ParallelApplyQueuesPerThread": 0, "BatchApplyEnabled": False,
        "TaskRecoveryTableEnabled": False,
    },
    "FullLoadSettings": {
        "TargetTablePrepMode": "DROP_AND_CREATE", "CreatePkAfterFullLoad": False,
        "StopTaskCachedChangesApplied": False, "StopTaskCachedChangesNotApplied": False, "MaxFullLoadSubTasks": 8,
        "TransactionConsistencyTimeout": 600, "CommitRate": 10000,
    },
    "Logging": {
        "EnableLogging": False, "EnableLogContext": False, "LogComponents": [], "CloudWatchLogGroup": None,
        "CloudWatchLogStream": None, "DeleteTaskLogs": False,
    },
    "ControlTablesSettings": {
        "ControlSchema": "", "HistoryTimeslotInMinutes": 5, "HistoryTableEnabled": False,
        "SuspendedTablesTableEnabled": False, "StatusTableEnabled": False, "FullLoadExceptionTableEnabled": False,
    },
    "StreamBufferSettings": {"StreamBufferCount": 3, "StreamBufferSizeInMB": 8, "CtrlStreamBufferSizeInMB": 5},
    "ChangeProcessingTuning": {
        "BatchApplyPreserveTransaction": True, "BatchApplyTimeoutMin": 1, "BatchApplyTimeoutMax": 30,
        "BatchApplyMemoryLimit": 500, "BatchSplitSize": 0, "MinTransactionSize": 1000, "CommitTimeout": 1,
        "MemoryLimitTotal": 1024, "MemoryKeepTime": 60, "StatementCacheSize": 50, "RecoveryTimeout": -1,
    },
    "ChangeProcessingDdlHandlingPolicy": {
        "HandleSourceTableDropped": True, "HandleSourceTableTruncated": True, "HandleSourceTableAltered": True,
    },
    "ValidationSettings": {
        "EnableValidation": False, "ValidationMode": "ROW_LEVEL", "ThreadCount": 5, "PartitionSize": 10000,
        "FailureMaxCount": 10000, "RecordFailureDelayInMinutes": 5, "RecordSuspendDelayInMinutes": 30,
        "RecordFailureDelayLimitInMinutes": 0, "TableFailureMaxCount": 1000, "ValidationOnly": False,
        "HandleCollationDiff": False, "SkipLobColumns": False, "ValidationPartialLobSize": 0,
        "ValidationQueryCdcDelaySeconds": 180, "MaxKeyColumnSize": 8096, "ValidationS3Time": 0,
        "ValidationS3Mask": 0,
    },
    "ErrorBehavior": {
        "DataErrorPolicy": "LOG_ERROR", "DataTruncationErrorPolicy": "LOG_ERROR", "DataMaskingErrorPolicy": "STOP_TASK",
        "DataErrorEscalationPolicy": "SUSPEND_TABLE", "DataErrorEscalationCount": 0, "EventErrorPolicy": "IGNORE",
        "TableErrorPolicy": "SUSPEND_TABLE", "TableErrorEscalationPolicy": "STOP_TASK",
        "TableErrorEscalationCount": 0, "RecoverableErrorCount": -1, "RecoverableErrorInterval": 5,
        "RecoverableErrorThrottling": True, "RecoverableErrorThrottlingMax": 1800,
        "RecoverableErrorStopRetryAfterThrottlingMax": True, "ApplyErrorDeletePolicy": "IGNORE_RECORD",
        "ApplyErrorInsertPolicy": "LOG_ERROR", "ApplyErrorUpdatePolicy": "LOG_ERROR",
        "ApplyErrorEscalationPolicy": "LOG_ERROR", "ApplyErrorEscalationCount": 0,
        "ApplyErrorFailOnTruncationDdl": False, "FullLoadIgnoreConflicts": True, "FailOnNoTablesCaptured": True,
        "FailOnTransactionConsistencyBreached": False,
    },
    "BeforeImageSettings": {"EnableBeforeImage": False, "FieldName": "", "ColumnFilter": "pk-only"},
    "CharacterSetSettings": {"CharacterReplacements": [], "CharacterSetSupport": {}},
    "LoopbackPreventionSettings": {
        "EnableLoopbackPrevention": False, "SourceSchema": "", "TargetSchema": "", "Rpo": "", "CDCMode": "",
    },
    "TTSettings": {
        "EnableTT": False, "TTS3Settings": {}, "TTRecordSettings": {}, "FailTaskOnTTFailure": False,
    },
    "PostProcessingRules": {},
    "FailTaskWhenCleanTaskResourceFailed": {},
}  # fmt: skip
"""{section: {key: default}}; a section may be null."""

_TABLE_OR_TASK = ("SUSPEND_TABLE", "STOP_TASK")
_RECORD = ("IGNORE_RECORD", "LOG_ERROR", *_TABLE_OR_TASK)
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "TargetTablePrepMode": ("DO_NOTHING", "TRUNCATE_BEFORE_LOAD", "DROP_AND_CREATE"),
    "DataErrorPolicy": _RECORD,
    "DataTruncationErrorPolicy": _RECORD,
    "DataErrorEscalationPolicy": ("LOG_ERROR", *_TABLE_OR_TASK),
    "TableErrorPolicy": _TABLE_OR_TASK,
    "ApplyErrorDeletePolicy": _RECORD,
    "ApplyErrorInsertPolicy": (*_RECORD, "INSERT_RECORD", "UPDATE_RECORD"),
    "ApplyErrorUpdatePolicy": (*_RECORD, "INSERT_RECORD", "UPDATE_RECORD"),
    "ApplyErrorEscalationPolicy": ("LOG_ERROR", *_TABLE_OR_TASK),
    "ValidationMode": ("ROW_LEVEL", "GROUP_LEVEL"),
}


@dataclass(frozen=True)
class Settings:
    """The settings of a task, with DMS's defaults where the task says nothing: `settings["FullLoadSettings"]`."""

    sections: Mapping[str, Mapping[str, Any]]

    def __getitem__(self, section: str) -> Mapping[str, Any]:
        """Return a section."""
        return self.sections[section]

    @property
    def errors(self) -> Mapping[str, Any]:
        """The policies for errors."""
        return self["ErrorBehavior"]

    @property
    def full_lob_mode(self) -> bool:
        """Large values of any size, in updates of their own."""
        return bool(self["TargetMetadata"]["FullLobMode"])

    @property
    def carries_lobs(self) -> bool:
        """Large values are carried at all."""
        return bool(self["TargetMetadata"]["SupportLobs"])


def read(text: str | None) -> Settings:
    """Read the settings of a task. Raises InvalidParameterValueException where DMS does not take them."""
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise invalid(f"Invalid task settings JSON: {error}") from error
    if not isinstance(given, dict):
        raise invalid("Invalid task settings JSON: it is no object")
    for section, values in given.items():
        _check(section, values)
    return Settings({section: {**known, **(given.get(section) or {})} for section, known in DEFAULTS.items()})


def _check(section: str, values: Any) -> None:
    if section not in DEFAULTS:
        raise invalid(f"Invalid task settings JSON: unknown section {section}; known are {', '.join(DEFAULTS)}")
    known = DEFAULTS[section]
    if section == "Logging" and any((values or {}).get(name) for name in ("CloudWatchLogGroup", "CloudWatchLogStream")):
        # terraform-provider-aws #21512
        raise invalid("Task Settings CloudWatchLogGroup or CloudWatchLogStream cannot be set on create.")
    for name, value in (values or {}).items() if known else ():
        if name not in known:
            raise invalid(f"Invalid task settings JSON: {section} has no setting {name}")
        if name in ALLOWED and value not in ALLOWED[name]:
            raise invalid(f"Invalid task settings JSON: {name} is {value!r}; it is one of {', '.join(ALLOWED[name])}")
        default = known[name]
        right = isinstance(value, type(default)) and isinstance(value, bool) == isinstance(default, bool)
        if default is not None and value is not None and not right:
            raise invalid(f"Invalid task settings JSON: {name} is {value!r}, not of type {type(default).__name__}")
