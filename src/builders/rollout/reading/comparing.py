"""What StackSets call no drift: a stack that somebody updated in the target account itself.

Drift is what differs from the stack's own template; a direct update changes that template, and no detection sees it
(CloudFormation user guide, "Performing drift detection on CloudFormation StackSets").
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.client.members import Look
from builders.rollout.engine.world import with_overrides
from builders.rollout.model import Deployed, Instance, StackSet, Status
from builders.rollout.showing.views import Drifted, DriftView
from builders.rollout.store import Known

STACK = "AWS::CloudFormation::Stack"
WHOLE = "the stack itself"


def with_stacks(client: Client, view: DriftView, sets: Iterable[tuple[str, str]], known: Known) -> DriftView:
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
                unchecked.setdefault((layer, instance.place), f"its stack is not compared: {instance.status.value}")
        looks = [
            Look((layer, place), each.stack_id)
            for place, each in state.instances.items()
            if each.status is Status.CURRENT
        ]
        for look, stack in client.members.deployed_many(looks):
            place = look.key[1]
            if isinstance(stack, RolloutError):
                unchecked[look.key] = f"its stack cannot be read: {stack}"
            elif stack is None:
                drifted.append(Drifted(layer, place, WHOLE, STACK, "DELETED"))
            else:
                drifted += different(state, state.instances[place], stack)
    order = sorted(drifted, key=lambda each: (each.layer, each.place, each.resource, each.property))
    return dataclasses.replace(view, drifted=tuple(order), unchecked=unchecked)


def different(state: StackSet, instance: Instance, stack: Deployed) -> Iterator[Drifted]:
    """What a stack was deployed with otherwise than its set says. Pure."""
    line = Drifted(state.layer, instance.place, WHOLE, STACK, "NOT_EQUAL")
    theirs, ours = _read(stack.template), _read(state.template)
    if theirs != ours:
        for path, expected, actual in _sections(ours, theirs):
            yield dataclasses.replace(line, property=f"Template/{path}", expected=expected, actual=actual)
    values = {**_defaults(ours), **state.parameters, **(instance.overrides or {})}
    for name, actual in sorted(stack.parameters.items()):
        hidden = actual.startswith("****")  # NoEcho (API reference, Parameter)
        if name in values and values[name] != actual and not hidden:
            yield dataclasses.replace(line, property=f"Parameters/{name}", expected=values[name], actual=actual)


def _read(template: str) -> Any:
    try:
        return json.loads(template)
    except ValueError:  # somebody's YAML
        return {"Body": template}


def _sections(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Where two templates differ: a section, or one resource, output ... of it; bodies are too long to be shown."""
    for section in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(section), theirs.get(section)
        if not isinstance(mine, dict) or not isinstance(other, dict):
            mine, other = {"": mine} if mine else {}, {"": other} if other else {}
        for name in sorted(mine.keys() | other.keys()):
            if mine.get(name) != other.get(name):
                path = f"{section}/{name}".rstrip("/")
                yield path, "as the set has it" if name in mine else "", "otherwise" if name in other else ""


def _defaults(template: Mapping[str, Any]) -> dict[str, str]:
    declared = template.get("Parameters", {})
    return {name: str(each["Default"]) for name, each in declared.items() if "Default" in each}
