"""What each instance's update does and what stands in its way, each question answered once for all who ask alike.

Desired state and world become a plan. Pure: what AWS was asked for stands in the world.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from builders.errors import EvaluationError
from builders.rollout.diff.effects import Change
from builders.rollout.diff.exports import Imports, changed_exports, imports_of
from builders.rollout.diff.hazards import Hazard, HazardKind, hazards_of
from builders.rollout.diff.instances import ChangeKind, change_kind, differs, plain_change_kind
from builders.rollout.diff.resources import Comparison, compare
from builders.rollout.diff.set_hazards import GivenName, limit_hazards, name_conflicts, names_of, new_parameter_hazards
from builders.rollout.model import CurrentState, DeployedStack, DesiredState, StackSet, Target, Values, Wave
from builders.rollout.plan import plan, schedule
from builders.rollout.plan.calls import Action, Call, calls_for, state_after
from builders.rollout.plan.plan import Group, Plan, PlannedHazard, PlannedOperation
from builders.scopes import in_order
from builders.text import name_list


class _Question(NamedTuple):
    """What a comparison depends on; the account is not among it, since it changes names and no effect."""

    layer: str
    region: str
    before: tuple[str, frozenset[tuple[str, str]], str] | None
    after: str
    values: frozenset[tuple[str, str]]
    running: bool


class _Answer(NamedTuple):
    """What came out. `exporting` is the comparison where it changes exports, so that neighbours have a say in it."""

    changes: tuple[Change, ...]
    hazards: tuple[Hazard, ...]
    exporting: Comparison | None


class HazardFinder:
    """Compares stacks and gathers hazards. What needs no look is not compared."""

    def __init__(self, desired: DesiredState, current: CurrentState, graph: schedule.Graph) -> None:
        self._desired = desired
        self._current = current
        self._position = {layer: number for number, layer in enumerate(in_order(graph))}
        self._answers: dict[_Question, _Answer] = {}
        self._imports: dict[tuple[str, str, frozenset[tuple[str, str]]], frozenset[str]] = {}
        self._found: dict[Hazard, set[Target]] = defaultdict(set)
        self._changing: set[str] = set()

    def changes(self, layer: str, target: Target, kind: ChangeKind) -> tuple[Change, ...] | None:
        """What becomes of the resources at a place; None where it is not told: nothing happens, or all is new."""
        if kind in (ChangeKind.NOTHING, ChangeKind.INOPERABLE):
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

    def hazards(self) -> tuple[PlannedHazard, ...]:
        """Everything that was found, what cannot be acknowledged first."""
        for hazard in self._of_sets():
            self._found[hazard].update()
        ordered = sorted(self._found, key=lambda each: (each.acknowledgeable, each.kind, each.layer, each.resource))
        return tuple(PlannedHazard(hazard, tuple(sorted(self._found[hazard]))) for hazard in ordered)

    def _answer(self, layer: str, target: Target, before: DeployedStack | None) -> tuple[_Question, _Answer]:
        spec = self._desired.sets.get(layer)
        desired = spec is not None and target in spec.overrides
        template, values = (spec.template, spec.values(target)) if spec and desired else ("", {})
        known = (before.template, frozenset(before.parameters.items()), before.status) if before else None
        running = target in self._current.running_tasks
        question = _Question(layer, target.region, known, template, frozenset(values.items()), running)
        if question not in self._answers:
            comparison = compare(before, template, values, target)
            exporting = comparison if before and changed_exports(comparison) else None
            found = hazards_of(layer, comparison, task_runs=running)
            # A given name may hold the account; with it, no two accounts would change alike.
            changes = tuple(dataclasses.replace(change, custom_name="") for change in comparison.changes)
            self._answers[question] = _Answer(changes, found, exporting)
        return question, self._answers[question]

    def _neighbours(self, layer: str, target: Target) -> dict[str, Imports]:
        """The other layers that stand at a place, with what they import and shall import."""
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
        """Whether a hazard is none, since the layers that it wants to go first do."""
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
    """One for all places of a layer; the reasons name accounts, and are said while the stacks are read."""
    return Hazard(
        HazardKind.NOT_COMPARABLE,
        layer,
        "unread",
        "stacks cannot be read, so that nobody knows what this does to them",
        "let the plan role in (doctor tells what is wrong), or let accounts that left go by remove --account",
        acknowledgeable=True,
    )


READ_BEFORE_CHANGE = frozenset({ChangeKind.UPDATE, ChangeKind.OVERRIDE, ChangeKind.RETRY, ChangeKind.DELETE})
"""What a plan tells resource by resource, so that the stack of each such instance is read."""


def change_kinds(desired: DesiredState, current: CurrentState) -> dict[str, dict[Target, ChangeKind]]:
    """What becomes of every instance, by layer."""
    found: dict[str, dict[Target, ChangeKind]] = {}
    for layer in sorted({*desired.sets, *current.sets}):
        spec, state = desired.sets.get(layer), current.sets.get(layer)
        changed = spec is not None and state is not None and differs(desired, spec, state)
        everywhere = schedule.targets_of(desired, layer, state, ())
        found[layer] = {target: change_kind(spec, state, target, changed) for target in everywhere}
    return found


def stacks_to_read(desired: DesiredState, current: CurrentState) -> Iterator[tuple[str, Target, str]]:
    """Layer, place and stack id of every instance that may change."""
    for layer, by_place in change_kinds(desired, current).items():
        for target, each in sorted(by_place.items()):
            state = current.sets.get(layer)
            if each in READ_BEFORE_CHANGE and state and state.instances[target].stack_id:
                yield layer, target, state.instances[target].stack_id


def make_plan(
    desired: DesiredState,
    current: CurrentState,
    *,
    command: str = "apply",
    release: str = "",
    back: bool = False,
    acknowledged: Collection[str] = (),
) -> Plan:
    """Plan the way from the world to what is wanted. Raises `RolloutError` where the layers can be put in no order."""
    graph = schedule.deployment_order(desired, current, back)
    drawing = _Planner(desired, current, HazardFinder(desired, current, graph))
    layers = in_order(graph)
    every_kind = change_kinds(desired, current)
    for wave in schedule.waves_of(desired, current):
        for leaving, line in ((False, layers), (True, in_order(schedule.removal_order(desired, current)))):
            for layer in line:
                drawing.draw(wave, layer, every_kind.get(layer, {}), leaving)
    accounts = max((len(wave.accounts) for wave in desired.waves), default=0)
    slow = plan.slowest_note(desired.preferences, accounts)
    return Plan(
        phase=desired.phase,
        command=command,
        release=release,
        layers=tuple(layers),
        groups=tuple(drawing.groups),
        operations=tuple(drawing.calls),
        hazards=drawing.judge.hazards(),
        acknowledged=frozenset(acknowledged),
        minutes=plan.total_minutes(drawing.calls, schedule.waves_of(desired, current), graph),
        notes=tuple(filter(None, [slow if drawing.calls else "", *drawing.notes])),
    )


@dataclass
class _Planner:
    """A plan as it comes about. `_states` are the sets as they will be when the steps so far have succeeded."""

    desired: DesiredState
    current: CurrentState
    judge: HazardFinder
    groups: list[Group] = field(default_factory=list)
    calls: list[PlannedOperation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _states: dict[str, StackSet | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._states.update(self.current.sets)
        self._anchors = schedule.anchor_targets(self.desired)

    def draw(self, wave: Wave, layer: str, by_place: Mapping[Target, ChangeKind], leaving: bool) -> None:
        """Add what a wave does to a layer, where it stays or where it leaves."""
        everywhere = schedule.targets_of(self.desired, layer, self.current.sets.get(layer), self.current.plain)
        gone = schedule.leaving_targets(self.desired, layer, everywhere)
        accounts = frozenset(wave.accounts)
        chosen = [target for target in (gone if leaving else everywhere - gone) if target.account in accounts]
        if layer in self.desired.plain:
            self._draw_plain(wave, layer, chosen)
            return
        members = {target: by_place[target] for target in chosen}
        found = calls_for(self.desired, layer, self._states.get(layer), members, self._anchors)
        self._states[layer] = state_after(self.desired, self._states.get(layer), *found)
        for step in found:
            if step.action not in (Action.CREATE_SET, Action.DELETE_SET):
                self.calls.append(
                    plan.estimate_operation(wave.name, step, self._template(layer), self.desired.preferences)
                )
        self._note_early(wave, layer, found, members)
        self.groups.extend(self._grouped(wave, layer, members))
        self._note_state(wave, layer, members)

    def _grouped(self, wave: Wave, layer: str, members: dict[Target, ChangeKind]) -> Iterable[Group]:
        together: dict[tuple[ChangeKind, tuple[Change, ...] | None], list[Target]] = defaultdict(list)
        for target, each in sorted(members.items()):
            together[each, self.judge.changes(layer, target, each)].append(target)
        for (each, changes), targets in together.items():
            yield Group(wave.name, layer, each, tuple(targets), changes)

    def _draw_plain(self, wave: Wave, layer: str, chosen: Collection[Target]) -> None:
        stacks = self.desired.plain[layer]
        together: dict[ChangeKind, list[Target]] = defaultdict(list)
        for target in sorted(chosen):
            together[plain_change_kind(stacks, self.current.plain.get((layer, target)), target)].append(target)
        for each, targets in together.items():
            self.groups.append(Group(wave.name, layer, each, tuple(targets)))

    def _template(self, layer: str) -> str:
        state = self.current.sets.get(layer)
        spec = self.desired.sets.get(layer)
        return spec.template if spec else state.template if state else "{}"

    def _note_early(self, wave: Wave, layer: str, found: list[Call], members: Collection[Target]) -> None:
        early = {target for step in found for target in step.targets} - set(members)
        for target in sorted(early):
            self.notes.append(
                f"{layer}: {target} is updated with wave {wave.name}, ahead of its own: StackSets takes a new template "
                "only with a deployment, and no account of the wave has an instance yet"
            )

    def _note_state(self, wave: Wave, layer: str, members: Mapping[Target, ChangeKind]) -> None:
        broken = [target for target, each in sorted(members.items()) if each is ChangeKind.INOPERABLE]
        if broken:
            self.notes.append(
                f"{layer}: INOPERABLE at {name_list(broken, 3)}, and passed over; let them go with "
                "`rollout-stacksets remove --account`, delete the stack there by hand, and apply again"
            )
