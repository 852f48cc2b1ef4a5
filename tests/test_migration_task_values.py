"""A replication task as values: what is read out of DMS's answers, and what a person reads."""

from __future__ import annotations

from typing import Any

import pytest

from builders.migration_task.task import Rows, Task, rows_of, task_of, why

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
        (described("stopped", StopReason="Stop Reason NORMAL"), False),
        (described("ready"), False),
        (described("running"), False),
        (described("running", StopReason="Stop Reason FATAL_ERROR"), False),
    ],
)
def test_a_task_that_ended_by_itself_has_failed(task: dict[str, Any], failed: bool) -> None:
    assert task_of(task).has_failed is failed


def ended(stop_reason: str, failure: str = "", status: str = "failed") -> Task:
    return task_of(described(status, StopReason=stop_reason, LastFailureMessage=failure))


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (ended("Stop Reason NORMAL", status="stopped"), "NORMAL: it was asked to stop, or had nothing left to do"),
        (
            ended("Stop Reason STOPPED_DUE_TO_LOW_DISK"),
            "STOPPED_DUE_TO_LOW_DISK: the replication instance is full: raise ReplicationStorageGiB",
        ),
        (
            ended("Stop Reason FATAL_ERROR", "ERROR: permission denied for table cards"),
            "FATAL_ERROR; ERROR: permission denied for table cards: the user of the endpoint lacks a right in its "
            "database: see docs/migration.md",
        ),
        (
            ended("Stop Reason FATAL_ERROR", "something new"),
            "FATAL_ERROR; something new: its log has more, in the log group dms-tasks-<replication instance>",
        ),
    ],
)
def test_a_person_reads_the_reason_of_dms_and_a_remedy(task: Task, sentence: str) -> None:
    assert why(task) == sentence


def test_a_task_that_runs_or_never_ran_has_no_reason() -> None:
    assert why(ended("Stop Reason FATAL_ERROR", "of last time", status="running")) == ""
    assert why(task_of(described("ready"))) == ""


def test_rows_are_those_of_the_load_those_that_changed_and_those_that_differ() -> None:
    tables = [
        {"FullLoadRows": 5, "Inserts": 1, "Updates": 2, "Deletes": 3, "ValidationFailedRecords": 4},
        {"FullLoadRows": 10, "Inserts": 1},
        {},
    ]
    assert rows_of(tables) == Rows(loaded=15, changed=7, failed_validation=4)
