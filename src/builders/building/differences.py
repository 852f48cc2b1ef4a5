"""The first place where two pieces of plain data differ."""

from __future__ import annotations

import json
import re
from typing import Any

_ABSENT = object()
_PLAIN_KEY = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_SHOWN_CHARACTERS = 120


def first_difference(found: Any, expected: Any, path: str = "$") -> str | None:
    """The first difference in reading order: its JSON path, what is found there, what is expected; None if equal.

    Keys are read in sorted order, as the template files have them.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        steps = [
            (_key(path, key), found.get(key, _ABSENT), expected.get(key, _ABSENT)) for key in _keys(found, expected)
        ]
    elif isinstance(found, list) and isinstance(expected, list):
        length = max(len(found), len(expected))
        steps = [(f"{path}[{place}]", _item(found, place), _item(expected, place)) for place in range(length)]
    elif found == expected and type(found) is type(expected):
        return None
    else:
        return f"{path}: the file has {_shown(found)}, the layer makes {_shown(expected)}"
    for step in steps:
        difference = first_difference(step[1], step[2], step[0])
        if difference is not None:
            return difference
    return None


def _keys(found: dict[Any, Any], expected: dict[Any, Any]) -> list[Any]:
    return sorted(found.keys() | expected.keys(), key=str)


def _key(path: str, key: Any) -> str:
    return f"{path}.{key}" if _PLAIN_KEY.match(str(key)) else f"{path}[{json.dumps(str(key))}]"


def _item(items: list[Any], place: int) -> Any:
    return items[place] if place < len(items) else _ABSENT


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
