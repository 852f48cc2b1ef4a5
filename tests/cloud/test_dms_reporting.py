"""What a task tells of itself: statistics, log, metrics, control tables, heartbeat, validation."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from .dms_rig import Pair, Task, settings, wait_for

TABLE = "CREATE TABLE payments.t (id int PRIMARY KEY, n int)"
KEYLESS = "CREATE TABLE payments.keyless (id int)"


@pytest.fixture(scope="module")
def task(lasting: Pair) -> Task:
    """A task that validates, has loaded, and follows changes."""
    lasting.both(TABLE, KEYLESS)
    lasting.source("INSERT INTO payments.t SELECT n, n FROM generate_series(1, 50) n", "CREATE SCHEMA beats")
    lasting.source("GRANT ALL ON SCHEMA beats TO ferry_source")
    # As on a real source: DMS's user owns nothing, and may make no schema.
    lasting.source(f"ALTER DATABASE {lasting.name} OWNER TO rdsadmin")
    chosen = settings(ValidationSettings={"EnableValidation": True},
                      ControlTablesSettings={"HistoryTableEnabled": True})  # fmt: skip
    beats = {"PostgreSqlSettings": {"HeartbeatEnable": True, "HeartbeatSchema": "beats"}}
    made = lasting.task(chosen=chosen, source=beats).load()
    lasting.source("INSERT INTO payments.t VALUES (51, 51)", "UPDATE payments.t SET n = 0 WHERE id <= 3")
    wait_for(lambda: lasting.same("payments.t"))
    return made


def metric(task: Task, name: str) -> list[dict[str, Any]]:
    now = datetime.datetime.now(datetime.UTC)
    dimensions = {"ReplicationInstanceIdentifier": "ferry", "ReplicationTaskIdentifier": task.stack}
    answer = task.account.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/DMS", MetricName=name, StartTime=now - datetime.timedelta(minutes=5),
        EndTime=now + datetime.timedelta(minutes=1), Period=60, Statistics=["Maximum"],
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
    )  # fmt: skip
    return list(answer["Datapoints"])


@pytest.mark.parametrize(
    "name", ["CDCLatencySource", "CDCLatencyTarget", "CDCIncomingChanges", "CDCThroughputRowsTarget",
             "FullLoadThroughputRowsTarget"],
)  # fmt: skip
def test_metrics_are_published_with_the_dimensions_of_dms(task: Task, name: str) -> None:
    wait_for(lambda: metric(task, name))
    assert 0 <= metric(task, name)[0]["Maximum"] < 100_000


def test_the_progress_of_the_load_is_told(task: Task) -> None:
    told = task.described()["ReplicationTaskStats"]
    counts = ("FullLoadProgressPercent", "TablesLoaded", "TablesLoading", "TablesQueued", "TablesErrored")
    assert [told[name] for name in counts] == [100, 2, 0, 0, 0]
    assert told["FullLoadStartDate"] <= told["FullLoadFinishDate"]


def test_the_rows_of_tables_are_counted(task: Task) -> None:
    told = task.table("t")
    assert [told[name] for name in ("FullLoadRows", "Inserts", "Updates", "Deletes")] == [50, 1, 3, 0]


def test_the_log_is_where_dms_writes_it(task: Task) -> None:
    assert "[TASK_MANAGER   ]I:  Load finished for table 'payments.t'. 50 rows received." in task.log()


def test_the_source_hears_a_heartbeat(lasting: Pair, task: Task) -> None:
    assert wait_for(lambda: lasting.rows("source", "SELECT hb_key FROM beats.awsdms_heartbeat")) == [(1,)]


def test_the_control_tables_tell_of_the_task(lasting: Pair, task: Task) -> None:
    query = 'SELECT "TASK_STATUS"::text FROM awsdms_control.awsdms_status WHERE "TASK_NAME" = \'' + task.stack + "'"
    wait_for(lambda: lasting.rows("target", query) == [("CHANGE PROCESSING",)])
    history = 'SELECT "TIMESLOT_TYPE"::text FROM awsdms_control.awsdms_history'
    assert lasting.rows("target", history) == [("CHANGE PROCESSING",)]


def test_tables_with_a_key_are_validated_and_others_are_not(task: Task) -> None:
    wait_for(lambda: task.table("t")["ValidationState"] == "Validated")
    assert task.table("keyless")["ValidationState"] == "No primary key"


def test_a_row_that_differs_is_found_and_stands_in_the_table_of_failures(lasting: Pair, task: Task) -> None:
    wait_for(lambda: task.table("t")["ValidationState"] == "Validated")
    lasting.target("UPDATE payments.t SET n = 999 WHERE id = 7", "DELETE FROM payments.t WHERE id = 8")
    lasting.source("INSERT INTO payments.t VALUES (52, 52)")
    task.stop()
    task.start("resume-processing")
    wait_for(lambda: task.table("t")["ValidationFailedRecords"] == 2)
    assert task.table("t")["ValidationState"] == "Mismatched records"
    failures = """SELECT "TABLE_NAME"::text, "KEY"::text, "FAILURE_TYPE"::text
                  FROM awsdms_control.awsdms_validation_failures_v1 ORDER BY 2"""
    assert lasting.rows("target", failures) == [
        ("t", '{"key":["7"]}', "RECORD_DIFF"),
        ("t", '{"key":["8"]}', "MISSING_TARGET"),
    ]


def test_validation_that_is_off_says_so(pair: Pair) -> None:
    pair.both(TABLE)
    task = pair.task().load()
    assert task.table("t")["ValidationState"] == "Not enabled"
