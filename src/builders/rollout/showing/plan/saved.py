"""The file between a plan and its `apply`, and what a plan made afresh says otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from builders import files
from builders.errors import RolloutError
from builders.rollout.plan.values import Plan
from builders.rollout.showing.plan.data import data
from builders.rollout.showing.words import many, names

VERSION = 1
_MARK = "stackferry_plan"
_LISTED = 3
_DERIVED = frozenset({"blocked", "counts", "nothing_to_do"})


def save(plan: Plan, path: Path) -> None:
    """Write a plan to a file. Raises `RolloutError` where the file cannot be written."""
    content = json.dumps({_MARK: VERSION, **data(plan)}, indent=1)
    try:
        files.replace(path, f"{content}\n".encode())
    except OSError as error:
        raise RolloutError(f"{path}: the plan cannot be saved: {error.strerror or error}") from error


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote. Raises `RolloutError` for a file that is not there, no plan, or of another version."""
    again = "save one with `rollout-stacksets plan --save`"
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise RolloutError(f"{path}: the plan cannot be read: {error.strerror or error}; {again}") from error
    except (ValueError, RecursionError) as error:
        raise RolloutError(f"{path} is no saved plan: it holds no JSON; {again}") from error
    if not isinstance(found, dict) or _MARK not in found:
        raise RolloutError(f"{path} is no saved plan; {again}")
    if found.pop(_MARK) != VERSION:
        raise RolloutError(f"{path} was saved by another version of rollout-stacksets; {again}")
    if problem := _malformed(found):
        raise RolloutError(f"{path} is no whole plan: {problem}; {again}")
    return found


def moved(saved: Mapping[str, Any], plan: Plan) -> list[str]:
    """In what a fresh plan differs from a saved one, a line each; none where the saved one may be applied."""
    fresh = data(plan)
    if saved == fresh:
        return []
    lines = [
        f"{name} was {saved[name] or 'none'}, and is {fresh[name] or 'none'}"
        for name in ("phase", "command", "release")
        if saved[name] != fresh[name]
    ]
    instances = list(_instances(saved, fresh))
    hazards = list(_hazards(saved, fresh))
    lines += [*instances, *hazards]
    # What follows from these would only say it again; without them it is the first to say.
    if not lines:
        lines = [f"{name} differ" for name in fresh if name not in _DERIVED and saved.get(name) != fresh[name]]
    return lines or ["it differs"]


def _instances(saved: Mapping[str, Any], fresh: Mapping[str, Any]) -> Iterator[str]:
    """The instances that something else becomes of now, those that moved alike in one line."""
    before, after = _by_instance(saved), _by_instance(fresh)
    together: dict[tuple[str, str], list[str]] = {}
    for key in sorted(before.keys() | after.keys()):
        was, will = before.get(key), after.get(key)
        if was != will:
            layer, _, place = key
            together.setdefault((layer, _transition(was, will)), []).append(place)
    for (layer, transition), places in together.items():
        yield f"{layer} at {names(places, _LISTED)}: {transition}"


def _by_instance(plan: Mapping[str, Any]) -> dict[tuple[str, str, str], tuple[str, Any]]:
    return {
        (group["layer"], group["wave"], place): (group["kind"], group["changes"])
        for group in plan["groups"]
        for place in group["places"]
    }


def _transition(was: tuple[str, Any] | None, will: tuple[str, Any] | None) -> str:
    if was is None or will is None:
        return f"{will[0]}, and was not in the plan" if will else f"was {was[0] if was else ''}, and is not there now"
    if was[0] != will[0]:
        return f"was {was[0]}, and is {will[0]}"
    return f"{will[0]} changes other resources: {_resources(was[1], will[1])}"


def _resources(was: list[dict[str, Any]] | None, will: list[dict[str, Any]] | None) -> str:
    if was is None or will is None:
        return "compared in one of the plans only"
    before, after = ({json.dumps(each, sort_keys=True): each for each in changes} for changes in (was, will))
    moved_ids = sorted({(before | after)[key]["logical_id"] for key in before.keys() ^ after.keys()})
    return names(moved_ids, _LISTED) or "in another order"


def _hazards(saved: Mapping[str, Any], fresh: Mapping[str, Any]) -> Iterator[str]:
    before, after = ({(each["name"], each["message"]): each for each in plan["hazards"]} for plan in (saved, fresh))
    for name, message in sorted(after.keys() - before.keys()):
        yield f"new hazard {name}: {message}"
    for name, message in sorted(before.keys() - after.keys()):
        yield f"hazard {name} is gone: {message}"
    for key in sorted(before.keys() & after.keys()):
        was, will = before[key]["places"], after[key]["places"]
        if was != will:
            yield f"hazard {key[0]} lies in {many(len(will), 'place')}, and lay in {len(was):,}"
    told = set(saved["acknowledged"]) ^ set(fresh["acknowledged"])
    if told:
        yield f"acknowledged otherwise: {names(sorted(told), _LISTED)}"


def _malformed(found: Mapping[str, Any]) -> str:
    """What a file lacks that says it is a plan: someone may have cut or edited it."""
    for name in ("phase", "command", "release"):
        if not isinstance(found.get(name), str):
            return f"{name} is missing"
    wanted: dict[str, dict[str, Any]] = {
        "groups": {"layer": str, "wave": str, "kind": str, "places": list, "changes": (list, type(None))},
        "hazards": {"name": str, "message": str, "places": list},
        "calls": {"wave": str, "layer": str},
        "acknowledged": {},
    }
    for name, fields in wanted.items():
        entries = found.get(name)
        if not isinstance(entries, list):
            return f"{name} is missing"
        for entry in entries if fields else ():
            if not isinstance(entry, dict) or not all(isinstance(entry.get(key), kind) for key, kind in fields.items()):
                return f"{name} holds something else"
    return ""
