"""The embedded cloud with the accounts of a rollout file as a company would have them, before anything is deployed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.cloud.process import Cloud, running
from builders.rollout.file import RolloutFile, load
from builders.rollout.model import Place
from builders.rollout.rehearsal import accounts, organization, overlay, sources
from builders.rollout.rehearsal.accounts import Accounts
from builders.rollout.rehearsal.overlay import Limits


@dataclass(frozen=True)
class World:
    """Where a rehearsal plays. `rollout` is the file with everything laid over it; `file` is where it is written."""

    cloud: Cloud
    accounts: Accounts
    rollout: RolloutFile
    file: Path
    members: Mapping[str, Sequence[str]]
    """The accounts of each phase."""
    owner: str
    """The account whose the stack sets are."""

    def places(self, phase: str) -> list[Place]:
        """Where a phase shall be, in the order of the file."""
        return [
            Place(account, region) for account in self.members[phase] for region in self.rollout.phases[phase].regions
        ]

    def give(self, phase: str, parameter: str, value: str) -> None:
        """Write another value for all places of a phase into the file, as a person would."""
        given = {phase: {place: {parameter: value} for place in self.places(phase)}}
        overlay.write(overlay.with_values(load(self.file), given), self.file)

    def drive(self, **decided: Any) -> None:
        """Decide what StackSets does (builders/cloud/stacksets/driving.py)."""
        body = json.dumps({"Administrator": self.owner, **decided}).encode()
        headers = {"X-Amz-Target": "StackferryStackSets.Drive", "Content-Type": "application/x-amz-json-1.1"}
        urllib.request.urlopen(urllib.request.Request(self.cloud.endpoint_url, body, headers)).close()  # noqa: S310


@contextlib.contextmanager
def prepared(rollout_file: Path, limits: Limits, *, authorize: bool = False) -> Iterator[World]:
    """Start the cloud, make the accounts and the sources, and write the rollout file down as it is played.

    With `authorize` the cloud asks IAM about every request of whoever is not an account's owner.
    """
    given = load(rollout_file)
    units = organization.members(given, limits.accounts)
    members = {phase: _members(given, phase, units)[: limits.accounts] for phase in given.phases}
    rollout = overlay.limited(given, limits, members)
    members = {phase: members[phase] for phase in rollout.phases}
    owner = rollout.tooling.account
    with running(authorize=authorize) as cloud:
        hands = Accounts(cloud)
        accounts.prepare(hands, rollout, {account for each in members.values() for account in each})
        if units:
            named = {unit for plan in rollout.phases.values() for unit in plan.targets.organizational_units}
            rollout, owner = organization.made(hands, rollout, {unit: units[unit] for unit in units if unit in named})
        with sources.running(cloud, rollout) as found:
            file = cloud.state_directory / "rollout.yaml"
            world = World(cloud, hands, rollout, file, members, owner)
            values = {
                phase: {place: sources.brought(hands, phase, place, source) for place in world.places(phase)}
                for phase, source in found.items()
            }
            overlay.write(overlay.with_values(rollout, values), file)
            yield dataclasses.replace(world, rollout=load(file))


def _members(given: RolloutFile, phase: str, units: Mapping[str, Sequence[str]]) -> list[str]:
    named = given.phases[phase].targets.organizational_units
    return list(dict.fromkeys(account for unit in named for account in units[unit])) or list(given.accounts(phase))
