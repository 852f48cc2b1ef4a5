"""Stacks that would give the same name twice where a name exists once: in the world, an account, or a region of it."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from builders import resource_types
from builders.rollout.diff.effects import Hazard, HazardKind
from builders.rollout.diff.resources import custom_name, evaluated_body, parsed_body
from builders.rollout.model import Target, Values
from builders.text import name_list

EXPORT = "export"
"""The kind of the names of exports, which are there once in a region of an account."""


class GivenName(NamedTuple):
    """A name that the stack of a layer at a place gives: `kind` is a resource type or `EXPORT`."""

    layer: str
    target: Target
    logical_id: str
    kind: str
    name: str


def names_of(layer: str, template: str, values: Values, target: Target) -> tuple[GivenName, ...]:
    """The names that a stack gives. Raises EvaluationError where they cannot be computed."""
    body, mentioned = _names_only(template, target.region)
    said = frozenset((key, value) for key, value in values.items() if key in mentioned)
    # Few names have the account in them: what has not is the same in thousands of accounts.
    asked = target if "AWS::AccountId" in mentioned else Target("", target.region)
    return tuple(GivenName(layer, target, *given) for given in _given(body, said, asked))


def name_conflicts(names: Iterable[GivenName]) -> tuple[Hazard, ...]:
    """One hazard for each name that is given more than once where it can exist once."""
    given: defaultdict[tuple[str, ...], list[GivenName]] = defaultdict(list)
    for each in names:
        given[_where(each)].append(each)
    return tuple(_collision(sorted(each)) for _, each in sorted(given.items()) if len(each) > 1)


def _where(name: GivenName) -> tuple[str, ...]:
    if name.kind == "AWS::S3::Bucket":
        return name.kind, name.name
    if _is_global(name.kind):
        return name.kind, name.name, name.target.account
    return name.kind, name.name, *name.target


def _is_global(kind: str) -> bool:
    """Whether an account has the names of a kind once for all regions (IAM user guide; CloudWatch user guide, "Using
    Amazon CloudWatch dashboards": dashboards are not specific to a region)."""
    return kind.startswith("AWS::IAM::") or kind == "AWS::CloudWatch::Dashboard"


def _collision(names: list[GivenName]) -> Hazard:
    first = names[0]
    takers = [f"{each.layer}{'/' if each.logical_id else ''}{each.logical_id} at {each.target}" for each in names]
    if len({each.layer for each in names}) > 1:
        way = "give one of them another name"
    elif _is_global(first.kind):
        way = "the name is the account's, not the region's: put the region into it"
    else:
        way = "put the account, the region or a suffix of its own into the name"
    message = f"{first.kind} {first.name} is given more than once: {name_list(takers, 3)}"
    return Hazard(
        HazardKind.NAME_CONFLICT, first.layer, first.logical_id or first.name, message, way, acknowledgeable=False
    )


@functools.lru_cache(maxsize=256)
def _given(body: str, values: frozenset[tuple[str, str]], target: Target) -> tuple[tuple[str, str, str], ...]:
    """The names as (logical id, kind, name) that a body of names gives."""
    found, _ = evaluated_body(body, dict(values), target)
    given = [
        (logical_id, resource["Type"], name)
        for logical_id, resource in found.resources.items()
        if (name := custom_name(resource, target.region))
    ]
    given += [("", EXPORT, name) for name in found.exports]
    # A name with a part that only AWS knows, such as the stack's name, is the stack's own.
    return tuple(each for each in given if "${" not in each[2])


@functools.lru_cache(maxsize=128)
def _names_only(template: str, region: str) -> tuple[str, frozenset[str]]:
    """A template with nothing but its names, and the parameters, pseudo parameters too, that decide on them."""
    data = parsed_body(template)
    outputs = {
        name: {key: body[key] for key in ("Export", "Condition") if key in body} | {"Value": ""}
        for name, body in data.get("Outputs", {}).items()
        if "Export" in body
    }
    resources = {name: _name_only(body, region) for name, body in data["Resources"].items()}
    named = {**data, "Rules": {}, "Resources": resources, "Outputs": outputs}
    text = json.dumps({**named, "Parameters": {}, "Metadata": {}})
    declared = data.get("Parameters", {})
    mentioned = frozenset(each for each in (*declared, "AWS::AccountId") if each in text)
    # One without a default has to be given; what is given does not matter where nothing mentions it.
    left = {name: declared[name] if name in mentioned else {**declared[name], "Default": ""} for name in declared}
    return json.dumps({**named, "Parameters": left}), mentioned


def _name_only(body: dict[str, Any], region: str) -> dict[str, Any]:
    kind = resource_types.load(body["Type"], region)
    properties = body.get("Properties", {})
    kept: dict[str, Any] = {key: body[key] for key in ("Type", "Condition") if key in body}
    if kind and kind.name_property in properties:
        kept["Properties"] = {kind.name_property: properties[kind.name_property]}
    return kept
