"""The fewest StackSets operations that lead from a stack set as it is to the set as it shall be. Pure.

An operation names accounts and regions and touches all their pairs; its overrides hold for all of them. So pairs are
gathered into rectangles of equal overrides.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from builders.rollout.comparing import Kind, differs, keeps_overrides, kind
from builders.rollout.grouping import Rectangle, rectangles
from builders.rollout.model import Desired, DesiredSet, Instance, Place, StackSet, Status, Values

SUFFIX = "EnvironmentSuffix"
"""A parameter of every template."""


class Action(enum.Enum):
    """What a step asks of StackSets, one call each."""

    CREATE_SET = "CreateStackSet"
    UPDATE_SET = "UpdateStackSet"
    CREATE = "CreateStackInstances"
    UPDATE = "UpdateStackInstances"
    DELETE = "DeleteStackInstances"
    DELETE_SET = "DeleteStackSet"


@dataclass(frozen=True)
class Step:
    """One call. `overrides` is the full list of the places' own values; `retain` leaves the stacks standing."""

    action: Action
    layer: str
    set_name: str
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    overrides: Values | None = None
    retain: bool = False

    @property
    def places(self) -> frozenset[Place]:
        """The instances that the operation touches."""
        return frozenset(Place(account, region) for account in self.accounts for region in self.regions)


def steps(
    wanted: Desired, layer: str, state: StackSet | None, places: Collection[Place], anchors: Iterable[Place] = ()
) -> list[Step]:
    """The calls, in order, that bring a layer's set and its instances at `places` to what they shall be.

    A set takes one template at a time, and takes it only with a deployment: where none of `places` has an instance yet,
    the first of `anchors` that has one is deployed with the new template ahead of its wave. What comes behind
    UpdateStackSet is independent of each other.
    """
    desired = wanted.sets.get(layer)
    if desired is None:
        return _removal(wanted, state, places)
    found: list[Step] = []
    if state is None:
        found += [Step(Action.CREATE_SET, layer, desired.name)] if places else []
    changed = state is not None and differs(wanted, desired, state)
    kinds = {place: kind(desired, state, place, changed) for place in places}
    if state is not None and changed and any(each in (Kind.CREATE, Kind.UPDATE) for each in kinds.values()):
        accounts, regions = _bearers(wanted, desired, state, kinds, anchors)
        bearing = Step(Action.UPDATE_SET, layer, desired.name, accounts, regions)
        found.append(bearing)
        for place in bearing.places & kinds.keys():
            if kinds[place] is Kind.UPDATE and keeps_overrides(desired, state, state.instances[place]):
                kinds[place] = Kind.NOTHING
    for action, meant in ((Action.CREATE, {Kind.CREATE}), (Action.UPDATE, {Kind.UPDATE, Kind.OVERRIDE, Kind.RETRY})):
        for overrides, (accounts, regions) in _groups(wanted, desired, state, kinds, meant):
            found.append(Step(action, layer, desired.name, accounts, regions, overrides))
    if state is not None:
        found += _deletions(wanted, state, [place for place, each in kinds.items() if each is Kind.DELETE])
    return found


def after(wanted: Desired, state: StackSet | None, step: Step) -> StackSet | None:
    """The set once a step has succeeded everywhere: what a plan reckons with."""
    if step.action is Action.DELETE_SET:
        return None
    if step.action is Action.CREATE_SET:
        made = StackSet(step.layer, step.set_name, "", {}, {}, {})
        return _stored(wanted, made, {})
    assert state is not None
    instances = dict(state.instances)
    if step.action is Action.DELETE:
        return dataclasses.replace(state, instances={p: i for p, i in instances.items() if p not in step.places})
    if step.action is Action.UPDATE_SET:
        for place, instance in instances.items():
            if instance.status is not Status.INOPERABLE:
                instances[place] = dataclasses.replace(instance, status=Status.OUTDATED)
    for place in step.places:
        before = instances.get(place, Instance(place, Status.OUTDATED, "PENDING", overrides={}))
        overrides = before.overrides if step.action is Action.UPDATE_SET or not step.overrides else step.overrides
        instances[place] = dataclasses.replace(
            before, status=Status.CURRENT, detailed="SUCCEEDED", reason="", overrides=overrides
        )
    return _stored(wanted, state, instances)


def _bearers(
    wanted: Desired, desired: DesiredSet, state: StackSet, kinds: Mapping[Place, Kind], anchors: Iterable[Place]
) -> Rectangle:
    """Whom UpdateStackSet deploys with the new template: it changes no overrides, so those whose own stay as they are.

    Naming nobody would update everybody, which is right only where nobody is there.
    """
    working = [place for place, each in kinds.items() if each is Kind.UPDATE]
    staying = [place for place in working if keeps_overrides(desired, state, state.instances[place])]
    if staying:
        return max(rectangles(staying, wanted.regions), key=lambda found: len(found[0]) * len(found[1]))
    usable = [p for p in anchors if p in state.instances and state.instances[p].status is not Status.INOPERABLE]
    for place in sorted(working) or sorted(usable, key=lambda place: place not in desired.overrides):
        return (place.account,), (place.region,)
    return (), ()


def _groups(
    wanted: Desired, desired: DesiredSet, state: StackSet | None, kinds: Mapping[Place, Kind], meant: set[Kind]
) -> Iterator[tuple[Values, Rectangle]]:
    """Rectangles of equal overrides, the largest set of places first."""
    groups: dict[str, list[Place]] = defaultdict(list)
    for place, each in kinds.items():
        if each in meant:
            overrides = _overrides(desired, state.instances.get(place) if state else None, place)
            groups[json.dumps(overrides, sort_keys=True)].append(place)
    for text, places in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        for rectangle in rectangles(places, wanted.regions):
            yield json.loads(text), rectangle


def _overrides(desired: DesiredSet, instance: Instance | None, place: Place) -> dict[str, str]:
    """The full list for a place. A list that names nothing resets nothing, so one that shall reset names the suffix."""
    overrides = dict(desired.overrides[place])
    if not overrides and instance is not None and instance.overrides != {}:
        return {SUFFIX: desired.parameters[SUFFIX]}
    return overrides


def _removal(wanted: Desired, state: StackSet | None, places: Collection[Place]) -> list[Step]:
    """A layer that the phase has no more: its instances, and behind the last of them the set itself."""
    if state is None:
        return []
    found = _deletions(wanted, state, [place for place in places if place in state.instances])
    if not state.instances.keys() - set(places):
        found.append(Step(Action.DELETE_SET, state.layer, state.name))
    return found


def _deletions(wanted: Desired, state: StackSet, places: Collection[Place]) -> list[Step]:
    """Those that work are deleted; an INOPERABLE one is let go, and its stack stays."""
    return [
        Step(Action.DELETE, state.layer, state.name, accounts, regions, retain=broken)
        for broken in (False, True)
        for accounts, regions in rectangles(
            [place for place in places if (state.instances[place].status is Status.INOPERABLE) is broken],
            wanted.regions,
        )
    ]


def _stored(wanted: Desired, state: StackSet, instances: dict[Place, Instance]) -> StackSet:
    desired = wanted.sets[state.layer]
    return dataclasses.replace(
        state,
        template=desired.template,
        parameters=desired.parameters,
        tags=wanted.tags,
        permissions=wanted.permissions,
        instances=instances,
    )
