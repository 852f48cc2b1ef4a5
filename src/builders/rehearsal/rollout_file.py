"""The rollout file of a rehearsal: fewer accounts and regions if asked, no bake times, values for single targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from builders import files, naming
from builders.errors import UsageError
from builders.rollout.config.schema import OperationConfig, PhaseConfig, RolloutFile, TargetConfig, WaveConfig
from builders.rollout.model import Target, Values
from builders.text import unknown_name


@dataclass(frozen=True)
class Limits:
    """The part of a rollout file that is rehearsed: these phases, and at most so many accounts and regions of each."""

    phases: tuple[str, ...] = ()
    accounts: int | None = None
    regions: int | None = None


def limited_file(rollout: RolloutFile, limits: Limits, accounts: Mapping[str, Sequence[str]]) -> RolloutFile:
    """The phases that are rehearsed, with the first of their accounts and regions, and without bake times.

    `accounts` are those of each phase. Raises `UsageError` for a phase that the file does not have.
    """
    for name in limits.phases:
        if name not in rollout.phases:
            raise UsageError(unknown_name("phase", name, rollout.phases))
    chosen = [name for name in rollout.phases if not limits.phases or name in limits.phases]
    phases = {name: _limited(rollout, name, limits, accounts[name][: limits.accounts]) for name in chosen}
    regions = {region for plan in phases.values() for region in plan.regions}
    update: dict[str, object] = {"phases": phases}
    for owner, kept in ((rollout.tooling, {*regions, rollout.home}), (rollout.network, regions)):
        if owner is not None:
            own = {region: values for region, values in owner.region_parameters.items() if region in kept}
            changed = owner.model_copy(update={"region_parameters": own})
            update["tooling" if owner is rollout.tooling else "network"] = changed
    # The home region defaults to the first region of the first phase, and that phase may be left out.
    update["tooling"] = update["tooling"].model_copy(update={"region": rollout.home})  # type: ignore[attr-defined]
    return rollout.model_copy(update=update).located(rollout.path)


def _limited(rollout: RolloutFile, phase: str, limits: Limits, accounts: Sequence[str]) -> PhaseConfig:
    plan = rollout.phases[phase]
    regions = plan.regions[: limits.regions]
    targets = {str(Target(account, region)) for account in accounts for region in regions}
    units = plan.targets.organizational_units
    return plan.model_copy(
        update={
            "targets": TargetConfig(organizational_units=units) if units else TargetConfig(accounts=tuple(accounts)),
            "regions": regions,
            "region_parameters": _only(plan.region_parameters, regions),
            "account_parameters": _only(plan.account_parameters, accounts),
            "place_parameters": _only(plan.place_parameters, targets),
            "concurrency": plan.concurrency if units else _tolerant(plan.concurrency, len(accounts)),
            "waves": tuple(_wave(wave, accounts) for wave in plan.waves if not wave.accounts or _kept(wave, accounts)),
        }
    )


def _tolerant(concurrency: OperationConfig, accounts: int) -> OperationConfig:
    """Lower the failure tolerance for fewer accounts: at least one must succeed."""
    tolerance = concurrency.failure_tolerance
    if tolerance.endswith("%") or int(tolerance) < accounts:
        return concurrency
    return concurrency.model_copy(update={"failure_tolerance": str(accounts - 1)})


def _only(given: Mapping[str, Values], kept: Sequence[str] | set[str]) -> dict[str, Values]:
    return {key: values for key, values in given.items() if key in kept}


def _kept(wave: WaveConfig, accounts: Sequence[str]) -> tuple[str, ...]:
    return tuple(account for account in wave.accounts if account in accounts)


def _wave(wave: WaveConfig, accounts: Sequence[str]) -> WaveConfig:
    """The wave without its bake time. Its alarms are still read when it is complete."""
    return wave.model_copy(update={"accounts": _kept(wave, accounts), "bake": "0s"})


def with_values(rollout: RolloutFile, values: Mapping[str, Mapping[Target, Values]]) -> RolloutFile:
    """The file with values for single targets, by phase; they override all others.

    The attachment of a Direct Connect gateway that a file names stands in AWS: the rehearsal's bootstrap finds its own.
    """
    phases, network = {}, rollout.network
    for name, plan in rollout.phases.items():
        own = {target: dict(given) for target, given in plan.place_parameters.items()}
        for target, given in values.get(name, {}).items():
            own[str(target)] = {**own.get(str(target), {}), **given}
        phases[name] = plan.model_copy(update={"place_parameters": own})
    if network is not None:
        regions = {region for plan in phases.values() for region in plan.regions}
        found = {
            region: {**network.region_parameters.get(region, {}), naming.DIRECT_CONNECT_ATTACHMENT: ""}
            for region in sorted(regions)
        }
        network = network.model_copy(update={"region_parameters": found})
    return rollout.model_copy(update={"phases": phases, "network": network})


def write_rollout_file(rollout: RolloutFile, path: Path) -> None:
    """Write the file, for a command that runs in a process of its own, and the parameter files that it names beside it:
    those in another folder are not read."""
    shared = [owner.parameters for owner in (rollout.tooling, rollout.network) if owner is not None]
    for name in {*shared, *(phase.environment for phase in rollout.phases.values())}:
        if (copy := path.parent / name) != rollout.beside(name):
            files.replace(copy, files.read_bytes(rollout.beside(name), within=rollout.path.parent))
    path.write_text(yaml.safe_dump(rollout.model_dump(mode="json", exclude_defaults=True), sort_keys=False))
