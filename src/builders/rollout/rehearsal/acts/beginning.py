"""Before anything is rolled out: what the doctor finds, and what StackSets cannot carry."""

from __future__ import annotations

from builders.rollout.rehearsal.troupe import Troupe


def doctor(troupe: Troupe, phase: str) -> None:
    """Every check of the doctor passes."""
    with troupe.stage.act(f"{phase}: is everything ready?", "the doctor finds nothing that stops a rollout") as act:
        said = troupe.call(act, "doctor", "--phase", phase)
        act.expect(said.code == 0, said.stdout.strip() or said.last_line)
        act.came = "nothing that stops it"


def bootstrap(troupe: Troupe, phase: str) -> None:
    """Deploy the plain stacks that a phase stands on."""
    with troupe.stage.act(f"{phase}: bootstrap", "the stacks of the tooling, network and target accounts stand") as act:
        said = troupe.call(act, "bootstrap", "--phase", phase)
        act.expect(said.code == 0, said.last_line)
        act.came = "they stand"
