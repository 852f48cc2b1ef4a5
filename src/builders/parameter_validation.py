"""Judges parameters by their declarations, as CloudFormation does before it deploys anything.

The one judge for the parameter files of `build-templates --check` and for the values of a rollout. Facts:
CloudFormation user guide, "CloudFormation template Parameters syntax", "Specify existing resources at runtime with
CloudFormation-supplied parameter types", "Understand CloudFormation quotas".
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from builders import naming
from builders.database_instances import refusals
from builders.evaluate import evaluate
from builders.intrinsics import arguments
from builders.project import placeholders
from builders.service_limits import CHECKS
from builders.text import suggestion

Declarations = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Declarations of each parameter, by the layers that have it."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_ZONE = r"[a-z]{2}(-[a-z]+)+-\d+([a-z]|-[a-z]+-\d+[a-z])"
_ID = "-([0-9a-f]{8}|[0-9a-f]{17})"
_TYPES = {
    "AWS::EC2::AvailabilityZone::Name": (_ZONE, "a zone such as eu-central-1a"),
    "AWS::EC2::Image::Id": (f"ami{_ID}", "an id such as ami-0123456789abcdef0"),
    "AWS::EC2::Instance::Id": (f"i{_ID}", "an id such as i-0123456789abcdef0"),
    "AWS::EC2::KeyPair::KeyName": (r".{1,255}", "the name of a key pair"),
    "AWS::EC2::SecurityGroup::GroupName": (r".{1,255}", "the name of a security group"),
    "AWS::EC2::SecurityGroup::Id": (f"sg{_ID}", "an id such as sg-0123456789abcdef0"),
    "AWS::EC2::Subnet::Id": (f"subnet{_ID}", "an id such as subnet-0123456789abcdef0"),
    "AWS::EC2::VPC::Id": (f"vpc{_ID}", "an id such as vpc-0123456789abcdef0"),
    "AWS::EC2::Volume::Id": (f"vol{_ID}", "an id such as vol-0123456789abcdef0"),
    "AWS::Route53::HostedZone::Id": (r"Z[0-9A-Z]{1,31}", "an id such as Z0123456789ABCDEFGHIJ"),
    "AWS::SSM::Parameter::Name": (r"[\w./-]{1,2048}", "the name of a Systems Manager parameter"),
}
_PATTERN_SHOWN_CHARACTERS = 60
_SECRET = re.compile(r"password|passwd|passphrase|secret|token|credential|private_?key|api_?key", re.IGNORECASE)


def declarations(sections: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Declarations:
    """The Parameters sections of layers, by parameter instead of by layer."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for layer, section in sections.items():
        for key, declaration in section.items():
            found.setdefault(key, {})[layer] = declaration
    return found


def unknown_parameter(key: str, declared: Collection[str]) -> str | None:
    """The sentence about a parameter that no layer declares; None where one does."""
    if key in declared:
        return None
    close = suggestion(key, sorted(declared))
    advice = f"did you mean {close}?" if close else "remove it"
    return f"{key} is a parameter of no layer here, so it would be dropped in silence; {advice}"


def wrong_value(key: str, value: str, by_layer: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Each mistake of a value once, with all layers whose declarations make it one."""
    if open_ends := placeholders.unfilled(value):
        for name in open_ends:
            yield f"{key} is not filled in: <{name}>, {placeholders.note(name).meaning}"
        return
    layers: dict[str, list[str]] = {}
    for layer, declaration in by_layer.items():
        for mistake in mistakes(value, declaration):
            layers.setdefault(f"{assignment(key, value, declaration)} {mistake}", []).append(layer)
    for mistake, names in layers.items():
        yield f"{mistake} ({', '.join(names)})"


def missing_value(key: str, by_layer: Mapping[str, Mapping[str, Any]], advice: str) -> str | None:
    """The sentence about a parameter that is given no value; None where every layer has a default.

    `advice` says what to do.
    """
    without = [layer for layer, declaration in by_layer.items() if declaration.get("Default") is None]
    if not without:
        return None
    descriptions = (by_layer[layer].get("Description") for layer in without)
    description = next(filter(None, descriptions), "its layers say no more")
    return f"{key} has no value, and no default in {', '.join(without)}; {advice}: {description}"


def rule_parameters(template: Mapping[str, Any], sentence: str | None = None) -> list[str]:
    """The parameters that a template's rules refer to, sorted; with a sentence, those of the rules that say it."""
    rules = [
        rule
        for rule in template.get("Rules", {}).values()
        if sentence is None or any(each.get("AssertDescription") == sentence for each in rule["Assertions"])
    ]
    return sorted(set(_references(rules)) & template.get("Parameters", {}).keys())


_FOR_VALUES = ("Parameters", "Mappings", "Conditions")


def refused_properties(template: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield what a service refuses in a template's resources with these values, each with the parameters that cause it.

    That is what `Rules` cannot compute. Every parameter has a value. Raises `EvaluationError`.
    """
    judged = {name for name, body in template.get("Resources", {}).items() if body.get("Type") in CHECKS}
    if not judged:
        return
    written = {name: _judged_properties(template["Resources"][name]) for name in judged}
    # The rest keeps its place: a judged property may refer to it.
    resources = {
        name: {key: part for key, part in body.items() if key in ("Type", "Condition")}
        | ({"Properties": written[name]} if name in judged else {})
        for name, body in template["Resources"].items()
    }
    sections = {name: template[name] for name in _FOR_VALUES if name in template}
    for name, body in evaluate({**sections, "Resources": resources}, values).resources.items():
        for check, sentence in refusals(body.get("Properties", {}), CHECKS.get(body["Type"], ())):
            yield sentence, parameters_in(template, [written[name].get(each) for each in check.properties])


def judged_parameters(template: Mapping[str, Any]) -> set[str]:
    """The parameters that `refused_properties` looks at, directly or through a condition."""
    bodies = [body for body in template.get("Resources", {}).values() if body.get("Type") in CHECKS]
    nodes = [_judged_properties(body) for body in bodies] + [template.get("Conditions", {})] * bool(bodies)
    return set(_references(nodes)) & set(template.get("Parameters", {}))


def parameters_in(template: Mapping[str, Any], node: Any) -> list[str]:
    """The parameters of a template that a node refers to."""
    return sorted(set(_references(node)) & template.get("Parameters", {}).keys())


def _judged_properties(body: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that are looked at; what another stack exports is a value that only AWS knows."""
    wanted = {name for check in CHECKS[body["Type"]] for name in check.properties}
    return {
        name: "${imported}" if "Fn::ImportValue" in json.dumps(node) else node
        for name, node in body.get("Properties", {}).items()
        if name in wanted
    }


def _references(node: Any) -> Iterator[str]:
    return (name for name in arguments(node, "Ref") if isinstance(name, str))


def assignment(key: str, value: str, declaration: Mapping[str, Any]) -> str:
    """`key=value` for a message, the value left out when it may be a secret."""
    hidden = _SECRET.search(key) or as_text(declaration.get("NoEcho")).lower() == "true"
    return f"{key} (value not shown)" if hidden else f"{key}={value!r}"


def as_text(value: Any) -> str:
    """A scalar as CloudFormation writes and compares it: JSON's true is "true"."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def mistakes(value: str, declaration: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about what CloudFormation refuses in a value, each with what is allowed."""
    if len(value.encode(errors="surrogatepass")) > naming.PARAMETER_LIMIT_BYTES:
        yield f"is longer than the {naming.PARAMETER_LIMIT_BYTES:,} bytes that CloudFormation takes"
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        yield "has half a surrogate pair, which no request can carry"
    kind = declaration["Type"]
    member = "String" if kind == "CommaDelimitedList" else kind.removeprefix("List<").removesuffix(">")
    # CloudFormation cuts the space around the members of a list, and holds each of them against the constraints.
    members = [value] if member == kind else [item.strip() for item in value.split(",")]
    for item in members:
        yield from _mistakes_of_one(item, member, declaration)


def _mistakes_of_one(value: str, kind: str, declaration: Mapping[str, Any]) -> Iterator[str]:
    if kind == "Number" and not _NUMBER.fullmatch(value):
        yield "is not a number"
        return
    if kind.startswith("AWS::SSM::Parameter::Value<"):
        kind = "AWS::SSM::Parameter::Name"  # the value names the parameter that holds the value
    if kind in _TYPES and not re.fullmatch(_TYPES[kind][0], value):
        yield f"is not what {kind} asks for: {_TYPES[kind][1]}"
    allowed = [as_text(choice) for choice in declaration.get("AllowedValues", [])]
    if allowed and value not in allowed:
        yield f"is not one of the allowed values: {', '.join(allowed)}"
    if "AllowedPattern" in declaration:
        yield from _pattern_mistake(value, declaration)
    yield from _bound_mistakes(float(value) if kind == "Number" else None, declaration, "Value", "is {}")
    yield from _bound_mistakes(len(value), declaration, "Length", "has {} characters")


def _pattern_mistake(value: str, declaration: Mapping[str, Any]) -> Iterator[str]:
    """CloudFormation anchors the pattern at both ends and reads it as Java does.

    Python's `re` reads the same language but for a few constructs, such as \\p{Alpha}; a pattern that it cannot read
    is left to CloudFormation. In both, without further flags in Java and with ASCII here, \\w and \\d are ASCII.
    """
    pattern = declaration["AllowedPattern"]
    try:
        fits = re.fullmatch(pattern, value, re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return
    if not fits:
        explanation = declaration.get("ConstraintDescription")
        rule = f" (pattern {pattern})" if len(pattern) <= _PATTERN_SHOWN_CHARACTERS else ""
        yield f"is not {explanation}{rule}" if explanation else f"does not match {pattern}"


def _bound_mistakes(size: float | None, declaration: Mapping[str, Any], what: str, saying: str) -> Iterator[str]:
    if size is None:
        return
    least, most = declaration.get(f"Min{what}"), declaration.get(f"Max{what}")
    if least is not None and size < float(least):
        yield f"{saying.format(f'{size:.15g}')}, at least {least} are allowed"
    if most is not None and size > float(most):
        yield f"{saying.format(f'{size:.15g}')}, at most {most} are allowed"
