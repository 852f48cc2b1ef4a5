"""The process that forks the workers has no threads, and where it is gone a worker starts by itself."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import workers
from warm_command import capture, order

COUNTING = "import os; print(len(os.listdir(f'/proc/{os.getppid()}/task')))"


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_the_process_that_forks_the_workers_has_no_thread_though_ministack_starts_one(tmp_path: Path) -> None:
    imports = tmp_path / "test_imports.py"
    imports.write_text("import ministack.services.dynamodb\n", encoding="utf-8")
    path = str(tmp_path / "socket")
    command = [sys.executable, workers.__file__, "serve", path, str(imports)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()
        _, *counted = capture(path, order(["-u", "-c", COUNTING]))
        server.communicate()
    assert counted == ["1\n", ""]


def _hang_up(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.close()


@pytest.mark.parametrize("gone", ["before it is asked", "while it is asked"])
def test_a_worker_that_nobody_forks_starts_by_itself_and_says_so(gone: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        closing = threading.Thread(target=_hang_up, args=[listener])
        if gone == "while it is asked":
            closing.start()
        else:
            listener.close()
        command = [sys.executable, workers.__file__, path, "-u", "-c", "print(input())"]
        said = subprocess.run(command, input="read\n", capture_output=True, text=True, check=False)
        if gone == "while it is asked":
            closing.join()
    assert (said.returncode, said.stdout) == (0, "read\n")
    assert said.stderr.startswith("a worker imports the tests by itself, since nobody forks it: ")
