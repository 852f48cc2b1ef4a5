"""Which processes a program has left behind, whoever their parent is: they inherited the mark of its test."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60
"""Servers end at once, an AWS CLI or a rollout under way when it finds nobody to talk to, after a few retries."""


def marked(path: Path) -> Mapping[str, str]:
    """The environment of whatever is started, with a mark that no other test has."""
    return os.environ | {"STACKFERRY_TEST": str(path)}


def bear_mark() -> None:
    """Let this process be found by the mark in os.environ though it was forked: the system goes on showing the
    variables of the process that it was forked from, but a name is its own."""
    if "STACKFERRY_TEST" in os.environ:
        Path("/proc/self/comm").write_text(_name(os.environ["STACKFERRY_TEST"]), encoding="utf-8")


def _name(path: str) -> str:
    longest = 15
    return hashlib.sha256(path.encode()).hexdigest()[:longest]


def started_by(path: Path) -> set[int]:
    """The processes that bear a mark."""
    mark, name = f"STACKFERRY_TEST={path}".encode(), _name(str(path)).encode()
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            marked = mark in (entry / "environ").read_bytes().split(b"\0")
            if marked or (entry / "comm").read_bytes().strip() == name:
                found.add(int(entry.name))
        except OSError:  # gone meanwhile
            continue
    return found


def gone_in_time(path: Path) -> bool:
    """True where all of them end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if not started_by(path):
            return True
        time.sleep(0.1)
    return False


def end_when(
    line: str,
    how: signal.Signals,
    command: Sequence[str],
    path: Path,
    variables: Mapping[str, str] | None = None,
    start: Callable[..., Any] = subprocess.Popen,
) -> int:
    """Start a program with the mark of a path, send it a signal once it writes a line with some words, and return its
    exit code when everything that it has started is gone."""
    environment = {**marked(path), **(variables or {})}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    program = start(command, **pipes, text=True, env=environment)
    with program.stdin, program.stdout:
        lines = []
        for written in program.stdout:
            lines.append(written)
            if line in written:
                break
        assert started_by(path) > {program.pid}, "".join(lines)
        program.send_signal(how)
        lines.append(program.stdout.read())
    code = int(program.wait())
    assert gone_in_time(path), "".join(lines)
    return code
