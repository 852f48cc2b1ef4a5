"""Exports and imports of stacks: the exports that an update changes, and the order of updates that follows from them.

CloudFormation changes or removes no export that another stack imports (CloudFormation template reference,
"Fn::ImportValue"), and no stack can import one that does not exist yet.
"""

from __future__ import annotations

import functools
import graphlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.errors import RolloutError
from builders.intrinsics import arguments
from builders.scopes import Target
from builders.stack_diff.comparison import Comparison
from builders.stack_diff.effects import Effect, is_same, references, surely_replaced
from builders.template_bodies import evaluate_template, parse_template


@dataclass(frozen=True)
class Imports:
    """The names of the exports that a layer's stack imports in an account and region, before and after."""

    before: frozenset[str]
    after: frozenset[str]


@dataclass(frozen=True)
class ChangedExport:
    """An export that an update removes or gives another value; `certain` is False where the value may stay."""

    name: str
    reason: str
    certain: bool = True


def imports_of(template: str, values: Mapping[str, str], target: Target) -> frozenset[str]:
    """The names of the exports that a stack imports. Raises `EvaluationError` where they cannot be computed."""
    return evaluate_template(template, values, *target)[1]


def changed_exports(comparison: Comparison) -> list[ChangedExport]:
    """The exports of the deployed stack that the update removes or changes."""
    exports = sorted(comparison.before.exports.items())
    return [found for name, value in exports if (found := _changed_export(comparison, name, value))]


_FOLLOWING = {("AWS::RDS::DBInstance", "Endpoint.Port"): "Port"}
"""The property that an attribute has the value of, though it has another name, of a resource that is not replaced."""


def _changed_export(comparison: Comparison, name: str, value: str) -> ChangedExport | None:
    after = comparison.after.exports.get(name)
    if after is None:
        return ChangedExport(name, "removed")
    if not is_same(value, after):
        return ChangedExport(name, f"changed from {value} to {after}")
    attributes = {reference.logical_id: reference.attribute for reference in references(after)}
    for change in comparison.changes:  # the gravest first
        follows = _FOLLOWING.get((change.type, attributes.get(change.logical_id, "")))
        if follows in change.causes:
            return ChangedExport(name, f"changed, since {follows} of {change.logical_id} is")
        if change.effect.replaces and change.logical_id in attributes:
            replaced = change.effect is Effect.REPLACE
            reason = f"changed, since {change.logical_id} {'is' if replaced else 'may be'} replaced"
            certain = replaced and surely_replaced(change.type, attributes[change.logical_id], comparison.region)
            return ChangedExport(name, reason, certain)
    return None


Graph = dict[str, frozenset[str]]
"""Layers that each layer waits for."""


@dataclass(frozen=True)
class Interface:
    """The exports and imports of a template.

    The names are the texts of the expressions that make them: both sides write them alike. A condition is not looked
    at: what may be exported counts as exported.
    """

    exports: frozenset[str]
    imports: frozenset[str]


NO_INTERFACE = Interface(frozenset(), frozenset())


@functools.lru_cache(maxsize=256)
def interface(template: str) -> Interface:
    """Read exports and imports from a template's body. Raises `EvaluationError` where it is no template."""
    body = parse_template(template)
    exported = (output["Export"]["Name"] for output in body.get("Outputs", {}).values() if "Export" in output)
    return Interface(frozenset(map(_text, exported)), frozenset(map(_text, arguments(body, "Fn::ImportValue"))))


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
            f"{layer} drops {', '.join(sorted(dropped))} and imports {', '.join(sorted(gained))} of {needed}, "
            "so neither can go first; roll out the new export, then the new import, then drop the old export"
        )
    importer_first = bool(dropped) or layer not in after or (back and not gained)
    return (layer, needed) if importer_first else (needed, layer)


def _text(expression: Any) -> str:
    if isinstance(expression, dict) and expression.keys() == {"Fn::Sub"}:
        return str(expression["Fn::Sub"])
    return expression if isinstance(expression, str) else json.dumps(expression, sort_keys=True)
