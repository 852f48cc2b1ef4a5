"""A replication task as values: what is read out of DMS's answers, and what a person reads."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from builders.migration.task import reasons
from builders.migration.task.reasons import has_failed, trouble, why
from builders.migration.task.values import RowCounts, TableStatistics, Task, rows_of, table_of, task_of

ARN = "arn:aws:dms:us-east-1:111111111111:task:ferry-task-dev"


def described(status: str = "stopped", **more: Any) -> dict[str, Any]:
    """A task as DMS describes it, with only what every answer has."""
    return {
        "ReplicationTaskArn": ARN,
        "ReplicationInstanceArn": "arn:instance",
        "SourceEndpointArn": "arn:source",
        "TargetEndpointArn": "arn:target",
        "Status": status,
        **more,
    }


@pytest.mark.parametrize(
    ("status", "statistics", "has_run"),
    [
        ("ready", {}, False),
        ("ready", {"StartDate": 1.0}, True),  # changed since it ran
        ("stopped", {}, True),
        ("failed", {}, True),
        ("running", {"StartDate": 1.0}, True),
    ],
)
def test_whether_a_task_has_run_does_not_hang_on_its_status_alone(
    status: str, statistics: dict[str, Any], has_run: bool
) -> None:
    assert task_of(described(status, ReplicationTaskStats=statistics)).has_run is has_run


@pytest.mark.parametrize("status", ["ready", "stopped", "failed", "failed-move"])
def test_a_task_that_waits_for_somebody_is_at_rest(status: str) -> None:
    assert task_of(described(status)).is_at_rest


@pytest.mark.parametrize("status", ["starting", "running", "stopping", "modifying", "creating", "moving", "testing"])
def test_a_task_that_goes_on_by_itself_is_not_at_rest(status: str) -> None:
    assert not task_of(described(status)).is_at_rest


@pytest.mark.parametrize(
    ("statistics", "is_loaded"),
    [
        ({"FullLoadProgressPercent": 100, "TablesLoaded": 5}, True),
        ({"FullLoadProgressPercent": 100, "TablesErrored": 5}, True),
        ({"FullLoadProgressPercent": 99, "TablesLoaded": 5}, False),
        ({"FullLoadProgressPercent": 100, "TablesQueued": 1}, False),
        ({"FullLoadProgressPercent": 100, "TablesLoading": 1}, False),
        ({}, False),
    ],
)
def test_the_load_is_done_when_no_table_is_left(statistics: dict[str, int], is_loaded: bool) -> None:
    assert task_of(described(ReplicationTaskStats=statistics)).progress.is_loaded is is_loaded


@pytest.mark.parametrize(
    ("task", "failed"),
    [
        (described("failed"), True),
        (described("failed-move"), True),
        (described("stopped", StopReason="Stop Reason FATAL_ERROR"), True),
        (described("stopped", StopReason="Stop Reason RECOVERABLE_ERROR"), True),
        (described("stopped", StopReason="Stop Reason FATAL_ERROR Error Level FATAL"), True),
        (described("stopped", StopReason="Stop Reason NORMAL"), False),
        (described("stopped", StopReason="Stop Reason STOPPED_AT_COMMIT_TIME"), False),
        (described("stopped", StopReason="Stop Reason STOPPED_DUE_TO_LOW_MEMORY"), True),
        (described("stopped", StopReason="Stop Reason STOPPED_DUE_TO_LOW_DISK"), True),
        (described("stopped", StopReason="Stop Reason STOPPED_AFTER_FULL_LOAD"), True),
        (described("stopped", StopReason="Stop Reason FULL_LOAD_ONLY_FINISHED"), True),
        (described("stopped", StopReason="Stop Reason RECYCLE_TASK"), True),
        (described("stopped", StopReason="Stop Reason OF_ANOTHER_YEAR"), True),
        (described("ready"), False),
        (described("running"), False),
        (described("running", StopReason="Stop Reason FATAL_ERROR"), False),
    ],
)
def test_a_task_that_ended_by_itself_has_failed(task: dict[str, Any], failed: bool) -> None:
    assert task_of(task).has_failed is failed


def ended(stop_reason: str, failure: str = "", status: str = "failed") -> Task:
    return task_of(described(status, StopReason=stop_reason, LastFailureMessage=failure))


def documented_stop_reasons() -> set[str]:
    """The reasons that the API reference lists, as botocore carries it."""
    model = botocore.session.get_session().get_service_model("dms")
    text = model.shape_for("ReplicationTask").members["StopReason"].documentation
    return set(re.findall(r"Stop Reason (\w+)", text))


def test_every_reason_that_dms_documents_has_a_way_on() -> None:
    assert documented_stop_reasons() - set(reasons.STOP_REASONS) == set()
    assert {reason for reason, way in reasons.STOP_REASONS.items() if not way} == set()


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (ended("Stop Reason NORMAL", status="stopped"), "NORMAL: it was asked to stop, or had nothing left to do"),
        (
            ended("Stop Reason STOPPED_DUE_TO_LOW_DISK", status="stopped"),
            "STOPPED_DUE_TO_LOW_DISK: the replication instance is full: deploy migration with more "
            "ReplicationStorageGiB, then resume",
        ),
        (
            ended("Stop Reason FATAL_ERROR Error Level FATAL", "ERROR: permission denied for table cards"),
            "FATAL_ERROR Error Level FATAL; ERROR: permission denied for table cards: the user of the endpoint lacks a "
            "right in its database: see docs/migration.md, then resume",
        ),
        (
            ended("Stop Reason FATAL_ERROR", "something new"),
            "FATAL_ERROR; something new: its log has more, in the log group dms-tasks-<replication instance>; resume "
            "once its cause is gone",
        ),
        (
            ended("", "something new"),
            "something new: its log has more, in the log group dms-tasks-<replication instance>",
        ),
    ],
)
def test_a_person_reads_the_reason_of_dms_and_the_way_on(task: Task, sentence: str) -> None:
    assert why(task) == sentence


@pytest.mark.parametrize(
    ("failure", "way"),
    [
        ('ERROR: replication slot "a" does not exist', "load all tables again with reload"),
        ('ERROR: can no longer get changes from replication slot "a"', "load all tables again with reload"),
        ("ERROR: all replication slots are in use", "max_replication_slots"),
        ('null value in column "note" of relation "a" violates not-null constraint', "drop NOT NULL of that column"),
        ("insert on table a violates foreign key constraint", "foreign keys of the target wait until the cut-over"),
        ('duplicate key value violates unique constraint "audit_pkey"', "triggers wait until the cut-over"),
        ('cannot insert a non-DEFAULT value into column "id"', "GENERATED BY DEFAULT"),
        ('new row violates row-level security policy for table "tenants"', "row-level security of the target"),
    ],
)
def test_what_postgresql_says_of_an_ordinary_schema_has_a_way_on(failure: str, way: str) -> None:
    assert way in why(ended("Stop Reason FATAL_ERROR", failure))


def test_a_task_that_runs_or_never_ran_has_no_reason() -> None:
    assert why(ended("Stop Reason FATAL_ERROR", "of last time", status="running")) == ""
    assert why(task_of(described("ready"))) == ""


def table(**more: Any) -> TableStatistics:
    """A table as DMS describes it, loaded and validated unless told else."""
    known = {"SchemaName": "payments", "TableName": "audit", "TableState": "Table completed"}
    return table_of(known | {"ValidationState": "Validated"} | more)


def test_rows_are_those_of_the_load_those_that_changed_and_those_that_differ() -> None:
    tables = [
        table(FullLoadRows=5, Inserts=1, Updates=2, Deletes=3, ValidationFailedRecords=4),
        table(FullLoadRows=10, Inserts=1),
        table_of({}),
    ]
    assert rows_of(tables) == RowCounts(loaded=15, changed=7, failed_validation=4)


@pytest.mark.parametrize("state", ["Before load", "Full load", "Table completed", "Table is being reloaded"])
@pytest.mark.parametrize(
    "validation", ["", "Not enabled", "Pending records", "Validated", "Pending validation", "Preparing table"]
)
def test_a_table_on_its_way_is_in_no_trouble(state: str, validation: str) -> None:
    one = table(TableState=state, ValidationState=validation)
    assert (trouble(one), has_failed(one)) == ("", False)


@pytest.mark.parametrize(
    ("states", "said", "way"),
    [
        ({"TableState": "Table error"}, "Table error: ", "awsdms_control.awsdms_suspended_tables"),
        ({"TableState": "Table does not exist"}, "Table does not exist: ", "exclude it by TableRules"),
        (
            {"ValidationState": "Mismatched records", "ValidationFailedRecords": 3},
            "Mismatched records: 3 rows: ",
            "awsdms_validation_failures_v1",
        ),
        (
            {"ValidationState": "Suspended records", "ValidationSuspendedRecords": 1},
            "Suspended records: 1 row: ",
            "compare them when nobody writes",
        ),
        (
            {"ValidationState": "Error", "ValidationStateDetails": "no such column"},
            "validation Error (no such column): ",
            "compare the table by other means",
        ),
    ],
)
def test_a_table_that_failed_has_its_reason_and_a_way_on(states: dict[str, Any], said: str, way: str) -> None:
    one = table(**states)
    assert trouble(one).startswith(said)
    assert way in trouble(one)
    assert has_failed(one)


def test_an_error_of_a_table_is_told_once() -> None:
    assert trouble(table(TableState="Table error", ValidationState="Table error")).count("Table error") == 1


def test_a_table_without_a_key_is_named_and_has_not_failed() -> None:
    one = table(ValidationState="No primary key")
    assert (trouble(one).startswith("No primary key: not validated"), has_failed(one)) == (True, False)


def test_every_state_that_dms_documents_is_known() -> None:
    model = botocore.session.get_session().get_service_model("dms").shape_for("TableStatistics")
    documented = model.members["ValidationState"].documentation
    assert {name for name in (*reasons._VALIDATION, *reasons._UNCOMPARED) if name not in documented} == set()
    assert {name for name in reasons._TABLES if name not in model.members["TableState"].documentation} == set()


def test_a_table_was_loaded_again_by_itself_where_dms_says_so() -> None:
    end = datetime(2026, 12, 1, tzinfo=UTC)
    found = [table_of({"FullLoadEndTime": end, "FullLoadReloaded": again}).reloaded for again in (True, False)]
    assert found == [end, None]
    assert task_of(described(ReplicationTaskStats={"FreshStartDate": end})).fresh_start == end
