"""The fewest calls of StackSets that lead from a stack set as it is to the desired one. Pure.

An operation names accounts and regions and touches all their pairs; its overrides hold for all of them. So targets are
gathered into rectangles of equal overrides. Concurrency and failure tolerance are counted in accounts.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from builders import naming
from builders.rollout.model import (
    ConcurrencyMode,
    DesiredState,
    Instance,
    Preferences,
    StackSet,
    StackSetSpec,
    Status,
    Target,
    Values,
    grouped,
    shared_target,
)
from builders.rollout.plan.changes import ChangeKind, change_kinds, differs, keeps_overrides
from builders.template_bodies import comparable_values, parse_template

Rectangle = tuple[tuple[str, ...], tuple[str, ...]]
"""Accounts and regions, of which every pair is a target."""


class Action(enum.Enum):
    """A call's name in the API."""

    CREATE_SET = "CreateStackSet"
    UPDATE_SET = "UpdateStackSet"
    CREATE = "CreateStackInstances"
    UPDATE = "UpdateStackInstances"
    DELETE = "DeleteStackInstances"
    DELETE_SET = "DeleteStackSet"
    IMPORT = "ImportStacksToStackSet"
    DETECT_DRIFT = "DetectStackSetDrift"


@dataclass(frozen=True)
class Call:
    """One call. `overrides` is the full list of the targets' own values, or nothing where they stay as they are;
    `retain` keeps the stacks, `stack_ids` are those that an import takes."""

    action: Action
    layer: str
    set_name: str
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    overrides: Values | None = None
    retain: bool = False
    stack_ids: tuple[str, ...] = ()

    @property
    def targets(self) -> frozenset[Target]:
        """The instances that the operation touches."""
        return frozenset(shared_target(account, region) for account in self.accounts for region in self.regions)


def rectangles(targets: Collection[Target], region_order: Iterable[str]) -> list[Rectangle]:
    """Cover targets by rectangles that touch each once: by the fewer of two ways of gathering them."""
    order = {region: number for number, region in enumerate(region_order)}
    regions_of, accounts_in = grouped(targets), grouped((region, account) for account, region in targets)
    by_account = grouped((frozenset(regions), account) for account, regions in regions_of.items())
    by_region = grouped((frozenset(accounts), region) for region, accounts in accounts_in.items())
    found: Iterable[tuple[Iterable[str], Iterable[str]]] = by_region.items()
    if len(by_region) >= len(by_account):
        found = ((accounts, regions) for regions, accounts in by_account.items())
    return sorted(
        (tuple(sorted(accounts)), tuple(sorted(regions, key=lambda region: (order.get(region, len(order)), region))))
        for accounts, regions in found
    )


def calls_for(
    desired: DesiredState,
    layer: str,
    state: StackSet | None,
    targets: Collection[Target],
    anchors: Iterable[Target] = (),
) -> list[Call]:
    """The calls, in order, that bring a layer's set and its instances at `targets` to the desired state.

    A set takes one template at a time, and takes it only with a deployment: where none of `targets` has an instance
    yet, the first of `anchors` that has one is deployed with the new template ahead of its wave. What comes behind
    UpdateStackSet is independent of each other.
    """
    spec, kinds = desired.sets.get(layer), change_kinds(desired, layer, state, targets)
    if spec is None:
        return _removal(desired, state, kinds) if state else []
    found = [Call(Action.CREATE_SET, layer, spec.name)] if state is None and targets else []
    moves = not {ChangeKind.CREATE, ChangeKind.UPDATE}.isdisjoint(kinds.values())
    if state is not None and moves and differs(desired, spec, state):
        accounts, regions = _updated_with_set(desired, spec, state, kinds, anchors)
        update = Call(Action.UPDATE_SET, layer, spec.name, accounts, regions)
        found.append(update)
        for target in update.targets & kinds.keys():
            if kinds[target] is ChangeKind.UPDATE and keeps_overrides(spec, state.instances[target]):
                kinds[target] = ChangeKind.NOTHING
    for action, meant in (
        # To repeat it "retries all stack instances whose status is OUTDATED" (API reference, CreateStackInstances): a
        # promise that UpdateStackInstances does not make.
        (Action.CREATE, {ChangeKind.CREATE, ChangeKind.RETRY}),
        (Action.UPDATE, {ChangeKind.UPDATE, ChangeKind.OVERRIDE}),
    ):
        chosen = [target for target, each in kinds.items() if each in meant]
        for overrides, (accounts, regions) in _groups(desired, spec, state, chosen):
            found.append(Call(action, layer, spec.name, accounts, regions, overrides))
    return [*found, *_deletions(desired, state, kinds)] if state else found


def leads_to(desired: DesiredState, call: Call) -> bool:
    """Return whether a call is one that could lead to a desired state, wherever it starts from.

    The template and the set's own values are those of the desired state anyway; what a call brings of its own are its
    targets and their values.
    """
    spec = desired.sets.get(call.layer)
    if call.set_name != naming.stack_set(call.layer, desired.suffix):
        return False
    if spec is None:
        return call.action in (Action.DELETE, Action.DELETE_SET)
    if call.action is Action.DELETE:
        return call.targets.isdisjoint(spec.overrides)
    if call.action in (Action.CREATE_SET, Action.UPDATE_SET, Action.IMPORT):
        return call.overrides is None
    if call.action in (Action.DELETE_SET, Action.DETECT_DRIFT) or not call.targets <= spec.overrides.keys():
        return False
    # One that resets all values of its targets has to name something: see `_overrides`.
    resetting = {naming.SUFFIX: spec.parameters.get(naming.SUFFIX)}
    return call.overrides is None or all(
        call.overrides == spec.overrides[target] or (not spec.overrides[target] and call.overrides == resetting)
        for target in call.targets
    )


def state_after(desired: DesiredState, state: StackSet | None, *done: Call) -> StackSet | None:
    """The set once calls have succeeded everywhere, one after the other: a plan counts on it."""
    instances = dict(state.instances) if state else {}  # copied once: there may be a call for each instance
    for call in done:
        if call.action is Action.DELETE_SET:
            state, instances = None, {}
        elif call.action is Action.CREATE_SET:
            state, instances = StackSet(call.layer, call.set_name, "", {}, {}, {}), {}
        else:
            _succeed(instances, call)
    if state is None or all(call.action is Action.DELETE for call in done):
        return state and dataclasses.replace(state, instances=instances)
    spec = desired.sets[state.layer]
    after = dataclasses.replace(state, instances=instances, tags=desired.tags, permissions=desired.permissions)
    return dataclasses.replace(after, template=spec.template, parameters=spec.parameters)


def departures(
    desired: DesiredState, layer: str, expected: StackSet | None, found: StackSet | None, targets: Collection[Target]
) -> dict[Target, tuple[ChangeKind, str]]:
    """The targets where a call would not do any more what was planned: what it would be now, and why.

    `expected` is the set that the plan counted on, `found` the one that is there.
    """
    spec, kinds_now = desired.sets.get(layer), change_kinds(desired, layer, found, targets)
    another = _definition(expected) != _definition(found)
    departed = {}
    for target, planned in change_kinds(desired, layer, expected, targets).items():
        kind = kinds_now[target]
        if planned is kind is ChangeKind.NOTHING:
            continue
        one, other = (state.instances.get(target) if state else None for state in (expected, found))
        if planned is not kind:
            departed[target] = kind, f"the plan has {planned.value} for it, and now it would be {kind.value}"
        elif one and other and (one.status is Status.INOPERABLE) is not (other.status is Status.INOPERABLE):
            departed[target] = kind, f"it was {one.status.value} in the plan, and is {other.status.value}"
        elif one and other and _own_values(spec, one) != _own_values(spec, other):
            departed[target] = kind, "its own parameters are not those that the plan was made from"
        elif another:
            departed[target] = kind, "its stack set is not the one that the plan was made from"
    return departed


def _definition(state: StackSet | None) -> object:
    if state is None or not state.template:
        return state and state.template
    return parse_template(state.template), comparable_values(state.template, state.parameters), dict(state.tags)


def _own_values(spec: StackSetSpec | None, instance: Instance) -> object:
    """The part of an instance's overrides that a call depends on."""
    if spec is None or instance.overrides is None or instance.overrides == spec.overrides.get(instance.target):
        return None
    return comparable_values(spec.template, {**spec.parameters, **instance.overrides})


def _succeed(instances: dict[Target, Instance], call: Call) -> None:
    """Change the instances of a set as a call does that succeeds everywhere."""
    if call.action is Action.DELETE:
        for target in call.targets:
            instances.pop(target, None)
        return
    if call.action is Action.UPDATE_SET:
        for target, instance in instances.items():
            if instance.status is not Status.INOPERABLE:
                instances[target] = dataclasses.replace(instance, status=Status.OUTDATED, behind=True)
    for target in call.targets:
        before = instances.get(target, Instance(target, Status.OUTDATED, "PENDING", overrides={}))
        overrides = before.overrides if call.action is Action.UPDATE_SET or not call.overrides else call.overrides
        instances[target] = dataclasses.replace(
            before, status=Status.CURRENT, detailed="SUCCEEDED", reason="", overrides=overrides, behind=False
        )


def _updated_with_set(
    desired: DesiredState,
    spec: StackSetSpec,
    state: StackSet,
    kinds: Mapping[Target, ChangeKind],
    anchors: Iterable[Target],
) -> Rectangle:
    """The targets that UpdateStackSet deploys: it changes no overrides, so those whose own values stay as they are.

    Naming none would update all of them, which is right only where there is none.
    """
    working = [target for target, each in kinds.items() if each is ChangeKind.UPDATE]
    staying = [target for target in working if keeps_overrides(spec, state.instances[target])]
    if staying:
        return min(rectangles(staying, desired.regions), key=lambda found: _turn(desired, found))
    found = [state.instances[target] for target in anchors if target in state.instances]
    usable = [each.target for each in found if each.status is not Status.INOPERABLE]
    for target in sorted(working) or sorted(usable, key=lambda target: target not in spec.overrides):
        return (target.account,), (target.region,)
    return (), ()


def _groups(
    desired: DesiredState, spec: StackSetSpec, state: StackSet | None, targets: Iterable[Target]
) -> Iterator[tuple[Values | None, Rectangle]]:
    """Rectangles of equal overrides: those of an earlier region first, then the larger."""
    groups = grouped((json.dumps(_overrides(spec, state, target), sort_keys=True), target) for target in targets)
    found = [(text, rectangle) for text, those in groups.items() for rectangle in rectangles(those, desired.regions)]
    for text, rectangle in sorted(found, key=lambda each: (_turn(desired, each[1]), each[0])):
        yield json.loads(text), rectangle


def _turn(desired: DesiredState, rectangle: Rectangle) -> tuple[int, int]:
    """Return a rectangle's turn: in the order of the regions, and the larger before the smaller."""
    accounts, regions = rectangle
    order = {region: number for number, region in enumerate(desired.regions)}
    return min(order.get(region, len(order)) for region in regions), -len(accounts) * len(regions)


def _overrides(spec: StackSetSpec, state: StackSet | None, target: Target) -> dict[str, str] | None:
    """The full list for a target; None where its own values stay as they are, so that a thousand accounts that each
    have a value of their own are one operation.

    An operation without a list leaves all values (CloudFormation API reference, CreateStackInstances and
    UpdateStackInstances). One that resets all of them therefore has to name something: the suffix.
    """
    overrides = dict(spec.overrides[target])
    if state is None or target not in state.instances:
        return overrides
    if keeps_overrides(spec, state.instances[target]):
        return None
    return overrides or {naming.SUFFIX: spec.parameters[naming.SUFFIX]}


def _removal(desired: DesiredState, state: StackSet, kinds: Mapping[Target, ChangeKind]) -> list[Call]:
    """A layer that the phase has no more: its instances, and behind the last of them the set itself."""
    left = state.instances.keys() - kinds.keys()
    removal = [] if left else [Call(Action.DELETE_SET, state.layer, state.name)]
    return [*_deletions(desired, state, kinds), *removal]


def _deletions(desired: DesiredState, state: StackSet, kinds: Mapping[Target, ChangeKind]) -> list[Call]:
    """Delete the instances that work; detach an INOPERABLE one, whose stack stays."""
    leaving = [state.instances[target] for target, each in kinds.items() if each is ChangeKind.DELETE]
    by_health = grouped((each.status is Status.INOPERABLE, each.target) for each in leaving)
    return [
        Call(Action.DELETE, state.layer, state.name, accounts, regions, retain=broken)
        for broken, targets in sorted(by_health.items())
        for accounts, regions in rectangles(targets, desired.regions)
    ]


def account_count(given: str, accounts: int) -> int:
    """A count, or a percentage of the accounts rounded down, as StackSets do (API reference,
    StackSetOperationPreferences)."""
    if given.endswith("%"):
        return accounts * int(given.removesuffix("%")) // 100
    return int(given)


def tolerated_accounts(preferences: Preferences, accounts: int) -> int:
    """The accounts that may fail in a region, but never all: a canary of one that failed must stop what comes next."""
    return max(0, min(account_count(preferences.failure_tolerance, accounts), accounts - 1))


def concurrent_accounts(preferences: Preferences, accounts: int) -> int:
    """The accounts of a region that are worked on at once: strict tolerance begins one more than it may lose."""
    most = max(1, account_count(preferences.max_concurrent, accounts))
    if preferences.mode is ConcurrencyMode.STRICT:
        most = min(most, tolerated_accounts(preferences, accounts) + 1)
    return max(1, min(most, accounts))


def operation_preferences(preferences: Preferences, accounts: int, failed: int, of: int) -> Preferences:
    """The preferences of one of several operations that together may do what the wave's accounts (`of`) may."""
    left = max(0, tolerated_accounts(preferences, of) - failed)
    most = max(1, min(account_count(preferences.max_concurrent, of), accounts))
    tolerance = str(min(left, max(0, accounts - 1)))
    return dataclasses.replace(preferences, max_concurrent=str(most), failure_tolerance=tolerance)
