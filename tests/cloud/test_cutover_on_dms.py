"""The commands verify, cutover, fallback and finish around tasks of the embedded DMS, with writers that never stop."""

from __future__ import annotations

import time
from typing import Any, Literal

import pytest

from builders.cloud.process import Cloud
from builders.migration import phase

from .cutover_scene import done, forward, phase_both_ways, writing
from .dms_rig import Pair

TABLES = 50
MOST_STATEMENTS = 4 * TABLES
MOST_SECONDS = 60.0
"""Without writes, from the first login that is closed to the opening: on a busy machine; alone it takes two."""


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of the commands of the test so far."""
    passed: list[str] = []

    def observe(moment: Literal["before", "after"], statement: str) -> None:
        if moment == "before":
            passed.append(statement)

    class Observed(phase.Phase):
        def __init__(self, options: phase.PhaseOptions) -> None:
            super().__init__(options, None, observe)

    monkeypatch.setattr(phase, "Phase", Observed)
    return passed


def of_the_outage(statements: list[str], outcome: dict[str, Any]) -> list[str]:
    """The statements of a command from the step that closes to the end of the one that opens.

    The journal has an entry for the run, and two for each step. The marker is asked for until DMS has brought it.
    """
    entries = [at for at, each in enumerate(statements) if each.startswith("INSERT INTO stackferry_state.journal")]
    steps = [each["step"] for each in outcome["steps"]]
    assert len(entries) == 2 + 2 * len(steps)
    first, last = entries[1 + 2 * steps.index("fence")], entries[2 + 2 * steps.index("open")]
    return [each for each in statements[first:last] if "stackferry.marker" not in each]


def test_there_and_back_and_there_again_no_write_is_lost_and_the_outage_is_short(
    lasting: Pair, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory, statements: list[str]
) -> None:
    """The statements in an outage are the command's own doing; its seconds depend on the machine, too."""

    def switched(*words: str) -> None:
        statements.clear()
        outcome = done(commands, *words, "--yes", "--json", "--poll", "0.1")
        within = of_the_outage(statements, outcome)
        assert TABLES < len(within) < MOST_STATEMENTS, within
        assert outcome["writeOutageSeconds"] < MOST_SECONDS, outcome

    commands = phase_both_ways(lasting, cloud, tmp_path_factory.mktemp("outputs"), TABLES)
    done(commands, "schema")
    forward(commands)
    with writing(lasting, TABLES) as writer:
        writer.start()
        writer.wait_for("source")
        code, _, said = commands("cutover")
        assert (code, "--yes answers yes to: " in said) == (2, True), said
        since = time.monotonic()
        switched("cutover", "--keep-reads")
        writer.wait_for("target")
        writer.hold("target", since)
        for refused in (("resume",), ("reload", "--yes"), ("start",), ("cutover", "--yes")):
            code, _, said = commands(*refused)
            assert (code, "target" in said) == (1, True), said
        since = time.monotonic()
        switched("fallback")
        writer.wait_for("source")
        writer.hold("source", since)
        with writer.resting():
            forward(commands)
        since = time.monotonic()
        switched("cutover")
        writer.wait_for("target")
        writer.hold("target", since)
    finished = done(commands, "finish", "--yes", "--json", "--report-dir", str(commands.outputs_dir))
    assert finished["open"] == "target"
