"""Drift of a phase: detected by StackSets on every stack set at once, and with `deep` by comparing the stacks too.

Drift is what differs from the stack's own template. Somebody who updates a stack in the target account itself changes
that template, and no detection sees it (CloudFormation user guide, "Performing drift detection on CloudFormation
StackSets"): only a comparison of the stack with its set does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from builders.aws.calls import concurrently
from builders.errors import RolloutError, UsageError
from builders.resource_types import value_at
from builders.rollout.client import Client
from builders.rollout.executor.context import Clock, PollInterval
from builders.rollout.executor.current_state import read_set, read_stacks
from builders.rollout.executor.operations import PolledOperation, Poller
from builders.rollout.model import (
    ConcurrencyMode,
    DeployedStack,
    DesiredState,
    Instance,
    LayerTarget,
    Operation,
    Preferences,
    StackSet,
    Status,
    Target,
    Values,
)
from builders.rollout.plan.calls import Action, Call
from builders.rollout.stack_sets import DriftedProperty, InstanceResult
from builders.rollout.state.store import OverrideCache
from builders.stack_diff.comparison import differing_parameters
from builders.stack_diff.effects import differing_properties
from builders.stack_diff.values import shown_value
from builders.template_bodies import declared_values, parse_template
from builders.text import unknown_name

STACK = "AWS::CloudFormation::Stack"
WHOLE = "the stack itself"

EVERYWHERE = Preferences("100%", "100%", ConcurrencyMode.SOFT, parallel_regions=True)
"""Detection changes nothing, so that nothing is gained by being careful, and no failure may end it for the others."""


@dataclass(frozen=True)
class DriftView:
    """The drift of a phase. `checked` counts the instances with a result, `unchecked` has the reasons of the others."""

    phase: str
    checked: int
    drifted: tuple[DriftedProperty, ...]
    unchecked: Mapping[LayerTarget, str] = field(default_factory=dict)
    stacks: Mapping[LayerTarget, str] = field(default_factory=dict)
    """The ids of stacks with drifted resources."""


@dataclass(frozen=True)
class DriftOptions:
    """The layers to look at, all where none is named; `deep` compares their stacks with the sets too."""

    layers: Collection[str] = ()
    deep: bool = False
    poll_interval: PollInterval = field(default_factory=PollInterval)
    say: Callable[[str], None] = lambda _line: None


def run_drift(
    client: Client, desired: DesiredState, layers: Collection[str], cache: OverrideCache, options: DriftOptions
) -> tuple[DriftView, int]:
    """Detect drift on every set of a phase, wait for it, and return what drifted.

    `layers` are those that a stack set may carry. The exit code is 1 when something drifted, or could not be checked.
    `cache` learns that the detections are the instances' last operations: of an operation that it does not know, the
    next plan would ask for each instance's overrides. Raises `RolloutError` for a layer without a stack set.
    """
    sets = _chosen(client, desired, layers, options.layers)
    detections = []
    for layer, name in sets.items():
        operation_id, call = f"drift-{name}-{secrets.token_hex(4)}"[:128], Call(Action.DETECT_DRIFT, layer, name)
        known = {target: cache.overrides(layer, each) for target, each in client.sets.instances_left(name).items()}
        detections.append(_Detection(operation_id, call, EVERYWHERE, overrides=known))
    ended: dict[str, Operation] = {}
    for each, operation in _Detections(client, options).until_over(detections):
        ended[each.call.layer] = operation
        if each.accepted:
            options.say(f"{each.call.layer}: {operation.status}")
    found = _Found()
    for detection in detections:
        _add_detected(client, detection, ended[detection.call.layer], cache, found)
    if options.deep:
        for layer, name in sets.items():
            if state := read_set(client.sets, cache, layer, name):
                _add_compared(client, state, found)
    drifted = tuple(sorted(found.drifted, key=lambda each: (each.layer, each.target, each.resource, each.property)))
    view = DriftView(desired.phase, found.checked, drifted, found.unchecked, found.stacks)
    return view, int(bool(view.drifted or view.unchecked))


def _chosen(client: Client, desired: DesiredState, layers: Collection[str], asked: Collection[str]) -> dict[str, str]:
    phase, found = f"phase {desired.phase}", client.sets.existing(layers, desired.suffix)
    if unknown := sorted(set(asked) - set(layers)):
        raise UsageError(unknown_name("layer", unknown[0], sorted(layers)))
    if missing := sorted(set(asked) - found.keys()):
        there = ", ".join(found) or "none"
        raise RolloutError(f"{phase} has no stack set of {', '.join(missing)}; it has those of: {there}")
    if not found:
        raise RolloutError(f"{phase} has no stack set, and nothing to look at; `rollout-stacksets apply` deploys it")
    return {layer: name for layer, name in found.items() if not asked or layer in asked}


@dataclass(kw_only=True)
class _Detection(PolledOperation):
    """A detection on the stack set of a layer."""

    overrides: Mapping[Target, Values | None]
    """The overrides as far as they were known before: a detection changes none of them."""


class _Detections(Poller):
    """The detections of one command."""

    def __init__(self, client: Client, options: DriftOptions) -> None:
        super().__init__(client.sets, Clock(), options.poll_interval)
        self._say = options.say

    def send(self, polled: PolledOperation) -> Operation | None:
        self.sets.detect_drift(polled.call.set_name, polled.id, polled.preferences)
        return None

    def accepted(self, polled: PolledOperation) -> None:
        self.say(polled, f"looking, by operation {polled.id}")

    def say(self, polled: PolledOperation, text: str) -> None:
        self._say(f"{polled.call.layer}: {text}")


@dataclass
class _Found:
    """The content of a view, as far as it has been found."""

    checked: int = 0
    drifted: list[DriftedProperty] = field(default_factory=list)
    unchecked: dict[LayerTarget, str] = field(default_factory=dict)
    stacks: dict[LayerTarget, str] = field(default_factory=dict)


def _add_detected(client: Client, detection: _Detection, ended: Operation, cache: OverrideCache, found: _Found) -> None:
    """Add the result of one set's detection."""
    layer, name = detection.call.layer, detection.call.set_name
    instances = client.sets.instances_left(name)
    for target, each in instances.items():
        if each.last_operation_id == detection.id and (known := detection.overrides.get(target)) is not None:
            cache.learn(layer, each, known)
    unchecked = _unchecked(client, detection, ended, instances)
    found.unchecked |= {(layer, target): reason for target, reason in unchecked.items()}
    found.checked += len(instances) - len(unchecked)
    drifted = [target for target, each in instances.items() if each.drift == "DRIFTED" and target not in unchecked]
    found.stacks |= {(layer, target): instances[target].stack_id for target in sorted(drifted)}
    which = layer, name, detection.id
    for _, drifts in concurrently(lambda target: client.sets.resource_drifts(*which, target), drifted):
        found.drifted += map(_shown, drifts)


def _unchecked(
    client: Client, detection: _Detection, operation: Operation, instances: Mapping[Target, Instance]
) -> dict[Target, str]:
    """The instances without a result of this detection, with the reason."""
    results: Mapping[Target, InstanceResult] = {}
    if operation.status != "SUCCEEDED" or operation.failed:
        if not detection.accepted:
            return dict.fromkeys(instances, operation.reason)
        results = client.sets.results(detection.call.set_name, detection.id)
    found: dict[Target, str] = {}
    for target, instance in instances.items():
        result = results.get(target)
        if result is not None and result.status != "SUCCEEDED":
            found[target] = result.reason or f"the detection {result.status.lower()} there"
        elif instance.drift not in ("DRIFTED", "IN_SYNC"):
            found[target] = instance.reason or "the detection says nothing of it"
    return found


def _add_compared(client: Client, state: StackSet, found: _Found) -> None:
    """Add where stacks of a set have another template or other parameters than it; an instance that is not CURRENT
    rightly differs, and counts as not checked."""
    ids: dict[LayerTarget, str] = {}
    for target, instance in state.instances.items():
        if instance.status is Status.CURRENT:
            ids[state.layer, target] = instance.stack_id
        else:
            found.unchecked.setdefault((state.layer, target), f"its stack is not compared: {instance.status.value}")
    for key, stack in read_stacks(client, ids):
        if isinstance(stack, RolloutError):
            found.unchecked[key] = f"its stack cannot be read: {stack}"
        elif stack is None:
            found.drifted.append(DriftedProperty(*key, WHOLE, STACK, "DELETED"))
        else:
            found.drifted += differing_sections(state, state.instances[key[1]], stack)


def differing_sections(state: StackSet, instance: Instance, stack: DeployedStack) -> Iterator[DriftedProperty]:
    """The sections and parameters in which a deployed stack differs from its set. Pure."""
    whole = DriftedProperty(state.layer, instance.target, WHOLE, STACK, "NOT_EQUAL")
    ours, theirs = parse_template(state.template), parse_template(stack.template)
    # A section, or one resource, output ... of it: bodies are too long to be shown.
    for path in dict.fromkeys(".".join(path.split(".")[:2]) for path in differing_properties(ours, theirs)):
        expected = "" if value_at(ours, path) is None else "as the set has it"
        actual = "" if value_at(theirs, path) is None else "otherwise"
        name = f"Template/{path.replace('.', '/')}"
        yield whole._replace(property=name, expected=expected, actual=actual)
    values = declared_values(state.template, {**state.parameters, **(instance.overrides or {})})
    for name in differing_parameters(stack, values):
        if name in stack.parameters:
            given = values[name], stack.parameters[name]
            yield _shown(DriftedProperty(*whole[:5], f"Parameters/{name}", *given))


def _shown(drift: DriftedProperty) -> DriftedProperty:
    path = drift.property
    return drift._replace(expected=shown_value(path, drift.expected), actual=shown_value(path, drift.actual))
