"""Task settings of DMS: all keys that it knows, their defaults, and the values of those that are choices.

Sources: DMS user guide, "Specifying task settings for AWS Database Migration Service tasks" with its pages on target
metadata, full load, control tables, error handling, data validation, change processing tuning and DDL handling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    "TargetTablePrepMode": ("DO_NOTHING", "DROP_AND_CREATE", "TRUNCATE_BEFORE_LOAD"),
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

NOT_ON_CREATE = ("CloudWatchLogGroup", "CloudWatchLogStream")
"""Keys of Logging that a described task shows and no new one takes (public issue terraform-provider-aws #21512)."""
