"""Plans: what becomes of every instance, by which operations, what is in the way, and about how long it takes. Pure."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from builders.errors import EvaluationError
from builders.rollout.diff.changes import ChangeKind, Comparison, compare
from builders.rollout.diff.effects import Change
from builders.rollout.diff.hazards import Hazard, HazardKind, Imports, changed_exports, hazards_of, imports_of
from builders.rollout.diff.set_hazards import GivenName, limit_hazards, name_conflicts, names_of, new_parameter_hazards
from builders.rollout.model import CurrentState, DeployedStack, DesiredState, Preferences, Target, Values
from builders.rollout.plan.calls import Action, account_count, concurrent_accounts
from builders.rollout.plan.schedule import Schedule, ScheduledLayer, ScheduledWave, make_schedule
from builders.template_bodies import parse_template
from builders.text import name_list


@dataclass(frozen=True)
class Group:
    """Instances of a layer in a wave that change alike. `changes` is None where their stacks were not compared."""

    wave: str
    layer: str
    kind: ChangeKind
    targets: tuple[Target, ...]
    changes: tuple[Change, ...] | None = None


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


@dataclass(frozen=True)
class Plan:
    """The effect of a command on one phase. `schedule` is what is carried out; the rest shows it."""

    phase: str
    command: str
    release: str
    layers: tuple[str, ...]
    """In the order in which they go."""
    groups: tuple[Group, ...]
    operations: tuple[PlannedOperation, ...]
    hazards: tuple[PlannedHazard, ...]
    acknowledged: frozenset[str]
    minutes: float
    notes: tuple[str, ...] = ()
    schedule: Schedule = field(default=Schedule(CurrentState({}), (), ()), compare=False, repr=False)

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

    def count(self, kinds: Iterable[ChangeKind]) -> int:
        """Count the instances of these kinds."""
        chosen = set(kinds)
        return sum(len(group.targets) for group in self.groups if group.kind in chosen)


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
    finder = HazardFinder(desired, current, schedule.layers)
    groups: list[Group] = []
    operations: dict[str, list[PlannedOperation]] = {}
    notes: list[str] = []
    for scheduled in schedule.waves:
        shown = operations.setdefault(scheduled.wave.name, [])
        for each in scheduled.layers:
            groups += _groups(finder, each)
            shown += _operations(desired, current, each)
            notes += _notes(each)
    made = tuple(each for shown in operations.values() for each in shown)
    slow = _slow_note(desired.preferences, max((len(wave.accounts) for wave in desired.waves), default=0))
    return Plan(
        phase=desired.phase,
        command=command,
        release=release,
        layers=schedule.layers,
        groups=tuple(groups),
        operations=made,
        hazards=tuple(PlannedHazard(hazard, targets) for hazard, targets in finder.hazards().items()),
        acknowledged=frozenset(acknowledged),
        minutes=sum((_wave_minutes(each, operations[each.wave.name]) for each in schedule.waves), start=0.0),
        notes=tuple(([slow] if slow and made else []) + notes),
        schedule=schedule,
    )


def _groups(finder: HazardFinder, each: ScheduledLayer) -> Iterator[Group]:
    together: dict[tuple[ChangeKind, tuple[Change, ...] | None], list[Target]] = defaultdict(list)
    for target, kind in each.changes.items():
        changes = finder.changes(each.layer, target, kind)
        together[kind, changes].append(target)
    for (kind, changes), targets in together.items():
        yield Group(each.wave.name, each.layer, kind, tuple(targets), changes)


def _notes(each: ScheduledLayer) -> Iterator[str]:
    for target in sorted({target for call in each.calls for target in call.targets} - each.changes.keys()):
        yield (
            f"{each.layer}: {target} is updated with wave {each.wave.name}, ahead of its own: StackSets takes a new "
            "template only with a deployment, and no account of the wave has an instance yet"
        )
    broken = [target for target, kind in each.changes.items() if kind is ChangeKind.INOPERABLE]
    if broken:
        yield (
            f"{each.layer}: INOPERABLE at {name_list(broken, 3)}, and passed over; detach it with "
            "`rollout-stacksets remove --account`, delete the stack there by hand, and apply again; where `status` "
            "says FAILED_IMPORT, delete nothing, and `adopt` again"
        )


def _slow_note(preferences: Preferences, accounts: int) -> str:
    """A sentence where the preferences make it one account at a time; empty where they do not."""
    if accounts < 2 or concurrent_accounts(preferences, accounts) > 1:
        return ""
    if account_count(preferences.max_concurrent, accounts) > 1:
        return (
            f"tolerance {preferences.failure_tolerance} with strict concurrency: one account at a time, whatever "
            f"max_concurrent says ({preferences.max_concurrent}); raise failure_tolerance, or take mode SOFT"
        )
    return f"max_concurrent {preferences.max_concurrent}: one account at a time"


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
        own[each.layer] += each.minutes
    until: dict[str, float] = {}
    for layer in scheduled.staying:
        until[layer.layer] = own[layer.layer] + max((until[before] for before in layer.after), default=0.0)
    return max(until.values(), default=0.0) + (scheduled.wave.bake_seconds / 60 if any(own.values()) else 0.0)


@functools.lru_cache(maxsize=64)
def _minutes(template: str) -> float:
    types = {str(each.get("Type")) for each in parse_template(template)["Resources"].values()}
    return max([_ANY, *(minutes for name, minutes in _SLOW.items() if name in types)])


class _Question(NamedTuple):
    """The input of a comparison; the account is no part of it, since it changes names and no effect."""

    layer: str
    region: str
    before: tuple[str, frozenset[tuple[str, str]], str] | None
    after: str
    values: frozenset[tuple[str, str]]
    running: bool


class _Answer(NamedTuple):
    """A comparison's result. `exporting` is the comparison itself where it changes exports, which neighbours import."""

    changes: tuple[Change, ...]
    hazards: tuple[Hazard, ...]
    exporting: Comparison | None


class HazardFinder:
    """Compares stacks and gathers hazards. What needs no look is not compared.

    Each question is answered once for all stacks that ask alike: of thousands of instances most are.
    """

    def __init__(self, desired: DesiredState, current: CurrentState, layers: Sequence[str]) -> None:
        self._desired = desired
        self._current = current
        self._position = {layer: number for number, layer in enumerate(layers)}
        self._answers: dict[_Question, _Answer] = {}
        self._imports: dict[tuple[str, str, frozenset[tuple[str, str]]], frozenset[str]] = {}
        self._found: dict[Hazard, set[Target]] = defaultdict(set)
        self._changing: set[str] = set()

    def changes(self, layer: str, target: Target, kind: ChangeKind) -> tuple[Change, ...] | None:
        """The changes of one stack's resources; None where it stays as it is, is new, or cannot be read."""
        if kind in (ChangeKind.NOTHING, ChangeKind.INOPERABLE):
            return None
        if layer in self._desired.plain or (layer, target) in self._current.plain:
            self._look_at_plain(layer, target)
            return None
        self._changing.add(layer)
        before = self._current.deployed.get((layer, target))
        if (layer, target) in self._current.unread:
            self._found[_unread(layer)].add(target)
        if before is None and kind is not ChangeKind.CREATE:
            return None
        question, answer = self._answer(layer, target, before)
        found = answer.hazards
        if answer.exporting is not None:
            neighbours = self._neighbours(layer, target)
            found = hazards_of(layer, answer.exporting, neighbours=neighbours, task_runs=question.running)
        for hazard in found:
            if not self._is_ordered(hazard):
                self._found[hazard].add(target)
        return None if kind is ChangeKind.CREATE else answer.changes

    def _look_at_plain(self, layer: str, target: Target) -> None:
        """Gather what would be refused of a plain stack's update, or leave on-premises without a way."""
        before, spec = self._current.plain.get((layer, target)), self._desired.plain.get(layer)
        if before is None or spec is None or target not in spec.parameters:
            return
        # Outputs that come while rolling out stay as they are until then.
        comparison = compare(before, spec.template, {**before.parameters, **spec.parameters[target]}, target)
        for hazard in hazards_of(layer, comparison):
            if hazard.kind in (HazardKind.ALREADY_EXISTS, HazardKind.ROUTES):
                self._found[hazard].add(target)

    def hazards(self) -> dict[Hazard, tuple[Target, ...]]:
        """Everything that was found with its targets, what cannot be acknowledged first."""
        for hazard in self._of_sets():
            self._found[hazard].update()
        ordered = sorted(self._found, key=lambda each: (each.acknowledgeable, each.kind, each.layer, each.resource))
        return {hazard: tuple(sorted(self._found[hazard])) for hazard in ordered}

    def _answer(self, layer: str, target: Target, before: DeployedStack | None) -> tuple[_Question, _Answer]:
        spec = self._desired.sets.get(layer)
        desired = spec is not None and target in spec.overrides
        template, values = (spec.template, spec.values(target)) if spec and desired else ("", {})
        deployed = (before.template, frozenset(before.parameters.items()), before.status) if before else None
        running = target in self._current.running_tasks
        question = _Question(layer, target.region, deployed, template, frozenset(values.items()), running)
        if question not in self._answers:
            comparison = compare(before, template, values, target)
            exporting = comparison if before and changed_exports(comparison) else None
            found = hazards_of(layer, comparison, task_runs=running)
            # A given name may hold the account; with it, no two accounts would change alike.
            changes = tuple(dataclasses.replace(change, named="") for change in comparison.changes)
            self._answers[question] = _Answer(changes, found, exporting)
        return question, self._answers[question]

    def _neighbours(self, layer: str, target: Target) -> dict[str, Imports]:
        """The other layers of a target, with what they import now and afterwards."""
        found = {}
        for other, state in self._current.sets.items():
            if other == layer or target not in state.instances:
                continue
            overrides = state.instances[target].overrides or {}
            now = self._imports_of(state.template, {**state.parameters, **overrides}, target)
            spec = self._desired.sets.get(other)
            staying = spec is not None and target in spec.overrides
            then = self._imports_of(spec.template, spec.values(target), target) if spec and staying else None
            found[other] = Imports(now, frozenset() if then is None else then)
        return found

    def _imports_of(self, template: str, values: Values, target: Target) -> frozenset[str]:
        question = template, target.region, frozenset(values.items())
        if question not in self._imports:
            try:
                self._imports[question] = imports_of(template, values, target)
            except EvaluationError:
                self._imports[question] = frozenset()  # its own comparison says so
        return self._imports[question]

    def _is_ordered(self, hazard: Hazard) -> bool:
        """Tell whether a hazard is none, since the layers that it needs to go first do."""
        own = self._position.get(hazard.layer, 0)
        return bool(hazard.needs_order) and all(self._position.get(each, own) < own for each in hazard.needs_order)

    def _of_sets(self) -> Iterator[Hazard]:
        for layer in sorted(self._changing & self._desired.sets.keys()):
            spec, state = self._desired.sets[layer], self._current.sets.get(layer)
            deployed: Mapping[Target, DeployedStack] = {
                target: stack for (name, target), stack in self._current.deployed.items() if name == layer
            }
            yield from limit_hazards(layer, spec.template, self._desired.permissions)
            yield from new_parameter_hazards(spec, state, deployed)
        if self._changing:
            yield from name_conflicts(name for layer in sorted(self._desired.sets) for name in self._names(layer))

    def _names(self, layer: str) -> Iterator[GivenName]:
        spec = self._desired.sets[layer]
        for target in sorted(spec.overrides):
            try:
                yield from names_of(layer, spec.template, spec.values(target), target)
            except EvaluationError:
                return  # its own comparison says so


def _unread(layer: str) -> Hazard:
    """One for all targets of a layer; the reasons name accounts, and are said while the stacks are read."""
    return Hazard(
        HazardKind.NOT_COMPARABLE,
        layer,
        "unread",
        "stacks cannot be read, so that nobody knows what this does to them",
        "let the plan role in (doctor tells what is wrong), or detach accounts that left by remove --account",
        acknowledgeable=True,
    )
