"""Reads what a rollout decides by: the stack sets of a phase, with the overrides of every instance."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

from builders.rollout import names
from builders.rollout.client.abreast import together
from builders.rollout.client.plain import Plain
from builders.rollout.client.stack_sets import StackSets
from builders.rollout.model import Deployed, Instance, Place, PlainStacks, StackSet, Status, World
from builders.rollout.store import Known


def read(
    sets: StackSets, plain: Plain, known: Known, suffix: str, layers: Collection[str], routes: Iterable[PlainStacks]
) -> World:
    """Read those layers of a phase that have a set, and the plain stacks at every place of the phase."""
    present = set(sets.names())
    wanted = [layer for layer in sorted(layers) if names.stack_set(layer, suffix) in present]
    found: dict[str, StackSet] = {}
    for layer, state in together(lambda layer: sets.read(layer, names.stack_set(layer, suffix)), wanted):
        if state is not None:
            found[layer] = with_overrides(sets, known, state)
    there = {place for state in found.values() for place in state.instances}
    asked = [(each, place) for each in routes for place in sorted(there | each.parameters.keys())]
    stacks = together(lambda pair: _plain(plain, suffix, *pair), asked)
    standing = {(each.layer, place): stack for (each, place), stack in stacks if stack}
    return World(dict(sorted(found.items())), plain=dict(sorted(standing.items(), key=lambda item: item[0])))


def with_overrides(sets: StackSets, known: Known, state: StackSet) -> StackSet:
    """A set whose instances have their overrides: those that our own operations gave, else asked for one by one."""
    instances: dict[Place, Instance] = {}
    unknown: list[Instance] = []
    for place, instance in state.instances.items():
        overrides = known.overrides(state.layer, instance)
        instances[place] = dataclasses.replace(instance, overrides=overrides)
        if overrides is None and instance.status is not Status.INOPERABLE:
            unknown.append(instance)
    for instance, overrides in together(lambda instance: sets.overrides(state.name, instance.place), unknown):
        known.learn(state.layer, instance, overrides)
        instances[instance.place] = dataclasses.replace(instance, overrides=overrides)
    return dataclasses.replace(state, instances=instances)


def _plain(plain: Plain, suffix: str, layer: PlainStacks, place: Place) -> Deployed | None:
    return plain.read(layer.account, place.region, names.plain_stack(layer.layer, suffix, place))
