"""Processes of Lambda functions, forked by one process of the server that has imported boto3 for all of them.

ministack starts a Python for each function, which imports boto3 for a quarter of a second. `start` stands in for
subprocess.Popen; forker.py is the process that forks. A function begins as if Python had started for it alone,
or Python does start for it: where its package brings a module that is imported already, in another form, or that was
looked for in vain, where it has layers, and where a variable is set otherwise that Python reads when it starts. So it
is for all functions where the system cannot follow a process that is no child of ours.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builders.cloud import forker

IMPORTED = ("botocore.handlers", "boto3")
"""The modules that are imported before a function is there: ministack imports the first for every function."""

_LAYERS = "_LAMBDA_LAYERS_DIRS"
_READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC_", "GLIBC_", "OPENSSL_", "HOME")
"""The beginnings of variables that Python, botocore and the libraries of the system read when they are loaded."""
_STOP_SECONDS = 5.0


def can_follow() -> bool:
    """Return whether the system tells of the end of a process that is no child."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


class Process:
    """A process that another one has forked, with what is used of a Popen object."""

    returncode = 0
    """The code of a process that has ended; who forked it does not tell."""

    def __init__(self, pid: int, descriptor: int, streams: Sequence[int]) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self.stdin = os.fdopen(streams[0], "w", buffering=1)
        self.stdout, *more = (os.fdopen(each) for each in streams[1:])
        self.stderr = more[0] if more else None

    def poll(self) -> int | None:
        """Return None as long as it runs, then its code."""
        return self.returncode if self._has_ended(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Return its code once it has ended. Raises TimeoutExpired."""
        if not self._has_ended(timeout):
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return self.returncode

    def _has_ended(self, timeout: float | None) -> bool:
        waiting = select.poll()  # select knows the first 1024 descriptors only
        waiting.register(self._descriptor, select.POLLIN)
        return bool(waiting.poll(None if timeout is None else timeout * 1000))

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def __del__(self) -> None:
        """Forget it."""
        os.close(self._descriptor)


class _Begun:
    """The process that forks, as long as it runs."""

    def __init__(self, python: str) -> None:
        self.variables = _read_at_start(os.environ)
        self.orders, theirs = socket.socketpair()
        with theirs:
            command = [python, forker.__file__, str(theirs.fileno()), *IMPORTED]
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        (self.files, missing), _ = forker.receive(self.orders)
        self.missing = frozenset(missing)

    def end(self) -> None:
        """End it, and with it all that it has forked."""
        self.orders.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def fits(self, directory: Path, variables: Mapping[str, str]) -> bool:
        """Return whether a function would find in a Python of its own what it finds in a forked one."""
        if variables.get(_LAYERS) or _read_at_start(variables) != self.variables:
            return False
        packaged = {each.name.partition(".")[0] for each in directory.iterdir()}
        if packaged & self.missing:
            return False
        imported = {name: file for name, file in self.files.items() if name.partition(".")[0] in packaged}
        return all(_is_the_same(directory, name, Path(file)) for name, file in imported.items())

    def fork(self, order: Sequence[Any]) -> Process:
        """Fork for an order. Raises OSError or EOFError where the process has ended."""
        pairs = [os.pipe() for _ in range(forker.STREAMS)]
        pairs[0] = pairs[0][::-1]
        try:
            forker.send(self.orders, order, [theirs for _, theirs in pairs])
            pid, descriptors = forker.receive(self.orders)
        except (OSError, EOFError):
            for ours, _ in pairs:
                os.close(ours)
            raise
        finally:
            for _, theirs in pairs:
                os.close(theirs)
        return Process(pid, descriptors[0], [ours for ours, _ in pairs])


def _read_at_start(variables: Mapping[str, str]) -> dict[str, str]:
    # The Python of functions has a PYTHONPATH of its own (lambda_.py).
    found = {name: value for name, value in variables.items() if name.startswith(_READ_AT_START)}
    return {name: value for name, value in found.items() if name != "PYTHONPATH"}


def _is_the_same(directory: Path, name: str, file: Path) -> bool:
    """Return whether a package has the very module that was imported from a file."""
    theirs = directory.joinpath(*name.split("."))
    theirs = theirs / file.name if file.name == "__init__.py" else theirs.with_name(f"{theirs.name}.py")
    return theirs.is_file() and filecmp.cmp(file, theirs, shallow=False)


class Forker:
    """Starts the process that forks for the first function, and again where it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: _Begun | None = None

    def start(self, command: Sequence[str], **options: Any) -> Process | subprocess.Popen[str]:
        """Stand in for subprocess.Popen; `command` is the Python of functions and a script, stdin to stderr are pipes.

        Raises OSError where nothing can be started.
        """
        python, script = command
        with self._lock, contextlib.suppress(OSError, EOFError):
            if self._begun is None or self._begun.process.poll() is not None:
                self._begun = _Begun(python)
            if self._begun.fits(Path(options["cwd"]), options["env"]):
                return self._begun.fork([script, options["cwd"], options["env"]])
        return subprocess.Popen(command, **options)

    def close(self) -> None:
        """End the process that forks, and with it all functions."""
        with self._lock:
            if self._begun:
                self._begun.end()
            self._begun = None


functions = Forker()
