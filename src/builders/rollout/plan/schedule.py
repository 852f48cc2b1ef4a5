"""Which layer goes before which. Pure.

Forwards a layer follows those that it needs, backwards it goes before them. What a template exports and imports can
turn that round: CloudFormation removes no export that is in use, and imports none that is not there.

Who is deployed together, and where a layer is or shall be. Pure.
"""

from __future__ import annotations

import graphlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders.errors import RolloutError
from builders.rollout.model import CurrentState, DesiredState, StackSet, Target, Wave

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


NO_INTERFACE = Interface(frozenset(), frozenset())


def interface(template: str) -> Interface:
    """Read the names from a template's body in JSON."""
    body = json.loads(template)
    exported = (output["Export"]["Name"] for output in body.get("Outputs", {}).values() if "Export" in output)
    return Interface(frozenset(map(_text, exported)), frozenset(map(_text, _imports(body))))


def deployment_order(desired: DesiredState, current: CurrentState, back: bool) -> Graph:
    """Order the layers of a phase that are there, or shall be. Raises `RolloutError` as `graph` does."""
    before = {layer: interface(state.template) for layer, state in current.sets.items()}
    before |= {layer: NO_INTERFACE for layer, _ in current.plain}
    to_be = {layer: interface(each.template) for layer, each in desired.sets.items()}
    to_be |= {layer: NO_INTERFACE for layer, each in desired.plain.items() if each.parameters}
    return order_by_interfaces(before, to_be, desired.needs, back)


def removal_order(desired: DesiredState, current: CurrentState) -> Graph:
    """Order the layers where they leave a place that others of theirs keep: each before those that it needs."""
    there = {*current.sets, *(layer for layer, _ in current.plain)}
    return order_by_interfaces(dict.fromkeys(there, NO_INTERFACE), {}, desired.needs, back=True)


def order_by_interfaces(
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
    old, new = before.get(layer, NO_INTERFACE), to_be.get(layer, NO_INTERFACE)
    offered, offering = before.get(needed, NO_INTERFACE).exports, to_be.get(needed, NO_INTERFACE).exports
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


LEAVING = "leaving"
"""The last wave: accounts that the phase has no more."""


def waves_of(desired: DesiredState, current: CurrentState) -> list[Wave]:
    """The waves of the phase, and one for whoever is there and should not be."""
    named = {account for wave in desired.waves for account in wave.accounts}
    there = {target.account for state in current.sets.values() for target in state.instances}
    there |= {target.account for _, target in current.plain}
    gone = tuple(sorted(there - named))
    # A set without instances is to go, too, and goes with the last wave.
    return [*desired.waves, Wave(LEAVING, gone)] if gone or not desired.waves else list(desired.waves)


def targets_of(
    desired: DesiredState, layer: str, state: StackSet | None, standing: Iterable[tuple[str, Target]]
) -> set[Target]:
    """Where a layer is or shall be; `standing` are the plain stacks that are there."""
    if layer in desired.plain:
        return {*desired.plain[layer].parameters, *(target for name, target in standing if name == layer)}
    shall: Collection[Target] = desired.sets[layer].overrides.keys() if layer in desired.sets else ()
    return {*shall, *(state.instances if state else ())}


def leaving_targets(desired: DesiredState, layer: str, where: Collection[Target]) -> set[Target]:
    """Those of a layer's places that it leaves while it stays at others."""
    if layer in desired.plain:
        staying: Collection[Target] = desired.plain[layer].parameters
    elif layer in desired.sets:
        staying = desired.sets[layer].overrides
    else:
        staying = ()
    return {target for target in where if target not in staying} if staying else set()


def anchor_targets(desired: DesiredState) -> list[Target]:
    """All places of the phase, those of the first wave first."""
    number = {account: index for index, wave in enumerate(desired.waves) for account in wave.accounts}
    return sorted(desired.targets, key=lambda target: (number.get(target.account, len(number)), target))
