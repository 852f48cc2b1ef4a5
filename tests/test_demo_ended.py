"""A demo that is interrupted or killed leaves nothing running."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import aws_cli
import pytest
from leftovers import gone_in_time, marked, started_by


@pytest.mark.parametrize(
    ("how", "when"),
    [
        (signal.SIGTERM, "--stack-name artifacts"),  # the source runs by now
        (signal.SIGKILL, "--stack-name endpoints"),  # the database too
        (signal.SIGINT, "transactions acknowledged"),  # rows move by now
    ],
)
def test_a_demo_that_is_ended_leaves_no_process_behind(tmp_path: Path, how: signal.Signals, when: str) -> None:
    command = [sys.executable, "-m", "builders.demo", "--outputs-dir", str(tmp_path), "--no-check"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**marked(tmp_path), **aws_cli.variables(cold=when)},
    ) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(line)
            if when in line:
                break
        assert started_by(tmp_path) > {child.pid}, "".join(lines)
        child.send_signal(how)
        child.stdout.read()
    assert gone_in_time(tmp_path)
