"""The order of layers. Pure.

Forwards a layer follows those that it needs, backwards it goes before them. Exports and imports of the templates can
turn that round: CloudFormation removes no export that is in use, and imports none that does not exist.
"""

from __future__ import annotations

import graphlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders.errors import RolloutError
from builders.rollout.model import CurrentState, DesiredState

Graph = dict[str, frozenset[str]]
"""For each layer those that it waits for."""


@dataclass(frozen=True)
class Interface:
    """The exports and imports of a template.

    The names are the texts of the expressions that make them: both sides write them alike. A condition is not looked
    at: what may be exported counts as exported.
    """

    exports: frozenset[str]
    imports: frozenset[str]


NO_INTERFACE = Interface(frozenset(), frozenset())


def interface(template: str) -> Interface:
    """Read exports and imports from a template's body in JSON."""
    body = json.loads(template)
    exported = (output["Export"]["Name"] for output in body.get("Outputs", {}).values() if "Export" in output)
    return Interface(frozenset(map(_text, exported)), frozenset(map(_text, _imports(body))))


def deployment_order(desired: DesiredState, current: CurrentState, back: bool) -> Graph:
    """Order the layers of a phase, present and desired. Raises `RolloutError` as `order_by_interfaces` does."""
    before = {layer: interface(state.template) for layer, state in current.sets.items()}
    before |= {layer: NO_INTERFACE for layer, _ in current.plain}
    after = {layer: interface(spec.template) for layer, spec in desired.sets.items()}
    after |= {layer: NO_INTERFACE for layer, spec in desired.plain.items() if spec.parameters}
    return order_by_interfaces(before, after, desired.needs, back)


def removal_order(desired: DesiredState, current: CurrentState) -> Graph:
    """Order the layers where they leave a target that they do not leave elsewhere: each before those that it needs."""
    present = {*current.sets, *(layer for layer, _ in current.plain)}
    return order_by_interfaces(dict.fromkeys(present, NO_INTERFACE), {}, desired.needs, back=True)


def order_by_interfaces(
    before: Mapping[str, Interface], after: Mapping[str, Interface], needs: Mapping[str, frozenset[str]], back: bool
) -> Graph:
    """Order layers by what their present and their desired templates export and import; `back` is a rollback's order.

    A layer that goes away goes before everything that it needs. Raises `RolloutError` where two layers would each have
    to go first.
    """
    waits: dict[str, set[str]] = {layer: set() for layer in sorted(before.keys() | after.keys())}
    for layer in waits:
        for needed in needs.get(layer, frozenset()) & waits.keys():
            first, second = _pair(layer, needed, before, after, back)
            waits[second].add(first)
    found = {layer: frozenset(others) for layer, others in waits.items()}
    try:
        graphlib.TopologicalSorter(found).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise RolloutError(f"the layers wait for each other in a circle: {circle}; split the change in two") from error
    return found


def _pair(
    layer: str, needed: str, before: Mapping[str, Interface], after: Mapping[str, Interface], back: bool
) -> tuple[str, str]:
    """The layer that goes first, and the other: `layer` imports from `needed`."""
    old, new = before.get(layer, NO_INTERFACE), after.get(layer, NO_INTERFACE)
    offered, offering = before.get(needed, NO_INTERFACE).exports, after.get(needed, NO_INTERFACE).exports
    dropped = old.imports & (offered - offering) - new.imports
    gained = new.imports & (offering - offered)
    if dropped and gained:
        raise RolloutError(
            f"{layer} gives up {', '.join(sorted(dropped))} and takes {', '.join(sorted(gained))} of {needed} at once, "
            "so neither can go first; roll out the new export, then the new import, then drop the old export"
        )
    importer_first = bool(dropped) or layer not in after or (back and not gained)
    return (layer, needed) if importer_first else (needed, layer)


def _imports(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        if "Fn::ImportValue" in node:
            yield node["Fn::ImportValue"]
        for part in node.values():
            yield from _imports(part)
    elif isinstance(node, list):
        for part in node:
            yield from _imports(part)


def _text(expression: Any) -> str:
    if isinstance(expression, dict) and expression.keys() == {"Fn::Sub"}:
        return str(expression["Fn::Sub"])
    return expression if isinstance(expression, str) else json.dumps(expression, sort_keys=True)
