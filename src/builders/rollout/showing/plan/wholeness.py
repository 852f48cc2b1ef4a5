"""Whether a file that says that it is a saved plan is a whole one: someone may have cut or edited it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXTS = ("phase", "command", "release")
_ENTRIES: dict[str, dict[str, Any]] = {
    "groups": {"layer": str, "wave": str, "kind": str, "places": list, "changes": (list, type(None))},
    "hazards": {"name": str, "message": str, "places": list},
    "calls": {"wave": str, "layer": str},
}
_CHANGE = {"logical_id": str, "effect": str}


def malformed(found: Mapping[str, Any]) -> str:
    """What is wrong with it; empty where nothing is."""
    for name in _TEXTS:
        if not isinstance(found.get(name), str):
            return f"{name} is missing"
    for name, fields in _ENTRIES.items():
        if not _is_list_of(found.get(name), fields):
            return f"{name} is missing, or holds something else"
    if not all(_is_list_of(group["changes"] or [], _CHANGE) for group in found["groups"]):
        return "a group holds something else than changes"
    texts = [found.get("acknowledged"), *(each["places"] for name in ("groups", "hazards") for each in found[name])]
    if not all(isinstance(each, list) and all(isinstance(one, str) for one in each) for each in texts):
        return "places or acknowledgements are missing, or hold something else"
    return ""


def _is_list_of(found: Any, fields: Mapping[str, Any]) -> bool:
    return isinstance(found, list) and all(
        isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in fields.items())
        for entry in found
    )
