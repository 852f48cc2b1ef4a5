"""The file between a plan and its `apply`, and what a plan made afresh says otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import files
from builders.errors import RolloutError
from builders.rollout.plan.values import Plan
from builders.rollout.showing.plan.data import data
from builders.rollout.showing.plan.wholeness import malformed
from builders.rollout.showing.words import names

VERSION = 1
_MARK = "stackferry_plan"
_LISTED = 3
_NOT_COMPARED = frozenset({"acknowledged", "blocked", "counts", "nothing_to_do"})


def save(plan: Plan, path: Path) -> None:
    """Write a plan to a file. Raises `RolloutError` where the file cannot be written."""
    content = json.dumps({_MARK: VERSION, **data(plan)}, indent=1)
    try:
        files.replace(path, f"{content}\n".encode())
    except OSError as error:
        raise RolloutError(f"{path}: the plan cannot be saved: {error.strerror or error}") from error


@dataclass(frozen=True)
class Saved:
    """A plan as a file has it: what `data` gave."""

    content: Mapping[str, Any]

    @property
    def acknowledged(self) -> tuple[str, ...]:
        """What was agreed to when it was saved."""
        return tuple(self.content["acknowledged"])


def load(path: Path) -> Saved:
    """Read what `save` wrote. Raises `RolloutError` for a file that is not there, no plan, or of another version."""
    again = "save one with `rollout-stacksets plan --out`"
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
    if problem := malformed(found):
        raise RolloutError(f"{path} is no whole plan: {problem}; {again}")
    return Saved(found)


def moved(saved: Saved, plan: Plan) -> list[str]:
    """In what a fresh plan differs from a saved one, a line each; none where the saved one may be applied.

    What a person acknowledges is no move of the world: it is not compared.
    """
    before, after = _comparable(saved.content), _comparable(data(plan))
    if before == after:
        return []
    lines = [
        f"{name} was {before[name] or 'none'}, and is {after[name] or 'none'}"
        for name in ("phase", "command", "release")
        if before[name] != after[name]
    ]
    lines += [*_instances(before, after), *_hazards(before, after)]
    # The rest follows from these; where they are the same, it is what moved.
    return lines or [f"{name} differ" for name in after if before.get(name) != after[name]] or ["it differs"]


def _comparable(content: Mapping[str, Any]) -> dict[str, Any]:
    """A plan without what was agreed to, and what is counted from the rest."""
    found = {name: value for name, value in content.items() if name not in _NOT_COMPARED}
    found["hazards"] = [{name: each[name] for name in each if name != "blocks"} for each in content["hazards"]]
    return found


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


def _where(places: list[str]) -> str:
    return names(places, _LISTED) or "no place"


def _hazards(saved: Mapping[str, Any], fresh: Mapping[str, Any]) -> Iterator[str]:
    before, after = ({(each["name"], each["message"]): each for each in plan["hazards"]} for plan in (saved, fresh))
    for name, message in sorted(after.keys() - before.keys()):
        yield f"new hazard {name}: {message}"
    for name, message in sorted(before.keys() - after.keys()):
        yield f"hazard {name} is gone: {message}"
    for key in sorted(before.keys() & after.keys()):
        was, will = before[key]["places"], after[key]["places"]
        if was != will:
            yield f"hazard {key[0]} lies at {_where(will)}, and lay at {_where(was)}"
