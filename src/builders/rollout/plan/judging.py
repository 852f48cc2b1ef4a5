"""What each instance's update does and what stands in its way, each question answered once for all who ask alike."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from builders.errors import EvaluationError
from builders.graphs import in_order
from builders.rollout import order
from builders.rollout.changes import (
    Change,
    Comparison,
    Hazard,
    HazardKind,
    Imports,
    changed_exports,
    collisions,
    compare,
    hazards,
    imports_of,
    limits,
    names_of,
    new_parameters,
)
from builders.rollout.changes.collisions import Name
from builders.rollout.comparing import Kind
from builders.rollout.model import Deployed, Desired, Place, Values, World
from builders.rollout.plan.values import PlannedHazard


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


class Judge:
    """Compares stacks and gathers hazards. What needs no look is not compared."""

    def __init__(self, wanted: Desired, world: World, graph: order.Graph) -> None:
        self._wanted = wanted
        self._world = world
        self._position = {layer: number for number, layer in enumerate(in_order(graph))}
        self._answers: dict[_Question, _Answer] = {}
        self._imports: dict[tuple[str, str, frozenset[tuple[str, str]]], frozenset[str]] = {}
        self._found: dict[Hazard, set[Place]] = defaultdict(set)
        self._changing: set[str] = set()

    def changes(self, layer: str, place: Place, kind: Kind) -> tuple[Change, ...] | None:
        """What becomes of the resources at a place; None where it is not told: nothing happens, or all is new."""
        if kind in (Kind.NOTHING, Kind.INOPERABLE):
            return None
        self._changing.add(layer)
        before = self._world.deployed.get((layer, place))
        if (layer, place) in self._world.unread:
            self._found[_unread(layer)].add(place)
        if before is None and kind is not Kind.CREATE:
            return None
        question, answer = self._answer(layer, place, before)
        found = answer.hazards
        if answer.exporting is not None:
            neighbours = self._neighbours(layer, place)
            found = hazards(layer, answer.exporting, neighbours=neighbours, task_runs=question.running)
        for hazard in found:
            if not self._is_ordered(hazard):
                self._found[hazard].add(place)
        return None if kind is Kind.CREATE else answer.changes

    def hazards(self) -> tuple[PlannedHazard, ...]:
        """Everything that was found, what cannot be acknowledged first."""
        for hazard in self._of_sets():
            self._found[hazard].update()
        ordered = sorted(self._found, key=lambda each: (each.acknowledgeable, each.kind, each.layer, each.resource))
        return tuple(PlannedHazard(hazard, tuple(sorted(self._found[hazard]))) for hazard in ordered)

    def _answer(self, layer: str, place: Place, before: Deployed | None) -> tuple[_Question, _Answer]:
        desired = self._wanted.sets.get(layer)
        wanted = desired is not None and place in desired.overrides
        template, values = (desired.template, desired.values(place)) if desired and wanted else ("", {})
        known = (before.template, frozenset(before.parameters.items()), before.status) if before else None
        running = place in self._world.running_tasks
        question = _Question(layer, place.region, known, template, frozenset(values.items()), running)
        if question not in self._answers:
            comparison = compare(before, template, values, place)
            exporting = comparison if before and changed_exports(comparison) else None
            found = hazards(layer, comparison, task_runs=running)
            # A given name may hold the account; with it, no two accounts would change alike.
            changes = tuple(dataclasses.replace(change, named="") for change in comparison.changes)
            self._answers[question] = _Answer(changes, found, exporting)
        return question, self._answers[question]

    def _neighbours(self, layer: str, place: Place) -> dict[str, Imports]:
        """The other layers that stand at a place, with what they import and shall import."""
        found = {}
        for other, state in self._world.sets.items():
            if other == layer or place not in state.instances:
                continue
            overrides = state.instances[place].overrides or {}
            now = self._imports_of(state.template, {**state.parameters, **overrides}, place)
            desired = self._wanted.sets.get(other)
            staying = desired is not None and place in desired.overrides
            then = self._imports_of(desired.template, desired.values(place), place) if desired and staying else None
            found[other] = Imports(now, frozenset() if then is None else then)
        return found

    def _imports_of(self, template: str, values: Values, place: Place) -> frozenset[str]:
        question = template, place.region, frozenset(values.items())
        if question not in self._imports:
            try:
                self._imports[question] = imports_of(template, values, place)
            except EvaluationError:
                self._imports[question] = frozenset()  # its own comparison says so
        return self._imports[question]

    def _is_ordered(self, hazard: Hazard) -> bool:
        """Whether a hazard is none, since the layers that it wants to go first do."""
        own = self._position.get(hazard.layer, 0)
        return bool(hazard.needs_order) and all(self._position.get(each, own) < own for each in hazard.needs_order)

    def _of_sets(self) -> Iterator[Hazard]:
        for layer in sorted(self._changing & self._wanted.sets.keys()):
            desired, state = self._wanted.sets[layer], self._world.sets.get(layer)
            deployed: Mapping[Place, Deployed] = {
                place: stack for (name, place), stack in self._world.deployed.items() if name == layer
            }
            yield from limits(layer, desired.template, self._wanted.permissions)
            yield from new_parameters(desired, state, deployed)
        if self._changing:
            yield from collisions(name for layer in sorted(self._wanted.sets) for name in self._names(layer))

    def _names(self, layer: str) -> Iterator[Name]:
        desired = self._wanted.sets[layer]
        for place in sorted(desired.overrides):
            try:
                yield from names_of(layer, desired.template, desired.values(place), place)
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
