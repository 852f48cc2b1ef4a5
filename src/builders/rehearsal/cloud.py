"""The embedded cloud with the accounts of a rollout file as a company would have them, before anything is deployed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.building.environment_check import SECRETS
from builders.cloud.process import Cloud, running
from builders.cloud.rds.on_premises import OnPremises
from builders.rehearsal import accounts
from builders.rehearsal.accounts import Accounts
from builders.rehearsal.rollout_file import Limits, limited_file, with_values, write_rollout_file
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.parameters import SharedOutputs, merged_values, phase_sources
from builders.rollout.config.schema import RolloutFile
from builders.rollout.model import Target, Values


@dataclass(frozen=True)
class RehearsalCloud:
    """The cloud of a rehearsal. `rollout` is the limited rollout file with its values, written to `file`."""

    cloud: Cloud
    accounts: Accounts
    rollout: RolloutFile
    file: Path
    members: Mapping[str, Sequence[str]]
    """The accounts of each phase."""
    owner: str
    """The account that owns the stack sets."""

    def targets(self, phase: str) -> list[Target]:
        """The targets of a phase, in the order of the file."""
        return [
            Target(account, region) for account in self.members[phase] for region in self.rollout.phases[phase].regions
        ]

    def set_parameter(self, phase: str, parameter: str, value: str) -> None:
        """Change a value for all targets of a phase in the file, as a person would."""
        values = {phase: {target: {parameter: value} for target in self.targets(phase)}}
        write_rollout_file(with_values(load_rollout_file(self.file), values), self.file)

    def drive(self, **decided: Any) -> None:
        """Decide the results of StackSets operations (see docs/embedded-stacksets.md)."""
        body = json.dumps({"Administrator": self.owner, **decided}).encode()
        headers = {"X-Amz-Target": "StackferryStackSets.Drive", "Content-Type": "application/x-amz-json-1.1"}
        self.cloud.ask("/", body, **headers)


@contextlib.contextmanager
def prepared_cloud(rollout_file: Path, limits: Limits, *, authorize: bool = False) -> Iterator[RehearsalCloud]:
    """Start the cloud, create the accounts and the source databases, and write the rollout file for them.

    With `authorize` the cloud evaluates IAM for every request except those of an account's owner.
    """
    given = load_rollout_file(rollout_file)
    units = accounts.unit_members(given, limits.accounts)
    members = {phase: _members(given, phase, units)[: limits.accounts] for phase in given.phases}
    rollout = limited_file(given, limits, members)
    members = {phase: members[phase] for phase in rollout.phases}
    owner = rollout.tooling.account
    with running(authorize=authorize) as cloud:
        owners = Accounts(cloud)
        accounts.create_deploy_roles(owners, rollout, {account for each in members.values() for account in each})
        if units:
            named = {unit for plan in rollout.phases.values() for unit in plan.targets.organizational_units}
            kept = {unit: units[unit] for unit in units if unit in named}
            rollout, owner = accounts.create_organization(owners, rollout, kept)
        with accounts.running_sources(cloud, rollout) as sources:
            file = cloud.state_directory / "rollout.yaml"
            prepared = RehearsalCloud(cloud, owners, rollout, file, members, owner)
            values = _own_values(prepared, sources)
            write_rollout_file(with_values(rollout, values), file)
            yield dataclasses.replace(prepared, rollout=load_rollout_file(file))


def _own_values(prepared: RehearsalCloud, sources: Mapping[str, OnPremises]) -> dict[str, dict[Target, Values]]:
    """The values of the embedded cloud for each target, by phase, whatever the files say."""
    rollout, found = prepared.rollout, dict[str, dict[Target, Values]]()
    first = {account: phase for phase in reversed([*prepared.members]) for account in prepared.members[phase]}
    for number, (phase, source) in enumerate(sources.items()):
        given = phase_sources(rollout, phase, SharedOutputs())
        made_up = accounts.made_up_values(rollout.phases[phase], number, prepared.targets(phase))
        for target in prepared.targets(phase):
            written = merged_values(given.chain(target))
            own = {
                **(accounts.DMS_ROLES if first[target.account] == phase else {}),
                **made_up.get(target, {}),
                **accounts.source_values(prepared.accounts, phase, target, source, written),
            }
            if readable := {**written, **own}.get(SECRETS):
                own[SECRETS] = ",".join([readable, *(own[name] for name in accounts.BROUGHT if name in own)])
            found.setdefault(phase, {})[target] = own
    return found


def _members(given: RolloutFile, phase: str, units: Mapping[str, Sequence[str]]) -> list[str]:
    named = given.phases[phase].targets.organizational_units
    return list(dict.fromkeys(account for unit in named for account in units[unit])) or list(given.accounts(phase))
