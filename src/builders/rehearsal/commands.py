"""Calls `rollout-stacksets` as a person would: in this process, with the calls to AWS counted, or in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders.cloud.rds import guard
from builders.rehearsal.cloud import RehearsalCloud
from builders.rollout.aws.calls import ApiCall, Moment
from builders.rollout.aws.client import Client
from builders.rollout.aws.sessions import Access
from builders.rollout.cli import main
from builders.rollout.model import Permissions

INTERRUPTED = 130
ERROR = "rollout-stacksets: "
"""What the last line of a command that failed begins with."""

Observer = Callable[[Moment, ApiCall], None]


@dataclass(frozen=True)
class CommandResult:
    """What a command said, and its exit code."""

    code: int
    stdout: str
    stderr: str
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def data(self) -> Any:
        """The answer of a command that was called with --json."""
        return json.loads(self.stdout)

    @property
    def why(self) -> str:
        """The reason of its exit code: the one line of an error, else what it reported."""
        lines = self.stderr.strip().splitlines()
        if lines and lines[-1].startswith(ERROR):
            return lines[-1].removeprefix(ERROR)
        return self.stdout.strip() or "\n".join(lines[-3:]) or "it said nothing"


class RolloutCommand:
    """Calls commands with the tooling account's keys. `calls` are all that went to AWS, but for killed processes'."""

    def __init__(self, current: RehearsalCloud, templates: Path) -> None:
        self._current = current
        self.templates = templates
        self.calls: Counter[str] = Counter()

    def call(self, *arguments: str, observe: Observer | None = None) -> CommandResult:
        """Run one command here. Raises `KeyboardInterrupt` where it was interrupted."""
        clients: list[Client] = []

        def connect(*, profile: str | None = None, **given: Any) -> Client:
            clients.append(self.client(observe=observe, **given))
            return clients[-1]

        stdout, stderr = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = main.main(self._whole(arguments), connect=connect)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        calls = sum((client.counts() for client in clients), Counter[str]())
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

    def client(self, *, region: str, observe: Observer | None = None, **given: Any) -> Client:
        """A client with the tooling account's keys, pointed at the embedded cloud; nothing of the user's is read."""
        cloud = self._current.cloud
        access = Access(
            region, endpoint_url=cloud.endpoint_url, keys=(self._current.rollout.tooling.account, "embedded-cloud")
        )
        return Client(access, observe=observe, **given)

    def of_phase(self, phase: str, suffix: str) -> Client:
        """A client for looking at a phase from outside of any command."""
        rollout = self._current.rollout
        return self.client(
            region=rollout.home,
            permissions=Permissions(
                service_managed=rollout.stacksets.permission_model == "SERVICE_MANAGED",
                call_as=rollout.stacksets.call_as,
            ),
            phase=phase,
            suffix=suffix,
            deploy_role=rollout.deploy_role,
        )

    @contextlib.contextmanager
    def apart(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start one command in a process of its own, which does not outlive the block."""
        cloud, rollout = self._current.cloud, self._current.rollout
        environment = {**os.environ, **cloud.environment(rollout.tooling.account, rollout.home), "NO_COLOR": "1"}
        environment.pop("AWS_PROFILE", None)
        # Should we be killed ourselves, it ends with us and does not go on asking a cloud that is gone.
        guarded = (
            sys.executable,
            "-I",
            "-S",
            str(guard.__file__),
            str(os.getuid()),
            str(os.getgid()),
            str(os.getpid()),
        )
        child = subprocess.Popen(
            [*guarded, sys.executable, "-m", "builders.rollout.cli.main", *self._whole(arguments)],
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

    def _whole(self, arguments: tuple[str, ...]) -> list[str]:
        return ["--file", str(self._current.file), "--templates-dir", str(self.templates), *arguments]
