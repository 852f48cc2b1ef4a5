"""The form of a template: what CloudFormation refuses before it looks at what the template says.

`read` parses a body and refuses its form, with AWS's sentence where one was recorded (LocalStack's tests that were run
on AWS: api/test_validations, api/test_templates, api/test_stacks, engine/test_mappings, engine/test_conditions; the
AWS knowledge center, "How do I resolve template validation or template format errors in CloudFormation?"; public
threads). Sentences of which no record is known are marked with `arguments.UNRECORDED`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from ministack.services.cloudformation import engine

from builders.cloud.cloudformation import arguments, parsing
from builders.cloud.cloudformation.arguments import UNRECORDED, called
from builders.cloud.cloudformation.parsing import Malformed
from builders.cloud.internals import cloudformation
from builders.cloud.patches import patch
from builders.resource_types import Json

_SECTIONS = frozenset(
    (
        *("AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings", "Conditions"),
        *("Transform", "Resources", "Outputs", "Hooks"),
    )
)
_MAPS = ("Metadata", "Parameters", "Rules", "Mappings", "Conditions", "Outputs", "Hooks")
_TEXTS_OF_PARAMETERS = (
    *("Type", "Default", "Description", "NoEcho", "AllowedPattern", "ConstraintDescription"),
    *("MinLength", "MaxLength", "MinValue", "MaxValue"),
)
_RESOURCE_KEYS = frozenset(
    (
        *("Type", "Properties", "Metadata", "DependsOn", "Condition", "CreationPolicy", "UpdatePolicy"),
        *("DeletionPolicy", "UpdateReplacePolicy", "Description", "Version"),
    )
)
_OUTPUT_KEYS = frozenset(("Value", "Description", "Export", "Condition"))
_POLICIES = {
    "DeletionPolicy": ("Delete", "Retain", "Snapshot", "RetainExceptOnCreate"),
    "UpdateReplacePolicy": ("Delete", "Retain", "Snapshot"),
}
_PARAMETER_TYPE = re.compile(
    r"(String|Number|CommaDelimitedList|AWS::SSM::Parameter::(Name|Type)|List<Number>|List<String>"
    r"|AWS::SSM::Parameter::Value<(CommaDelimitedList|.+)>|(List<)?AWS::(EC2|Route53)::[A-Za-z:]+>?)"
)
"""CloudFormation user guide, "Specify existing resources at runtime with CloudFormation-supplied parameter types"."""

_CONDITION_FUNCTIONS = ("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals")
_TRANSFORM = "Fn::Transform"

_read: ContextVar[tuple[str, Json] | None] = ContextVar("read", default=None)
"""The body of the request that is under way, and what it says."""


@patch(
    "ministack.services.cloudformation.engine._parse_template",
    why="a body that a request brings is read more than once, and a description may be no text, on which answers fail",
)
def _parse_template(original: Callable[[str], Json], body: str) -> Json:
    known = _read.get()
    return known[1] if known and known[0] == body else _with_texts(original(body))


def _with_texts(template: Json) -> Json:
    """Return the template with texts where it has numbers or booleans for descriptions."""
    sections = [template, *_members(template, "Parameters").values(), *_members(template, "Outputs").values()]
    for each in sections:
        for key in ("Description", "ConstraintDescription"):
            if isinstance(each, dict) and isinstance(each.get(key), (bool, int, float)):
                each[key] = parsing.text(each[key])
    return template


@contextmanager
def already_read(body: str, template: Json) -> Iterator[None]:
    """Let nobody parse a body again."""
    token = _read.set((body, template))
    try:
        yield
    finally:
        _read.reset(token)


def current() -> Json:
    """Return the template of the request that is under way, if it brings one."""
    known = _read.get()
    return known[1] if known else None


def read(body: str) -> Json:
    """Return the template of a body. Raises `Malformed` with CloudFormation's sentence."""
    try:
        template = cloudformation.parse_template(body)
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"Template format error: {error}") from error
    if body not in _sound:  # the members of a stack set bring the same body thousands of times
        check(template)
        _sound[body] = set()
        if len(_sound) > _SOUND_KEPT:
            _sound.pop(next(iter(_sound)), None)
    return template


def once(what: str, look: Callable[[], None], template: Json, *more: Json) -> None:
    """Look at a template, unless the body of the request under way has passed the same look before.

    The look depends on nothing but the template and `more`, and raises ValueError.
    """
    known = _read.get()
    passed = _sound.get(known[0]) if known and known[1] is template else None
    key = what, repr(more)
    if passed is None or key not in passed:
        look()
        if passed is not None:
            passed.add(key)


_sound: dict[str, set[tuple[str, str]]] = {}
"""The last bodies that `check` did not refuse: it looks at nothing else; and what `once` has looked for in them."""
_SOUND_KEPT = 16


def check(template: Mapping[str, Json]) -> None:
    """Refuse a template whose form is wrong. Raises `Malformed`.

    Of a template with transforms, the parts that they may change are not looked at.
    """
    for path in _nulls(template, ()):
        raise Malformed(f"[/{'/'.join(path)}] 'null' values are not allowed in templates")
    if not isinstance(template.get("Resources", {}), dict) or not template.get("Resources"):
        raise Malformed("Template format error: At least one Resources member must be defined.")
    _check_keys(template)
    for name in (*_MAPS, "Resources"):
        if not isinstance(template.get(name, {}), dict):
            raise Malformed(f"{UNRECORDED}{name} must be an object.")
    _check_parameters(_members(template, "Parameters"))
    _check_mappings(_members(template, "Mappings"))
    _check_transforms(template)
    if set(engine.declared_transforms(template)) - {"AWS::Include"}:
        return
    both = sorted(set(template["Resources"]) & set(_members(template, "Parameters")))
    if both:
        raise Malformed(
            f"Template error: all resources and parameters must have unique names. Common name(s): [{', '.join(both)}]"
        )
    _check_conditions(_members(template, "Conditions"), set(_members(template, "Parameters")))
    for name, resource in template["Resources"].items():
        if name != _TRANSFORM:
            _check_resource(name, resource)
    for name, output in _members(template, "Outputs").items():
        if name != _TRANSFORM:
            _check_output(name, output)
    for section in ("Resources", "Outputs"):
        arguments.check(template.get(section) or {})


def _members(template: Json, section: str) -> dict[str, Json]:
    found = template.get(section) if isinstance(template, dict) else None
    return found if isinstance(found, dict) else {}


def _nulls(node: Json, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every null."""
    if node is None:
        yield path
    elif isinstance(node, (dict, list)):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _nulls(value, (*path, str(key)))


def _check_keys(template: Mapping[str, Json]) -> None:
    unknown = [str(key) for key in template if key not in _SECTIONS and key != _TRANSFORM]
    if unknown:
        raise Malformed(f"Invalid template property or properties [{', '.join(unknown)}]")
    if str(template.get("AWSTemplateFormatVersion", "2010-09-09")) != "2010-09-09":
        raise Malformed("Template format error: unsupported value for AWSTemplateFormatVersion.")
    _require_texts(template, "Description")


def _require_texts(node: Mapping[str, Json], *keys: str) -> None:
    for key in keys:
        if isinstance(node.get(key, ""), (dict, list)):
            raise Malformed(f"Template format error: Every {key} member must be a string.")


def _check_name(what: str, name: str) -> None:
    if not re.fullmatch("[a-zA-Z0-9]+", str(name)):
        raise Malformed(f"Template format error: {what} name {name} is non alphanumeric.")


def _check_parameters(parameters: Mapping[str, Json]) -> None:
    for name, parameter in parameters.items():
        _check_name("Parameter", name)
        if not isinstance(parameter, dict):
            raise Malformed("Template format error: Any Parameters member must be an object.")
        for key in parameter:
            if key not in (*_TEXTS_OF_PARAMETERS, "AllowedValues"):
                raise Malformed(f"Invalid template parameter property '{key}'")
        if "Type" not in parameter:
            raise Malformed("Template format error: Every Parameters object must contain a Type member.")
        _require_texts(parameter, *_TEXTS_OF_PARAMETERS)
        kind, allowed = parameter["Type"], parameter.get("AllowedValues", [""])
        if not _PARAMETER_TYPE.fullmatch(str(kind)):
            raise Malformed(f"Template format error: Unrecognized parameter type: {kind}")
        if not isinstance(allowed, list) or any(isinstance(each, (dict, list)) for each in allowed):
            raise Malformed("Template format error: Every AllowedValues member must be a string.")
        _check_bounds(name, parameter)


def _check_bounds(name: str, parameter: Mapping[str, Json]) -> None:
    """Refuse bounds that the type does not have, and that are no numbers."""
    of = {"String": ("MinValue", "MaxValue"), "Number": ("MinLength", "MaxLength", "AllowedPattern")}
    for key in of.get(parameter["Type"], ()):
        if key in parameter:
            other = "Number" if parameter["Type"] == "String" else "String"
            raise Malformed(f"Template error: Parameter '{name}' {key} must be on a parameter of type {other}")
    for key in ("MinLength", "MaxLength", "MinValue", "MaxValue"):
        try:
            (int if key.endswith("Length") else float)(str(parameter.get(key, 0)))
        except ValueError:
            raise Malformed(f"{UNRECORDED}{key} of parameter {name} must be a number.") from None


def _check_mappings(mappings: Mapping[str, Json]) -> None:
    for name, mapping in mappings.items():
        if name == _TRANSFORM:
            continue
        _check_name("Mapping", name)
        for key, attributes in _as_map(name, mapping).items():
            if key == _TRANSFORM:
                continue
            for attribute, value in _as_map(key, attributes).items():
                if attribute == _TRANSFORM:
                    continue
                if not re.fullmatch("[a-zA-Z0-9]+", str(attribute)):
                    raise Malformed(
                        f"Template format error: Mappings attribute name '{attribute}' must contain only "
                        "alphanumeric characters."
                    )
                members = value if isinstance(value, list) else [value]
                if any(isinstance(each, (dict, list)) for each in members):
                    raise Malformed("Template format error: Every Mappings attribute must be a String or a List.")


def _as_map(name: str, node: Json) -> Mapping[str, Json]:
    if not isinstance(node, dict):
        raise Malformed(f"Template format error: Every Mappings member {name} must be a map")
    return node


def _check_transforms(template: Mapping[str, Json]) -> None:
    declared = template.get("Transform", [])
    for each in declared if isinstance(declared, list) else [declared]:
        if isinstance(each, dict) and not isinstance(each.get("Name"), str):
            raise Malformed("Key Name of transform definition must be a string.")
        if not isinstance(each, (str, dict)):
            raise Malformed(f"{UNRECORDED}Transform must be a string, an object or a list of them.")


def _check_conditions(conditions: Mapping[str, Json], parameters: set[str]) -> None:
    used: dict[str, set[str]] = {}
    for name, condition in conditions.items():
        _check_name("Condition", name)
        if not isinstance(condition, dict) or not set(condition) & {*_CONDITION_FUNCTIONS, "Condition"}:
            raise Malformed(
                "Template format error: Conditions can only be boolean operations on parameters and other conditions"
            )
        arguments.check(condition, in_conditions=True)
        used[name] = set(_conditions_of(condition))
        for other in sorted(used[name] - set(conditions)):
            raise Malformed(
                f"Template format error: Unresolved condition dependency {other} in the Conditions block of the "
                "template"
            )
        referred = {each for each, _ in cloudformation.references(condition) if not each.startswith("AWS::")}
        others = sorted(referred - parameters)
        if others:
            raise Malformed(
                f"Template format error: Unresolved dependencies [{', '.join(others)}]. Cannot reference resources in "
                "the Conditions block of the template"
            )
    circle = circular(used)
    if circle:
        raise Malformed(f"{UNRECORDED}Circular dependency between conditions: [{', '.join(circle)}]")


def _conditions_of(node: Json) -> Iterator[str]:
    """Yield the conditions that a condition names."""
    if isinstance(node, list):
        for each in node:
            yield from _conditions_of(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "Condition" and isinstance(value, str):
                yield value
            yield from _conditions_of(value)


def circular(needs: Mapping[str, set[str]]) -> list[str]:
    """Return those that wait for each other, sorted; nobody where all can be done one after another."""
    waiting = {name: others & set(needs) for name, others in needs.items()}
    while free := {name for name, others in waiting.items() if not others}:
        waiting = {name: others - free for name, others in waiting.items() if name not in free}
    while last := {name for name in waiting if not any(name in others for others in waiting.values())}:
        waiting = {name: others for name, others in waiting.items() if name not in last}
    return sorted(waiting)


def _check_resource(name: str, resource: Json) -> None:
    _check_name("Resource", name)
    if not isinstance(resource, dict):
        raise Malformed("Template format error: Any Resources member must be an object.")
    if "Type" not in resource:
        raise Malformed(
            f"Template format error: [/Resources/{name}] Every Resources object must contain a Type member."
        )
    for key in resource:
        if key not in _RESOURCE_KEYS and key != _TRANSFORM:
            raise Malformed(f"Invalid template resource property '{key}'")
    if not isinstance(resource["Type"], str):
        raise Malformed("Template format error: Every Type member must be a string.")
    _require_texts(resource, "Condition", "Description", "Version")
    for key in ("Properties", "Metadata", "CreationPolicy", "UpdatePolicy"):
        if not isinstance(resource.get(key, {}), dict):
            raise Malformed(f"{UNRECORDED}[/Resources/{name}/{key}] {key} must be an object.")
    waits_for = resource.get("DependsOn", [])
    if not isinstance(waits_for, (str, list)):
        raise Malformed("Template format error: DependsOn must be a string or list of strings.")
    if not all(isinstance(each, str) for each in waits_for):
        raise Malformed("Template format error: Every DependsOn value must be a string.")
    for key, allowed in _POLICIES.items():
        policy = resource.get(key, "Delete")
        if isinstance(policy, dict) and set(policy) <= {"Ref", "Fn::If", "Fn::FindInMap"}:
            continue  # taken with AWS::LanguageExtensions; ministack resolves it always
        _require_texts(resource, key)
        if policy not in allowed:
            raise Malformed(f"Template format error: Unrecognized {key} {policy} for resource {name}")


def _check_output(name: str, output: Json) -> None:
    _check_name("Output", name)
    if not isinstance(output, dict):
        raise Malformed("Template format error: Any Outputs member must be an object.")
    for key in output:
        if key not in _OUTPUT_KEYS and key != _TRANSFORM:
            raise Malformed(f"Invalid template output property '{key}'")
    if "Value" not in output:
        raise Malformed("Template format error: Every Outputs member must contain a Value object")
    value, export = output["Value"], output.get("Export", {"Name": "-"})
    if isinstance(value, list) or (isinstance(value, dict) and not called(value)):
        raise Malformed("Template format error: The Value field of every Outputs member must evaluate to a String.")
    _require_texts(output, "Description", "Condition")
    exported = export.get("Name") if isinstance(export, dict) else None
    if exported is None or isinstance(exported, list) or exported == "":
        raise Malformed(
            f"Template format error: Output {name} is malformed. The Name field of every Export member must be "
            "specified and consist only of alphanumeric characters, colons, or hyphens."
        )
