"""The changes of every stack that a plan touches, and what stands in their way. Pure.

Each question is answered once for all stacks that ask alike: of thousands of instances most are.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from builders.errors import EvaluationError
from builders.rollout.diff.changes import ChangeKind, Comparison, compare
from builders.rollout.diff.effects import Change
from builders.rollout.diff.hazards import Hazard, HazardKind, Imports, changed_exports, hazards_of, imports_of
from builders.rollout.diff.set_hazards import GivenName, limit_hazards, name_conflicts, names_of, new_parameter_hazards
from builders.rollout.model import CurrentState, DeployedStack, DesiredState, Target, Values


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
    """Compares stacks and gathers hazards. What needs no look is not compared."""

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
