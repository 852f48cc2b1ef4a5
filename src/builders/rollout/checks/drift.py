"""What StackSets call no drift: a stack that somebody updated in the target account itself.

Drift is what differs from the stack's own template; a direct update changes that template, and no detection sees it
(CloudFormation user guide, "Performing drift detection on CloudFormation StackSets").

What is not as its template says: detected by StackSets, on every set of a phase at once.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from builders import naming
from builders.errors import RolloutError
from builders.resource_types import value_at
from builders.rollout.aws.accounts import Look
from builders.rollout.aws.calls import concurrently
from builders.rollout.aws.client import Client
from builders.rollout.aws.errors import StackSetNotFound
from builders.rollout.aws.stack_sets import ResourceDrift, Result
from builders.rollout.diff.effects import differing_properties
from builders.rollout.diff.templates import declared_values, differing_parameters, parse_template
from builders.rollout.executor.current_state import with_overrides
from builders.rollout.executor.polling import Clock, PolledOperation, Poller, PollInterval, WallClock
from builders.rollout.model import (
    ConcurrencyMode,
    DeployedStack,
    DesiredState,
    Instance,
    Operation,
    Preferences,
    StackSet,
    Status,
    Target,
    Values,
)
from builders.rollout.state.overrides import OverrideCache

STACK = "AWS::CloudFormation::Stack"
WHOLE = "the stack itself"


@dataclass(frozen=True)
class DriftedProperty:
    """One property of one resource that is not as its template says.

    `difference` is StackResourceDriftStatus or PropertyDifference.DifferenceType (MODIFIED, DELETED, ADD, REMOVE,
    NOT_EQUAL). A resource that was deleted has no property.
    """

    layer: str
    target: Target
    resource: str
    type: str
    difference: str
    property: str = ""
    expected: str = ""
    actual: str = ""


@dataclass(frozen=True)
class DriftView:
    """What drift detection found. `checked` counts the instances looked at; `unchecked` are the others, and why."""

    phase: str
    checked: int
    drifted: tuple[DriftedProperty, ...]
    unchecked: Mapping[tuple[str, Target], str] = field(default_factory=dict)


def compare_with_stacks(
    client: Client, view: DriftView, sets: Iterable[tuple[str, str]], known: OverrideCache
) -> DriftView:
    """Add to a view what each stack's own template and parameters have that the set's do not, layer by layer.

    An instance that is not CURRENT differs rightly, and is told as not compared.
    """
    drifted, unchecked = list(view.drifted), dict(view.unchecked)
    for layer, name in sets:
        read = client.sets.read(layer, name)
        if read is None:
            continue
        state = with_overrides(client.sets, known, read)
        for instance in state.instances.values():
            if instance.status is not Status.CURRENT:
                unchecked.setdefault((layer, instance.target), f"its stack is not compared: {instance.status.value}")
        looks = [
            Look((layer, target), each.stack_id)
            for target, each in state.instances.items()
            if each.status is Status.CURRENT
        ]
        for look, stack in client.members.deployed_many(looks):
            target = look.key[1]
            if isinstance(stack, RolloutError):
                unchecked[look.key] = f"its stack cannot be read: {stack}"
            elif stack is None:
                drifted.append(DriftedProperty(layer, target, WHOLE, STACK, "DELETED"))
            else:
                drifted += differing_sections(state, state.instances[target], stack)
    order = sorted(drifted, key=lambda each: (each.layer, each.target, each.resource, each.property))
    return dataclasses.replace(view, drifted=tuple(order), unchecked=unchecked)


def differing_sections(state: StackSet, instance: Instance, stack: DeployedStack) -> Iterator[DriftedProperty]:
    """What a stack was deployed with otherwise than its set says. Pure."""
    line = DriftedProperty(state.layer, instance.target, WHOLE, STACK, "NOT_EQUAL")
    ours, theirs = parse_template(state.template), parse_template(stack.template)
    paths = dict.fromkeys(tuple(path.split(".")[:2]) for path in differing_properties(ours, theirs))
    for path in paths:  # a section, or one resource, output ... of it: bodies are too long to be shown
        expected = "as the set has it" if value_at(ours, ".".join(path)) is not None else ""
        actual = "otherwise" if value_at(theirs, ".".join(path)) is not None else ""
        yield dataclasses.replace(line, property=f"Template/{'/'.join(path)}", expected=expected, actual=actual)
    values = declared_values(state.template, {**state.parameters, **(instance.overrides or {})})
    for name in differing_parameters(stack, values):
        if name in stack.parameters:
            actual = stack.parameters[name]
            yield dataclasses.replace(line, property=f"Parameters/{name}", expected=values[name], actual=actual)


EVERYWHERE = Preferences("100%", "100%", ConcurrencyMode.SOFT, parallel_regions=True)
"""Looking changes nothing, so that nothing is gained by being careful, and no failure may end it for the others."""


@dataclass(frozen=True)
class DriftOptions:
    """How one looks: which layers (all where none is named), how deep, how time passes, and who is told."""

    layers: Collection[str] = ()
    deep: bool = False
    clock: Clock = field(default_factory=WallClock)
    poll_interval: PollInterval = field(default_factory=PollInterval)
    say: Callable[[str], None] = lambda _line: None


@dataclass(kw_only=True)
class _Detection(PolledOperation):
    """A detection on the stack set of a layer. `operation` is how it ended."""

    layer: str
    overrides: Mapping[Target, Values]
    """What instances override, as far as it was known before: a detection changes none of it."""
    operation: Operation | None = None


class _Detections(Poller[_Detection]):
    """The detections of one command."""

    def __init__(self, client: Client, how: DriftOptions) -> None:
        super().__init__(client.sets, how.clock, how.poll_interval)
        self._say = how.say

    def send(self, polled: _Detection) -> Operation | None:
        self.sets.detect_drift(polled.set_name, polled.id, EVERYWHERE)
        return None

    def accepted(self, polled: _Detection) -> None:
        self._say(f"{polled.layer}: looking, by operation {polled.id}")

    def looked(self, polled: _Detection, operation: Operation) -> None:
        if polled.accepted and not operation.active:
            self._say(f"{polled.layer}: {operation.status}")

    def blocked(self, polled: _Detection, by: str) -> None:
        self._say(f"{polled.layer}: waiting for {by}, which is in progress there")

    def lost(self, polled: _Detection) -> Operation:
        return polled.ended("FAILED", f"operation {polled.id} was accepted and is not found")


def run_drift(
    client: Client, desired: DesiredState, layers: Collection[str], known: OverrideCache, how: DriftOptions
) -> tuple[DriftView, int]:
    """Detect drift on every set of a phase, wait for it, and tell what drifted.

    `layers` are those that a stack set may carry. The exit code is 1 when something drifted, or could not be looked
    at. `known` learns that the detections are the instances' last operations, which would else be strangers to it.
    Raises `RolloutError` where a layer is asked for that the phase has no stack set of.
    """
    chosen = _chosen(client, desired, layers, how.layers)
    detections = [_detection(client, layer, name, known) for layer, name in chosen]
    for detection, operation in _Detections(client, how).until_over(detections):
        detection.operation = operation
    view = DriftView(desired.phase, 0, ())
    for detection in detections:
        found = _found(client, detection, known)
        view = DriftView(
            desired.phase,
            view.checked + found.checked,
            view.drifted + found.drifted,
            {**view.unchecked, **found.unchecked},
        )
    if how.deep:
        view = compare_with_stacks(client, view, chosen, known)
    return view, int(bool(view.drifted or view.unchecked))


def _chosen(
    client: Client, desired: DesiredState, layers: Collection[str], asked: Collection[str]
) -> list[tuple[str, str]]:
    present = client.sets.names()
    found = [(layer, naming.stack_set(layer, desired.suffix)) for layer in sorted(layers)]
    found = [(layer, name) for layer, name in found if name in present]
    missing = sorted(set(asked) - {layer for layer, _ in found})
    if missing:
        there = ", ".join(layer for layer, _ in found) or "none"
        raise RolloutError(f"phase {desired.phase} has no stack set of {', '.join(missing)}; it has those of: {there}")
    return [(layer, name) for layer, name in found if not asked or layer in asked]


def _detection(client: Client, layer: str, name: str, known: OverrideCache) -> _Detection:
    found = {target: known.overrides(layer, each) for target, each in _instances(client, name).items()}
    return _Detection(
        id=f"drift-{name}-{secrets.token_hex(4)}"[:128],
        set_name=name,
        action="DETECT_DRIFT",
        layer=layer,
        overrides={target: values for target, values in found.items() if values is not None},
    )


def _instances(client: Client, name: str) -> Mapping[Target, Instance]:
    try:
        return client.sets.instances(name)
    except StackSetNotFound:
        return {}


def _found(client: Client, detection: _Detection, known: OverrideCache) -> DriftView:
    """What one set's detection came to."""
    instances = _instances(client, detection.set_name)
    for target, each in instances.items():
        if each.last_operation_id == detection.id and target in detection.overrides:
            known.learn(detection.layer, each, detection.overrides[target])
    unchecked = _unchecked(client, detection, instances)
    drifted = [
        target
        for target, each in instances.items()
        if each.drift == "DRIFTED" and (detection.layer, target) not in unchecked
    ]
    lines: list[DriftedProperty] = []
    for target, drifts in concurrently(
        lambda target: client.sets.resource_drifts(detection.set_name, detection.id, target), sorted(drifted)
    ):
        lines += _lines(detection.layer, target, drifts)
    lines.sort(key=lambda each: (each.target, each.resource, each.property))
    return DriftView("", len(instances) - len(unchecked), tuple(lines), unchecked)


def _unchecked(
    client: Client, detection: _Detection, instances: Mapping[Target, Instance]
) -> dict[tuple[str, Target], str]:
    """Instances without a result of this detection, with the reason."""
    operation = detection.operation
    assert operation is not None
    if operation.status == "SUCCEEDED" and not operation.failed:
        results: Mapping[Target, Result] = {}
    elif not detection.accepted:
        return {(detection.layer, target): operation.reason for target in instances}
    else:
        results = client.sets.results(detection.set_name, detection.id)
    found: dict[tuple[str, Target], str] = {}
    for target, instance in instances.items():
        result = results.get(target)
        if result is not None and result.status != "SUCCEEDED":
            found[detection.layer, target] = result.reason or f"the detection {result.status.lower()} there"
        elif instance.drift not in ("DRIFTED", "IN_SYNC"):
            found[detection.layer, target] = instance.reason or "the detection tells nothing of it"
    return found


def _lines(layer: str, target: Target, drifts: list[ResourceDrift]) -> Iterator[DriftedProperty]:
    """A line for each property, or one for a resource that has none to tell."""
    for each in drifts:
        line = DriftedProperty(layer, target, each.logical_id, each.type, each.status)
        if not each.differences:
            yield line
        for one in each.differences:
            yield dataclasses.replace(
                line, difference=one.type, property=one.path, expected=one.expected, actual=one.actual
            )
