"""The schedule of a rollout: its waves, in each wave the layers in order, in each layer the calls in order. Pure.

`make_schedule` alone decides which calls are made. A plan shows its objects, and the executor carries the same objects
out; where targets fall out of it, `narrowed` makes the calls of a layer in a wave for the others.

Forwards a layer follows those that it needs, backwards it goes before them. Exports and imports of the templates can
turn that round: CloudFormation removes no export that is in use, and imports none that does not exist.
"""

from __future__ import annotations

import graphlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from builders.errors import RolloutError
from builders.rollout.diff.changes import ChangeKind, change_kind, differs, plain_change_kind
from builders.rollout.model import CurrentState, DesiredState, StackSet, Status, Target, Wave
from builders.rollout.plan.calls import Action, Call, calls_for, state_after
from builders.scopes import in_order

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
    leaving: bool
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

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls, in the order of waves and layers."""
        return tuple(call for wave in self.waves for each in wave.layers for call in each.calls)


def make_schedule(desired: DesiredState, current: CurrentState, *, back: bool = False) -> Schedule:
    """Schedule the way from the current state to the desired one; `back` is the order of a rollback.

    Raises `RolloutError` where the layers can be put in no order.
    """
    staying, leaving = deployment_order(desired, current, back), removal_order(desired, current)
    scheduler = _Scheduler(desired, current)
    waves = [
        ScheduledWave(
            wave,
            tuple(scheduler.add(wave, layer, staying[layer], leaving=False) for layer in in_order(staying)),
            tuple(scheduler.add(wave, layer, leaving[layer], leaving=True) for layer in in_order(leaving)),
        )
        for wave in waves_of(desired, current)
    ]
    return Schedule(CurrentState(current.sets, plain=current.plain), tuple(in_order(staying)), tuple(waves))


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


class _Scheduler:
    """Schedules layers one after the other, each from the state that the calls before it lead to."""

    def __init__(self, desired: DesiredState, current: CurrentState) -> None:
        self._desired = desired
        self._current = current
        self._sets: dict[str, StackSet | None] = dict(current.sets)
        self._changes: dict[str, Mapping[Target, ChangeKind]] = {}
        wave = {account: number for number, wave in enumerate(desired.waves) for account in wave.accounts}
        # One that leaves is the last resort: an update of a set that names nobody would update everybody.
        present = {target for state in current.sets.values() for target in state.instances}
        targets = desired.targets | present
        self._anchors = sorted(targets, key=lambda target: (wave.get(target.account, len(wave)), target))

    def add(self, wave: Wave, layer: str, after: frozenset[str], *, leaving: bool) -> ScheduledLayer:
        """Schedule a layer in a wave."""
        if layer not in self._changes:
            self._changes[layer] = change_kinds(self._desired, self._current, layer)
        accounts, staying = frozenset(wave.accounts), _desired_targets(self._desired, layer)
        changes = {
            target: kind
            for target, kind in self._changes[layer].items()
            if target.account in accounts
            # A layer that leaves all of its targets goes in the order of those that stay.
            and (bool(staying) and target not in staying) is leaving
        }
        calls: tuple[Call, ...] = ()
        if layer not in self._desired.plain:
            state = self._sets.get(layer)
            calls = tuple(calls_for(self._desired, layer, state, changes, self._anchors))
            self._sets[layer] = state_after(self._desired, state, *calls)
        return ScheduledLayer(wave, layer, after, leaving, changes, calls)


def waves_of(desired: DesiredState, current: CurrentState) -> list[Wave]:
    """The waves of the phase, and one for accounts that have instances and are in no wave."""
    named = {account for wave in desired.waves for account in wave.accounts}
    present = {target.account for state in current.sets.values() for target in state.instances}
    present |= {target.account for _, target in current.plain}
    gone = tuple(sorted(present - named))
    # A set without instances is removed too, and goes with the last wave.
    return [*desired.waves, Wave(LEAVING, gone)] if gone or not desired.waves else list(desired.waves)


def change_kinds(desired: DesiredState, current: CurrentState, layer: str) -> dict[Target, ChangeKind]:
    """The change of every instance or plain stack of a layer, by target."""
    targets = set(_desired_targets(desired, layer))
    if layer in desired.plain:
        targets |= {target for name, target in current.plain if name == layer}
        stacks = desired.plain[layer]
        return {each: plain_change_kind(stacks, current.plain.get((layer, each)), each) for each in sorted(targets)}
    spec, state = desired.sets.get(layer), current.sets.get(layer)
    changed = spec is not None and state is not None and differs(desired, spec, state)
    targets |= state.instances.keys() if state else set()
    return {each: change_kind(spec, state, each, changed) for each in sorted(targets)}


def stacks_to_read(desired: DesiredState, current: CurrentState) -> Iterator[tuple[str, Target, str]]:
    """Layer, target and stack id of every instance that may change."""
    for layer, state in sorted(current.sets.items()):
        for target, kind in change_kinds(desired, current, layer).items():
            if kind in READ_BEFORE_CHANGE and state.instances[target].stack_id:
                yield layer, target, state.instances[target].stack_id


def _desired_targets(desired: DesiredState, layer: str) -> Mapping[Target, object]:
    if layer in desired.plain:
        return desired.plain[layer].parameters
    return desired.sets[layer].overrides if layer in desired.sets else {}


Graph = dict[str, frozenset[str]]
"""For each layer those that it waits for."""


@dataclass(frozen=True)
class Interface:
    """The exports and imports of a template.

    The names are the texts of the expressions that make them: both sides write them alike. A condition is not looked
    at: what may be exported counts as exported.
    """

    exports: frozenset[str]
    imports: frozenset[str]


NO_INTERFACE = Interface(frozenset(), frozenset())


def interface(template: str) -> Interface:
    """Read exports and imports from a template's body in JSON."""
    body = json.loads(template)
    exported = (output["Export"]["Name"] for output in body.get("Outputs", {}).values() if "Export" in output)
    return Interface(frozenset(map(_text, exported)), frozenset(map(_text, _imports(body))))


def deployment_order(desired: DesiredState, current: CurrentState, back: bool) -> Graph:
    """Order the layers of a phase, present and desired. Raises `RolloutError` as `order_by_interfaces` does."""
    before = {layer: interface(state.template) for layer, state in current.sets.items()}
    before |= {layer: NO_INTERFACE for layer, _ in current.plain}
    after = {layer: interface(spec.template) for layer, spec in desired.sets.items()}
    after |= {layer: NO_INTERFACE for layer, spec in desired.plain.items() if spec.parameters}
    return order_by_interfaces(before, after, desired.needs, back)


def removal_order(desired: DesiredState, current: CurrentState) -> Graph:
    """Order the layers where they leave a target that they do not leave elsewhere: each before those that it needs."""
    present = {*current.sets, *(layer for layer, _ in current.plain)}
    return order_by_interfaces(dict.fromkeys(present, NO_INTERFACE), {}, desired.needs, back=True)


def order_by_interfaces(
    before: Mapping[str, Interface], after: Mapping[str, Interface], needs: Mapping[str, frozenset[str]], back: bool
) -> Graph:
    """Order layers by what their present and their desired templates export and import; `back` is a rollback's order.

    A layer that goes away goes before everything that it needs. Raises `RolloutError` where two layers would each have
    to go first.
    """
    waits: dict[str, set[str]] = {layer: set() for layer in sorted(before.keys() | after.keys())}
    for layer in waits:
        for needed in needs.get(layer, frozenset()) & waits.keys():
            first, second = _pair(layer, needed, before, after, back)
            waits[second].add(first)
    found = {layer: frozenset(others) for layer, others in waits.items()}
    try:
        graphlib.TopologicalSorter(found).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise RolloutError(f"the layers wait for each other in a circle: {circle}; split the change in two") from error
    return found


def _pair(
    layer: str, needed: str, before: Mapping[str, Interface], after: Mapping[str, Interface], back: bool
) -> tuple[str, str]:
    """The layer that goes first, and the other: `layer` imports from `needed`."""
    old, new = before.get(layer, NO_INTERFACE), after.get(layer, NO_INTERFACE)
    offered, offering = before.get(needed, NO_INTERFACE).exports, after.get(needed, NO_INTERFACE).exports
    dropped = old.imports & (offered - offering) - new.imports
    gained = new.imports & (offering - offered)
    if dropped and gained:
        raise RolloutError(
            f"{layer} gives up {', '.join(sorted(dropped))} and takes {', '.join(sorted(gained))} of {needed} at once, "
            "so neither can go first; roll out the new export, then the new import, then drop the old export"
        )
    importer_first = bool(dropped) or layer not in after or (back and not gained)
    return (layer, needed) if importer_first else (needed, layer)


def _imports(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        if "Fn::ImportValue" in node:
            yield node["Fn::ImportValue"]
        for part in node.values():
            yield from _imports(part)
    elif isinstance(node, list):
        for part in node:
            yield from _imports(part)


def _text(expression: Any) -> str:
    if isinstance(expression, dict) and expression.keys() == {"Fn::Sub"}:
        return str(expression["Fn::Sub"])
    return expression if isinstance(expression, str) else json.dumps(expression, sort_keys=True)
