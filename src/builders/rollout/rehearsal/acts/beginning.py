"""Before anything is rolled out: what the doctor finds, and what StackSets cannot carry."""

from __future__ import annotations

from builders.rollout.rehearsal.troupe import Troupe
from builders.rollout.showing.words import many

ERROR = "error"


def checked(troupe: Troupe) -> None:
    """Lint and check the templates once; later commands are called with --no-check."""
    with troupe.stage.act("are the templates clean?", "nothing is found, or apply would refuse") as act:
        said = troupe.check(act)
        act.expect(said.code == 0, said.why)
        act.came = "they are"


def ailing(troupe: Troupe, phase: str) -> None:
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
        act.came = f"{many(len(errors), 'error')}; the first: {errors[0]['what']}; {errors[0]['fix']}"


def bootstrapped(troupe: Troupe, phase: str) -> None:
    """Deploy the plain stacks that a phase stands on, and ask the doctor again."""
    with troupe.stage.act(
        f"{phase}: bootstrap", "the stacks of the tooling, network and target accounts stand, and the doctor agrees"
    ) as act:
        said = troupe.call(act, "bootstrap", "--phase", phase, "--json")
        act.expect(said.code == 0, said.why)
        stacks = said.data
        checked = troupe.call(act, "doctor", "--phase", phase)
        act.expect(checked.code == 0, checked.why)
        act.came = f"{many(len(stacks), 'stack')} stand, and the doctor finds no error"
