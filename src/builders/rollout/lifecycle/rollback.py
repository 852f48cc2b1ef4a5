"""rollback and remove: the release to put back, the desired state that does, or that of none, and calls that detach.

Templates, parameters and packages go back; accounts, regions, waves and data stay as they are. In accounts that left a
phase, StackSets forgets instances without deleting their stacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from builders.aws import stacks
from builders.aws.errors import Refused
from builders.errors import RolloutError, UsageError
from builders.naming import LASTING_PARAMETERS, PACKAGE_KEY, package_version
from builders.rollout.client import Client
from builders.rollout.executor.current_state import read_stacks
from builders.rollout.executor.proof import is_deployed, require_own
from builders.rollout.model import CurrentState, DesiredState, StackSet, StackSetSpec, Status, Target, Values
from builders.rollout.phase import Phase
from builders.rollout.plan.calls import Action, Call, rectangles
from builders.rollout.state.releases import Release
from builders.scopes import in_order
from builders.template_bodies import declared_parameters, lasting_values

RELEASE = "release"
"""The first part of what is acknowledged for a release that AWS knows nothing of."""


def require_deployed(phase: Phase, release: str, acknowledged: Sequence[str]) -> None:
    """Raise `RolloutError` where the bucket alone says that a release was ever deployed."""
    name = f"{RELEASE}/{release}"
    if name in acknowledged or is_deployed(phase.client.sets, phase.desired.suffix, phase.layers, release):
        return
    phase.store.releases.load(release)  # there may be none of that name
    raise RolloutError(
        f"StackSets has no operation of release {release}: it is older than what AWS keeps, from before the phase was "
        f"removed, or forged by somebody who can write the bucket; if you know it, --acknowledge {name}"
    )


def require_own_release(phase: Phase, release: str, desired: DesiredState, fix: str) -> None:
    """Raise `RolloutError` where a stored release names what is not the phase's own. A run that is continued may still
    reach accounts that have left rollout.yaml since, where they have instances."""
    accounts = {target.account for target in phase.desired.targets}
    if not accounts.issuperset(target.account for target in desired.targets):
        states = phase.current().sets.values()
        accounts |= {target.account for state in states for target in state.instances}
    network = phase.rollout.network.account if phase.rollout.network else ""
    require_own(release, desired, phase.desired, network, accounts, fix)


def earlier_release(phase: Phase) -> str:
    """The last good release before that of the last run, however that ended."""
    releases = [each.release for each in phase.store.journal.history() if each.release]
    found = phase.store.last_good(before=releases[-1] if releases else None)
    if found is None:
        raise RolloutError(
            f"phase {phase.desired.phase} has no earlier release that ended well; name one by --to, see "
            "`rollout-stacksets status`"
        )
    return found


def desired_release(client: Client, release: Release, now: DesiredState, current: CurrentState) -> DesiredState:
    """The release at the targets where the phase is now, with what no service takes back as the stacks have it.

    A target that came since gets the release's templates and packages with its own present values; one that left stays
    away. A layer that the release does not have is removed, which a plan blocks on where it holds data.
    """
    lasting = [each.stack_ids for each in current.sets.values() if LASTING_PARAMETERS & each.parameters.keys()]
    deployed = dict(read_stacks(client, {key: found for ids in lasting for key, found in ids.items()}))
    desired = release.desired_state(now)
    sets = {}
    for layer, old in desired.sets.items():
        present, state = now.sets.get(layer), current.sets.get(layer)
        targets = {*(present.overrides if present else ()), *(state.instances if state else ())} & now.targets
        # A layer that is nowhere now is put back where the release had it and the phase still is.
        overrides = _overrides(old, present, targets or old.overrides.keys() & now.targets)
        for target, values in overrides.items():
            overrides[target] = {**values, **lasting_values(old.template, deployed.get((layer, target)))}
        sets[layer] = dataclasses.replace(old, overrides=overrides)
    plain = {}
    for layer, spec in desired.plain.items():
        declared = declared_parameters(spec.template)
        here = {target: values for target, values in spec.parameters.items() if target in now.targets}
        for target, values in now.plain[layer].parameters.items() if layer in now.plain else ():
            here.setdefault(target, {name: value for name, value in values.items() if name in declared})
        plain[layer] = dataclasses.replace(spec, parameters=here)
    return dataclasses.replace(desired, sets=sets, plain=plain)


def desired_nothing(now: DesiredState) -> DesiredState:
    """The phase with no layer at all."""
    plain = {layer: dataclasses.replace(spec, parameters={}) for layer, spec in now.plain.items()}
    return dataclasses.replace(now, sets={}, plain=plain, packages=())


def _overrides(old: StackSetSpec, present: StackSetSpec | None, targets: Collection[Target]) -> dict[Target, Values]:
    declared, own = declared_parameters(old.template), old.parameters
    found: dict[Target, Values] = {}
    for target in sorted(targets):
        if target in old.overrides:
            found[target] = old.overrides[target]
        elif present is not None and target in present.overrides:
            values = present.values(target) | _packages(old, target.region)
            found[target] = {key: value for key, value in values.items() if key in declared and own.get(key) != value}
    return found


def _packages(old: StackSetSpec, region: str) -> dict[str, str]:
    """The packages that a release has in a region; in one that it does not know, its keys, whatever their version."""
    known = next((target for target in old.overrides if target.region == region), None)
    found = old.values(known) if known else dict(old.parameters)
    keys = {name: value for name, value in found.items() if name.endswith(PACKAGE_KEY)}
    versions = {package_version(name) for name in keys} & found.keys()
    return keys | {name: found[name] if known else "" for name in versions}


def plan_detachment(
    client: Client, desired: DesiredState, sets: Mapping[str, StackSet], accounts: Collection[str]
) -> dict[str, list[Call]]:
    """Return the calls of `remove --account` by layer, those that need others first. Raises `UsageError` for an account
    without instances, and `RolloutError` where there is nothing to detach."""
    present = {target.account for state in sets.values() for target in state.instances}
    if strangers := ", ".join(sorted(set(accounts) - present)):
        raise UsageError(f"phase {desired.phase} has no instance in {strangers}; see `rollout-stacksets status`")
    reached = {account for account in accounts if _is_reached(client, sets, account)}
    calls = detach_calls(sets, accounts, reached, desired.regions)
    if not calls:
        nothing = f"nothing to detach: StackSets reaches all instances of {', '.join(sorted(accounts))}"
        raise RolloutError(f"{nothing}; take the accounts out of rollout.yaml and apply, which removes their stacks")
    order = [layer for layer in reversed(in_order(desired.needs)) if layer in calls]
    return {layer: calls[layer] for layer in [*order, *sorted(calls.keys() - set(order))]}


def detach_calls(
    sets: Mapping[str, StackSet], accounts: Collection[str], reached: Collection[str], region_order: Sequence[str]
) -> dict[str, list[Call]]:
    """Return the calls that detach, by layer: an account that is not `reached` any more loses all its instances.

    One that is reached loses only its INOPERABLE ones: the others still work, and are removed by a plan. The stacks,
    where there still are any, stay. Layers that lose nothing are left out.
    """
    gone = set(accounts) - set(reached)
    found = {}
    for layer, state in sets.items():
        targets = [
            target
            for target, instance in state.instances.items()
            if target.account in gone or (target.account in accounts and instance.status is Status.INOPERABLE)
        ]
        if targets:
            found[layer] = [
                Call(Action.DELETE, layer, state.name, those, regions, retain=True)
                for those, regions in rectangles(targets, region_order)
            ]
    return found


def _is_reached(client: Client, sets: Mapping[str, StackSet], account: str) -> bool:
    """True when the account still lets us read a stack of ours."""
    instances = [each for state in sets.values() for each in state.instances.values()]
    ours = next((each for each in instances if each.target.account == account and each.stack_id), None)
    if ours is None:
        return False
    try:
        stacks.describe(client.reading(ours.target), ours.stack_id)
    except Refused:
        return False
    return True
