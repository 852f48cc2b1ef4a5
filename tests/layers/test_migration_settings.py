"""The settings of the migration layer's task and endpoints, and the way that the task begins."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from builders.evaluate import Evaluated

from .migration_layer import SIDES, evaluated, properties_of


@pytest.fixture
def built(template: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return template("migration")


@pytest.fixture
def properties(built: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """The properties of a resource with the parameters of a test."""
    return functools.partial(properties_of, built)


@pytest.fixture
def with_parameters(built: dict[str, Any]) -> Callable[..., Evaluated]:
    """The template with the parameters of a test, and others by keyword."""
    return functools.partial(evaluated, built)


# The beginning


def test_the_task_loads_and_goes_on_and_cannot_be_loaded_anew_by_an_update(properties: Callable[..., Any]) -> None:
    task = properties("ReplicationTask")
    assert task["MigrationType"] == "full-load-and-cdc"
    assert task["SourceEndpointArn"] == "${SourceEndpoint}"
    assert task["TargetEndpointArn"] == "${TargetEndpoint}"
    assert task["ReplicationInstanceArn"] == "${ReplicationInstance}"
    assert {"CdcStartTime", "CdcStartPosition", "CdcStopPosition"} & set(task) == set()
    assert "SlotName" not in properties("SourceEndpoint")["PostgreSqlSettings"]


def test_after_a_load_by_other_means_the_task_begins_at_the_position_of_the_slot(
    properties: Callable[..., Any],
) -> None:
    given = {"SourceSlotName": "copied", "CdcStartPosition": "4AF/B00000D0"}
    task = properties("ReplicationTask", **given)
    assert (task["MigrationType"], task["CdcStartPosition"]) == ("cdc", "4AF/B00000D0")
    assert properties("SourceEndpoint", **given)["PostgreSqlSettings"]["SlotName"] == "copied"


@pytest.mark.parametrize("given", [{"SourceSlotName": "copied"}, {"CdcStartPosition": "4AF/B00000D0"}])
def test_a_slot_without_a_position_is_refused_and_a_position_without_a_slot(
    with_parameters: Callable[..., Evaluated], given: dict[str, str]
) -> None:
    (sentence,) = with_parameters(**given).failed_rules
    assert sentence.startswith("SourceSlotName and CdcStartPosition belong together")


def settings(properties: Callable[..., Any], **given: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(properties("ReplicationTask", **given)["ReplicationTaskSettings"])
    return parsed


def test_rows_are_validated_and_the_task_writes_a_log(properties: Callable[..., Any]) -> None:
    found = settings(properties)
    assert found["ValidationSettings"]["EnableValidation"] is True
    assert found["Logging"]["EnableLogging"] is True


def test_large_values_are_carried_whole(properties: Callable[..., Any]) -> None:
    metadata = settings(properties)["TargetMetadata"]
    assert metadata["SupportLobs"] is True
    assert metadata["FullLobMode"] is True
    assert metadata["LimitedSizeLobMode"] is False


DOCUMENTED = {
    "TargetMetadata": """TargetSchema SupportLobs FullLobMode LobChunkSize InlineLobMaxSize LimitedSizeLobMode
        LobMaxSize LoadMaxFileSize BatchApplyEnabled ParallelLoadThreads ParallelLoadBufferSize
        ParallelLoadQueuesPerThread ParallelApplyThreads ParallelApplyBufferSize ParallelApplyQueuesPerThread
        TaskRecoveryTableEnabled""",
    "FullLoadSettings": """TargetTablePrepMode CreatePkAfterFullLoad StopTaskCachedChangesApplied
        StopTaskCachedChangesNotApplied MaxFullLoadSubTasks TransactionConsistencyTimeout CommitRate""",
    "Logging": "EnableLogging EnableLogContext LogComponents",
    "ControlTablesSettings": """ControlSchema HistoryTimeslotInMinutes HistoryTableEnabled SuspendedTablesTableEnabled
        StatusTableEnabled FullLoadExceptionTableEnabled""",
    "StreamBufferSettings": "StreamBufferCount StreamBufferSizeInMB CtrlStreamBufferSizeInMB",
    "ChangeProcessingTuning": """BatchApplyPreserveTransaction BatchApplyTimeoutMin BatchApplyTimeoutMax
        BatchApplyMemoryLimit BatchSplitSize MinTransactionSize CommitTimeout MemoryLimitTotal MemoryKeepTime
        StatementCacheSize""",
    "ValidationSettings": """EnableValidation ValidationMode ThreadCount PartitionSize FailureMaxCount
        RecordFailureDelayInMinutes RecordFailureDelayLimitInMinutes RecordSuspendDelayInMinutes MaxKeyColumnSize
        TableFailureMaxCount ValidationOnly HandleCollationDiff SkipLobColumns ValidationPartialLobSize
        ValidationQueryCdcDelaySeconds""",
    "ErrorBehavior": """DataErrorPolicy EventErrorPolicy DataTruncationErrorPolicy DataMaskingErrorPolicy
        DataErrorEscalationPolicy DataErrorEscalationCount TableErrorPolicy TableErrorEscalationPolicy
        TableErrorEscalationCount RecoverableErrorCount RecoverableErrorInterval RecoverableErrorThrottling
        RecoverableErrorThrottlingMax RecoverableErrorStopRetryAfterThrottlingMax ApplyErrorDeletePolicy
        ApplyErrorInsertPolicy ApplyErrorUpdatePolicy ApplyErrorEscalationPolicy ApplyErrorEscalationCount
        ApplyErrorFailOnTruncationDdl FullLoadIgnoreConflicts FailOnTransactionConsistencyBreached
        FailOnNoTablesCaptured""",
    "ChangeProcessingDdlHandlingPolicy": """HandleSourceTableDropped HandleSourceTableTruncated
        HandleSourceTableAltered""",
}
"""{section: its settings} (DMS user guide, "Specifying task settings for AWS Database Migration Service tasks", the
example and the page of each section). DMS passes over what it does not know."""


def test_every_setting_is_one_that_dms_documents(properties: Callable[..., Any]) -> None:
    found = settings(properties)
    assert set(found) - set(DOCUMENTED) == set()
    unknown = {section: set(keys) - set(DOCUMENTED[section].split()) for section, keys in found.items()}
    assert [(section, keys) for section, keys in unknown.items() if keys] == []


def test_the_changes_of_a_table_that_loads_are_no_conflict_and_those_after_it_are(
    properties: Callable[..., Any],
) -> None:
    behaviour = settings(properties)["ErrorBehavior"]
    assert behaviour["FullLoadIgnoreConflicts"] is True
    assert behaviour["ApplyErrorInsertPolicy"] == "STOP_TASK"


def test_a_network_that_is_away_for_days_is_tried_again_for_days(properties: Callable[..., Any]) -> None:
    behaviour = settings(properties)["ErrorBehavior"]
    assert behaviour["RecoverableErrorCount"] == -1
    assert behaviour["RecoverableErrorStopRetryAfterThrottlingMax"] is False


def test_a_table_that_is_truncated_stops_the_task_since_the_target_keeps_its_rows(
    properties: Callable[..., Any],
) -> None:
    assert settings(properties)["ErrorBehavior"]["ApplyErrorFailOnTruncationDdl"] is True


def test_numbers_without_a_precision_travel_whole_by_an_attribute_that_both_ends_have(
    properties: Callable[..., Any],
) -> None:
    attributes = [set(properties(f"{side}Endpoint")["ExtraConnectionAttributes"].split(";")) for side in SIDES]
    assert set.intersection(*attributes) == {"mapUnboundedNumericAsString=true"}


def test_a_varchar_without_a_length_travels_as_long_as_dms_lets_it(properties: Callable[..., Any]) -> None:
    attributes = properties("SourceEndpoint")["ExtraConnectionAttributes"].split(";")
    assert "unboundedVarcharMaxSize=10485760" in attributes


def test_a_value_above_the_limit_of_its_table_stops_the_task_and_is_not_cut(properties: Callable[..., Any]) -> None:
    assert properties("SourceEndpoint")["PostgreSqlSettings"]["FailTasksOnLobTruncation"] is True


def test_no_attribute_of_an_endpoint_is_given_twice(properties: Callable[..., Any]) -> None:
    """DMS keeps properties and attributes in one list."""
    for side in SIDES:
        endpoint = properties(f"{side}Endpoint")
        names = [each.partition("=")[0].lower() for each in endpoint["ExtraConnectionAttributes"].split(";")]
        both = itertools.chain(names, (name.lower() for name in endpoint["PostgreSqlSettings"]))
        assert len(set(both)) == len(names) + len(endpoint["PostgreSqlSettings"])


@pytest.mark.parametrize(
    ("given", "allowed"), [({}, "false"), ({"ReplicationAllowMajorVersionUpgrade": "true"}, "true")]
)
def test_another_major_version_of_dms_is_allowed_where_somebody_says_so(
    properties: Callable[..., Any], given: dict[str, str], allowed: str
) -> None:
    assert properties("ReplicationInstance", **given)["AllowMajorVersionUpgrade"] == allowed


def test_a_row_that_cannot_be_written_stops_the_task_and_is_not_left_out(properties: Callable[..., Any]) -> None:
    behaviour = settings(properties)["ErrorBehavior"]
    assert {value for name, value in behaviour.items() if name.endswith("Policy")} == {"STOP_TASK"}
    assert behaviour["FailOnNoTablesCaptured"] is True


@pytest.mark.parametrize("preparation", ["DO_NOTHING", "TRUNCATE_BEFORE_LOAD", "DROP_AND_CREATE"])
def test_tables_of_the_target_are_prepared_as_the_user_says(properties: Callable[..., Any], preparation: str) -> None:
    found = settings(properties, TargetTablePreparation=preparation)
    assert found["FullLoadSettings"]["TargetTablePrepMode"] == preparation


def test_tables_of_the_target_are_left_alone_unless_the_user_says_otherwise(properties: Callable[..., Any]) -> None:
    assert settings(properties)["FullLoadSettings"]["TargetTablePrepMode"] == "DO_NOTHING"
