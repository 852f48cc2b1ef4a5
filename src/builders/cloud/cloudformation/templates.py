"""Templates and parameters as CloudFormation judges them before a stack exists.

ministack checks more of this itself: limits, Rules, constraints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from builders import resource_types
from builders.cloud.internals import cloudformation, ec2
from builders.cloud.patches import patch
from builders.resource_types import Json

_PSEUDO = "AWS::"

# AWS-specific parameter types and the stores that know what exists (CloudFormation user guide, "Supplied parameter
# types").
_EXISTING = {
    "AWS::EC2::VPC::Id": lambda: ec2.vpcs,
    "AWS::EC2::Subnet::Id": lambda: ec2.subnets,
    "AWS::EC2::SecurityGroup::Id": lambda: ec2.security_groups,
    "AWS::EC2::KeyPair::KeyName": lambda: ec2.key_pairs,
}


@patch(
    "ministack.services.cloudformation.engine._validate_template_statics",
    why="references and conditions that name nothing, and attributes that a type does not have, are accepted",
)
def _check_template(original: Any, template: Mapping[str, Json]) -> None:
    original(template)
    _check_references(template)


@patch(
    "ministack.services.cloudformation.engine._resolve_parameters",
    why="unknown parameters and ids of nothing are accepted; a list is compared as one text with the allowed values",
)
def _resolve_parameters(
    original: Any, template: Mapping[str, Json], provided: list[Json], previous: Json = None
) -> Json:
    check_given(template, provided, previous)
    definitions = {
        name: {key: value for key, value in definition.items() if key != "AllowedValues"}
        for name, definition in (template.get("Parameters") or {}).items()
    }
    resolved = original({**template, "Parameters": definitions}, provided, previous)
    _check_existing(resolved)
    return resolved


@patch(
    "ministack.services.cloudformation.engine._evaluate_conditions",
    why="conditions know parameters and Fn::Select only: Ref of AWS::Region is the text, and Fn::FindInMap, Fn::Join, "
    "Fn::Split and Fn::Sub are compared unresolved",
)
def _evaluate_conditions(original: Any, template: Mapping[str, Json], parameters: Mapping[str, Json]) -> Json:
    mappings = template.get("Mappings") or {}

    def resolved(node: Json) -> Json:
        if isinstance(node, list):
            return [resolved(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "Fn::Equals" in node:
            sides = [cloudformation.resolve(side, {}, parameters, {}, mappings, "", "") for side in node["Fn::Equals"]]
            return {"Fn::Equals": [",".join(side) if isinstance(side, list) else side for side in sides]}
        return {key: resolved(value) for key, value in node.items()}

    return original({**template, "Conditions": resolved(template.get("Conditions") or {})}, parameters)


@patch(
    "ministack.services.cloudformation.engine._extract_deps",
    why="only DependsOn and references in Properties make a resource wait; on AWS those in Metadata do as well "
    "(cloudonaut.io, Optional DependsOn with CloudFormation: Metadata to the rescue)",
)
def _extract_deps(original: Any, resource: Mapping[str, Json], names: set[str]) -> Json:
    return original(resource, names) | original({"Properties": resource.get("Metadata") or {}}, names)


def _check_references(template: Mapping[str, Json]) -> None:
    """Refuse Ref, Fn::GetAtt, Fn::Sub, DependsOn and conditions that name nothing. Raises ValueError."""
    resources = template.get("Resources") or {}
    names = set(resources) | set(template.get("Parameters") or {})
    for section in ("Resources", "Outputs"):
        unresolved = {
            name
            for name, attribute in cloudformation.references(template.get(section) or {})
            if attribute is None and name not in names and not name.startswith(_PSEUDO)
        }
        for resource in (template.get(section) or {}).values():
            depends = resource.get("DependsOn", []) if isinstance(resource, dict) else []
            unresolved |= {*([depends] if isinstance(depends, str) else depends)} - set(resources)
        if unresolved:
            raise ValueError(
                f"Template format error: Unresolved resource dependencies [{', '.join(sorted(unresolved))}] in the "
                f"{section} block of the template"
            )
        for name, attribute in cloudformation.references(template.get(section) or {}):
            if attribute is not None:
                _check_attribute(resources, name, attribute)
    _check_conditions(template)


def check_given(template: Mapping[str, Json], provided: list[Json], previous: Json) -> None:
    """Refuse parameters that the template does not have, and missing ones. Raises ValueError."""
    declared: Mapping[str, Json] = template.get("Parameters") or {}
    given = {each["Key"]: each for each in provided}
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise ValueError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    missing = [
        name
        for name, definition in declared.items()
        if "Default" not in definition
        and (name not in given or (given[name].get("UsePreviousValue") and name not in (previous or {})))
    ]
    if missing:
        raise ValueError(f"Parameters: [{', '.join(missing)}] must have values")
    for name, definition in declared.items():
        allowed = [str(value) for value in definition.get("AllowedValues") or []]
        value = given.get(name, {}).get("Value", definition.get("Default"))
        if not allowed or value is None or given.get(name, {}).get("UsePreviousValue"):
            continue
        is_list = definition.get("Type") in ("CommaDelimitedList", "List<Number>")
        members = [each.strip() for each in str(value).split(",")] if is_list else [str(value)]
        if not set(members) <= set(allowed):
            raise ValueError(f"Parameter '{name}' must be one of AllowedValues")


def _check_existing(resolved: Mapping[str, Json]) -> None:
    """Refuse a parameter of an AWS-specific type that names what does not exist. Raises ValueError."""
    for name, parameter in resolved.items():
        kind, is_list = cloudformation.parameter_type(str(parameter.get("Type", "String")))
        if kind not in _EXISTING:
            continue
        ec2.make_defaults()
        values = [each.strip() for each in parameter["Value"].split(",")] if is_list else [parameter["Value"]]
        for value in values:
            if value not in _EXISTING[kind]():
                raise ValueError(
                    f"Parameter validation failed: parameter value {value} for parameter name {name} does not exist"
                )


def _check_attribute(resources: Mapping[str, Json], name: str, attribute: str) -> None:
    resource = resources.get(name)
    if resource is None:
        raise ValueError(f"Template error: instance of Fn::GetAtt references undefined resource {name}")
    kind = resource_types.load(str(resource.get("Type", "")))
    if kind is None or "${" in attribute:
        return
    if not any(attribute == each or re.fullmatch(each, attribute) for each in kind.attributes):
        raise ValueError(f"Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt")


def _check_conditions(template: Mapping[str, Json]) -> None:
    conditions = set(template.get("Conditions") or {})
    for section in ("Resources", "Outputs"):
        for name in _conditions_used(template.get(section) or {}):
            if name not in conditions:
                raise ValueError(
                    f"Template format error: Unresolved condition dependency {name} in the {section} block of the "
                    "template"
                )


def _conditions_used(members: Mapping[str, Json]) -> Iterator[str]:
    for member in members.values():
        if isinstance(member, dict) and isinstance(member.get("Condition"), str):
            yield member["Condition"]
    yield from _if_conditions(members)


def _if_conditions(node: Json) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _if_conditions(item)
    elif isinstance(node, dict):
        arguments = node.get("Fn::If")
        if isinstance(arguments, list) and arguments and isinstance(arguments[0], str):
            yield arguments[0]
        for value in node.values():
            yield from _if_conditions(value)
