"""Templates and parameters as CloudFormation judges them before a stack exists: what they refer to, and what is made.

ministack checks more of this itself: limits, Rules, constraints. The form of a template is checked in forms.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from builders import resource_types
from builders.cloud.cloudformation import forms
from builders.cloud.internals import cloudformation, ec2
from builders.cloud.patches import patch
from builders.resource_types import Json

HIDDEN = "****"
"""Stands for the value of a parameter with NoEcho."""

last_resolved: ContextVar[Mapping[str, Json]] = ContextVar("last_resolved", default={})  # noqa: B039
"""The parameters that the request under way gives, as they are resolved."""

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
    try:
        resolved = original({**template, "Parameters": definitions}, provided, previous)
    except ValueError as error:
        raise ValueError(_in_aws_words(str(error))) from error
    _check_existing(resolved)
    last_resolved.set(resolved)
    return resolved


def _in_aws_words(sentence: str) -> str:
    """Return CloudFormation's sentence for one of ministack's (recorded by LocalStack, test_change_set_parameters)."""
    for pattern, words in (
        (r"Parameter '(.*)' value '.*' is not a valid (Number|List<Number>)", r"Parameter '\1' must be a number."),
        (
            r"Parameter '.*' failed to resolve: SSM parameter '(.*)' does not exist",
            r"Unable to fetch parameters [\1] from parameter store for this account.",
        ),
    ):
        sentence = re.sub(f"^{pattern}$", words, sentence)
    return sentence


def shown(resolved: Mapping[str, Json]) -> list[Json]:
    """Return parameters as stacks and change sets keep them; one of Parameter Store has its name and its value."""
    return [
        {"ParameterKey": name, "ParameterValue": each["SsmName"], "ResolvedValue": each["Value"], "NoEcho": False}
        if "SsmName" in each
        else {"ParameterKey": name, "ParameterValue": each["Value"], "NoEcho": each["NoEcho"]}
        for name, each in resolved.items()
    ]


def hidden(parameter: Mapping[str, Json]) -> dict[str, Json]:
    """Return a parameter as an answer shows it."""
    visible = {key: each for key, each in parameter.items() if key != "NoEcho"}
    return {**visible, "ParameterValue": HIDDEN} if parameter.get("NoEcho") else visible


@patch(
    "ministack.services.cloudformation.engine.validate_template_support",
    why="circles of resources, references to resources that a condition switches off, and keys of mappings that a "
    "parameter gives are found while a stack is made, or never",
)
def _check_what_is_made(
    original: Any, template: Mapping[str, Json], conditions: Mapping[str, bool], params: Json = None
) -> None:
    forms.once("support", lambda: original(template, conditions), template, conditions)
    if params is not None:
        cloudformation.evaluate_rules(template, params, conditions)
    if template.get("Transform"):
        return
    made = {name: each for name, each in (template.get("Resources") or {}).items() if is_made(each, conditions)}
    forms.once("circles", lambda: _check_circles(made), template, conditions)
    if params is None:
        return
    outputs = {name: each for name, each in (template.get("Outputs") or {}).items() if is_made(each, conditions)}
    values = {
        "Resources": [_taken(each.get("Properties") or {}, conditions) for each in made.values()],
        "Outputs": [_taken(each.get("Value"), conditions) for each in outputs.values()],
    }
    forms.once("values", lambda: _check_values(values, set(template["Resources"]) - set(made)), template, conditions)
    _check_choices(list(values.values()), template, params)


def _check_circles(made: Mapping[str, Json]) -> None:
    circle = forms.circular({name: cloudformation.dependencies(each, set(made)) for name, each in made.items()})
    if circle:
        raise ValueError(f"Circular dependency between resources: [{', '.join(circle)}]")


def _check_values(values: Mapping[str, Json], not_made: set[str]) -> None:
    """Refuse references to resources that are not made."""
    for section, prefix in (("Resources", "Template format error: "), ("Outputs", "")):
        lost = {name for name, _ in cloudformation.references(values[section])} & not_made
        if lost:
            raise ValueError(
                f"{prefix}Unresolved resource dependencies [{', '.join(sorted(lost))}] in the {section} block of the "
                "template"
            )


def is_made(member: Mapping[str, Json], conditions: Mapping[str, bool]) -> bool:
    """Return whether a resource or output is made: it has no condition, or one that holds."""
    return not member.get("Condition") or conditions.get(member["Condition"], True)


def _taken(node: Json, conditions: Mapping[str, bool]) -> Json:
    """Return a value with the branches of Fn::If that are taken."""
    if isinstance(node, list):
        return [_taken(each, conditions) for each in node]
    if not isinstance(node, dict):
        return node
    branches = node.get("Fn::If")
    if isinstance(branches, list) and len(branches) == 3 and branches[0] in conditions:
        return _taken(branches[1 if conditions[branches[0]] else 2], conditions)
    return {key: _taken(value, conditions) for key, value in node.items()}


def _check_choices(node: Json, template: Mapping[str, Json], parameters: Json) -> None:
    """Refuse Fn::FindInMap and Fn::Select that find nothing with these parameters. Raises ValueError.

    What depends on resources, exports, secrets or macros is found out while the stack is made.
    """
    if isinstance(node, list):
        for each in node:
            _check_choices(each, template, parameters)
    elif isinstance(node, dict):
        if {"Fn::FindInMap", "Fn::Select"} & set(node) and not _depends(node, template["Resources"]):
            cloudformation.resolve(node, {}, parameters, {}, template.get("Mappings") or {}, "", "")
        for value in node.values():
            _check_choices(value, template, parameters)


def _depends(node: Json, resources: Mapping[str, Json]) -> bool:
    """Return whether a value depends on what is not known before a stack is made."""
    if any(name in resources for name, _ in cloudformation.references(node)):
        return True
    text = repr(node)
    return any(
        each in text for each in ("Fn::ImportValue", "Fn::GetStackOutput", "Fn::If", "Fn::Transform", "{{resolve:")
    )


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
    if missing and str(declared[missing[0]].get("Type")).startswith("AWS::SSM::Parameter::Value<"):
        raise ValueError(f"Parameter {missing[0]} should either have input value or default value")
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
        if isinstance(member, dict) and isinstance(member.get("Condition"), str) and member["Condition"]:
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
