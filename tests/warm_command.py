"""A command for a shell without its start: `python warm_command.py MODULE ...` is run by the process of tests/warm.py.

It imports next to nothing: its own start is what is left of that of the command.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

ADDRESS = "WARM_PYTHON"
"""The variable that names the socket of the process that forks; workers of pytest-xdist find that of their parent."""

COLD = "COLD_PYTHON"
"""The variable with a part of the command that starts a Python of its own."""

PROGRAMS = "WARM_PROGRAMS"
"""The variable that names the modules whose `python -m` goes without its start: see warm_cli/sitecustomize.py."""

KILLED = 137
"""The code of a command that ended without one."""


def ask(address: str, order: dict[str, Any], descriptors: Sequence[int]) -> int:
    """Have a command run with three descriptors as its streams; return its code when it is gone."""
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rw") as stream:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps({**order, "answer": True}).encode() + b"\n"], descriptors)
        stream.readline()
        print("go", file=stream, flush=True)
        return int(stream.read() or KILLED)


def hand_over(arguments: Sequence[str]) -> NoReturn:
    """Have a module run with its arguments in place of this process, and end as it does."""
    order = {"arguments": list(arguments), "environment": dict(os.environ), "directory": os.getcwd()}
    os._exit(ask(os.environ[ADDRESS], order, (0, 1, 2)))


if __name__ == "__main__":
    cold = os.environ.get(COLD)
    if cold and cold in " ".join(sys.argv):
        os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
    hand_over(sys.argv[1:])
