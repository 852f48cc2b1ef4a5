"""The command migrate-database, against the API of DMS on the embedded cloud."""

from __future__ import annotations

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dms_task import DeployedTask, deploy

from builders.cloud.process import Cloud
from builders.migration.cli import main
from builders.migration.task import running

_accounts = itertools.count(620_000_000_001)


@dataclass(frozen=True)
class Answer:
    """The result of a run of the command."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed

    @property
    def complaint(self) -> str:
        """The one line in which it gave up."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("migrate-database: ")]
        assert "Traceback" not in self.err
        return line.removeprefix("migrate-database: ")


Run = Callable[..., Answer]


@pytest.fixture
def replication(cloud: Cloud) -> DeployedTask:
    return deploy(cloud, str(next(_accounts)))


@pytest.fixture
def outputs_dir(tmp_path: Path, replication: DeployedTask) -> Path:
    """The folder that a deployment of the phase dev wrote."""
    flat = tmp_path / "dev" / "flat-outputs.json"
    flat.parent.mkdir()
    flat.write_text(json.dumps({"replicationTaskArn": replication.arn}))
    return tmp_path


@pytest.fixture
def arguments(outputs_dir: Path) -> list[str]:
    """The arguments of every call of the tests."""
    return ["--phase", "dev", "--outputs-dir", str(outputs_dir)]


@pytest.fixture
def run(
    replication: DeployedTask,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Calls the command as the account that owns the task."""
    for name, value in replication.cloud.environment(replication.account).items():
        monkeypatch.setenv(name, value)

    def call(*words: str) -> Answer:
        capsys.readouterr()
        # Without --until a start goes on to build indexes, in databases that are not here.
        until = ("--until", "loaded") if words[0] == "start" else ()
        waiting = () if words[0] == "status" else ("--poll", "0.1", "--timeout", "120")
        code = main([words[0], *arguments, *waiting, *until, *words[1:]])
        return Answer(code, *capsys.readouterr())

    return call


def test_start_tests_both_connections_and_waits_until_the_load_is_done(replication: DeployedTask, run: Run) -> None:
    answer = run("start", "--json")
    assert answer.code == 0
    assert [line for line in answer.err.splitlines() if line.startswith("testing")] == [
        "testing the connection to the source",
        "testing the connection to the target",
    ]
    assert (answer.data["status"], answer.data["fullLoad"]["percent"]) == ("running", 100)
    assert {each["Status"] for each in replication.dms.describe_connections()["Connections"]} == {"successful"}


def test_start_shows_the_progress_of_the_load_while_it_waits(replication: DeployedTask, run: Run) -> None:
    begun = {"FullLoadProgressPercent": 40, "TablesLoaded": 2, "TablesQueued": 3}
    replication.drive(ReplicationTaskStats=begun, StepSeconds=60)
    stderr = cast(Any, sys.stderr)  # pytest's own, before the command puts another in front of it
    progress = "starting: 2 tables loaded, 0 loading, 3 queued (40% of the full load)"

    def finish() -> None:
        replication.wait(lambda: progress in stderr.getvalue())
        replication.drive(StepSeconds=0)
        replication.wait(lambda: replication.described()["Status"] == "running")
        replication.drive(ReplicationTaskStats={"FullLoadProgressPercent": 100, "TablesLoaded": 5, "TablesQueued": 0})

    finisher = threading.Thread(target=finish)
    finisher.start()
    answer = run("start", "--json")
    finisher.join()
    assert answer.code == 0
    assert answer.data["fullLoad"] == {"percent": 100, "loaded": 5, "loading": 0, "queued": 0, "errored": 0}
    shown = answer.err.splitlines()
    assert progress in shown
    assert shown[-1] == "running: 5 tables loaded, 0 loading, 0 queued (100% of the full load)"


def test_start_until_running_does_not_wait_for_the_load(replication: DeployedTask, run: Run) -> None:
    replication.drive(ReplicationTaskStats={"FullLoadProgressPercent": 1, "TablesQueued": 9})
    answer = run("start", "--until", "running", "--json")
    assert (answer.code, answer.data["status"], answer.data["fullLoad"]["percent"]) == (0, "running", 1)


def test_a_start_whose_time_is_over_says_so_and_leaves_the_task_to_go_on(
    replication: DeployedTask, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    replication.drive(ReplicationTaskStats={"FullLoadProgressPercent": 1, "TablesQueued": 9})
    passed = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0], sleep=time.sleep)
    monkeypatch.setattr(running, "time", clock)
    stderr = cast(Any, sys.stderr)  # pytest's own, before the command puts another in front of it

    def let_an_hour_pass() -> None:
        replication.wait(lambda: "running: " in stderr.getvalue())  # the command has seen it, too
        passed[0] = 3600.0

    waiting = threading.Thread(target=let_an_hour_pass)
    waiting.start()
    answer = run("start", "--timeout", "600")
    waiting.join()
    assert answer.code == 1
    assert answer.complaint.startswith("the task is still running after 600 seconds")
    assert replication.described()["Status"] == "running"


def test_a_start_that_fails_says_why_and_what_helps(replication: DeployedTask, run: Run) -> None:
    failure = "No tables were found at task initialization. Either the selected table(s) or schemas(s) no longer exist"
    replication.drive(Failure={"StopReason": "Stop Reason FATAL_ERROR", "LastFailureMessage": failure})
    answer = run("start")
    assert answer.code == 1
    assert answer.complaint.startswith(f"the task is failed: FATAL_ERROR; {failure}: no table fits the schemas of")


def test_a_program_reads_the_failure_as_json_too(replication: DeployedTask, run: Run) -> None:
    answer = run("resume", "--json")
    assert (answer.code, answer.data) == (1, {"task": replication.arn, "error": "the task has never run; use start"})


def test_a_connection_that_fails_is_named_and_the_task_is_not_started(replication: DeployedTask, run: Run) -> None:
    target = replication.described()["TargetEndpointArn"]
    replication.drive(EndpointArn=target, ConnectionFailure="Connection timed out")
    answer = run("start")
    assert answer.code == 1
    assert answer.complaint.startswith("DMS does not reach the target: Connection timed out; check the secret")
    assert replication.described()["Status"] == "ready"


def test_start_of_a_running_task_says_so_and_is_no_mistake(replication: DeployedTask, run: Run) -> None:
    replication.start()
    answer = run("start")
    assert answer.code == 0
    assert "the task is running already" in answer.err.splitlines()


def test_stop_waits_until_the_task_has_stopped(replication: DeployedTask, run: Run) -> None:
    replication.start()
    answer = run("stop", "--json")
    assert (answer.code, answer.data["status"], answer.data["stopReason"]) == (0, "stopped", "Stop Reason NORMAL")


def test_stop_of_a_task_at_rest_says_so_and_is_no_mistake(run: Run) -> None:
    answer = run("stop")
    assert answer.code == 0
    assert "the task is ready already" in answer.err.splitlines()


@pytest.mark.parametrize("words", ["start", "resume"])
def test_a_stopped_task_goes_on_where_it_was(replication: DeployedTask, run: Run, words: str) -> None:
    replication.start()
    run("stop")
    assert run(words, "--json").data["status"] == "running"


def test_a_start_that_goes_on_says_so(replication: DeployedTask, run: Run) -> None:
    replication.start()
    run("stop")
    assert "the task has run before and is stopped: it goes on where it was" in run("start").err.splitlines()


def test_a_failed_task_is_resumed(replication: DeployedTask, run: Run) -> None:
    replication.start()
    replication.drive(Failure={"StopReason": "Stop Reason FATAL_ERROR", "LastFailureMessage": "gone"})
    answer = run("resume", "--json")
    assert (answer.code, answer.data["status"]) == (0, "running")


def test_a_task_that_fails_again_in_the_same_way_does_not_wait_for_ever(replication: DeployedTask, run: Run) -> None:
    failure = {"StopReason": "Stop Reason FATAL_ERROR", "LastFailureMessage": "gone"}
    replication.start()
    replication.drive(Failure=failure, StepSeconds=0)
    replication.drive(Failure=failure)
    answer = run("resume")
    assert (answer.code, answer.complaint.startswith("the task is failed: FATAL_ERROR; gone")) == (1, True)


def test_a_task_that_never_ran_is_started_and_not_resumed(run: Run) -> None:
    answer = run("resume")
    assert (answer.code, answer.complaint) == (1, "the task has never run; use start")


def test_a_task_that_stops_is_waited_for_before_it_is_resumed(replication: DeployedTask, run: Run) -> None:
    replication.start()
    replication.dms.stop_replication_task(ReplicationTaskArn=replication.arn)
    answer = run("resume", "--json")
    assert (answer.code, answer.data["status"]) == (0, "running")


def test_status_shows_a_person_how_the_task_is(replication: DeployedTask, run: Run) -> None:
    replication.start()
    replication.drive(
        ReplicationTaskStats={"FullLoadProgressPercent": 40, "TablesLoaded": 2, "TablesErrored": 1},
        TableStatistics=[
            {"SchemaName": "a", "TableName": f"t{number}", "FullLoadRows": 2, "Inserts": 1} for number in range(150)
        ],
    )
    answer = run("status")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"task       {replication.arn}",
        "status     running",
        "full load  40%: 2 tables loaded, 0 loading, 0 queued, 1 in error",
        "rows       300 loaded, 150 changed since, 0 failed validation",
        "unknown    step, slots and drift: the outputs of dev have no secretsManagerArn",
    ]


def test_status_prints_the_task_as_json(replication: DeployedTask, run: Run) -> None:
    task: dict[str, Any] = {
        "task": replication.arn,
        "status": "ready",
        "stopReason": None,
        "failure": None,
        "why": None,
        "fullLoad": {"percent": 0, "loaded": 0, "loading": 0, "queued": 0, "errored": 0},
        "rows": {"loaded": 0, "changed": 0, "failedValidation": 0},
        "tables": [],
    }
    assert run("status", "--json").data.items() >= task.items()


def test_status_names_each_table_that_failed_its_reason_and_the_way_on(replication: DeployedTask, run: Run) -> None:
    replication.start()
    replication.drive(
        TableStatistics=[
            {"SchemaName": "a", "TableName": "fine", "TableState": "Table completed", "ValidationState": "Validated"},
            {"SchemaName": "a", "TableName": "keyless", "ValidationState": "No primary key"},
            {"SchemaName": "a", "TableName": "broken", "TableState": "Table error"},
        ]
    )
    answer = run("status")
    assert answer.code == 1
    tables = [line for line in answer.out.splitlines() if line.startswith("table ")]
    assert [line.split(": ")[:2] for line in tables] == [
        ["table      a.broken", "Table error"],
        ["table      a.keyless", "No primary key"],
    ]
    assert [(each["table"], each["failed"]) for each in run("status", "--json").data["tables"]] == [
        ("a.broken", True),
        ("a.keyless", False),
    ]


def test_of_very_many_tables_in_trouble_the_first_are_shown_and_the_others_counted(
    replication: DeployedTask, run: Run
) -> None:
    replication.start()
    replication.drive(
        TableStatistics=[
            {"SchemaName": "a", "TableName": f"t{number:04}", "TableState": "Table error"} for number in range(1021)
        ]
    )
    tables = [line for line in run("status").out.splitlines() if line.startswith("table ")]
    assert (tables[19].startswith("table      a.t0019: "), tables[20:]) == (
        True,
        ["table      and 1,001 more; --json has all of them"],
    )


def test_a_stop_that_nobody_asked_for_is_a_failure(replication: DeployedTask, run: Run) -> None:
    replication.start()
    replication.drive(Failure={"StopReason": "Stop Reason STOPPED_DUE_TO_LOW_DISK", "LastFailureMessage": ""})
    answer = run("status")
    assert answer.code == 1
    assert "deploy migration with more ReplicationStorageGiB, then resume" in answer.out


def test_status_of_a_failed_task_is_a_failure_with_its_reason(replication: DeployedTask, run: Run) -> None:
    replication.start()
    replication.drive(
        Failure={"StopReason": "Stop Reason FATAL_ERROR", "LastFailureMessage": "all replication slots in use"}
    )
    answer = run("status")
    assert answer.code == 1
    (why,) = [line for line in answer.out.splitlines() if line.startswith("why")]
    assert "all replication slots in use: the source has no free replication slot" in why


def test_an_unknown_phase_is_wrong_use_and_the_right_one_is_guessed(run: Run) -> None:
    answer = run("status", "--phase", "dve")
    assert answer.code == 2
    assert answer.complaint.startswith("unknown phase 'dve', did you mean 'dev'?")


def test_a_phase_without_a_task_names_what_to_deploy(run: Run, outputs_dir: Path) -> None:
    (outputs_dir / "dev" / "flat-outputs.json").write_text('{"vpcId": "vpc-1"}')
    answer = run("status")
    assert (answer.code, "deploy the layer migration of dev, then run write-outputs" in answer.complaint) == (2, True)


def test_outputs_that_are_no_json_are_named(run: Run, outputs_dir: Path) -> None:
    (outputs_dir / "dev" / "flat-outputs.json").write_text("{")
    answer = run("status")
    assert (answer.code, "flat-outputs.json is not JSON" in answer.complaint) == (2, True)


@pytest.mark.parametrize("words", [["begin"], ["start", "--until", "tomorrow"], ["start", "--timeout", "-1"]])
def test_a_word_that_the_command_does_not_know_is_wrong_use(run: Run, words: list[str]) -> None:
    assert run(*words).code == 2


def test_a_task_of_another_account_is_not_found_and_the_account_is_named(
    run: Run, outputs_dir: Path, replication: DeployedTask
) -> None:
    elsewhere = replication.arn.replace(replication.account, "699999999999")
    (outputs_dir / "dev" / "flat-outputs.json").write_text(json.dumps({"replicationTaskArn": elsewhere}))
    answer = run("status")
    assert answer.code == 1
    assert "are these credentials of account 699999999999" in answer.complaint


def test_missing_credentials_are_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    answer = run("status")
    assert (answer.code, answer.complaint.startswith("no AWS credentials were found")) == (1, True)


def test_a_profile_that_is_not_there_is_one_line(run: Run) -> None:
    answer = run("status", "--profile", "nobody")
    assert (answer.code, "(nobody) could not be found" in answer.complaint) == (1, True)


def test_a_service_that_does_not_answer_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    answer = run("status")
    unanswered = "dms does not answer in us-east-1 (DescribeReplicationTasks): Could not connect"
    assert (answer.code, answer.complaint.startswith(unanswered)) == (1, True)


def test_the_region_is_that_of_the_task_whatever_the_environment_says(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert run("status").code == 0
    assert run("status", "--region", "us-east-1").code == 0


Refuse = Callable[..., None]


@pytest.fixture
def refuse(replication: DeployedTask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Refuse]:
    """Lets the first requests for an operation be refused with an error, as DMS may; the others are passed on."""
    refusals: dict[str, list[bytes]] = {}

    class Gate(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if refused := refusals.get(self.headers["X-Amz-Target"].rpartition(".")[2]):
                status, answer = 400, refused.pop()
            else:
                forwarded = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                status, answer = self._pass_on(body, forwarded)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _pass_on(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
            request = urllib.request.Request(replication.cloud.endpoint_url, body, headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()

        def log_message(self, format: str, *arguments: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def refuse(operation: str, code: str, message: str, times: int = 1) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        refusals[operation] = [json.dumps({"__type": code, "message": message}).encode()] * times

    yield refuse
    server.shutdown()
    server.server_close()


def test_throttling_is_waited_out(run: Run, refuse: Refuse) -> None:
    refuse("DescribeReplicationTasks", "ThrottlingException", "Rate exceeded", times=2)
    assert run("status", "--json").data["status"] == "ready"


def test_a_test_that_dms_does_by_itself_is_waited_for(replication: DeployedTask, run: Run, refuse: Refuse) -> None:
    task = replication.described()
    for side in ("SourceEndpointArn", "TargetEndpointArn"):
        replication.dms.test_connection(ReplicationInstanceArn=task["ReplicationInstanceArn"], EndpointArn=task[side])
    refuse("TestConnection", "InvalidResourceStateFault", "Connection is already being tested", times=2)
    answer = run("start", "--json")
    assert (answer.code, answer.data["status"]) == (0, "running")
    assert answer.err.splitlines().count("DMS tests it by itself already; waiting for that") == 2


def test_the_minute_in_which_dms_does_not_count_a_good_test_is_waited_out(run: Run, refuse: Refuse) -> None:
    sentence = "Test connection for replication instance and endpoint should be successful for starting the task"
    refuse("StartReplicationTask", "InvalidResourceStateFault", sentence, times=3)
    answer = run("start", "--json")
    assert (answer.code, answer.data["status"]) == (0, "running")
    assert "DMS does not count the tests yet, which can take a minute; asking again" in answer.err.splitlines()


def test_another_reason_not_to_start_is_no_reason_to_wait(run: Run, refuse: Refuse) -> None:
    refuse("StartReplicationTask", "InvalidResourceStateFault", "Replication Task cannot be started, invalid state")
    answer = run("start")
    assert (answer.code, "cannot be started, invalid state" in answer.complaint) == (1, True)


# Reload


def stopped(replication: DeployedTask, preparation: str = "DO_NOTHING") -> None:
    """Bring a task to where it may be reloaded."""
    settings = json.dumps({"FullLoadSettings": {"TargetTablePrepMode": preparation}})
    replication.dms.modify_replication_task(ReplicationTaskArn=replication.arn, ReplicationTaskSettings=settings)
    replication.start()
    replication.dms.stop_replication_task(ReplicationTaskArn=replication.arn)
    replication.wait(lambda: replication.described()["Status"] == "stopped")


def test_a_reload_loads_and_goes_on_once_somebody_said_yes(replication: DeployedTask, run: Run) -> None:
    stopped(replication)
    answer = run("reload", "--yes", "--json")
    assert (answer.code, answer.data["status"]) == (0, "running")


@pytest.mark.parametrize(("reply", "code", "status"), [("y", 0, "running"), ("", 1, "stopped")])
def test_a_person_is_asked_before_all_tables_are_loaded_again(
    replication: DeployedTask, arguments: list[str], reply: str, code: int, status: str
) -> None:
    stopped(replication, "TRUNCATE_BEFORE_LOAD")
    ours, theirs = pty.openpty()
    pipe = subprocess.PIPE
    with as_process(replication, arguments, "reload", stdin=theirs, stdout=pipe, stderr=pipe) as process:
        os.write(ours, f"{reply}\n".encode())
        _, err = process.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, replication.described()["Status"]) == (code, status)
    assert "DMS empties the tables of the task in the target and loads them again. Reload? [y/N]" in err


def test_a_task_that_never_ran_is_not_asked_about(run: Run) -> None:
    answer = run("reload", "--yes")
    assert (answer.code, answer.complaint) == (1, "the task has never run; use start")


def as_process(replication: DeployedTask, arguments: list[str], action: str, **streams: Any) -> subprocess.Popen[str]:
    # The terminal of whoever runs the tests is not that of the tests.
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "builders.migration",
            action,
            *arguments,
            "--poll",
            "0.05",
            "--timeout",
            "120",
            "--until",
            "loaded",
        ],
        env=environment | replication.cloud.environment(replication.account),
        text=True,
        # Tests that run in the background ignore Ctrl-C, and so would what they start.
        **streams,
    )


def test_ctrl_c_leaves_the_task_as_it_is_and_says_so(replication: DeployedTask, arguments: list[str]) -> None:
    replication.drive(ReplicationTaskStats={"FullLoadProgressPercent": 1, "TablesQueued": 9})
    pipe = subprocess.PIPE
    with as_process(replication, arguments, "start", stdout=pipe, stderr=pipe) as process:
        replication.wait(lambda: replication.described()["Status"] == "running")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == (
        "migrate-database: interrupted; what was done stays done, and a task goes on without us: status shows how"
    )
    assert replication.described()["Status"] == "running"


def test_on_a_terminal_a_bar_shows_the_load_and_stdout_has_the_result_alone(
    replication: DeployedTask, arguments: list[str]
) -> None:
    ours, theirs = pty.openpty()
    with as_process(replication, [*arguments, "--json"], "start", stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert json.loads(out)["status"] == "running"
    assert b"100%" in shown
