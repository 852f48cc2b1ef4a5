"""Names that stacks give, and those that are given twice where they can exist once."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from builders import resource_types
from builders.scopes import Target
from builders.stack_diff.effects import custom_name
from builders.stack_diff.hazards import Hazard, HazardKind
from builders.template_bodies import evaluate_template, parse_template
from builders.text import name_list


class GivenName(NamedTuple):
    """A name that the stack of a layer gives: `kind` is a resource type or "export"."""

    layer: str
    target: Target
    logical_id: str
    kind: str
    name: str


def name_conflicts(names: Iterable[GivenName]) -> tuple[Hazard, ...]:
    """One hazard for each name that is given more than once where it can exist once."""
    given: defaultdict[tuple[str, ...], list[GivenName]] = defaultdict(list)
    for each in names:
        given[_scope(each)].append(each)
    return tuple(_conflict(scope, sorted(givers)) for scope, givers in sorted(given.items()) if len(givers) > 1)


def _scope(name: GivenName) -> tuple[str, ...]:
    """The name with where it can exist once: for all accounts, in an account, or in a region of it.

    IAM user guide; CloudWatch user guide, "Using Amazon CloudWatch dashboards": they are not specific to a region.
    """
    whole = name.kind, name.name, *name.target
    if name.kind == "AWS::S3::Bucket":
        return whole[:2]
    return whole[:3] if name.kind.startswith("AWS::IAM::") or name.kind == "AWS::CloudWatch::Dashboard" else whole


def _conflict(scope: tuple[str, ...], names: list[GivenName]) -> Hazard:
    first = names[0]
    givers = [f"{each.layer}{'/' if each.logical_id else ''}{each.logical_id} at {each.target}" for each in names]
    if len({each.layer for each in names}) > 1:
        remedy = "give one of them another name"
    elif scope[2:] == (first.target.account,):
        remedy = "the name is the account's, not the region's: put the region into it"
    else:
        remedy = "put the account, the region or a suffix of its own into the name"
    message = f"{first.kind} {first.name} is given more than once: {name_list(givers, 3)}"
    resource = first.logical_id or first.name
    return Hazard(HazardKind.NAME_CONFLICT, first.layer, resource, message, remedy, acknowledgeable=False)


def names_of(layer: str, template: str, values: Mapping[str, str], target: Target) -> tuple[GivenName, ...]:
    """The names that a stack gives. Raises `EvaluationError` where they cannot be computed."""
    body, mentioned = _names_only(template, target.region)
    deciding = frozenset((key, value) for key, value in values.items() if key in mentioned)
    # Few names have the account in them: what has not is the same in thousands of accounts.
    where = target if "AWS::AccountId" in mentioned else Target("", target.region)
    return tuple(GivenName(layer, target, *given) for given in _given(body, deciding, where))


@functools.lru_cache(maxsize=128)
def _names_only(template: str, region: str) -> tuple[str, frozenset[str]]:
    """A template with nothing but its names, and the parameters, pseudo parameters too, that decide on them."""
    data = parse_template(template)
    outputs = {
        name: {key: body[key] for key in ("Export", "Condition") if key in body} | {"Value": ""}
        for name, body in data.get("Outputs", {}).items()
        if "Export" in body
    }
    resources = {name: _name_only(body, region) for name, body in data["Resources"].items()}
    kept = {**data, "Rules": {}, "Resources": resources, "Outputs": outputs, "Parameters": {}, "Metadata": {}}
    text, declared = json.dumps(kept), data.get("Parameters", {})
    mentioned = frozenset(each for each in (*declared, "AWS::AccountId") if each in text)
    parameters = {name: body for name, body in declared.items() if name in mentioned}
    return json.dumps({**kept, "Parameters": parameters}), mentioned


def _name_only(body: dict[str, Any], region: str) -> dict[str, Any]:
    kind = resource_types.load(body["Type"], region)
    properties = body.get("Properties", {})
    kept: dict[str, Any] = {key: body[key] for key in ("Type", "Condition") if key in body}
    if kind and kind.name_property in properties:
        kept["Properties"] = {kind.name_property: properties[kind.name_property]}
    return kept


@functools.lru_cache(maxsize=256)
def _given(body: str, values: frozenset[tuple[str, str]], target: Target) -> tuple[tuple[str, str, str], ...]:
    """The names as (logical id, kind, name) that a body of names gives."""
    found, _ = evaluate_template(body, dict(values), *target)
    given = [
        (logical_id, resource["Type"], name)
        for logical_id, resource in found.resources.items()
        if (name := custom_name(resource, target.region))
    ]
    given += [("", "export", name) for name in found.exports]
    # A name with a part that only AWS knows, such as the stack's name, is the stack's own.
    return tuple(each for each in given if "${" not in each[2])
