"""A demo that is interrupted or killed leaves nothing running."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cli
import pytest
import warm
from leftovers import end_when


@pytest.mark.parametrize(
    ("how", "when", "start"),
    [
        (signal.SIGTERM, "--stack-name artifacts", warm.start),  # the source runs by now
        (signal.SIGKILL, "--stack-name endpoints", subprocess.Popen),  # the database too
        (signal.SIGINT, "transactions acknowledged", warm.start),  # rows move by now
    ],
)
def test_a_demo_that_is_ended_leaves_no_process_behind(
    tmp_path: Path, how: signal.Signals, when: str, start: Callable[..., Any]
) -> None:
    command = [sys.executable, "-m", "builders.demo", "--outputs-dir", str(tmp_path), "--no-check"]
    end_when(when, how, command, tmp_path, aws_cli.variables(cold=when), start)
