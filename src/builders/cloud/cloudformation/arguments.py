"""The functions that a template calls: which there are, and what each takes.

The sentences are those that CloudFormation answers in public threads; LocalStack's engine/test_conditions (run on AWS)
has the one of Fn::Equals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from builders.cloud.cloudformation.parsing import Malformed
from builders.resource_types import Json

UNRECORDED = "Template format error: "
"""Begins the sentences that stand here in place of ones that nobody has recorded."""

_FUNCTIONS = frozenset(
    (
        *("Ref", "Condition", "Fn::Base64", "Fn::GetAtt", "Fn::GetAZs", "Fn::ImportValue", "Fn::Join", "Fn::Split"),
        *("Fn::FindInMap", "Fn::Select", "Fn::Equals", "Fn::If", "Fn::Not", "Fn::And", "Fn::Or", "Fn::Contains"),
        *("Fn::EachMemberEquals", "Fn::EachMemberIn", "Fn::ValueOf", "Fn::ValueOfAll", "Fn::RefAll", "Fn::Sub"),
        "Fn::Cidr",
    )
)
_OF_TRANSFORMS = ("Fn::Transform", "Fn::Length", "Fn::ToJsonString", "Fn::ForEach", "Fn::GetStackOutput")
"""Functions that transforms replace, or that ministack knows beside AWS's: it refuses them itself where it must."""


def called(node: Json) -> str:
    """Return the function that an object calls; empty where it is plain data."""
    if isinstance(node, dict) and len(node) == 1:
        name = str(next(iter(node)))
        return name if name == "Ref" or name.startswith("Fn::") else ""
    return ""


def check(node: Json, in_conditions: bool = False) -> None:
    """Refuse functions that do not exist, and arguments that a function does not take."""
    if isinstance(node, list):
        for each in node:
            check(each, in_conditions)
        return
    if not isinstance(node, dict):
        return
    name = called(node)
    if name and name not in _FUNCTIONS and not any(name.startswith(each) for each in _OF_TRANSFORMS):
        raise Malformed(
            f"Template error: Encountered unsupported function: {name} Supported functions are: "
            f"[{', '.join(sorted(_FUNCTIONS))}]"
        )
    rule = _ARGUMENTS.get(name)
    if rule and not rule[0](node[name]):
        raise Malformed(rule[1])
    if in_conditions and "Condition" in node and not isinstance(node["Condition"], str):
        raise Malformed("Template format error: Every Condition member must be a string.")
    for value in node.values():
        check(value, in_conditions)


def _text(node: Json) -> bool:
    """Return whether an argument is a text, or a function that may give one."""
    return bool(called(node)) or isinstance(node, (str, int, float))


def _list(node: Json) -> bool:
    return bool(called(node)) or isinstance(node, list)


def _pair(first: Callable[[Json], bool], second: Callable[[Json], bool]) -> Callable[[Json], bool]:
    return lambda node: isinstance(node, list) and len(node) == 2 and first(node[0]) and second(node[1])


def _attribute(node: Json) -> bool:
    if isinstance(node, str):
        name, _, attribute = node.partition(".")
        return bool(name and attribute)
    if not isinstance(node, list) or len(node) < 2 or not all(node):
        return False
    return isinstance(node[0], str) and (isinstance(node[1], str) or called(node[1]) == "Ref")


def _substitution(node: Json) -> bool:
    if not isinstance(node, list):
        return isinstance(node, str)
    return (
        len(node) in (1, 2)
        and isinstance(node[0], str)
        and (len(node) == 1 or (isinstance(node[1], dict) and not called(node[1])))
    )


def _branches(node: Json) -> bool:
    return isinstance(node, list) and len(node) == 3 and isinstance(node[0], str)


def _operands(node: Json) -> bool:
    return isinstance(node, list) and 2 <= len(node) <= 10 and all(isinstance(each, dict) for each in node)


def _importable(node: Json) -> bool:
    if isinstance(node, (str, int)):
        return True
    return bool(called(node)) and not re.search(r"'(Fn::GetAtt|Fn::ImportValue|Fn::GetAZs)':", repr(node))


def _keys_of_map(node: Json) -> bool:
    return isinstance(node, list) and len(node) in (3, 4) and all(_text(each) for each in node[:3])


def _index(node: Json) -> bool:
    return bool(called(node)) or (not isinstance(node, (dict, list)) and str(node).strip().isdecimal())


_ARGUMENTS: Mapping[str, tuple[Callable[[Json], bool], str]] = {
    "Ref": (
        lambda node: isinstance(node, str) and bool(node),
        "Template error: every Ref object must have a single String value.",
    ),
    "Fn::GetAtt": (
        _attribute,
        "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource "
        "attribute",
    ),
    "Fn::Sub": (
        _substitution,
        "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as "
        "first argument, and an optional second argument to specify a mapping of values to replace in the string",
    ),
    "Fn::Join": (
        _pair(lambda node: isinstance(node, str), _list),
        "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of "
        "strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined.",
    ),
    "Fn::Select": (
        _pair(_index, _list),
        "Template error: Fn::Select requires a list argument with two elements: an integer index and a list",
    ),
    "Fn::Split": (
        _pair(lambda node: isinstance(node, str) and bool(node), _text),
        "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be "
        "split or a function that returns a string to be split.",
    ),
    "Fn::If": (
        _branches,
        "Template error: Fn::If requires a list argument with the first element being a condition",
    ),
    "Fn::Base64": (_text, "Template error: every Fn::Base64 object must have a String-typed value."),
    "Fn::FindInMap": (
        _keys_of_map,
        "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute "
        "for return value",
    ),
    "Fn::ImportValue": (
        _importable,
        "Template error: the attribute in Fn::ImportValue must not depend on any resources, imported values, or "
        "Fn::GetAZs",
    ),
    "Fn::GetAZs": (_text, f"{UNRECORDED}every Fn::GetAZs object must have a String value."),
    "Fn::Cidr": (
        lambda node: isinstance(node, list) and len(node) in (2, 3) and all(_text(each) for each in node),
        f"{UNRECORDED}every Fn::Cidr object requires a block, a count and the bits of each part.",
    ),
    "Fn::Equals": (
        _pair(_text, _text),
        "Template error: every Fn::Equals object requires a list of 2 string parameters.",
    ),
    "Fn::And": (
        _operands,
        "Template error: every Fn::And object requires a list of at least 2 and at most 10 boolean parameters.",
    ),
    "Fn::Or": (
        _operands,
        "Template error: every Fn::Or object requires a list of at least 2 and at most 10 boolean parameters.",
    ),
    "Fn::Not": (
        lambda node: isinstance(node, list) and len(node) == 1 and isinstance(node[0], dict),
        "Template error: every Fn::Not object requires one boolean parameter.",
    ),
}
"""Test of each function's argument, and CloudFormation's message where it fails."""
