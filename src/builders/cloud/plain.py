"""Values of this package as JSON and back, for state that outlives the server.

JSON and not pickle: what is read back can make only the values named here, and the classes that the reader lists.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from builders.cloud.schemas import Json

_KIND = "$"
_COLLECTIONS: Mapping[str, Any] = {"tuple": tuple, "frozenset": frozenset}


def to_json(value: Any) -> Json:
    """Return a value as JSON; what JSON lacks is {"$": its kind, "value": what it is made of}."""
    kind = type(value).__name__
    if dataclasses.is_dataclass(value):
        members = {each.name: to_json(getattr(value, each.name)) for each in dataclasses.fields(value)}
        return {_KIND: kind, "value": members}
    if isinstance(value, datetime):
        return {_KIND: kind, "value": value.isoformat()}
    if kind in _COLLECTIONS:
        return {_KIND: kind, "value": [to_json(each) for each in value]}
    if isinstance(value, dict):
        if _KIND not in value and all(isinstance(key, str) for key in value):
            return {key: to_json(each) for key, each in value.items()}
        return {_KIND: "dict", "value": [[to_json(key), to_json(each)] for key, each in value.items()]}
    return [to_json(each) for each in value] if isinstance(value, list) else value


def from_json(value: Json, classes: Mapping[str, type]) -> Any:
    """Return what `to_json` was given; `classes` are the dataclasses that may be in it, by name."""
    if isinstance(value, list):
        return [from_json(each, classes) for each in value]
    if not isinstance(value, dict):
        return value
    if _KIND not in value:
        return {key: from_json(each, classes) for key, each in value.items()}
    return _restored(value[_KIND], value["value"], classes)


def _restored(kind: str, parts: Json, classes: Mapping[str, type]) -> Any:
    if kind == "datetime":
        return datetime.fromisoformat(parts)
    if kind == "dict":
        return {from_json(key, classes): from_json(each, classes) for key, each in parts}
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind](from_json(each, classes) for each in parts)
    return classes[kind](**from_json(parts, classes))
