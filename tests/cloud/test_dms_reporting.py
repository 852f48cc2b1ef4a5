"""Reports of a task on itself: statistics, log, metrics, control tables, heartbeat, validation."""

from __future__ import annotations

import datetime
import time
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
    counts = ("FullLoadRows", "Inserts", "Updates", "Deletes")
    wait_for(lambda: [task.table("t")[name] for name in counts] == [50, 1, 3, 0])  # counted once committed


def test_the_log_is_where_dms_writes_it(task: Task) -> None:
    assert "[TASK_MANAGER   ]I:  Load finished for table 'payments.t'. 50 rows received." in task.log()


def test_the_source_hears_a_heartbeat(lasting: Pair, task: Task) -> None:
    assert wait_for(lambda: lasting.rows("source", "SELECT hb_key FROM beats.awsdms_heartbeat")) == [(1,)]


def test_the_control_tables_tell_of_the_task(lasting: Pair, task: Task) -> None:
    query = 'SELECT "TASK_STATUS"::text FROM awsdms_control.awsdms_status WHERE "TASK_NAME" = \'' + task.stack + "'"
    wait_for(lambda: lasting.rows("target", query) == [("CHANGE PROCESSING",)])
    history = 'SELECT DISTINCT "TIMESLOT_TYPE"::text FROM awsdms_control.awsdms_history'
    wait_for(lambda: lasting.rows("target", history) == [("CHANGE PROCESSING",)])


def test_tables_with_a_key_are_validated_and_others_are_not(task: Task) -> None:
    wait_for(lambda: task.table("t")["ValidationState"] == "Validated")
    assert task.table("keyless")["ValidationState"] == "No primary key"


def test_a_row_that_differs_is_found_and_stands_in_the_table_of_failures(pair: Pair) -> None:
    pair.both(TABLE)
    pair.source("INSERT INTO payments.t SELECT n, n FROM generate_series(1, 50) n")
    task = pair.task(chosen=settings(ValidationSettings={"EnableValidation": True})).load()
    wait_for(lambda: task.table("t")["ValidationState"] == "Validated")
    pair.target("UPDATE payments.t SET n = 999 WHERE id = 7", "DELETE FROM payments.t WHERE id = 8")
    pair.source("INSERT INTO payments.t VALUES (52, 52)")
    task.stop()
    task.start("resume-processing")
    wait_for(lambda: task.table("t")["ValidationFailedRecords"] == 2)
    assert task.table("t")["ValidationState"] == "Mismatched records"
    failures = """SELECT "TABLE_NAME"::text, "KEY"::text, "FAILURE_TYPE"::text
                  FROM awsdms_control.awsdms_validation_failures_v1 ORDER BY 2"""
    assert pair.rows("target", failures) == [
        ("t", '{"key":["7"]}', "RECORD_DIFF"),
        ("t", '{"key":["8"]}', "MISSING_TARGET"),
    ]


def test_a_row_that_changed_while_its_table_was_loaded_does_not_differ_before_the_change_is_applied(pair: Pair) -> None:
    pair.both(TABLE)
    pair.source("INSERT INTO payments.t SELECT n, n FROM generate_series(1, 30) n")
    chosen = settings(ValidationSettings={"EnableValidation": True}, FullLoadSettings={"CommitRate": 10})
    load, change = (pair.session("target") for _ in range(2))
    with load, change:
        load.execute("INSERT INTO payments.t VALUES (30, 0)")  # the last part of the load waits for this row
        task = pair.task(chosen=chosen).start()
        wait_for(lambda: pair.rows("target", "SELECT count(*) FROM payments.t") == [(20,)])
        change.execute("SELECT FROM payments.t WHERE id = 1 FOR UPDATE")  # and the change for this one
        pair.source("UPDATE payments.t SET n = 0 WHERE id = 1")
        load.rollback()
        wait_for(lambda: task.table("t")["TableState"] == "Table completed")
        time.sleep(2)  # four times as long as the stand-in waits before it compares again
        change.rollback()
    wait_for(lambda: task.table("t")["ValidationState"] == "Validated")
    assert pair.same("payments.t")
    assert "rows differ" not in task.log()


def test_a_row_whose_change_comes_late_does_not_differ(pair: Pair) -> None:
    """As on a busy machine, where a change may take seconds."""
    pair.both(TABLE)
    pair.source("INSERT INTO payments.t VALUES (1, 0)")
    task = pair.task(chosen=settings(ValidationSettings={"EnableValidation": True})).load()
    wait_for(lambda: task.table("t")["ValidationState"] == "Validated")
    with pair.session("target") as busy:
        pair.source("UPDATE payments.t SET n = 1")
        wait_for(lambda: pair.rows("target", "SELECT n FROM payments.t") == [(1,)])
        busy.execute("SELECT FROM payments.t FOR UPDATE")  # the stand-in looks at this row now
        pair.source("UPDATE payments.t SET n = 2")
        time.sleep(2.5)
        busy.rollback()
    wait_for(lambda: pair.same("payments.t"))
    wait_for(lambda: task.table("t")["ValidationState"] == "Validated")
    assert "rows differ" not in task.log()


def test_validation_that_is_off_says_so(pair: Pair) -> None:
    pair.both(TABLE)
    task = pair.task().load()
    assert task.table("t")["ValidationState"] == "Not enabled"
