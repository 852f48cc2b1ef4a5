"""Intrinsic functions as they are written: which one a node is, and what it refers to as a whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

SUB_NAME = re.compile(r"\$\{([^!{}][^{}]*)\}")
"""A name inside Fn::Sub; ${!name} is a text."""


@dataclass(frozen=True)
class Reference:
    """A Ref (`attribute` is None) or a Fn::GetAtt."""

    name: str
    attribute: str | None = None


def function_of(node: Any) -> tuple[str | None, Any]:
    """The intrinsic function at the top of a node and its argument, or (None, None)."""
    if isinstance(node, dict) and len(node) == 1:
        key = next(iter(node))
        if isinstance(key, str) and (key in ("Ref", "Condition") or key.startswith("Fn::")):
            return key, node[key]
    return None, None


def reference_of(node: Any) -> Reference | None:
    """The resource or parameter that a node points to as a whole, through Ref, Fn::GetAtt or a Fn::Sub of one name."""
    function, argument = function_of(node)
    if function == "Ref" and isinstance(argument, str):
        return Reference(argument)
    if function == "Fn::GetAtt":
        if isinstance(argument, str):
            argument = argument.split(".", 1)
        if isinstance(argument, list) and len(argument) == 2 and all(isinstance(part, str) for part in argument):
            return Reference(argument[0], argument[1])
    if function == "Fn::Sub" and isinstance(argument, str):
        only = SUB_NAME.fullmatch(argument)
        if only:
            name, _, attribute = only[1].partition(".")
            return Reference(name, attribute or None)
    return None
