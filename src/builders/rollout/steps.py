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
    """One call. `overrides` is the full list of the places' own values, or nothing where they stay as they are;
    `retain` leaves the stacks standing."""

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


def after(wanted: Desired, state: StackSet | None, *done: Step) -> StackSet | None:
    """The set once steps have succeeded everywhere, one after the other: what a plan reckons with."""
    instances = dict(state.instances) if state else {}  # copied once: there may be a step for each instance
    for step in done:
        if step.action is Action.DELETE_SET:
            state, instances = None, {}
        elif step.action is Action.CREATE_SET:
            state, instances = StackSet(step.layer, step.set_name, "", {}, {}, {}), {}
        else:
            _succeed(instances, step)
    if state is None:
        return None
    if any(step.action is not Action.DELETE for step in done):
        return _stored(wanted, state, instances)
    return dataclasses.replace(state, instances=instances)


def _succeed(instances: dict[Place, Instance], step: Step) -> None:
    """Change the instances of a set as a step does that succeeds everywhere."""
    if step.action is Action.DELETE:
        for place in step.places:
            instances.pop(place, None)
        return
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


def _bearers(
    wanted: Desired, desired: DesiredSet, state: StackSet, kinds: Mapping[Place, Kind], anchors: Iterable[Place]
) -> Rectangle:
    """Whom UpdateStackSet deploys with the new template: it changes no overrides, so those whose own stay as they are.

    Naming nobody would update everybody, which is right only where nobody is there.
    """
    working = [place for place, each in kinds.items() if each is Kind.UPDATE]
    staying = [place for place in working if keeps_overrides(desired, state, state.instances[place])]
    if staying:
        return min(rectangles(staying, wanted.regions), key=lambda found: _turn(wanted, found))
    usable = [p for p in anchors if p in state.instances and state.instances[p].status is not Status.INOPERABLE]
    for place in sorted(working) or sorted(usable, key=lambda place: place not in desired.overrides):
        return (place.account,), (place.region,)
    return (), ()


def _groups(
    wanted: Desired, desired: DesiredSet, state: StackSet | None, kinds: Mapping[Place, Kind], meant: set[Kind]
) -> Iterator[tuple[Values, Rectangle]]:
    """Rectangles of equal overrides: those of an earlier region first, then the larger."""
    groups: dict[str, list[Place]] = defaultdict(list)
    for place, each in kinds.items():
        if each in meant:
            overrides = _overrides(desired, state, place)
            groups[json.dumps(overrides, sort_keys=True)].append(place)
    found = [(text, rectangle) for text, places in groups.items() for rectangle in rectangles(places, wanted.regions)]
    for text, rectangle in sorted(found, key=lambda each: (_turn(wanted, each[1]), each[0])):
        yield json.loads(text), rectangle


def _turn(wanted: Desired, rectangle: Rectangle) -> tuple[int, int]:
    """When a rectangle's turn comes: in the order of the regions, and the larger before the smaller."""
    accounts, regions = rectangle
    order = {region: number for number, region in enumerate(wanted.regions)}
    return min(order.get(region, len(order)) for region in regions), -len(accounts) * len(regions)


def _overrides(desired: DesiredSet, state: StackSet | None, place: Place) -> dict[str, str]:
    """The full list for a place; none where its own values stay as they are, so that a thousand accounts that each
    have a value of their own are one operation.

    An operation without a list leaves all values (CloudFormation API reference, UpdateStackInstances). One that shall
    reset all of them therefore has to name something: the suffix.
    """
    overrides = dict(desired.overrides[place])
    if state is None or place not in state.instances:
        return overrides
    instance = state.instances[place]
    if keeps_overrides(desired, state, instance):
        return {}
    return overrides or {SUFFIX: desired.parameters[SUFFIX]}


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
