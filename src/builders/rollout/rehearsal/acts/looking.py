"""What a person looks at once everything stands: status, outputs, drift."""

from __future__ import annotations

from builders.rollout.rehearsal.troupe import Troupe


def looked(troupe: Troupe, phase: str) -> None:
    """Ask for all three."""
    with troupe.stage.act(f"{phase}: status", "every instance is what it shall be") as act:
        said = troupe.call(act, "status", "--phase", phase)
        act.expect(said.code == 0, said.why)
        act.came = "every instance is"
    folder = troupe.world.file.parent / "outputs"
    with troupe.stage.act(f"{phase}: outputs", "a file for every place, and one index") as act:
        said = troupe.call(act, "outputs", "--phase", phase, "--outputs-dir", str(folder))
        act.expect(said.code == 0, said.why)
        for place in troupe.world.places(phase):
            path = folder / phase / place.account / place.region / "flat-outputs.json"
            act.expect(path.is_file(), f"there is no {path.relative_to(folder)}")
        act.came = "they are there"
    with troupe.stage.act(f"{phase}: drift", "no stack has drifted") as act:
        said = troupe.call(act, "drift", "--phase", phase, "--poll", "0.1")
        act.expect(said.code == 0, said.why)
        act.came = "none has"
