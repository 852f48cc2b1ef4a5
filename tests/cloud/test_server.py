"""The command: ready, one address, stop, and nothing left behind."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm

from builders.cloud.process import Cloud, running
from builders.errors import CloudError

from .conftest import Account, Template


def children(pid: int) -> set[int]:
    """The processes below a process, read from /proc."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(fields[1])
    found = {child for child, parent in parents.items() if parent == pid}
    return found | {each for child in found for each in children(child)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def gone(pids: set[int], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


def asking(cloud: Cloud) -> bytes:
    """Return a request for the certificate authority."""
    return f"GET /_stackferry/ca.pem HTTP/1.1\r\nHost: 127.0.0.1:{cloud.port}\r\n\r\n".encode()


def answered(cloud: Cloud, connection: socket.socket) -> bytes:
    """Return the body of the answer to that request."""
    connection.sendall(asking(cloud))
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.read()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cloud]:
    """A server of the test's own, that it may stop or kill."""
    environment = os.environ.get("TMPDIR")
    with warm.running() as cloud:
        yield cloud
    assert os.environ.get("TMPDIR") == environment


def test_the_command_prints_ready_and_the_address_and_nothing_else() -> None:
    command = [sys.executable, "-m", "builders.cloud", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        url = line.removeprefix("ready ").strip()
        assert line == f"ready {url}\n"
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}/_stackferry/ca.pem") as page:
            assert page.read().startswith(b"-----BEGIN CERTIFICATE-----")
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
        assert server.stdout.read() == ""


def test_it_listens_on_this_machine_only(own: Cloud) -> None:
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    addresses = {line.split()[1].split(":")[0] for line in listening if line.split()[1].endswith(f":{own.port:04X}")}
    assert addresses == {"0100007F"}, "127.0.0.1, in the kernel's notation"


def test_a_port_in_use_is_one_line_and_exit_code_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "builders.cloud", "--port", str(port)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"builders.cloud: port {port} on 127.0.0.1 cannot be used")
    assert answer.stderr.count("\n") == 1
    assert answer.stdout == ""


def test_a_caller_hears_in_one_line_why_the_server_did_not_start() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CloudError, match=f"did not start: port {port} on 127.0.0.1 cannot be used"), running(port):
            pass


def test_a_state_directory_that_cannot_be_written_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "builders.cloud", "--port", "0", "--state-dir", str(tmp_path / "file")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "cannot be written" in answer.stderr


def test_sigterm_ends_the_databases_and_leaves_no_directory(own: Cloud, database: Template) -> None:
    Account(own, "111111111111").deploy(database)
    family = children(own.pid)
    begin = time.monotonic()
    os.kill(own.pid, signal.SIGTERM)
    assert gone({own.pid, *family})
    assert time.monotonic() - begin < 30
    assert list((own.state_directory / "rds").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the signal at a parent's death is Linux's")
def test_the_databases_end_with_a_server_that_is_killed(own: Cloud, database: Template) -> None:
    Account(own, "111111111111").deploy(database)
    family = children(own.pid)
    assert family, "the database has a process"
    os.kill(own.pid, signal.SIGKILL)
    assert gone({own.pid, *family})


def test_a_killed_caller_takes_the_server_and_its_directory_with_it() -> None:
    program = (
        "import os, signal\n"
        "from builders.cloud.process import running\n"
        "with running() as cloud:\n"
        "    print(cloud.pid, cloud.state_directory, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    caller = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    pid, directory = caller.stdout.split()
    assert gone({int(pid)})
    assert not Path(directory).exists()


def test_a_directory_of_the_callers_own_stays(tmp_path: Path) -> None:
    with warm.running(state_directory=tmp_path / "state") as cloud:
        authority = cloud.ca_file.read_text()
    assert (tmp_path / "state" / "ca.pem").read_text() == authority


def test_it_stays_small_with_three_phases(database: Template) -> None:
    queues = {f"Queue{number}": {"Type": "AWS::SQS::Queue"} for number in range(60)}
    with running() as started:
        for number in ("111111111111", "222222222222", "333333333333"):
            Account(started, number).deploy({**database, **queues})
        status = Path(f"/proc/{started.pid}/status").read_text()
    kilobytes = int(status.split("VmRSS:")[1].split()[0])
    assert kilobytes < 300 * 1024


def test_a_caller_loads_neither_ministack_nor_boto3() -> None:
    program = "import sys, builders.cloud.process\nassert not {'ministack', 'boto3', 'cfnlint'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_the_next_request_is_answered_on_the_same_connection(cloud: Cloud) -> None:
    with socket.create_connection(("127.0.0.1", cloud.port)) as connection:
        assert [answered(cloud, connection) for _ in range(2)] == [cloud.ca_file.read_bytes()] * 2


def test_a_long_answer_is_whole(cloud: Cloud, account: Account) -> None:
    bucket, body = account.client("s3"), os.urandom(3 << 20)
    bucket.create_bucket(Bucket=f"long-{account.number}")
    bucket.put_object(Bucket=f"long-{account.number}", Key="key", Body=body)
    assert bucket.get_object(Bucket=f"long-{account.number}", Key="key")["Body"].read() == body


def test_a_connection_that_is_idle_is_closed_after_five_seconds_and_not_while_it_is_asked(cloud: Cloud) -> None:
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=60) as connection:
        time.sleep(3)
        begin = time.monotonic()
        assert answered(cloud, connection)
        assert connection.recv(1) == b""
        assert time.monotonic() - begin > 4.9


def test_a_connection_that_is_idle_is_closed_when_the_server_stops() -> None:
    with running() as started, socket.create_connection(("127.0.0.1", started.port), timeout=60) as connection:
        answered(started, connection)
        os.kill(started.pid, signal.SIGTERM)
        assert connection.recv(1) == b""
