"""Hazards of a plan: those of each stack's update, and those of stack sets: limits, new parameters, names given twice.

Pure.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from builders.errors import EvaluationError
from builders.evaluate import no_echo_parameters, secret_values
from builders.rollout.model import CurrentState, DeployedStack, DesiredState, StackSetSpec, Target, Values
from builders.rollout.plan.changes import ChangeKind
from builders.stack_diff.comparison import Comparison, compare
from builders.stack_diff.effects import Change
from builders.stack_diff.exports import Imports, changed_exports, imports_of
from builders.stack_diff.hazards import Hazard, HazardKind, hazards_of, masked
from builders.stack_diff.limits import limit_hazards
from builders.stack_diff.names import GivenName, name_conflicts, names_of
from builders.stack_diff.values import ChangedValue, changed_values
from builders.template_bodies import deciding_target, parse_template
from builders.text import name_list

Changes = tuple[tuple[Change, ...] | None, tuple[ChangedValue, ...]]
"""The changes of one stack's resources, None where they were not compared, and the values of changed properties."""


class _Answer(NamedTuple):
    """A comparison's result. `exporting` is the comparison itself where it changes exports, which neighbours import."""

    changes: tuple[Change, ...]
    values: tuple[ChangedValue, ...]
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
        self._answers: dict[Hashable, _Answer] = {}
        self._imports: dict[Hashable, frozenset[str]] = {}
        self._found: dict[Hazard, set[Target]] = defaultdict(set)
        self._changing: set[str] = set()

    def changes(self, layer: str, target: Target, kind: ChangeKind) -> Changes:
        """The changes of one stack; None where it stays as it is, is new, or cannot be read."""
        if kind in (ChangeKind.NOTHING, ChangeKind.INOPERABLE):
            return None, ()
        if layer in self._desired.plain or (layer, target) in self._current.plain:
            return self._changes_of_plain(layer, target)
        self._changing.add(layer)
        before = self._current.deployed.get((layer, target))
        if (layer, target) in self._current.unread:
            self._found[_unread(layer)].add(target)
        if before is None and kind is not ChangeKind.CREATE:
            return None, ()
        runs, own = target in self._current.running_tasks, self._position.get(layer, 0)
        answer = self._answer(layer, target, before, runs)
        found = answer.hazards
        if answer.exporting is not None:
            neighbours = self._neighbours(layer, target)
            found = hazards_of(layer, answer.exporting, neighbours=neighbours, task_runs=runs)
        for hazard in found:
            # It is none where the layers that it needs to go first do.
            if not hazard.needs_order or any(self._position.get(each, own) >= own for each in hazard.needs_order):
                self._found[hazard].add(target)
        return (None, ()) if kind is ChangeKind.CREATE else (answer.changes, answer.values)

    def _changes_of_plain(self, layer: str, target: Target) -> Changes:
        """The changes of a plain stack's update. What would be refused, or leaves on-premises without a way, is a
        hazard."""
        before, spec = self._current.plain.get((layer, target)), self._desired.plain.get(layer)
        if before is None or spec is None or target not in spec.parameters:
            return None, ()
        # Outputs that come while rolling out stay as they are until then.
        comparison = compare(before, spec.template, {**before.parameters, **spec.parameters[target]}, target)
        for hazard in hazards_of(layer, comparison):
            if hazard.kind in (HazardKind.ALREADY_EXISTS, HazardKind.ROUTES):
                self._found[hazard].add(target)
        return comparison.unnamed, changed_values(comparison, spec.account)

    def hazards(self) -> dict[Hazard, set[Target]]:
        """Everything that was found with its targets."""
        secrets, of_sets = self._secrets(), list[Hazard]()
        for layer in sorted(self._changing & self._desired.sets.keys()):
            spec = self._desired.sets[layer]
            of_sets += limit_hazards(layer, spec.template, service_managed=self._desired.permissions.service_managed)
            of_sets += new_parameter_hazards(spec, self._current)
        if self._changing:
            of_sets += name_conflicts(name for layer in sorted(self._desired.sets) for name in self._names(layer))
        for hazard in of_sets:
            self._found[masked(hazard, secrets)].update()
        return self._found

    def _secrets(self) -> set[str]:
        """The values of NoEcho parameters in all sets."""
        found: set[str] = set()
        for spec in self._desired.sets.values():
            template = parse_template(spec.template)
            if no_echo_parameters(template):
                found.update(*(secret_values(template, spec.values(target)) for target in spec.overrides))
        return found

    def _answer(self, layer: str, target: Target, before: DeployedStack | None, runs: bool) -> _Answer:
        template, values = self._wanted(layer, target)
        given = frozenset(before.parameters.items()) if before else None
        deployed = (before.template, given, before.status, before.protected) if before else ("",)
        where = deciding_target(target, template, deployed[0])
        question = layer, where, deployed, template, frozenset(values.items()), runs
        if question not in self._answers:
            comparison = compare(before, template, values, target)
            exporting = comparison if before and changed_exports(comparison) else None
            found = hazards_of(layer, comparison, task_runs=runs)
            changed = changed_values(comparison, target.account)
            self._answers[question] = _Answer(comparison.unnamed, changed, found, exporting)
        return self._answers[question]

    def _neighbours(self, layer: str, target: Target) -> dict[str, Imports]:
        """The other layers of a target, with what they import now and afterwards."""
        found = {}
        for other, state in self._current.sets.items():
            if other == layer or target not in state.instances:
                continue
            overrides = state.instances[target].overrides or {}
            now = self._imports_of(state.template, {**state.parameters, **overrides}, target)
            template, values = self._wanted(other, target)
            found[other] = Imports(now, self._imports_of(template, values, target) if template else frozenset())
        return found

    def _wanted(self, layer: str, target: Target) -> tuple[str, Values]:
        """The desired template and parameters of a stack; no template where there is to be none."""
        spec = self._desired.sets.get(layer)
        return (spec.template, spec.values(target)) if spec and target in spec.overrides else ("", {})

    def _imports_of(self, template: str, values: Values, target: Target) -> frozenset[str]:
        question = template, deciding_target(target, template), frozenset(values.items())
        if question not in self._imports:
            try:
                self._imports[question] = imports_of(template, values, target)
            except EvaluationError:
                self._imports[question] = frozenset()  # its own comparison says so
        return self._imports[question]

    def _names(self, layer: str) -> Iterator[GivenName]:
        spec = self._desired.sets[layer]
        with contextlib.suppress(EvaluationError):  # its own comparison says so
            for target in sorted(spec.overrides):
                yield from names_of(layer, spec.template, spec.values(target), target)


def _unread(layer: str) -> Hazard:
    """One for all targets of a layer; the reasons name accounts, and are said while the stacks are read."""
    return Hazard(
        HazardKind.NOT_COMPARABLE,
        layer,
        "unread",
        "stacks cannot be read, so that nobody knows what this does to them",
        "give the plan role access (`rollout-stacksets doctor` says what is wrong), or detach accounts that left the "
        "phase by `rollout-stacksets remove --account ACCOUNT`",
        acknowledgeable=True,
    )


def new_parameter_hazards(spec: StackSetSpec, current: CurrentState) -> tuple[Hazard, ...]:
    """Parameters that instances do not have yet and whose desired values differ among them.

    An instance can be given an override only once every instance has the parameter with the set's value
    (UpdateStackInstances, "ParameterOverrides"). For stacks that were not read the set's template counts.
    """
    state = current.sets.get(spec.layer)
    if state is None:
        return ()
    lacking: defaultdict[str, list[Target]] = defaultdict(list)
    for target in sorted(state.instances.keys() & spec.overrides.keys()):
        stack = current.deployed.get((spec.layer, target))
        try:
            declared = parse_template(stack.template if stack else state.template).get("Parameters", {})
        except EvaluationError:
            continue
        for name in spec.overrides[target]:
            if name not in declared:
                lacking[name].append(target)
    return tuple(
        Hazard(
            HazardKind.NEW_PARAMETER,
            spec.layer,
            name,
            f"parameter {name} is new and has a value of its own at {name_list(targets, 3)}: an instance cannot be "
            "given one before every instance has the parameter",
            f"first roll out with one value of {name} for all, then with the values of their own",
            acknowledgeable=False,
        )
        for name, targets in sorted(lacking.items())
    )
