"""What is not as its template says: detected by StackSets, on every set of a phase at once."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from builders.errors import RolloutError
from builders.rollout import names
from builders.rollout.client import Client
from builders.rollout.client.abreast import together
from builders.rollout.client.answers import ResourceDrift, Result
from builders.rollout.client.refusals import OperationInProgress, Refused, SetNotFound
from builders.rollout.engine.submitting import LOST_LOOKS
from builders.rollout.model import Desired, FailureMode, Instance, Operation, Place, Preferences, Values
from builders.rollout.pace import Clock, Patience, WallClock, jittered
from builders.rollout.reading import comparing
from builders.rollout.showing.views import Drifted, DriftView
from builders.rollout.store import Known

EVERYWHERE = Preferences("100%", "100%", FailureMode.SOFT, parallel_regions=True)
"""Looking changes nothing, so that nothing is gained by being careful, and no failure may end it for the others."""


@dataclass(frozen=True)
class Look:
    """How one looks: which layers (all where none is named), how deep, how time passes, and who is told."""

    layers: Collection[str] = ()
    deep: bool = False
    clock: Clock = field(default_factory=WallClock)
    patience: Patience = field(default_factory=Patience)
    say: Callable[[str], None] = lambda _line: None


@dataclass
class _Detection:
    layer: str
    name: str
    id: str
    accepted: bool = False
    pause: float | None = None
    due: float = 0.0
    not_found: int = 0
    operation: Operation | None = None
    overrides: dict[Place, Values] = field(default_factory=dict)
    """What instances override, as far as it was known before: a detection changes none of it."""


def run_drift(
    client: Client, wanted: Desired, layers: Collection[str], known: Known, how: Look
) -> tuple[DriftView, int]:
    """Detect drift on every set of a phase, wait for it, and tell what drifted.

    `layers` are those that a stack set may carry. The exit code is 1 when something drifted, or could not be looked
    at. `known` learns that the detections are the instances' last operations, which would else be strangers to it.
    Raises `RolloutError` where a layer is asked for that the phase has no stack set of.
    """
    chosen = _chosen(client, wanted, layers, how.layers)
    detections = [_detection(client, layer, name, known) for layer, name in chosen]
    _see_through(client, detections, how)
    view = DriftView(wanted.phase, 0, ())
    for detection in detections:
        found = _found(client, detection, known)
        view = DriftView(
            wanted.phase,
            view.checked + found.checked,
            view.drifted + found.drifted,
            {**view.unchecked, **found.unchecked},
        )
    if how.deep:
        view = comparing.with_stacks(client, view, chosen, known)
    return view, int(bool(view.drifted or view.unchecked))


def _chosen(client: Client, wanted: Desired, layers: Collection[str], asked: Collection[str]) -> list[tuple[str, str]]:
    present = client.sets.names()
    found = [(layer, names.stack_set(layer, wanted.suffix)) for layer in sorted(layers)]
    found = [(layer, name) for layer, name in found if name in present]
    missing = sorted(set(asked) - {layer for layer, _ in found})
    if missing:
        there = ", ".join(layer for layer, _ in found) or "none"
        raise RolloutError(f"phase {wanted.phase} has no stack set of {', '.join(missing)}; it has those of: {there}")
    return [(layer, name) for layer, name in found if not asked or layer in asked]


def _detection(client: Client, layer: str, name: str, known: Known) -> _Detection:
    told = {place: known.overrides(layer, each) for place, each in _instances(client, name).items()}
    overrides = {place: values for place, values in told.items() if values is not None}
    return _Detection(layer, name, f"drift-{name}-{secrets.token_hex(4)}"[:128], overrides=overrides)


def _instances(client: Client, name: str) -> Mapping[Place, Instance]:
    try:
        return client.sets.instances(name)
    except SetNotFound:
        return {}


def _see_through(client: Client, detections: list[_Detection], how: Look) -> None:
    """Begin every detection and wait for all of them; what another operation blocks waits for it."""
    waiting = list(detections)
    while waiting:
        for each in waiting:
            if how.clock.now() >= each.due:
                _look(client, each, how)
        waiting = [each for each in waiting if each.operation is None or each.operation.active]
        if waiting:
            how.clock.wait(max(0.0, min(each.due for each in waiting) - how.clock.now()))


def _look(client: Client, each: _Detection, how: Look) -> None:
    if not each.accepted:
        _begin(client, each, how)
    else:
        _follow(client, each, how)
    each.pause = how.patience.next(each.pause)
    each.due = how.clock.now() + (each.pause if each.accepted else jittered(each.pause))


def _follow(client: Client, each: _Detection, how: Look) -> None:
    try:
        each.operation = client.sets.operation(each.name, each.id)
    except SetNotFound as error:
        each.operation = Operation(each.id, "DETECT_DRIFT", "FAILED", reason=str(error))
    if each.operation is None:
        each.not_found += 1
        if each.not_found > LOST_LOOKS:
            reason = f"operation {each.id} was accepted and is not found"
            each.operation = Operation(each.id, "DETECT_DRIFT", "FAILED", reason=reason)
    elif not each.operation.active:
        how.say(f"{each.layer}: {each.operation.status}")


def _begin(client: Client, each: _Detection, how: Look) -> None:
    try:
        client.sets.detect_drift(each.name, each.id, EVERYWHERE)
    except OperationInProgress:
        others = ", ".join(f"{other.action} {other.id}" for other in client.sets.active(each.name))
        how.say(f"{each.layer}: waiting for {others or 'an operation'}, which is in progress there")
        return
    except Refused as error:
        each.operation = Operation(each.id, "DETECT_DRIFT", "FAILED", reason=str(error))
        return
    each.accepted = True
    each.pause = None
    how.say(f"{each.layer}: looking, by operation {each.id}")


def _found(client: Client, detection: _Detection, known: Known) -> DriftView:
    """What one set's detection came to."""
    instances = _instances(client, detection.name)
    for place, each in instances.items():
        if each.last_operation_id == detection.id and place in detection.overrides:
            known.learn(detection.layer, each, detection.overrides[place])
    unchecked = _unchecked(client, detection, instances)
    drifted = [
        place
        for place, each in instances.items()
        if each.drift == "DRIFTED" and (detection.layer, place) not in unchecked
    ]
    lines: list[Drifted] = []
    for place, drifts in together(
        lambda place: client.sets.resource_drifts(detection.name, detection.id, place), sorted(drifted)
    ):
        lines += _lines(detection.layer, place, drifts)
    lines.sort(key=lambda each: (each.place, each.resource, each.property))
    return DriftView("", len(instances) - len(unchecked), tuple(lines), unchecked)


def _unchecked(
    client: Client, detection: _Detection, instances: Mapping[Place, Instance]
) -> dict[tuple[str, Place], str]:
    """Instances without a result of this detection, with the reason."""
    operation = detection.operation
    assert operation is not None
    if operation.status == "SUCCEEDED" and not operation.failed:
        results: Mapping[Place, Result] = {}
    elif not detection.accepted:
        return {(detection.layer, place): operation.reason for place in instances}
    else:
        results = client.sets.results(detection.name, detection.id)
    found: dict[tuple[str, Place], str] = {}
    for place, instance in instances.items():
        result = results.get(place)
        if result is not None and result.status != "SUCCEEDED":
            found[detection.layer, place] = result.reason or f"the detection {result.status.lower()} there"
        elif instance.drift not in ("DRIFTED", "IN_SYNC"):
            found[detection.layer, place] = instance.reason or "the detection tells nothing of it"
    return found


def _lines(layer: str, place: Place, drifts: list[ResourceDrift]) -> Iterator[Drifted]:
    """A line for each property, or one for a resource that has none to tell."""
    for each in drifts:
        line = Drifted(layer, place, each.logical_id, each.type, each.status)
        if not each.differences:
            yield line
        for one in each.differences:
            yield dataclasses.replace(
                line, difference=one.type, property=one.path, expected=one.expected, actual=one.actual
            )
