"""A phase is deployed for the first time."""

from __future__ import annotations

from builders.rollout.rehearsal.stage import Act
from builders.rollout.rehearsal.troupe import QUICK, Troupe, expect_each_once
from builders.rollout.showing.words import many

CREATE = "create"


def planned(troupe: Troupe, phase: str) -> int:
    """Plan the phase, and return how many stacks there shall be."""
    with troupe.stage.act(
        f"{phase}: plan before the first apply", "stacks to create, nothing else, and nothing in the way"
    ) as act:
        said = troupe.call(act, "plan", "--phase", phase, "--json")
        act.expect(said.code == 0, said.why)
        counts = {kind: count for kind, count in said.data["counts"].items() if count}
        act.expect(counts.keys() == {CREATE}, f"the plan has {counts}")
        act.came = f"{many(counts[CREATE], 'stack')} to create by {many(len(said.data['calls']), 'call')}"
        return int(counts[CREATE])


def applied(troupe: Troupe, phase: str, stacks: int) -> None:
    """Apply it."""
    with troupe.stage.act(f"{phase}: apply", f"{many(stacks, 'stack')}, and each operation once") as act:
        before = troupe.snapshot(phase)
        said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check")
        act.expect(said.code == 0, said.why)
        expect_stacks(troupe, act, phase, stacks)
        done = expect_each_once(troupe, act, phase, before)
        act.came = f"they stand, by {many(done, 'operation')}"


def expect_stacks(troupe: Troupe, act: Act, phase: str, stacks: int) -> None:
    """Hold the stacks that the accounts describe against what the plan said."""
    standing = len(troupe.snapshot(phase).stacks)
    act.expect(standing == stacks, f"{many(standing, 'stack')}, and the plan said {stacks:,}")
