"""The embedded cloud with the accounts of a rollout file as a company would have them, before anything is deployed."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builders.cloud.process import Cloud, running
from builders.rollout.file import RolloutFile, load
from builders.rollout.model import Place
from builders.rollout.rehearsal import accounts, overlay, sources
from builders.rollout.rehearsal.accounts import Accounts
from builders.rollout.rehearsal.overlay import Limits


@dataclass(frozen=True)
class World:
    """Where a rehearsal plays. `rollout` is the file with everything laid over it; `file` is where it is written."""

    cloud: Cloud
    accounts: Accounts
    rollout: RolloutFile
    file: Path

    def places(self, phase: str) -> list[Place]:
        """Where a phase shall be, in the order of the file."""
        return [
            Place(account, region)
            for account in self.rollout.accounts(phase)
            for region in self.rollout.phases[phase].regions
        ]

    def give(self, phase: str, parameter: str, value: str) -> None:
        """Write another value for all places of a phase into the file, as a person would."""
        given = {phase: {place: {parameter: value} for place in self.places(phase)}}
        overlay.write(overlay.with_values(load(self.file), given), self.file)


@contextlib.contextmanager
def prepared(rollout_file: Path, limits: Limits, *, authorize: bool = False) -> Iterator[World]:
    """Start the cloud, make the accounts and the sources, and write the rollout file down as it is played.

    With `authorize` the cloud asks IAM about every request of whoever is not an account's owner.
    """
    given = load(rollout_file)
    rollout = overlay.limited(given, limits, {phase: given.accounts(phase) for phase in given.phases})
    with running(authorize=authorize) as cloud:
        hands = Accounts(cloud)
        accounts.prepare(
            hands, rollout, [each for phase in rollout.phases for each in rollout.phases[phase].targets.accounts]
        )
        with sources.running(cloud, rollout) as found:
            file = cloud.state_directory / "rollout.yaml"
            world = World(cloud, hands, rollout, file)
            values = {
                phase: {place: sources.brought(hands, phase, place, source) for place in world.places(phase)}
                for phase, source in found.items()
            }
            overlay.write(overlay.with_values(rollout, values), file)
            yield dataclasses.replace(world, rollout=load(file))
