"""A plan as JSON has it: everything, with every place.

Whether a file that says that it is a saved plan is a whole one: someone may have cut or edited it.

The file between a plan and its `apply`, and what a plan made afresh says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import files
from builders.errors import RolloutError
from builders.rollout.diff.effects import Change
from builders.rollout.diff.instances import ChangeKind
from builders.rollout.plan.plan import Group, Plan, PlannedHazard, PlannedOperation
from builders.text import name_list


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan as a dictionary that `json` can write. Places are `account/region`."""
    blocks = set(plan.blocks)
    return {
        "phase": plan.phase,
        "command": plan.command,
        "release": plan.release,
        "nothing_to_do": plan.nothing_to_do,
        "blocked": bool(blocks),
        "counts": {kind.value: plan.count([kind]) for kind in ChangeKind},
        "minutes": plan.minutes,
        "layers": list(plan.layers),
        "groups": [_group(group) for group in plan.groups],
        "calls": [_call(call) for call in plan.operations],
        "hazards": [_hazard(each, each in blocks) for each in plan.hazards],
        "acknowledged": sorted(plan.acknowledged),
        "notes": list(plan.notes),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "wave": group.wave,
        "layer": group.layer,
        "kind": group.kind.value,
        "places": [str(target) for target in group.targets],
        "changes": None if group.changes is None else [_change(change) for change in group.changes],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "logical_id": change.logical_id,
        "type": change.type,
        "effect": change.effect.value,
        "causes": list(change.causes),
        "named": change.custom_name,
        "retained": change.retained,
    }


def _call(call: PlannedOperation) -> dict[str, Any]:
    return {
        "wave": call.wave,
        "layer": call.layer,
        "action": call.action.value,
        "accounts": call.accounts,
        "regions": list(call.regions),
        "at_once": call.at_once,
        "minutes": call.minutes,
    }


def _hazard(each: PlannedHazard, blocks: bool) -> dict[str, Any]:
    hazard = each.hazard
    return {
        "name": each.name,
        "kind": hazard.kind.value,
        "layer": hazard.layer,
        "resource": hazard.resource,
        "message": hazard.message,
        "way_round": hazard.remedy,
        "acknowledgeable": hazard.acknowledgeable,
        "blocks": blocks,
        "needs_order": list(hazard.needs_order),
        "places": [str(target) for target in each.targets],
    }


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


VERSION = 1
_MARK = "stackferry_plan"
_LISTED = 3
_NOT_COMPARED = frozenset({"acknowledged", "blocked", "counts", "nothing_to_do"})


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan to a file. Raises `RolloutError` where the file cannot be written."""
    content = json.dumps({_MARK: VERSION, **plan_data(plan)}, indent=1)
    try:
        files.replace(path, f"{content}\n".encode())
    except OSError as error:
        raise RolloutError(f"{path}: the plan cannot be saved: {error.strerror or error}") from error


@dataclass(frozen=True)
class SavedPlan:
    """A plan as a file has it: what `data` gave."""

    content: Mapping[str, Any]

    @property
    def acknowledged(self) -> tuple[str, ...]:
        """What was agreed to when it was saved."""
        return tuple(self.content["acknowledged"])


def load_plan(path: Path) -> SavedPlan:
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
    return SavedPlan(found)


def moved_since(saved: SavedPlan, plan: Plan) -> list[str]:
    """In what a fresh plan differs from a saved one, a line each; none where the saved one may be applied.

    What a person acknowledges is no move of the world: it is not compared.
    """
    before, after = _comparable(saved.content), _comparable(plan_data(plan))
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
            layer, _, target = key
            together.setdefault((layer, _transition(was, will)), []).append(target)
    for (layer, transition), targets in together.items():
        yield f"{layer} at {name_list(targets, _LISTED)}: {transition}"


def _by_instance(plan: Mapping[str, Any]) -> dict[tuple[str, str, str], tuple[str, Any]]:
    return {
        (group["layer"], group["wave"], target): (group["kind"], group["changes"])
        for group in plan["groups"]
        for target in group["places"]
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
    return name_list(moved_ids, _LISTED) or "in another order"


def _where(targets: list[str]) -> str:
    return name_list(targets, _LISTED) or "no place"


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
