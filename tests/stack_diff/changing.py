"""Two versions of a stack, written as short as a test needs them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from builders.scopes import Target
from builders.stack_diff.comparison import Comparison, compare
from builders.stack_diff.effects import Change
from builders.template_bodies import DeployedStack

ROOT = Path(__file__).parents[2]
HERE = Target("111111111111", "us-east-1")
Resources = Mapping[str, Any]


def template(resources: Resources, **sections: Any) -> str:
    return json.dumps({**sections, "Resources": resources})


def deployed(resources: Resources, status: str = "CREATE_COMPLETE", **sections: Any) -> DeployedStack:
    return DeployedStack(template(resources, **sections), {}, status)


def compared(before: Resources, after: Resources, **sections: Any) -> Comparison:
    """A stack with resources `before` against a template with resources `after`; both have the other sections."""
    return compare(deployed(before, **sections), template(after, **sections), {}, HERE)


def changes(before: DeployedStack | None, after: str, values: Mapping[str, str], target: Target) -> tuple[Change, ...]:
    """The changes of an update."""
    return compare(before, after, values, target).changes


def effects(comparison: Comparison) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The effect on each resource and its causes, by logical id."""
    return {change.logical_id: (change.effect.value, change.causes) for change in comparison.changes}


def layer(name: str) -> str:
    """The template of a layer as it is committed."""
    return (ROOT / "templates" / f"{name}.json").read_text(encoding="utf-8")


def phase_values(phase: str = "dev", **changed: str) -> dict[str, str]:
    """The parameters of a phase as they are committed, some of them changed."""
    pairs = json.loads((ROOT / "environments" / f"{phase}.json").read_text(encoding="utf-8"))
    return {**dict(pair.split("=", 1) for pair in pairs), **changed}


def released(
    name: str,
    change: Callable[[dict[str, Any]], object] | None = None,
    values_before: Mapping[str, str] | None = None,
    **values: str,
) -> Comparison:
    """A layer as it is committed against one whose resources or parameters are changed."""
    data = json.loads(layer(name))
    if change is not None:
        data = copy.deepcopy(data)
        change(data["Resources"])
    before = DeployedStack(layer(name), phase_values(**(values_before or {})), "UPDATE_COMPLETE")
    return compare(before, json.dumps(data), phase_values(**values), HERE)
