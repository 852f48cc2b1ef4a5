"""The progress of a run on a terminal and in a pipe."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from rich.cells import cell_len
from rich.console import Console

from builders.rollout.executor.context import Clock, Observer
from builders.rollout.model import Operation, Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Group
from builders.rollout.render.progress import ProgressLines, ProgressTable, drawing, observing
from rollout.planned import names, plan, some_targets, targets, update

SRC = Path(__file__).parents[2] / "src"
HERE, THERE = targets(1)


class StoppedClock(Clock):
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


class Gone(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(clock: StoppedClock, log: io.StringIO) -> ProgressLines:
    return ProgressLines(clock, log, lambda: "12:00:00Z")


@pytest.fixture
def table(clock: StoppedClock) -> ProgressTable:
    return ProgressTable("apply of phase prod", clock, update(2))


def step(layer: str = "network", action: Action = Action.UPDATE, accounts: int = 1) -> Call:
    regions = ("us-east-1", "eu-west-1")
    return Call(
        action, layer, f"stackferry-{layer}-prod", tuple(target.account for target in targets(accounts)[::2]), regions
    )


def drawn(table: ProgressTable, width: int = 80, height: int = 40) -> list[str]:
    return table.draw(width, height).plain.split("\n")


def row(table: ProgressTable, account: str) -> list[list[str]]:
    """The cells of an account, a list a region."""
    return [line.split()[1:] for line in drawn(table) if line.strip().startswith(account)]


def operate(watch: Observer, status: str, operation_id: str = "r-network-1", **more: Any) -> None:
    watch.operation(step(), Operation(operation_id, "UPDATE", status, **more))


def test_a_pipe_gets_a_line_an_event(lines: ProgressLines, log: io.StringIO) -> None:
    lines.wave("canary", 2)
    lines.submitted(step(), "r-network-1")
    operate(lines, "RUNNING")
    operate(lines, "STOPPING")
    operate(lines, "FAILED", failed=1)
    lines.targets("database", {HERE: "skipped", THERE: "CURRENT"})
    lines.say("waiting for another operation")
    assert log.getvalue().splitlines() == [
        "12:00:00Z wave canary: 2 targets",
        "12:00:00Z network: UpdateStackInstances at 111111111111 in eu-west-1 and us-east-1, operation r-network-1",
        "12:00:00Z network: operation r-network-1 STOPPING",
        "12:00:00Z network: operation r-network-1 FAILED, 1 instance failed",
        f"12:00:00Z database: skipped at {HERE}",
        "12:00:00Z waiting for another operation",
    ]


def test_an_operation_that_does_not_change_says_nothing_new(
    lines: ProgressLines, log: io.StringIO, clock: StoppedClock
) -> None:
    for _ in range(100):
        clock.wait(0.2)
        operate(lines, "RUNNING")
    for _ in range(3):
        operate(lines, "SUCCEEDED")
    assert log.getvalue().splitlines() == [
        "12:00:00Z network: operation r-network-1 RUNNING",
        "12:00:00Z network: operation r-network-1 SUCCEEDED",
    ]


def test_a_summary_comes_no_more_than_every_thirty_seconds(
    lines: ProgressLines, log: io.StringIO, clock: StoppedClock
) -> None:
    lines.wave("canary", 2)
    for _ in range(90):
        clock.wait(1)
        operate(lines, "RUNNING")
    summaries = [line for line in log.getvalue().splitlines() if "under way" in line]
    assert summaries == [
        f"12:00:00Z wave canary, {passed}: 1 layer under way (network), 0 operations ended"
        for passed in ("30 s", "1 min 00 s", "1 min 30 s")
    ]


def test_a_reason_with_line_breaks_stays_one_line(lines: ProgressLines, log: io.StringIO) -> None:
    lines.operation(step(), Operation("r-1", "UPDATE", "FAILED", reason="no\nrole\x1b[2J"))
    assert log.getvalue() == "12:00:00Z network: operation r-1 FAILED: no role\\x1b[2J\n"


def test_a_reader_who_went_away_does_not_end_the_rollout(clock: StoppedClock) -> None:
    watch = ProgressLines(clock, Gone(), lambda: "")
    watch.wave("canary", 2)
    watch.say("nobody reads this")


def test_a_pipe_asks_for_no_details_and_a_table_does(lines: ProgressLines, table: ProgressTable) -> None:
    assert (lines.detailed, table.detailed) == (False, True)


def test_a_pipe_is_watched_by_lines() -> None:
    with observing() as watch:
        assert isinstance(watch, ProgressLines)


def test_a_table_begins_with_what_the_plan_says(table: ProgressTable) -> None:
    assert row(table, "111111111111") == [["ok", ".", ".", "."], ["ok", ".", ".", "."]]


def test_a_table_follows_operations_and_instances(table: ProgressTable) -> None:
    table.submitted(step(), "r-network-1")
    assert row(table, "111111111111") == [["ok", "run", ".", "."], ["ok", "run", ".", "."]]
    operate(table, "SUCCEEDED")
    table.targets("database", {HERE: "FAILED", THERE: "skipped"})
    assert row(table, "111111111111") == [["ok", "ok", "FAIL", "."], ["ok", "ok", "skip", "."]]


def test_an_operation_that_failed_somewhere_leaves_its_instances_to_be_looked_at(table: ProgressTable) -> None:
    table.submitted(step(), "r-network-1")
    operate(table, "SUCCEEDED", failed=1)
    assert row(table, "111111111111") == [["ok", "run", ".", "."], ["ok", "run", ".", "."]]
    assert drawn(table)[1] == "0 operations under way, 1 ended, 1 not successful"


def test_instances_that_are_deleted_leave_the_table(clock: StoppedClock) -> None:
    made = plan(Group("leaving", "network", ChangeKind.DELETE, targets(2)), layers=("network",))
    table = ProgressTable("remove", clock, made)
    deletion = step(action=Action.DELETE)
    table.submitted(deletion, "r-1")
    table.operation(deletion, Operation("r-1", "DELETE", "SUCCEEDED"))
    assert row(table, "111111111111") == []
    assert row(table, "111111111112") == [["."], ["."]]


def test_a_table_shows_the_wave_the_operations_and_the_messages(table: ProgressTable, clock: StoppedClock) -> None:
    table.wave("canary", 2)
    table.submitted(step(), "r-network-1")
    clock.wait(125)
    table.say("waiting for another operation")
    lines = drawn(table)
    assert lines[:2] == ["apply of phase prod, 2 min 05 s; wave canary: 2 targets", "1 operation under way, 0 ended"]
    assert lines[-2:] == [
        "network: UpdateStackInstances in 1 account, 2 min 05 s  r-network-1",
        "waiting for another operation",
    ]


def test_three_thousand_instances_are_a_row_a_layer(clock: StoppedClock) -> None:
    table = ProgressTable("apply", clock, update(1_500))
    table.submitted(step(accounts=1_000), "r-1")
    table.operation(step(accounts=1_000), Operation("r-1", "UPDATE", "SUCCEEDED"))
    assert [line for line in drawn(table) if "network" in line] == [
        "  network    [#############.......] 2,000 of 3,000, 1,000 pending"
    ]


def test_the_bar_is_not_full_before_the_last_one(clock: StoppedClock) -> None:
    table = ProgressTable("apply", clock, update(1_500))
    table.targets("network", dict.fromkeys(targets(1_500)[1:], "CURRENT"))
    assert "  network    [###################.] 2,999 of 3,000, 1 pending" in drawn(table)


@given(
    st.lists(
        st.tuples(names, some_targets, st.one_of(names, st.sampled_from(["CURRENT", "FAILED"])), names), max_size=5
    ),
    st.integers(40, 200),
    st.integers(1, 60),
)
@settings(deadline=None)
def test_whatever_happens_fits_the_terminal(
    events: list[tuple[str, tuple[Target, ...], str, str]], width: int, height: int
) -> None:
    table = ProgressTable("apply", Clock(), None)
    for layer, where, word, said in events:
        table.wave(said, len(where))
        table.submitted(step(layer), said)
        table.targets(layer, dict.fromkeys(where, word))
        table.operation(step(layer), Operation(said, "", word))
        table.say(said)
    lines = drawn(table, width, height)
    assert [line for line in lines if cell_len(line) > width] == []
    assert len(lines) < max(height, 12)


def test_long_lines_leave_the_head_of_the_table_in_sight(table: ProgressTable) -> None:
    for _ in range(5):
        table.say("a reason of many words " * 40)
    lines = drawn(table, height=20)
    assert len(lines) == 19
    assert lines[0].startswith("apply of phase prod")


def test_many_threads_may_report_while_it_is_drawn(table: ProgressTable) -> None:
    def report(number: int) -> None:
        for turn in range(50):
            table.targets(f"layer{number}", {Target(f"{turn:012}", "us-east-1"): "CURRENT"})
            table.say(f"{number}/{turn}")

    threads = [threading.Thread(target=report, args=(number,)) for number in range(4)]
    with drawing(table, Console(file=io.StringIO(), force_terminal=True)):
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            table.draw(80, 40)
    assert [line for line in drawn(table) if line.strip().startswith("layer")] == [
        f"  layer{number}     [####################] 50 of 50" for number in range(4)
    ]


def test_the_terminal_is_sane_after_an_interrupt() -> None:
    """A child draws on a terminal of its own, is interrupted there, and gives the cursor back."""
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in what a shell put into the background
        "from builders.rollout.render.progress import observing\n"
        "try:\n"
        "    with observing('apply of phase prod') as watch:\n"
        "        watch.say('begun')\n"
        "        time.sleep(300)\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(SRC), "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen([sys.executable, "-c", program], stderr=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        deadline = time.monotonic() + 120
        while b"begun" not in shown and time.monotonic() < deadline:
            shown += os.read(ours, 4_096)
        child.send_signal(signal.SIGINT)
        shown += _rest(ours)
        assert child.wait(60) == 130
    os.close(ours)
    assert b"\x1b[?25l" in shown, "the cursor was hidden while it drew"
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l")
    assert shown.endswith((b"\n", b"\x1b[?25h"))


@pytest.mark.parametrize(
    ("set_by_the_user", "watch"),
    [
        ({"TERM": "xterm-256color"}, "ProgressTable"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "ProgressLines"),
        ({"TERM": "dumb"}, "ProgressLines"),
    ],
    ids=["a terminal", "a terminal without colours", "a terminal that draws nothing"],
)
def test_a_terminal_is_watched_by_what_it_can_show(set_by_the_user: dict[str, str], watch: str) -> None:
    program = (
        "from builders.rollout.render.progress import observing\n"
        "with observing() as watch:\n"
        "    print(type(watch).__name__)"
    )
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment |= {"PYTHONPATH": str(SRC), **set_by_the_user}
    ran = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True, text=True
    )
    os.close(theirs)
    os.close(ours)
    assert ran.stdout.strip() == watch


def _rest(terminal: int) -> bytes:
    """Everything until the other side is closed, which Linux reports as an error."""
    found = b""
    while True:
        try:
            read = os.read(terminal, 4_096)
        except OSError:
            return found
        if not read:
            return found
        found += read
