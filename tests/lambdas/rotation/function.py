"""Runs the handler in a process of its own that can be killed: a stand-in for Lambda's sandbox.

A parent process imports the function once, as a warm sandbox has, and forks for each invocation.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .secrets_manager import ENVIRONMENT

SOURCE = Path(__file__).parents[3] / "lambda" / "secret_rotation"
SHARED = SOURCE.parent / "shared"
GENEROUS_SECONDS = 30.0


@dataclass(frozen=True)
class Outcome:
    """The end of an invocation: error is None, the name of its error, or "killed"."""

    error: str | None
    message: str = ""
    output: str = ""
    seconds: float = 0.0


@dataclass
class Invocation:
    """A running invocation; `reply` becomes readable when it ends."""

    pid: int
    reply: socket.socket
    received: bytearray = field(default_factory=bytearray)
    ended: bool = False

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def suspend(self) -> None:
        self._signal(signal.SIGSTOP)
        time.sleep(0.001)  # The kernel stops a process that runs on another processor a moment later.

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def outcome(self) -> Outcome:
        """Wait for the end."""
        while block := self.reply.recv(65536):
            self.received += block
        self.ended = True
        self.reply.close()
        return Outcome(**json.loads(self.received)) if self.received else Outcome("killed")


class Function:
    """The rotation function, ready to be invoked."""

    def __init__(self, environment: dict[str, str], source: Path = SOURCE) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="function-")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._directory.name}/reply")
        self._listener.listen()
        self._replies: list[socket.socket] = []
        path = os.pathsep.join([str(source), str(source.parent / "shared"), str(Path(__file__).parents[2])])
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lambdas.rotation.sandbox", f"{self._directory.name}/reply"],
            env={**clean, **ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1", **environment, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
        )

    def start(self, event: Any, seconds: float = GENEROUS_SECONDS, **settings: Any) -> Invocation:
        """Invoke without waiting; `seconds` is what Lambda's context says is left, settings are variables."""
        assert self._process.stdin
        order = {"event": event, "seconds": seconds, "settings": settings}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        reply, _ = self._listener.accept()
        self._replies = [one for one in self._replies if one.fileno() >= 0] + [reply]
        return Invocation(int(reply.recv(16, socket.MSG_WAITALL)), reply)

    def invoke(self, event: Any, seconds: float = GENEROUS_SECONDS, **settings: Any) -> Outcome:
        return self.start(event, seconds, **settings).outcome()

    def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(20)
        for unread in self._replies:  # of invocations that were killed and never asked for their end
            unread.close()
        self._listener.close()
        self._directory.cleanup()
