"""Workers of pytest-xdist without their start: a process that has imported the tests forks each of them.

To import the tests and all that they use takes two thirds of the time in which a worker collects them. As a program,
`workers.py serve SOCKET TEST...` is this process, and `workers.py SOCKET -u -c CODE` stands in for the Python that
xdist starts: it hands its streams over, and ends with the worker. Where that process is gone, it starts Python.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import random
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

from forking import finish
from warm_command import Order, answer, ask, order


def specification(tests: Sequence[str]) -> str:
    """Return what xdist is told of a worker, and start the process that imports these tests and forks it."""
    directory = tempfile.TemporaryDirectory(prefix="workers-")
    path = f"{directory.name}/socket"
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", path, *tests], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout
    server.stdout.readline()
    atexit.register(directory.cleanup)
    atexit.register(server.communicate)  # the end of its input ends it
    return f"popen//python={shlex.join([sys.executable, __file__, path])}"


def _serve(path: str, tests: Sequence[str]) -> None:
    """Import the tests, and fork a worker for each connection as long as there is input."""
    import pytest  # a stand-in for a worker's Python needs none

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end this process
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("listening", flush=True)
        # It stays open, and pytest captures nothing: the import of ministack has logging write to what is stderr then.
        nowhere = open(os.devnull, "w")  # noqa: SIM115
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), _no_threads():
            pytest.main(["--collect-only", "--quiet", "--numprocesses=0", "--capture=no", "-pno:cacheprovider", *tests])
        gc.disable()  # until a worker has collected, as where it imports the tests itself
        gc.freeze()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while sys.stdin not in (ready := select.select([listener, sys.stdin], [], [])[0]):
            assert ready
            connection, _ = listener.accept()
            with connection:
                if not os.fork():
                    listener.close()
                    _work(connection)


@contextlib.contextmanager
def _no_threads() -> Iterator[None]:
    """Let no thread start, such as one of ministack's: no worker would have it, and a process with threads may hang
    where it is forked, of which Python warns from 3.12 on."""
    start = threading.Thread.start
    setattr(threading.Thread, "start", lambda self: None)  # noqa: B010 of another's class
    try:
        yield
    finally:
        setattr(threading.Thread, "start", start)  # noqa: B010


def _work(connection: socket.socket) -> NoReturn:
    """Be the worker whose streams and order come over a connection, which ends with this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    random.seed()
    ordered = Order(connection)
    os.environ.clear()
    os.environ.update(ordered.environment)
    answer(connection)
    connection.detach()  # closed at the very end, which the asker awaits
    *_, code = ordered.arguments
    exec(code, {"__name__": "__main__"})  # execnet's own line
    finish()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(sys.argv[2], sys.argv[3:])
    else:
        try:
            sys.exit(ask(sys.argv[1], order(sys.argv[2:]), (0, 1, 2)))
        except OSError as error:
            print(f"a worker imports the tests by itself, since nobody forks it: {error}", file=sys.stderr, flush=True)
            os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
