"""Every mistake that a rule is for, put into every place of a good template where it fits.

Most are a row: in resources of these types, this property becomes that. The others are functions of a template.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
Place = tuple[str, Body]
"""Where the mistake was put, and the template with it."""

GONE = object()
"""In the place of a value: take the property away."""


@dataclass(frozen=True)
class Mutation:
    """A mistake, the rule that must report it, and the templates that it makes of one good template."""

    rule: str
    mistake: str
    places: Callable[[Body], Iterator[Place]]


def at(body: Body, path: list[str | int], value: Any) -> Body:
    """The template with another value at a path, and the rest shared; maps that are not there yet are made."""
    changed = copy.copy(body)
    parent: Any = changed
    for key in path[:-1]:
        parent[key] = copy.copy(parent.get(key, {}) if isinstance(parent, dict) else parent[key])
        parent = parent[key]
    if value is GONE:
        parent.pop(path[-1], None)
    else:
        parent[path[-1]] = copy.deepcopy(value)
    return changed


def row(
    rule: str,
    mistake: str,
    types: str,
    dotted: str,
    value: Any,
    where: Callable[[Body, Body], bool] = lambda resource, body: True,
) -> Mutation:
    """In every resource of the types (separated by spaces) for which `where` holds, the property becomes the value."""

    def places(body: Body) -> Iterator[Place]:
        for name, resource in body["Resources"].items():
            if resource["Type"] in types.split() and where(resource, body):
                top = (
                    []
                    if dotted.split(".", maxsplit=1)[0]
                    in ("DeletionPolicy", "UpdateReplacePolicy", "DependsOn", "Condition")
                    else ["Properties"]
                )
                yield name, at(body, ["Resources", name, *top, *dotted.split(".")], value)

    return Mutation(rule, mistake, places)


def has(*dotted: str) -> Callable[[Body, Body], bool]:
    """True where a resource has all of these properties as plain maps on the way."""

    def holds(resource: Body, body: Body) -> bool:
        return all(_find(resource.get("Properties", {}), path.split(".")) is not None for path in dotted)

    return holds


def _find(node: Any, keys: list[str]) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def leaves(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every text below a node, with its path."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from leaves(child, (*path, key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from leaves(child, (*path, index))
    elif isinstance(node, str):
        yield path, node


def text(rule: str, mistake: str, old: str, new: str, within: str = "") -> Mutation:
    """In every text of a property that has `old` (and `within`), it becomes `new`."""

    def places(body: Body) -> Iterator[Place]:
        for path, found in leaves(body["Resources"], ("Resources",)):
            prose = any(str(part).endswith("Description") for part in path) or "Metadata" in path
            if path[2:3] == ("Properties",) and old in found and within in found and not prose:
                yield "/".join(map(str, path)), at(body, list(path), found.replace(old, new))

    return Mutation(rule, mistake, places)
