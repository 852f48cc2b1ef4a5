"""A plan as JSON has it: everything, with every place."""

from __future__ import annotations

from typing import Any

from builders.rollout.changes import Change
from builders.rollout.comparing import Kind
from builders.rollout.plan.values import Group, Plan, PlannedCall, PlannedHazard


def data(plan: Plan) -> dict[str, Any]:
    """A plan as a dictionary that `json` can write. Places are `account/region`."""
    blocks = set(plan.blocks)
    return {
        "phase": plan.phase,
        "command": plan.command,
        "release": plan.release,
        "nothing_to_do": plan.nothing_to_do,
        "blocked": bool(blocks),
        "counts": {kind.value: plan.count([kind]) for kind in Kind},
        "minutes": plan.minutes,
        "layers": list(plan.layers),
        "groups": [_group(group) for group in plan.groups],
        "calls": [_call(call) for call in plan.calls],
        "hazards": [_hazard(each, each in blocks) for each in plan.hazards],
        "acknowledged": sorted(plan.acknowledged),
        "notes": list(plan.notes),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "wave": group.wave,
        "layer": group.layer,
        "kind": group.kind.value,
        "places": [str(place) for place in group.places],
        "changes": None if group.changes is None else [_change(change) for change in group.changes],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "logical_id": change.logical_id,
        "type": change.type,
        "effect": change.effect.value,
        "causes": list(change.causes),
        "named": change.named,
        "retained": change.retained,
    }


def _call(call: PlannedCall) -> dict[str, Any]:
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
        "way_round": hazard.way_round,
        "acknowledgeable": hazard.acknowledgeable,
        "blocks": blocks,
        "needs_order": list(hazard.needs_order),
        "places": [str(place) for place in each.places],
    }
