"""Calls `rollout-stacksets` as a person would, in this process with its calls to AWS counted, or in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders.aws.calls import Access, ApiCalls, CallObserver
from builders.cloud.rds import guard
from builders.command_line import INTERRUPTED
from builders.rehearsal.cloud import RehearsalCloud
from builders.rollout.cli import main
from builders.rollout.client import Client
from builders.rollout.phase import phase_client

ERROR = "rollout-stacksets: "
"""Begins the last line of a command that failed."""


@dataclass(frozen=True)
class CommandResult:
    """The output of a command, its exit code, and its calls to AWS by operation."""

    code: int
    stdout: str
    stderr: str
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def data(self) -> Any:
        """The output of a command that was called with --json."""
        return json.loads(self.stdout)

    @property
    def reason(self) -> str:
        """The reason for the exit code: the line of the error, else the stacks that failed, else the report."""
        lines = self.stderr.strip().splitlines()
        if lines and lines[-1].startswith(ERROR):
            return lines[-1].removeprefix(ERROR)
        if self.stdout.startswith("[") and (failed := [each for each in self.data if each.get("reason")]):
            return "; ".join(f"{each['stack']}: {each['reason']}" for each in failed)
        return self.stdout.strip() or "\n".join(lines[-3:]) or "no output"


class RolloutRunner:
    """Calls commands with the tooling account's keys. `calls` counts calls to AWS from this process."""

    def __init__(self, prepared: RehearsalCloud, templates: Path) -> None:
        self.prepared = prepared
        self.templates = templates
        self.calls: Counter[str] = Counter()

    def call(self, *arguments: str, observe: CallObserver | None = None) -> CommandResult:
        """Run one command in this process. Raises `KeyboardInterrupt` where it was interrupted."""
        opened: list[ApiCalls] = []

        def open_api(region: str, _profile: str | None) -> ApiCalls:
            opened.append(self.open_api(region, observe))
            return opened[-1]

        stdout, stderr = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = main.main(self._all_arguments(arguments), open_api=open_api)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        calls = sum((api.counts for api in opened), Counter[str]())
        self.calls += calls
        return CommandResult(code, stdout.getvalue(), stderr.getvalue(), calls)

    def check(self) -> CommandResult:
        """Run build-templates --check, in a process of its own: it loads much that nothing else here needs."""
        finished = subprocess.run(
            [sys.executable, "-m", "builders.build", "--check", "--templates-dir", str(self.templates)],
            capture_output=True,
            text=True,
            check=False,
        )
        return CommandResult(finished.returncode, finished.stdout, finished.stderr)

    def open_api(self, region: str, observe: CallObserver | None = None) -> ApiCalls:
        """Make calls with the tooling account's keys; no AWS configuration of the user is read."""
        cloud, account = self.prepared.cloud, self.prepared.rollout.tooling.account
        access = Access(region, endpoint_url=cloud.endpoint_url, keys=(account, cloud.secret_access_key(account)))
        return ApiCalls(access, observe)

    def phase_client(self, phase: str, suffix: str) -> Client:
        """A client that reads a phase outside of any command."""
        rollout = self.prepared.rollout
        return phase_client(self.open_api(rollout.home), rollout, phase, suffix)

    @contextlib.contextmanager
    def process(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start one command in a process of its own, which ends with the block."""
        cloud, rollout = self.prepared.cloud, self.prepared.rollout
        environment = {**os.environ, **cloud.environment(rollout.tooling.account, rollout.home), "NO_COLOR": "1"}
        environment.pop("AWS_PROFILE", None)
        # If this process is killed, the guard ends the command too, which would otherwise go on asking a dead cloud.
        owner = (str(os.getuid()), str(os.getgid()), str(os.getpid()))
        guarded = (sys.executable, "-I", "-S", str(guard.__file__), *owner)
        child = subprocess.Popen(
            [*guarded, sys.executable, "-m", "builders.rollout.cli.main", *self._all_arguments(arguments)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield child
        finally:
            child.kill()
            child.communicate()

    def _all_arguments(self, arguments: tuple[str, ...]) -> list[str]:
        return ["--file", str(self.prepared.file), "--templates-dir", str(self.templates), *arguments]
