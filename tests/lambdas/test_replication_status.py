"""The function that publishes the task's status: as Lambda would run its package, against the API of DMS over HTTP."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dms_task import DeployedTask, deploy
from forking import server

from builders import package
from builders.cloud.process import Cloud

FUNCTIONS = Path(__file__).parents[2] / "lambda"
_accounts = itertools.count(610_000_000_001)

CALL = """
import index
class Context:
    def get_remaining_time_in_millis(self):
        return 60_000
index.handler({}, Context())
"""

UNKNOWN_ROWS = """
import replication
def refuse(*_):
    raise replication.ReplicationUnknown("describe_table_statistics failed: Rate exceeded")
index.table_statistics = refuse
"""

Published = list[dict[str, Any]]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, unpacked as Lambda does; it holds the shared module that index.py imports."""
    folder = tmp_path_factory.mktemp("package")
    (function,) = [each for each in package.functions(FUNCTIONS) if each.name == "replication_status"]
    with zipfile.ZipFile(package.build(function, folder / "packages", folder / "wheels")) as archive:
        archive.extractall(folder / "task")
    return folder / "task"


@pytest.fixture
def replication(cloud: Cloud) -> DeployedTask:
    return deploy(cloud, str(next(_accounts)))


@pytest.fixture
def environment(replication: DeployedTask) -> dict[str, str]:
    """Variables of the function."""
    cloud = replication.cloud.environment(replication.account)
    return {**os.environ, **cloud, "REPLICATION_TASK_ARN": replication.arn}


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    with server("lambdas.invoked") as started:
        yield started


@pytest.fixture
def invoke(
    unpacked: Path, environment: dict[str, str], process: subprocess.Popen[str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls the handler in a process of its own."""

    def call(**more: str) -> subprocess.CompletedProcess[str]:
        out, err = tmp_path / "stdout", tmp_path / "stderr"
        order = {"package": str(unpacked), "environment": {**environment, **more}, "stdout": str(out),
                 "stderr": str(err)}  # fmt: skip
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        return subprocess.CompletedProcess([], code, out.read_text(), err.read_text())

    return call


@pytest.fixture
def published(invoke: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Published]:
    """Calls the handler and returns the lines of metrics that it wrote."""

    def call(**more: str) -> Published:
        finished = invoke(**more)
        assert finished.returncode == 0, finished.stderr
        return [json.loads(line) for line in finished.stdout.splitlines()]

    return call


def values(lines: Published) -> dict[str, float]:
    """The metrics of the lines, which all have to be defined in them."""
    return {
        metric["Name"]: line[metric["Name"]]
        for line in lines
        for definition in line["_aws"]["CloudWatchMetrics"]
        for metric in definition["Metrics"]
    }


def test_a_task_that_was_never_started_does_not_run_and_has_no_progress(published: Callable[..., Published]) -> None:
    assert values(published()) == {"ReplicationTaskStatus": 0}


def test_a_running_task_runs_and_tells_its_progress(
    replication: DeployedTask, published: Callable[..., Published]
) -> None:
    replication.start()
    statistics = {"FullLoadProgressPercent": 40, "TablesLoaded": 4, "TablesLoading": 3, "TablesQueued": 2,
                  "TablesErrored": 1}  # fmt: skip
    replication.drive(ReplicationTaskStats=statistics)
    assert values(published()) == {"ReplicationTaskStatus": 1, **statistics}


def test_a_failed_task_does_not_run(replication: DeployedTask, published: Callable[..., Published]) -> None:
    replication.start()
    replication.drive(Failure={"StopReason": "Stop Reason FATAL_ERROR", "LastFailureMessage": "gone"})
    assert values(published())["ReplicationTaskStatus"] == 0


def test_rows_are_added_up_over_all_pages_of_tables(
    replication: DeployedTask, published: Callable[..., Published]
) -> None:
    """DMS answers with at most 500 tables."""
    table = {"SchemaName": "payments", "FullLoadRows": 10, "Inserts": 3, "Updates": 2, "Deletes": 1}
    replication.drive(TableStatistics=[{**table, "TableName": f"t{number}"} for number in range(1005)])
    rows = {name: value for name, value in values(published()).items() if name.startswith("Rows")}
    assert rows == {"RowsLoaded": 10050, "RowsChanged": 6030, "RowsFailedValidation": 0}


def test_rows_that_differ_are_counted(replication: DeployedTask, published: Callable[..., Published]) -> None:
    tables = [{"SchemaName": "a", "TableName": name, "ValidationFailedRecords": 2} for name in "xyz"]
    replication.drive(TableStatistics=tables)
    assert values(published())["RowsFailedValidation"] == 6


def test_the_line_is_in_the_namespace_and_under_the_dimension_that_the_alarms_ask_for(
    published: Callable[..., Published],
) -> None:
    (line,) = published()
    (definition,) = line["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == "Stackferry"
    assert definition["Dimensions"] == [["ReplicationTaskIdentifier"]]
    assert line["ReplicationTaskIdentifier"] == "ferry-task"
    assert {metric["Name"]: metric["Unit"] for metric in definition["Metrics"]} == {"ReplicationTaskStatus": "None"}


def test_a_task_that_is_not_there_does_not_run(replication: DeployedTask, published: Callable[..., Published]) -> None:
    assert values(published(REPLICATION_TASK_ARN=f"{replication.arn}-of-yesterday")) == {"ReplicationTaskStatus": 0}


def test_a_task_of_the_same_beginning_is_not_taken_for_ours(
    replication: DeployedTask, published: Callable[..., Published]
) -> None:
    replication.start()
    assert values(published(REPLICATION_TASK_ARN=replication.arn[:-1])) == {"ReplicationTaskStatus": 0}


def test_when_dms_does_not_answer_the_function_fails_by_name_and_publishes_nothing(
    unpacked: Path, environment: dict[str, str]
) -> None:
    """The alarm takes the missing metric for a task that does not run, and the function's error is an alarm, too."""
    finished = subprocess.run(
        [sys.executable, "-c", CALL], cwd=unpacked, env={**environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert finished.returncode == 1
    assert finished.stdout == ""
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("replication.ReplicationUnknown: describe_replication_tasks failed: Could not connect")


def test_rows_that_dms_does_not_tell_take_nothing_from_the_task_and_its_slots(
    unpacked: Path, environment: dict[str, str], replication: DeployedTask
) -> None:
    """A throttled answer on thousands of tables must not look like a task that has stopped."""
    replication.start()
    call = CALL.replace("import index", f"import index{UNKNOWN_ROWS}")
    finished = subprocess.run(
        [sys.executable, "-c", call], cwd=unpacked, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert finished.returncode == 1
    (line,) = finished.stdout.splitlines()
    assert values([json.loads(line)])["ReplicationTaskStatus"] == 1
    assert "the slots of" in finished.stderr
    assert "ReplicationUnknown: describe_table_statistics failed: Rate exceeded" in finished.stderr


def test_a_source_that_cannot_be_asked_for_its_slots_takes_nothing_from_the_task(
    invoke: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Its alarms take the missing metric; the log has the reason. Here the endpoint's secret is not there."""
    finished = invoke()
    assert finished.returncode == 0
    (line,) = finished.stdout.splitlines()
    assert "SlotWalStatus" not in line
    assert "the slots of" in finished.stderr


def test_the_task_of_the_way_back_has_metrics_of_its_own(
    replication: DeployedTask, invoke: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    finished = invoke(REPLICATION_TASK_ARN=f"{replication.arn}-forth", FALLBACK_TASK_ARN=replication.arn)
    assert finished.returncode == 0
    told = [json.loads(line)["ReplicationTaskIdentifier"] for line in finished.stdout.splitlines()]
    assert told == ["ferry-task-forth", "ferry-task"]
