"""The commands verify, cutover, fallback and finish around tasks of the embedded DMS, with writers that never stop."""

from __future__ import annotations

import time

import pytest

from builders.cloud.process import Cloud

from .cutover_scene import done, forward, phase_both_ways, writing
from .dms_rig import Pair

TABLES = 50
MOST_SECONDS = 3.0
"""Without writes, from the first login that is closed to the opening, with a drained task."""


def test_there_and_back_and_there_again_no_write_is_lost_and_the_outage_is_short(
    lasting: Pair, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    commands = phase_both_ways(lasting, cloud, tmp_path_factory.mktemp("outputs"), TABLES)
    done(commands, "schema")
    forward(commands)
    with writing(lasting, TABLES) as writer:
        writer.start()
        writer.wait_for("source")
        code, _, said = commands("cutover")
        assert (code, "--yes is the answer yes" in said) == (2, True), said
        since = time.monotonic()
        there = done(commands, "cutover", "--yes", "--json", "--poll", "0.05", "--keep-reads")
        writer.wait_for("target")
        writer.hold("target", since)
        for refused in (("resume",), ("reload", "--yes"), ("start",), ("cutover", "--yes")):
            code, _, said = commands(*refused)
            assert (code, "target" in said) == (1, True), said
        since = time.monotonic()
        back = done(commands, "fallback", "--yes", "--json", "--poll", "0.05")
        writer.wait_for("source")
        writer.hold("source", since)
        with writer.resting():
            forward(commands)
        since = time.monotonic()
        again = done(commands, "cutover", "--yes", "--json", "--poll", "0.05")
        writer.wait_for("target")
        writer.hold("target", since)
    finished = done(commands, "finish", "--yes", "--json", "--report-dir", str(commands.outputs_dir))
    assert finished["open"] == "target"
    for outcome in (there, back, again):
        assert outcome["writeOutageSeconds"] < MOST_SECONDS, outcome
