"""Hazards of stack sets as a whole: limits of templates, parameters that are new, and names that are given twice."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from builders import resource_types
from builders.errors import EvaluationError
from builders.naming import SECTION_LIMITS, TEMPLATE_LIMIT_BYTES
from builders.rollout.diff.effects import custom_name
from builders.rollout.diff.hazards import Hazard, HazardKind
from builders.rollout.model import DeployedStack, Permissions, StackSet, StackSetSpec, Target, Values, grouped
from builders.template_bodies import evaluate_template, parse_template
from builders.text import name_list


def limit_hazards(layer: str, template: str, permissions: Permissions) -> tuple[Hazard, ...]:
    """Everything in a template that CloudFormation or StackSets refuse, wherever it goes."""
    return tuple(
        Hazard(kind, layer, resource, message, remedy, acknowledgeable=False)
        for kind, resource, message, remedy in _refused(template, permissions)
    )


def _refused(template: str, permissions: Permissions) -> Iterator[tuple[HazardKind, str, str, str]]:
    size = len(template.encode())
    if size > TEMPLATE_LIMIT_BYTES:
        message = f"the template has {size:,} bytes; {TEMPLATE_LIMIT_BYTES:,} go without a bucket"
        yield HazardKind.LIMIT, "", message, "split the layer, or shorten it"
    try:
        data = parse_template(template)
    except EvaluationError as error:
        yield HazardKind.NOT_COMPARABLE, "", str(error), "build the templates again with build-templates"
        return
    for section, most in SECTION_LIMITS.items():
        count = len(data.get(section, {}))
        if count > most:
            message = f"the template has {count} {section.lower()}; CloudFormation takes {most}"
            yield HazardKind.LIMIT, section, message, "split the layer"
    if not permissions.service_managed:
        return
    # "Configure a custom execution role template for StackSets" (CloudFormation user guide): a role of one's own could
    # take them, and boto3 has no parameter for it.
    remedy = "write it out in the template, or use a self-managed set"
    if has_transform(data):
        message = "the default execution role of service-managed sets takes no transforms and no macros"
        yield HazardKind.SERVICE_MANAGED, "Transform", message, remedy
    for name, body in data["Resources"].items():
        if isinstance(body, dict) and body.get("Type") == "AWS::CloudFormation::Stack":
            message = f"the default execution role of service-managed sets takes no nested stacks, and {name} is one"
            yield HazardKind.SERVICE_MANAGED, name, message, remedy


def has_transform(template: Mapping[str, Any]) -> bool:
    """Return whether a template, as plain data, asks for a transform or a macro anywhere."""
    return "Transform" in template or _has_inner_transform(template)


def _has_inner_transform(node: Any) -> bool:
    if isinstance(node, dict):
        return "Fn::Transform" in node or any(map(_has_inner_transform, node.values()))
    return isinstance(node, list) and any(map(_has_inner_transform, node))


def new_parameter_hazards(
    spec: StackSetSpec, state: StackSet | None, deployed: Mapping[Target, DeployedStack] | None = None
) -> tuple[Hazard, ...]:
    """Parameters that instances do not have yet and whose desired values differ among them.

    An instance can be given an override only once every instance has the parameter with the set's value
    (UpdateStackInstances, "ParameterOverrides"). `deployed` are the stacks that are known; for the others the set's
    template counts.
    """
    if state is None:
        return ()
    lacking: defaultdict[str, list[Target]] = defaultdict(list)
    for target in sorted(state.instances.keys() & spec.overrides.keys()):
        stack = (deployed or {}).get(target)
        try:
            declared = parse_template(stack.template if stack else state.template).get("Parameters", {})
        except EvaluationError:
            continue
        for name in spec.overrides[target]:
            if name not in declared:
                lacking[name].append(target)
    return tuple(
        Hazard(
            HazardKind.NEW_PARAMETER,
            spec.layer,
            name,
            f"parameter {name} is new and has a value of its own at {name_list(targets, 3)}: an instance cannot be "
            "given one before every instance has the parameter",
            f"first roll out with one value of {name} for all, then with the values of their own",
            acknowledgeable=False,
        )
        for name, targets in sorted(lacking.items())
    )


EXPORT = "export"
"""The kind of the names of exports, which exist once in a region of an account."""


class GivenName(NamedTuple):
    """A name that the stack of a layer gives: `kind` is a resource type or `EXPORT`."""

    layer: str
    target: Target
    logical_id: str
    kind: str
    name: str


def name_conflicts(names: Iterable[GivenName]) -> tuple[Hazard, ...]:
    """One hazard for each name that is given more than once where it can exist once."""
    given = grouped((_scope(each), each) for each in names)
    return tuple(_conflict(sorted(each)) for _, each in sorted(given.items()) if len(each) > 1)


def _scope(name: GivenName) -> tuple[str, ...]:
    """Where a name can exist once: for all accounts, in an account, or in a region of it."""
    if name.kind == "AWS::S3::Bucket":
        return name.kind, name.name
    if _is_global(name.kind):
        return name.kind, name.name, name.target.account
    return name.kind, name.name, *name.target


def _is_global(kind: str) -> bool:
    """Return whether an account has the names of a kind once for all regions.

    IAM user guide; CloudWatch user guide, "Using Amazon CloudWatch dashboards": they are not specific to a region.
    """
    return kind.startswith("AWS::IAM::") or kind == "AWS::CloudWatch::Dashboard"


def _conflict(names: list[GivenName]) -> Hazard:
    first = names[0]
    givers = [f"{each.layer}{'/' if each.logical_id else ''}{each.logical_id} at {each.target}" for each in names]
    if len({each.layer for each in names}) > 1:
        remedy = "give one of them another name"
    elif _is_global(first.kind):
        remedy = "the name is the account's, not the region's: put the region into it"
    else:
        remedy = "put the account, the region or a suffix of its own into the name"
    message = f"{first.kind} {first.name} is given more than once: {name_list(givers, 3)}"
    resource = first.logical_id or first.name
    return Hazard(HazardKind.NAME_CONFLICT, first.layer, resource, message, remedy, acknowledgeable=False)


def names_of(layer: str, template: str, values: Values, target: Target) -> tuple[GivenName, ...]:
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
    kept = {**data, "Rules": {}, "Resources": resources, "Outputs": outputs}
    text = json.dumps({**kept, "Parameters": {}, "Metadata": {}})
    declared = data.get("Parameters", {})
    mentioned = frozenset(each for each in (*declared, "AWS::AccountId") if each in text)
    # One without a default has to be given; what is given does not matter where nothing mentions it.
    parameters = {name: declared[name] if name in mentioned else {**declared[name], "Default": ""} for name in declared}
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
    given += [("", EXPORT, name) for name in found.exports]
    # A name with a part that only AWS knows, such as the stack's name, is the stack's own.
    return tuple(each for each in given if "${" not in each[2])
