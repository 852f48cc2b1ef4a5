"""A cut-over around tasks of the embedded DMS that is killed, and run again, keeps what was promised.

It is a sample; tests/migration/test_kill.py kills at every point, around a stand-in for DMS.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

import pytest
from forking import KILLED, server

from builders.cloud.process import Cloud

from .cutover_scene import done, forward, phase_both_ways, writing
from .dms_rig import Pair
from .test_migration_begins import Commands

TABLES = 3


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """Run the process that forks what is killed."""
    with server("cloud.killed_command") as started:
        yield started


def run(commands: Commands, process: subprocess.Popen[str], kind: str, point: str) -> tuple[int, str]:
    """Run a command until its end or its point, and return its status and what it said."""
    said = commands.outputs_dir / "said.txt"
    said.unlink(missing_ok=True)
    address = f"127.0.0.1:{commands.pair.site.source.server.port}"
    words = [kind, "--phase", "rig", "--outputs-dir", str(commands.outputs_dir), "--source-address", address, "--yes",
             "--poll", "0.1"]  # fmt: skip
    order = {"words": words, "environment": commands.environment, "point": point, "said": str(said)}
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    return int(process.stdout.readline()), said.read_text()


def test_killed_before_the_fence_after_the_marker_and_around_the_opening_no_promise_is_broken(
    lasting: Pair, cloud: Cloud, process: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    commands = phase_both_ways(lasting, cloud, tmp_path_factory.mktemp("outputs"), TABLES)
    done(commands, "schema")
    forward(commands)

    def killed(kind: str, *points: str) -> None:
        """Kill a command at a point, and then those that go on with it; the last goes on to its end."""
        for point in points:
            status, said = run(commands, process, kind, point)
            assert status == KILLED, f"{kind} does not come to {point}: {said}"
        status, said = run(commands, process, kind, "")
        assert (status, f"{kind}-" in said) == (0, True), said

    with writing(lasting, TABLES) as writer:
        writer.start()
        writer.wait_for("source")
        since = time.monotonic()
        killed("cutover", "before the fence", "after the marker")
        writer.wait_for("target")
        writer.hold("target", since)
        since = time.monotonic()
        killed("fallback", "after the marker")
        writer.wait_for("source")
        writer.hold("source", since)
        with writer.resting():
            forward(commands)
        since = time.monotonic()
        killed("cutover", "before the opening", "after the opening")
        writer.wait_for("target")
        writer.hold("target", since)
