"""Which layer goes before which. Pure.

Forwards a layer follows those that it needs, backwards it goes before them. What a template exports and imports can
turn that round: CloudFormation removes no export that is in use, and imports none that is not there.
"""

from __future__ import annotations

import graphlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders.errors import RolloutError
from builders.rollout.model import Desired, World

Graph = dict[str, frozenset[str]]
"""For each layer those that it waits for."""


@dataclass(frozen=True)
class Interface:
    """What a template gives to other stacks of its account and region, and takes from them.

    The names are the texts of the expressions that make them: both sides write them alike. A condition is not looked
    at: what may be exported counts as exported.
    """

    exports: frozenset[str]
    imports: frozenset[str]


NONE = Interface(frozenset(), frozenset())


def interface(template: str) -> Interface:
    """Read the names from a template's body in JSON."""
    body = json.loads(template)
    exported = (output["Export"]["Name"] for output in body.get("Outputs", {}).values() if "Export" in output)
    return Interface(frozenset(map(_text, exported)), frozenset(map(_text, _imports(body))))


def of(wanted: Desired, world: World, back: bool) -> Graph:
    """Order the layers of a phase that are there, or shall be. Raises `RolloutError` as `graph` does."""
    before = {layer: interface(state.template) for layer, state in world.sets.items()}
    before |= {layer: NONE for layer, _ in world.plain}
    to_be = {layer: interface(each.template) for layer, each in wanted.sets.items()}
    to_be |= {layer: NONE for layer, each in wanted.plain.items() if each.parameters}
    return graph(before, to_be, wanted.needs, back)


def of_leaving(wanted: Desired, world: World) -> Graph:
    """Order the layers where they leave a place that others of theirs keep: each before those that it needs."""
    there = {*world.sets, *(layer for layer, _ in world.plain)}
    return graph(dict.fromkeys(there, NONE), {}, wanted.needs, back=True)


def graph(
    before: Mapping[str, Interface], to_be: Mapping[str, Interface], needs: Mapping[str, frozenset[str]], back: bool
) -> Graph:
    """Order the layers that are there, or shall be. `needs` holds for both; `back` is the way of a rollback.

    A layer that goes away goes before everything that it needs. Raises `RolloutError` where two layers would each have
    to go first.
    """
    waits: dict[str, set[str]] = {layer: set() for layer in sorted(before.keys() | to_be.keys())}
    for layer in waits:
        for needed in needs.get(layer, frozenset()) & waits.keys():
            first, second = _pair(layer, needed, before, to_be, back)
            waits[second].add(first)
    found = {layer: frozenset(others) for layer, others in waits.items()}
    try:
        graphlib.TopologicalSorter(found).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(error.args[1])
        raise RolloutError(f"the layers wait for each other in a circle: {circle}; split the change in two") from error
    return found


def _pair(
    layer: str, needed: str, before: Mapping[str, Interface], to_be: Mapping[str, Interface], back: bool
) -> tuple[str, str]:
    """Which of two goes first: `layer` takes from `needed`."""
    old, new = before.get(layer, NONE), to_be.get(layer, NONE)
    offered, offering = before.get(needed, NONE).exports, to_be.get(needed, NONE).exports
    dropped = old.imports & (offered - offering) - new.imports
    gained = new.imports & (offering - offered)
    if dropped and gained:
        raise RolloutError(
            f"{layer} gives up {', '.join(sorted(dropped))} and takes {', '.join(sorted(gained))} of {needed} at once, "
            "so neither can go first; roll out the new export, then the new import, then drop the old export"
        )
    importer_first = bool(dropped) or layer not in to_be or (back and not gained)
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
