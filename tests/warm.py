"""Python programs of tests without their start: a process that has imported the libraries forks for each of them.

Starting Python and importing cfn-lint, psycopg and an HTTP server takes three quarters of the start of an embedded
cloud, and the tests start fifty. `running` is `builders.cloud.process.running` with a server that is forked so. Where
the start itself is tested, and in the programs that tests start, Python starts as it does for a person.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from builders.cfnlint_libraries import import_cfnlint
from builders.cloud import process

ADDRESS = "WARM_PYTHON"
"""The variable that names the socket of the process that forks; workers of pytest-xdist find that of their parent."""

# Not ministack, which reads its settings from the environment while it is imported.
LIBRARIES = (
    *("asyncio", "asyncio.sslproto", "boto3", "botocore.session", "botocore.loaders", "cfnlint.jsonschema"),
    *("cfnlint.schema", "cryptography.x509", "cryptography.hazmat.primitives.serialization.pkcs12", "defusedxml"),
    *("hypercorn.asyncio", "hypercorn.protocol", "jsonata", "multiprocessing", "pg8000.native", "psycopg"),
    *("psycopg.types.json", "regex", "yaml", "xml.etree.ElementTree"),
)


class Program:
    """A forked program, with what `running` uses of a Popen object."""

    def __init__(self, connection: socket.socket, stdin: int, stdout: int) -> None:
        self.stdin = os.fdopen(stdin, "w")
        self.stdout = os.fdopen(stdout)
        with connection.makefile("rw") as stream:
            self.pid = int(stream.readline())
            self._process = os.pidfd_open(self.pid)
            print("go", file=stream, flush=True)  # it waits for this, so that its number is no other's

    def poll(self) -> int | None:
        """Return None as long as it runs; nobody but its parent learns the code."""
        return 0 if select.select([self._process], [], [], 0)[0] else None

    def send_signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        if not select.select([self._process], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a forked program", timeout or 0)
        return 0

    def __del__(self) -> None:
        os.close(self._process)


def _fork(command: Sequence[str], *, stderr: Any, env: dict[str, str] | None = None, **_: Any) -> Any:
    """Stand in for subprocess.Popen. `command` begins with Python, -m and a module; stdin and stdout are pipes."""
    stdin, our_stdin = os.pipe()
    our_stdout, stdout = os.pipe()
    order = {"arguments": command[2:], "environment": dict(env or os.environ), "directory": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address())
        socket.send_fds(connection, [json.dumps(order).encode() + b"\n"], [stdin, stdout, stderr.fileno()])
        for descriptor in (stdin, stdout):
            os.close(descriptor)
        return Program(connection, our_stdin, our_stdout)


def _can_follow() -> bool:
    """Return whether the system tells of the end of a process that is no child."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


start: Any = _fork if _can_follow() else subprocess.Popen
running = functools.partial(process.running, start=start)


@functools.cache
def address() -> str:
    """Return the address of the process that forks, which is started unless our parent has one."""
    if ADDRESS in os.environ:
        return os.environ[ADDRESS]
    directory = tempfile.TemporaryDirectory(prefix="warm-python-")
    path = f"{directory.name}/socket"
    server = subprocess.Popen(
        [sys.executable, __file__, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the tests, which end it
    )
    assert server.stdout
    server.stdout.readline()
    atexit.register(directory.cleanup)
    atexit.register(server.communicate)  # the end of its input ends it
    return path


def _serve(path: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("listening", flush=True)
        import_cfnlint()
        for library in LIBRARIES:
            importlib.import_module(library)
        gc.freeze()  # a child that collects garbage would copy every page
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:  # its end is that of the tests
            connection, _ = listener.accept()
            with connection:
                if not os.fork():
                    listener.close()
                    os._exit(_run(connection))


def _run(connection: socket.socket) -> int:
    """Run the program that a connection asks for; returns its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    text, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 16)
    order = json.loads(text)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    with connection.makefile("rw") as stream:
        print(os.getpid(), file=stream, flush=True)
        stream.readline()
    connection.close()
    sys.argv = order["arguments"]
    code: Any = 0
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code or 0)


if __name__ == "__main__":
    _serve(sys.argv[1])
