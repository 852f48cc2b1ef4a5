"""Before anything is rolled out: what the doctor finds, and what StackSets cannot carry.

A phase is deployed for the first time.

What a person looks at once everything stands: status, outputs, drift.
"""

from __future__ import annotations

from builders.rehearsal.rehearsal import QUICK, ExpectedStep, Rehearsal, expect_each_once
from builders.text import counted_noun

ERROR = "error"


def check_with_doctor(troupe: Rehearsal) -> None:
    """Lint and check the templates once; later commands are called with --no-check."""
    with troupe.stage.act("are the templates clean?", "nothing is found, or apply would refuse") as act:
        said = troupe.check(act)
        act.expect(said.code == 0, said.why)
        act.came = "they are"


def find_errors(troupe: Rehearsal, phase: str) -> None:
    """Ask the doctor while nothing stands yet."""
    with troupe.stage.act(
        f"{phase}: doctor, before anything stands", "exit code 1, and each error comes with its fix"
    ) as act:
        said = troupe.call(act, "doctor", "--phase", phase, "--json")
        act.expect(said.code == 1, f"exit code {said.code}: {said.why}")
        errors = [
            finding for check in said.data["checks"] for finding in check["findings"] if finding["severity"] == ERROR
        ]
        act.expect(bool(errors) and all(error["fix"] for error in errors), f"found was {errors}")
        act.came = f"{counted_noun(len(errors), 'error')}; the first: {errors[0]['what']}; {errors[0]['fix']}"


def bootstrap_phase(troupe: Rehearsal, phase: str) -> None:
    """Deploy the plain stacks that a phase stands on, and ask the doctor again."""
    with troupe.stage.act(
        f"{phase}: bootstrap", "the stacks of the tooling, network and target accounts stand, and the doctor agrees"
    ) as act:
        said = troupe.call(act, "bootstrap", "--phase", phase, "--json")
        act.expect(said.code == 0, said.why)
        stacks = said.data
        checked = troupe.call(act, "doctor", "--phase", phase)
        act.expect(checked.code == 0, checked.why)
        act.came = f"{counted_noun(len(stacks), 'stack')} stand, and the doctor finds no error"


CREATE = "create"


def plan_creation(troupe: Rehearsal, phase: str) -> int:
    """Plan the phase, and return how many stacks there shall be."""
    with troupe.stage.act(
        f"{phase}: plan before the first apply", "stacks to create, nothing else, and nothing in the way"
    ) as act:
        said = troupe.call(act, "plan", "--phase", phase, "--json")
        act.expect(said.code == 0, said.why)
        counts = {kind: count for kind, count in said.data["counts"].items() if count}
        act.expect(counts.keys() == {CREATE}, f"the plan has {counts}")
        act.came = (
            f"{counted_noun(counts[CREATE], 'stack')} to create by {counted_noun(len(said.data['calls']), 'call')}"
        )
        return int(counts[CREATE])


def apply_creation(troupe: Rehearsal, phase: str, stacks: int) -> None:
    """Apply it."""
    with troupe.stage.act(f"{phase}: apply", f"{counted_noun(stacks, 'stack')}, and each operation once") as act:
        before = troupe.snapshot(phase)
        said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check")
        act.expect(said.code == 0, said.why)
        expect_stacks(troupe, act, phase, stacks)
        done = expect_each_once(troupe, act, phase, before)
        act.came = f"they stand, by {counted_noun(done, 'operation')}"


def expect_stacks(troupe: Rehearsal, act: ExpectedStep, phase: str, stacks: int) -> None:
    """Hold the stacks that the accounts describe against what the plan said."""
    standing = len(troupe.snapshot(phase).stacks)
    act.expect(standing == stacks, f"{counted_noun(standing, 'stack')}, and the plan said {stacks:,}")


def inspect_phase(troupe: Rehearsal, phase: str) -> None:
    """Ask for all three."""
    with troupe.stage.act(f"{phase}: status", "every instance is what it shall be") as act:
        said = troupe.call(act, "status", "--phase", phase)
        act.expect(said.code == 0, said.why)
        act.came = "every instance is"
    folder = troupe.current.file.parent / "outputs"
    with troupe.stage.act(f"{phase}: outputs", "a file for every place, and one index") as act:
        said = troupe.call(act, "outputs", "--phase", phase, "--outputs-dir", str(folder))
        act.expect(said.code == 0, said.why)
        for target in troupe.current.targets(phase):
            path = folder / phase / target.account / target.region / "flat-outputs.json"
            act.expect(path.is_file(), f"there is no {path.relative_to(folder)}")
        act.came = "they are there"
    with troupe.stage.act(f"{phase}: drift", "no stack has drifted") as act:
        said = troupe.call(act, "drift", "--phase", phase, "--poll", "0.1")
        act.expect(said.code == 0, said.why)
        act.came = "none has"
