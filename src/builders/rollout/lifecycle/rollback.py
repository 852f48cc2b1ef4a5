"""rollback and remove: the desired state that puts an earlier release back, or none, and the calls that detach.

Templates, parameters and packages go back; accounts, regions, waves and data stay as they are. In accounts that left a
phase, StackSets forgets instances without deleting their stacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from builders.aws.errors import Refused
from builders.errors import RolloutError, UsageError
from builders.rollout.aws.client import Client
from builders.rollout.model import (
    CurrentState,
    DesiredState,
    PlainStackSpec,
    StackSet,
    StackSetSpec,
    Status,
    Target,
    Values,
)
from builders.rollout.plan.calls import Action, Call, rectangles
from builders.rollout.state.releases import Release
from builders.scopes import in_order
from builders.template_bodies import parse_template


def desired_release(release: Release, now: DesiredState, current: CurrentState) -> DesiredState:
    """The release at the targets where the phase is now.

    A target that came since gets the release's templates with its own present values; one that left stays away. A
    layer that the release does not have is removed, which a plan blocks on where it holds data.
    """
    desired = release.desired_state(now)
    sets = {}
    for layer, old in desired.sets.items():
        present, state = now.sets.get(layer), current.sets.get(layer)
        targets = {*(present.overrides if present else ()), *(state.instances if state else ())} & now.targets
        # A layer that is nowhere now is put back where the release had it and the phase still is.
        overrides = _overrides(old, present, targets or old.overrides.keys() & now.targets)
        sets[layer] = dataclasses.replace(old, overrides=overrides)
    plain = {layer: _plain(old, now.plain.get(layer), now) for layer, old in desired.plain.items()}
    return dataclasses.replace(desired, sets=sets, plain=plain)


def desired_nothing(now: DesiredState) -> DesiredState:
    """The phase with no layer at all."""
    plain = {layer: dataclasses.replace(spec, parameters={}) for layer, spec in now.plain.items()}
    return dataclasses.replace(now, sets={}, plain=plain, packages=())


def _overrides(old: StackSetSpec, present: StackSetSpec | None, targets: Collection[Target]) -> dict[Target, Values]:
    declared = parse_template(old.template).get("Parameters", {})
    found: dict[Target, Values] = {}
    for target in sorted(targets):
        if target in old.overrides:
            found[target] = old.overrides[target]
        elif present is not None and target in present.overrides:
            values = present.values(target)
            found[target] = {
                name: value for name, value in values.items() if name in declared and old.parameters.get(name) != value
            }
    return found


def _plain(old: PlainStackSpec, present: PlainStackSpec | None, now: DesiredState) -> PlainStackSpec:
    """The release's stacks where the phase still is; a target that came since keeps its present values."""
    declared = parse_template(old.template).get("Parameters", {})
    parameters = {target: values for target, values in old.parameters.items() if target in now.targets}
    for target, values in (present.parameters if present else {}).items():
        parameters.setdefault(target, {name: value for name, value in values.items() if name in declared})
    return dataclasses.replace(old, parameters=parameters)


def plan_detachment(
    client: Client, desired: DesiredState, sets: Mapping[str, StackSet], accounts: Collection[str]
) -> dict[str, list[Call]]:
    """By layer, those that need others first, the calls of `remove --account`.

    Raises `UsageError` for an account without instances, and `RolloutError` where there is nothing to detach.
    """
    present = {target.account for state in sets.values() for target in state.instances}
    strangers = sorted(set(accounts) - present)
    if strangers:
        raise UsageError(f"phase {desired.phase} has no instance in {', '.join(strangers)}; see `status`")
    reached = {account for account in accounts if _is_reached(client, sets, account)}
    calls = detach_calls(sets, accounts, reached, desired.regions)
    if not calls:
        raise RolloutError(
            f"nothing to detach: StackSets reaches all instances of {', '.join(sorted(accounts))}; take the accounts "
            "out of rollout.yaml and apply, which removes their stacks"
        )
    order = [layer for layer in reversed(in_order(desired.needs)) if layer in calls]
    return {layer: calls[layer] for layer in [*order, *sorted(calls.keys() - set(order))]}


def detach_calls(
    sets: Mapping[str, StackSet], accounts: Collection[str], reached: Collection[str], region_order: Iterable[str]
) -> dict[str, list[Call]]:
    """By layer, the calls that detach: an account that is not `reached` any more loses all its instances.

    One that is reached loses only its INOPERABLE ones: the others still work, and are removed by a plan. The stacks,
    where there still are any, stay. Layers that lose nothing are left out.
    """
    order = tuple(region_order)
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
                for those, regions in rectangles(targets, order)
            ]
    return found


def _is_reached(client: Client, sets: Mapping[str, StackSet], account: str) -> bool:
    """True when the account still lets us read a stack of ours."""
    for state in sets.values():
        for target, instance in state.instances.items():
            if target.account == account and instance.stack_id:
                try:
                    client.members.outputs(target, instance.stack_id)
                except Refused:
                    return False
                return True
    return False
