"""Template bodies: YAML and JSON as CloudFormation reads them, the addresses in S3 that they come from, and what in
them is a dynamic reference.

CloudFormation reads YAML 1.1, whose booleans include yes, no, on and off, and knows texts only: a boolean that becomes
a text is `true` or `false` (ASFHyP3/hyp3 #2061 tried it with tags; aws-cli #5257).
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from ministack.services.cloudformation.engine import CfnLoader

from builders.cloud.internals import cloudformation
from builders.cloud.patches import patch, patch_value
from builders.resource_types import Json

# Functions with a short form that ministack does not read (CloudFormation user guide, "Rules", "Intrinsic function
# reference").
_SHORT_FORMS = (
    "Contains", "EachMemberEquals", "EachMemberIn", "RefAll", "ValueOf", "ValueOfAll", "ToJsonString", "Length",
    "Transform",
)  # fmt: skip

_OF_TEXTS = ("Conditions", "Rules", "Mappings", "Outputs")
"""Sections in which a boolean can only be a text."""

# s3.REGION, s3-REGION, s3.dualstack.REGION; S3 user guide, "Virtual hosting of general purpose buckets"
_VIRTUAL_HOST = re.compile(r"(?P<bucket>.+)\.s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?")


class Malformed(ValueError):
    """A template that CloudFormation refuses; the message is its whole sentence."""


class _Loader(CfnLoader):  # type: ignore[misc]
    """ministack's YAML loader, with all short forms, keys that are texts, and no aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read a node; an alias is refused."""
        if self.check_event(yaml.events.AliasEvent):
            raise Malformed("Template error: YAML aliases are not allowed in CloudFormation templates")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Json]:
        """Read a mapping; account numbers and `On` as keys are texts, as they are written."""
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
        found: dict[Hashable, Json] = super().construct_mapping(node, deep=deep)
        return found


def _short_form(name: str) -> Any:
    def construct(loader: _Loader, node: yaml.Node) -> Json:
        if isinstance(node, yaml.SequenceNode):
            return {name: loader.construct_sequence(node, deep=True)}
        if isinstance(node, yaml.MappingNode):
            return {name: loader.construct_mapping(node, deep=True)}
        return {name: loader.construct_scalar(node)}

    return construct


for _name in _SHORT_FORMS:
    _Loader.add_constructor(f"!{_name}", _short_form(f"Fn::{_name}"))

for _name in ("set", "omap", "pairs", "binary"):  # what they make of a node is nothing that JSON has
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", yaml.SafeLoader.construct_undefined)


@patch(
    "ministack.services.cloudformation.engine._parse_template",
    why="YAML that begins indented is cut, booleans become Python's True and False, short forms of the functions of "
    "Rules are unknown, and errors are those of Python",
)
def _parse_template(_original: Any, body: str) -> dict[str, Json]:
    body = body.removeprefix("\ufeff")
    template = _read_json(body) if body.lstrip().startswith("{") else _read_yaml(body)
    if not isinstance(template, dict):
        raise ValueError("unsupported structure.")
    return _with_texts(template)


def _read_json(body: str) -> Json:
    try:
        template = json.loads(body, parse_constant=_no_constant)
        if "\\ud" in body.lower():  # half of a pair, perhaps, which no answer can carry
            template = json.loads(json.dumps(template, ensure_ascii=False).encode("utf-8", "replace"))
        return template
    except json.JSONDecodeError as error:
        raise ValueError(f"JSON not well-formed. ({_place(body, error)})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError("JSON not well-formed.") from error


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _place(body: str, error: json.JSONDecodeError) -> str:
    """Return where AWS's parser stops: behind the character that it does not expect; it takes single quotes.

    Source: LocalStack api/test_templates, test_validate_invalid_json_template_should_fail (run on AWS).
    """
    try:
        json.loads(re.sub(r"'([^'\"]*)'", r'"\1"', body))
    except json.JSONDecodeError as other:
        error = other
    if error.msg.startswith("Illegal trailing comma"):  # from 3.13 on Python names it, and not what is behind it
        error = json.JSONDecodeError(error.msg, error.doc, len(error.doc) - len(error.doc[error.pos + 1 :].lstrip()))
    return f"line {error.lineno}, column {error.colno + (error.pos < len(body.rstrip()))}"


def _read_yaml(body: str) -> Json:
    try:
        return yaml.load(body, Loader=_Loader)  # noqa: S506 it extends SafeLoader
    except Malformed:
        raise
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"YAML not well-formed.{where}") from error


def _with_texts(template: dict[str, Json]) -> dict[str, Json]:
    """Return a template whose booleans are texts wherever CloudFormation takes them as such."""
    result = {name: _booleans_as_texts(part) if name in _OF_TEXTS else part for name, part in template.items()}
    parameters = template.get("Parameters")
    if isinstance(parameters, dict):
        result["Parameters"] = {name: _parameter(each) for name, each in parameters.items()}
    if isinstance(template.get("Resources"), dict):
        result["Resources"] = _arguments_as_texts(template["Resources"])
    return result


def _parameter(definition: Json) -> Json:
    if not isinstance(definition, dict):
        return definition
    texts = {name: _booleans_as_texts(definition[name]) for name in ("Default", "AllowedValues") if name in definition}
    return {**definition, **texts}


def _arguments_as_texts(node: Json) -> Json:
    """Return a section whose functions have texts for booleans; what is no argument has the type of its property."""
    if isinstance(node, list):
        return [_arguments_as_texts(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _booleans_as_texts(value)
        if key.startswith("Fn::") and key != "Fn::If"
        else _arguments_as_texts(value)
        for key, value in node.items()
    }  # fmt: skip


def _booleans_as_texts(node: Json) -> Json:
    if isinstance(node, list):
        return [_booleans_as_texts(each) for each in node]
    if isinstance(node, dict):
        return {key: _booleans_as_texts(value) for key, value in node.items()}
    return text(node) if isinstance(node, bool) else node


def text(value: Json) -> Json:
    """Return a scalar as CloudFormation writes it: booleans in lower case."""
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


@patch(
    "ministack.services.cloudformation.helpers._resolve_document",
    why="a TemplateURL with the bucket in its host is refused; the console and most tools write it so",
)
def _resolve_document(original: Any, parameters: Any, body_key: str, url_key: str, label: str) -> Any:
    address = cloudformation.parameter(parameters, url_key)
    path = path_style(address) if address else ""
    return original({**parameters, url_key: [path]} if path != address else parameters, body_key, url_key, label)


def path_style(address: str) -> str:
    """Return the address of an object in S3 with its bucket in the path, wherever it was."""
    parts = urlsplit(address)
    host = _VIRTUAL_HOST.fullmatch(parts.hostname or "")
    path = unquote(parts.path)
    return f"https://s3.amazonaws.com/{host['bucket']}{path}" if host else address


@patch_value(
    "ministack.services.cloudformation.engine._DYNAMIC_REFERENCE",
    why="any text in double braces is a dynamic reference, also where its name has characters that no name has "
    '(CloudFormation user guide, "Use dynamic references": ssm names are [a-zA-Z0-9_.-/]+)',
)
def _dynamic_reference(_original: Any) -> re.Pattern[str]:
    return re.compile(
        r"\{\{resolve:(?!ssm(?:-secure)?:(?![a-zA-Z0-9_.\-/]+(?::\d+)?\}\}))"
        r"(?!secretsmanager:[^}]*['\"{\n])([a-z-]+):([^}]*)\}\}"
    )


@patch(
    "ministack.services.cloudformation.engine._apply_transforms",
    why="SAM needs a package that this one does not ask for, and the refusal names ministack's own image",
)
def _apply_transforms(original: Any, template: dict[str, Json], *arguments: Json) -> Json:
    declared = template.get("Transform")
    names = declared if isinstance(declared, list) else [declared]
    if _SAM in names or any(isinstance(each, dict) and each.get("Name") == _SAM for each in names):
        raise ValueError(
            f"Transform {_SAM} is not emulated: the embedded cloud takes what SAM makes of a template, not SAM itself"
        )
    return original(template, *arguments)


_SAM = "AWS::Serverless-2016-10-31"
