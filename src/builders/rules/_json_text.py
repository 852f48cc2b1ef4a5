"""JSON that a template carries as text: what it says, as far as that is known."""

from __future__ import annotations

import json
import re
from typing import Any

from builders.intrinsics import DYNAMIC_REFERENCE
from builders.rules._functions import function_of
from builders.rules._template import Template
from builders.rules._values import ABSENT, Value

_UNKNOWN = re.compile(re.escape(DYNAMIC_REFERENCE) + r"[^}]*\}\}|\0")
_FILLINGS = ("0", '"x"', '"x":0', "", "{}")
"""Values that an unknown part of a text may have; a text that is no JSON with any of them is none."""


def document_of(template: Template, value: Value) -> Any:
    """The parsed text: data, `None` where it is JSON whose data is not known, or the JSONDecodeError."""
    function, argument = function_of(value.value)
    if function == "Fn::ToJsonString":
        return argument if isinstance(argument, (dict, list)) else None
    constants = list(template.resolver.constants(value.value, value.path, value.when))
    if len(constants) == 1 and isinstance(constants[0].value, str):
        return _parsed(constants[0].value)
    if any(isinstance(constant.value, (dict, list)) or constant.value is ABSENT for constant in constants):
        return None
    pieces = template.resolver.pieces(value.value)
    parts = _UNKNOWN.split("".join(piece if isinstance(piece, str) else "\0" for piece in pieces))
    if not any(parts):
        return None
    tries = [_parsed(fill.join(parts)) for fill in _FILLINGS]
    return tries[0] if all(isinstance(result, json.JSONDecodeError) for result in tries) else _first_data(tries)


def _first_data(tries: list[Any]) -> Any:
    """The data with unknown texts as "0": good for structure, not for values that hold a "0"."""
    return next((result for result in tries if not isinstance(result, json.JSONDecodeError)), None)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        return error
    except (ValueError, RecursionError):
        return None
