"""All hazards of one stack's update."""

from __future__ import annotations

from collections.abc import Mapping

from builders.rollout.changes.comparison import Comparison
from builders.rollout.changes.effects import Hazard, HazardKind
from builders.rollout.changes.exports import Imports, export_hazards
from builders.rollout.changes.refusals import refusals
from builders.rollout.changes.stateful import stateful_hazards, task_hazards


def hazards(
    layer: str, comparison: Comparison, *, neighbours: Mapping[str, Imports] | None = None, task_runs: bool = False
) -> tuple[Hazard, ...]:
    """Return what stands in the way of an update: first what cannot be acknowledged, then by kind and resource.

    `neighbours` are the other layers deployed at the place with what they import; `task_runs` tells whether the
    replication task of the place runs. The messages name no place, so that those of many places can be gathered.
    """
    if comparison.problem:
        way = "compare it by a change set (plan --change-sets), or put a template there that can be evaluated"
        message = f"cannot be compared: {comparison.problem}"
        return (Hazard(HazardKind.NOT_COMPARABLE, layer, "", message, way, acknowledgeable=True),)
    found = [*stateful_hazards(layer, comparison), *refusals(layer, comparison)]
    found += export_hazards(layer, comparison, neighbours or {})
    if task_runs:
        found += task_hazards(layer, comparison)
    return tuple(sorted(found, key=lambda each: (each.acknowledgeable, each.kind, each.resource, each.message)))
