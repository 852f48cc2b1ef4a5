"""Plans: what becomes of every instance, by which operations, what is in the way, and about how long it takes. Pure."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from builders.evaluate import no_echo_parameters
from builders.rollout.model import (
    CurrentState,
    DesiredState,
    Permissions,
    PlainStackSpec,
    Preferences,
    StackSetSpec,
    Target,
    grouped,
)
from builders.rollout.plan.calls import Action, Call, account_count, concurrent_accounts
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.hazards import HazardFinder
from builders.rollout.plan.schedule import Schedule, ScheduledLayer, ScheduledWave, make_schedule
from builders.stack_diff.effects import Change
from builders.stack_diff.hazards import Hazard
from builders.stack_diff.values import ChangedValue
from builders.template_bodies import parse_template
from builders.text import name_list


@dataclass(frozen=True)
class Group:
    """Instances of a layer in a wave that change alike. `changes` is None where their stacks were not compared; the
    `values` of changed properties may differ from target to target."""

    wave: str
    layer: str
    kind: ChangeKind
    targets: tuple[Target, ...]
    changes: tuple[Change, ...] | None = None
    values: tuple[ChangedValue, ...] = ()

    def values_at(self, target: Target) -> tuple[ChangedValue, ...]:
        """The values of one of its targets."""
        return tuple(
            dataclasses.replace(each, targets=()) for each in self.values if target in (each.targets or self.targets)
        )


@dataclass(frozen=True)
class PlannedOperation:
    """One operation. `at_once` is how many accounts of a region it works on; `minutes` is an estimate."""

    wave: str
    layer: str
    action: Action
    accounts: int
    regions: tuple[str, ...]
    at_once: int
    minutes: float


@dataclass(frozen=True)
class PlannedHazard:
    """A hazard with its targets."""

    hazard: Hazard
    targets: tuple[Target, ...]

    @property
    def name(self) -> str:
        """The word that acknowledges it."""
        return f"{self.hazard.layer}/{self.hazard.resource}"


_NO_STATE = DesiredState("", "", {}, {}, {}, (), (), Preferences(), Permissions(), {})


@dataclass(frozen=True)
class Plan:
    """The effect of a command on one phase, and what carries it out: `schedule`, or the calls of `imports` alone."""

    phase: str
    command: str
    release: str
    layers: tuple[str, ...]
    """Layers in the order in which they are deployed."""
    groups: tuple[Group, ...]
    operations: tuple[PlannedOperation, ...]
    hazards: tuple[PlannedHazard, ...]
    acknowledged: frozenset[str]
    minutes: float
    notes: tuple[str, ...] = ()
    desired: DesiredState = field(default=_NO_STATE, compare=False, repr=False)
    """The state that it leads to."""
    schedule: Schedule = field(default=Schedule(CurrentState({}), (), ()), compare=False, repr=False)
    imports: Mapping[str, Sequence[Call]] | None = field(default=None, compare=False, repr=False)
    """Calls by layer, in their order; None where there is a schedule."""

    @property
    def blocks(self) -> tuple[PlannedHazard, ...]:
        """The hazards that forbid the plan, or forbid it until they are acknowledged."""
        return tuple(
            each for each in self.hazards if not (each.hazard.acknowledgeable and each.name in self.acknowledged)
        )

    @property
    def nothing_to_do(self) -> bool:
        """True where no call would be made and no plain stack touched."""
        return not any(group.kind is not ChangeKind.NOTHING for group in self.groups)

    def count(self, kind: ChangeKind) -> int:
        """Count the instances of a kind."""
        return sum(len(group.targets) for group in self.groups if group.kind is kind)


def make_plan(
    desired: DesiredState,
    current: CurrentState,
    *,
    command: str = "apply",
    release: str = "",
    back: bool = False,
    acknowledged: Collection[str] = (),
) -> Plan:
    """Plan the way from the current state to the desired one; `back` is the order of a rollback.

    Raises `RolloutError` where the layers can be put in no order.
    """
    schedule = make_schedule(desired, current, back=back)
    scheduled = [each for wave in schedule.waves for each in wave.layers]
    finder = HazardFinder(desired, current, schedule.layers)
    groups = make_groups(change for each in scheduled for change in _changes(finder, each))
    operations = tuple(operation for each in scheduled for operation in _operations(desired, current, each))
    notes = [*(_slow_notes(desired) if operations else ()), *(note for each in scheduled for note in _notes(each))]
    return Plan(
        phase=desired.phase,
        command=command,
        release=release,
        layers=schedule.layers,
        groups=groups,
        operations=operations,
        hazards=planned_hazards(finder.hazards()),
        acknowledged=frozenset(acknowledged),
        minutes=sum((_wave_minutes(each, operations) for each in schedule.waves), start=0.0),
        notes=(*notes, *_hidden_notes(desired)),
        desired=desired,
        schedule=schedule,
    )


def _changes(finder: HazardFinder, each: ScheduledLayer) -> Iterator[StackChange]:
    for target, kind in each.changes.items():
        changes, values = finder.changes(each.layer, target, kind)
        yield (each.wave.name, each.layer, kind, changes), target, values


Alike = tuple[str, str, ChangeKind, tuple[Change, ...] | None]
"""The wave, layer, kind and changes of the stacks of a group."""
StackChange = tuple[Alike, Target, tuple[ChangedValue, ...]]
"""The group of one stack, where it is, and the values of its changed properties."""


def make_groups(found: Iterable[StackChange]) -> tuple[Group, ...]:
    """Group the stacks of a wave and layer that change alike."""
    together = grouped((alike, (target, values)) for alike, target, values in found)
    return tuple(
        Group(wave, layer, kind, tuple(target for target, _ in members), changes, joined_values(dict(members)))
        for (wave, layer, kind, changes), members in together.items()
    )


def planned_hazards(found: Mapping[Hazard, Iterable[Target]]) -> tuple[PlannedHazard, ...]:
    """The hazards with their targets, what cannot be acknowledged first."""
    ordered = sorted(found, key=lambda each: (each.acknowledgeable, each.kind, each.layer, each.resource))
    return tuple(PlannedHazard(hazard, tuple(sorted(found[hazard]))) for hazard in ordered)


def joined_values(found: Mapping[Target, tuple[ChangedValue, ...]]) -> tuple[ChangedValue, ...]:
    """The values of a group: each pair once, with its targets where not all of the group have it."""
    everywhere = set(found)
    # Thousands of targets have the same tuple, which need not be hashed for each.
    same = {id(values): values for values in found.values()}
    alike = grouped((id(values), target) for target, values in found.items())
    pairs = grouped((value, target) for key, values in same.items() for value in values for target in alike[key])
    return tuple(
        dataclasses.replace(value, targets=() if everywhere == (here := set(where)) else tuple(sorted(here)))
        for value, where in pairs.items()
    )


def _notes(each: ScheduledLayer) -> Iterator[str]:
    for target in sorted({target for call in each.calls for target in call.targets} - each.changes.keys()):
        yield (
            f"{each.layer}: {target} is updated with wave {each.wave.name}, ahead of its own: StackSets takes a new "
            "template only with a deployment, and no account of the wave has an instance yet"
        )
    broken = [target for target, kind in each.changes.items() if kind is ChangeKind.INOPERABLE]
    if broken:
        accounts = {target.account for target in broken}
        account = accounts.pop() if len(accounts) == 1 else "ACCOUNT"
        yield (
            f"{each.layer}: INOPERABLE at {name_list(broken, 3)}, and passed over; detach it with "
            f"`rollout-stacksets remove --account {account}`, delete the stack there by hand, and apply again; where "
            "`rollout-stacksets status` says FAILED_IMPORT, delete nothing, and `rollout-stacksets adopt` again"
        )


def _hidden_notes(desired: DesiredState) -> Iterator[str]:
    """A sentence on the parameters whose values cannot be compared."""
    specs: list[StackSetSpec | PlainStackSpec] = [*desired.sets.values(), *desired.plain.values()]
    hidden = [f"{spec.layer}/{name}" for spec in specs for name in no_echo_parameters(parse_template(spec.template))]
    if hidden:
        yield (
            f"CloudFormation shows no value of a parameter with NoEcho, so that another value of {name_list(hidden)} "
            "alone is no change here; give the parameter another name in the template to roll a new value out"
        )


def _slow_notes(desired: DesiredState) -> Iterator[str]:
    """A sentence where the preferences make it one account at a time."""
    preferences, accounts = desired.preferences, max((len(wave.accounts) for wave in desired.waves), default=0)
    if accounts < 2 or concurrent_accounts(preferences, accounts) > 1:
        return
    if account_count(preferences.max_concurrent, accounts) > 1:
        yield (
            f"tolerance {preferences.failure_tolerance} with strict concurrency: one account at a time, whatever "
            f"max_concurrent says ({preferences.max_concurrent}); raise failure_tolerance, or take mode SOFT"
        )
    else:
        yield f"max_concurrent {preferences.max_concurrent}: one account at a time"


_SLOW = {
    "AWS::RDS::DBInstance": 15.0,
    "AWS::DMS::ReplicationInstance": 12.0,
    "AWS::DirectConnect::DirectConnectGatewayAssociation": 15.0,
    "AWS::EC2::VPCEndpoint": 3.0,
    "AWS::EC2::TransitGatewayAttachment": 3.0,
}
"""Round figures of minutes for creating the slowest resources; AWS promises none. Updates are taken for half of it."""
_ANY = 2.0


def _operations(desired: DesiredState, current: CurrentState, each: ScheduledLayer) -> Iterator[PlannedOperation]:
    """The operations of a layer, each with its pace and its minutes."""
    preferences, definition = desired.preferences, desired.sets.get(each.layer) or current.sets.get(each.layer)
    for call in each.calls:
        if definition is None or call.action in (Action.CREATE_SET, Action.DELETE_SET):
            continue
        accounts = len(call.accounts)
        at_once = concurrent_accounts(preferences, accounts) if accounts else 0
        rounds = -(-accounts // at_once) if at_once else 0
        turns = 1 if preferences.parallel_regions else len(call.regions)
        minutes = rounds * turns * _minutes(definition.template) * (1.0 if call.action is Action.CREATE else 0.5)
        yield PlannedOperation(each.wave.name, each.layer, call.action, accounts, call.regions, at_once, minutes)


def _wave_minutes(scheduled: ScheduledWave, operations: Iterable[PlannedOperation]) -> float:
    """The longest way through the layers of a wave, and its bake time."""
    own: dict[str, float] = defaultdict(float)
    for each in operations:
        if each.wave == scheduled.wave.name:
            own[each.layer] += each.minutes
    until: dict[str, float] = {}
    for layer in scheduled.staying:
        until[layer.layer] = own[layer.layer] + max((until[before] for before in layer.after), default=0.0)
    return max(until.values(), default=0.0) + (scheduled.wave.bake_seconds / 60 if any(own.values()) else 0.0)


@functools.lru_cache(maxsize=64)
def _minutes(template: str) -> float:
    types = {str(each.get("Type")) for each in parse_template(template)["Resources"].values()}
    return max([_ANY, *(minutes for name, minutes in _SLOW.items() if name in types)])
