"""The process of an apply is killed, and another one goes on."""

from __future__ import annotations

import subprocess
import time

from builders.rollout.rehearsal.acts.deploying import expect_stacks
from builders.rollout.rehearsal.stage import Act
from builders.rollout.rehearsal.troupe import QUICK, Troupe, expect_each_once
from builders.rollout.showing.words import many
from builders.rollout.store import Entry, State

WRITTEN = 5
"""How many operations are written down, the last of them not over, when the process is killed."""

PATIENCE_SECONDS = 120.0


def killed(troupe: Troupe, phase: str, stacks: int) -> None:
    """Kill an apply and resume it."""
    before = troupe.snapshot(phase)
    with troupe.stage.act(
        f"{phase}: apply in a process of its own, which is killed (SIGKILL)",
        f"{WRITTEN} operations or more written down, the last one not over",
    ) as act:
        arguments = ("apply", "--phase", phase, *QUICK, "--no-check")
        act.commands.append(" ".join(("rollout-stacksets", *arguments)))
        with troupe.caller.apart(*arguments) as child:
            entries = _until_written(troupe, act, phase, child)
        last = entries[-1]
        act.came = f"{len(entries)} written down, {last.step.action.value} of {last.step.layer} not over"
    with troupe.stage.act(f"{phase}: apply again instead of resume", "refused, since the run is not over") as act:
        said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check")
        act.expect(said.code == 1 and "not over" in said.stderr, f"exit code {said.code}: {said.why}")
        act.came = said.why
    with troupe.stage.act(
        f"{phase}: resume in another process", f"{many(stacks, 'stack')}, and no operation twice"
    ) as act:
        said = troupe.call(act, "resume", "--phase", phase, "--poll", "0.1")
        act.expect(said.code == 0, said.why)
        expect_stacks(troupe, act, phase, stacks)
        done = expect_each_once(troupe, act, phase, before)
        act.came = f"they stand; the journal and AWS list the same {many(done, 'operation')}, each once"


def _until_written(troupe: Troupe, act: Act, phase: str, child: subprocess.Popen[str]) -> tuple[Entry, ...]:
    """Wait until enough is written down, kill the process, and return what it left written down."""
    earlier = troupe.journal(phase)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        run = troupe.journal(phase)
        new = run is not None and (earlier is None or run.id != earlier.id)
        if run and new and len(run.entries) >= WRITTEN and run.entries[-1].state is State.SUBMITTING:
            child.kill()
            child.wait()
            left = troupe.journal(phase)
            assert left is not None
            open_ones = [entry for entry in left.entries if entry.state is State.SUBMITTING]
            if open_ones:
                over = [entry for entry in left.entries if entry.state is not State.SUBMITTING]
                return (*over, *open_ones)
            break
        time.sleep(0.02)
    said = child.stderr.read().strip() if child.poll() is not None and child.stderr else ""
    act.expect(False, f"the process was not killed in the middle: {said or 'it wrote nothing down in time'}")
    return ()
