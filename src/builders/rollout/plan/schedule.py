"""The schedule of a rollout: its waves, in each wave the layers in order, in each layer the calls in order. Pure.

`make_schedule` alone decides which calls are made. A plan shows its objects, and the executor carries the same objects
out; where targets fall out of it, `narrowed` makes the calls of a layer in a wave for the others.

Forwards a layer follows those that it needs, backwards it goes before them. Exports and imports of the templates can
turn that round: CloudFormation removes no export that is in use, and imports none that does not exist.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from builders.rollout.model import CurrentState, DesiredState, StackSet, Status, Target, Wave
from builders.rollout.plan.calls import Action, Call, calls_for, state_after
from builders.rollout.plan.changes import ChangeKind, change_kinds, plain_change_kind
from builders.scopes import in_order
from builders.stack_diff.exports import NO_INTERFACE, Graph, interface, order_by_interfaces

LEAVING = "leaving"
"""The last wave: accounts that the phase has no more."""

READ_BEFORE_CHANGE = frozenset({ChangeKind.UPDATE, ChangeKind.OVERRIDE, ChangeKind.RETRY, ChangeKind.DELETE})
"""Changes that a plan shows resource by resource, so that the stack of each such instance is read."""


@dataclass(frozen=True)
class ScheduledLayer:
    """A layer in a wave, which begins when those of `after` are over.

    `changes` has what becomes of each instance, seen from before the first wave. A layer of plain stacks has no calls:
    each of its stacks is deployed or deleted by itself.
    """

    wave: Wave
    layer: str
    after: frozenset[str]
    changes: Mapping[Target, ChangeKind]
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class ScheduledWave:
    """A wave: the layers where they stay, then, in reverse, those where they leave targets that other layers keep."""

    wave: Wave
    staying: tuple[ScheduledLayer, ...]
    leaving: tuple[ScheduledLayer, ...]

    @property
    def layers(self) -> tuple[ScheduledLayer, ...]:
        """All of them, in order."""
        return *self.staying, *self.leaving


@dataclass(frozen=True)
class Schedule:
    """The way from a current state. `current` has its stack sets and plain stacks alone."""

    current: CurrentState
    layers: tuple[str, ...]
    waves: tuple[ScheduledWave, ...]


def make_schedule(desired: DesiredState, current: CurrentState, *, back: bool = False) -> Schedule:
    """Schedule the way from the current state to the desired one; `back` is the order of a rollback.

    Raises `RolloutError` where the layers can be put in no order.
    """
    staying, present = deployment_order(desired, current, back), {*current.sets, *(layer for layer, _ in current.plain)}
    # Where they leave a target that they do not leave elsewhere, each goes before those that it needs.
    leaving = order_by_interfaces(dict.fromkeys(present, NO_INTERFACE), {}, desired.needs, back=True)
    changes = {layer: layer_changes(desired, current, layer) for layer in staying}
    sets: dict[str, StackSet | None] = dict(current.sets)  # each as the calls before lead to it
    waves = waves_of(desired, current)
    number = {account: number for number, wave in enumerate(desired.waves) for account in wave.accounts}
    # One that leaves is the last resort: an update of a set that names nobody would update everybody.
    instances = {target for state in current.sets.values() for target in state.instances}
    anchors = sorted(desired.targets | instances, key=lambda target: (number.get(target.account, len(waves)), target))

    def scheduled(wave: Wave, layer: str, after: frozenset[str], *, leaves: bool) -> ScheduledLayer:
        accounts, kept = frozenset(wave.accounts), _desired_targets(desired, layer)
        found = {
            target: kind
            for target, kind in changes[layer].items()
            # A layer that leaves all of its targets goes in the order of those that stay.
            if target.account in accounts and (bool(kept) and target not in kept) is leaves
        }
        if layer in desired.plain:
            return ScheduledLayer(wave, layer, after, found)
        calls = calls_for(desired, layer, sets.get(layer), found, anchors)
        sets[layer] = state_after(desired, sets.get(layer), *calls)
        return ScheduledLayer(wave, layer, after, found, tuple(calls))

    order, reverse = in_order(staying), in_order(leaving)
    made = tuple(
        ScheduledWave(
            wave,
            tuple(scheduled(wave, layer, staying[layer], leaves=False) for layer in order),
            tuple(scheduled(wave, layer, leaving[layer], leaves=True) for layer in reverse),
        )
        for wave in waves
    )
    return Schedule(CurrentState(current.sets, plain=current.plain), tuple(order), made)


def narrowed(
    planned: ScheduledLayer, desired: DesiredState, state: StackSet | None, without: Collection[Target]
) -> ScheduledLayer:
    """Schedule a layer of a wave `without` some targets; for the others the set is as the plan expects it.

    Each call does to its targets what a planned one does; a call that stays the same is the planned one. There is none
    where no target of the plan's is left with which the set can take its template.
    """
    anchors = {target for call in planned.calls if call.action is Action.UPDATE_SET for target in call.targets}
    changes = {target: kind for target, kind in planned.changes.items() if target not in without}
    found = calls_for(desired, planned.layer, state, changes, sorted(anchors.difference(without)))
    working = state is not None and any(each.status is not Status.INOPERABLE for each in state.instances.values())
    if working and any(call.action is Action.UPDATE_SET and not call.accounts for call in found):
        found = []  # to name nobody would update everybody
    same = {(call.action, call.accounts, call.regions, call.retain): call for call in planned.calls}
    old = [same.get((call.action, call.accounts, call.regions, call.retain)) for call in found]
    return replace(planned, changes=changes, calls=tuple(a if a == b else b for a, b in zip(old, found, strict=True)))


def waves_of(desired: DesiredState, current: CurrentState) -> list[Wave]:
    """The waves of the phase, and one for accounts that have instances and are in no wave."""
    named = {account for wave in desired.waves for account in wave.accounts}
    present = {target.account for state in current.sets.values() for target in state.instances}
    present |= {target.account for _, target in current.plain}
    gone = tuple(sorted(present - named))
    # A set without instances is removed too, and goes with the last wave.
    return [*desired.waves, Wave(LEAVING, gone)] if gone or not desired.waves else list(desired.waves)


def layer_changes(desired: DesiredState, current: CurrentState, layer: str) -> dict[Target, ChangeKind]:
    """The change of every instance or plain stack of a layer, by target."""
    state, stacks, targets = current.sets.get(layer), desired.plain.get(layer), set(_desired_targets(desired, layer))
    if stacks is None:
        return change_kinds(desired, layer, state, sorted(targets.union(state.instances if state else ())))
    targets |= {target for name, target in current.plain if name == layer}
    return {each: plain_change_kind(stacks, current.plain.get((layer, each)), each) for each in sorted(targets)}


def stacks_to_read(desired: DesiredState, current: CurrentState) -> Iterator[tuple[str, Target, str]]:
    """Layer, target and stack id of every instance that may change."""
    for layer, state in sorted(current.sets.items()):
        for target, kind in layer_changes(desired, current, layer).items():
            if kind in READ_BEFORE_CHANGE and state.instances[target].stack_id:
                yield layer, target, state.instances[target].stack_id


def _desired_targets(desired: DesiredState, layer: str) -> Mapping[Target, object]:
    if layer in desired.plain:
        return desired.plain[layer].parameters
    return desired.sets[layer].overrides if layer in desired.sets else {}


def deployment_order(desired: DesiredState, current: CurrentState, back: bool) -> Graph:
    """Order the layers of a phase, present and desired. Raises `RolloutError` as `order_by_interfaces` does."""
    before = {layer: interface(state.template) for layer, state in current.sets.items()}
    before |= {layer: NO_INTERFACE for layer, _ in current.plain}
    after = {layer: interface(spec.template) for layer, spec in desired.sets.items()}
    after |= {layer: NO_INTERFACE for layer, spec in desired.plain.items() if spec.parameters}
    return order_by_interfaces(before, after, desired.needs, back)
