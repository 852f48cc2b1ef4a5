"""How long a rollout may take: an estimate from what a template holds. Pure.

The minutes are round figures for creating the slowest resource; AWS promises none. Updates are taken for half of it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence

from builders.rollout import pace
from builders.rollout.model import Preferences, Wave
from builders.rollout.order import Graph
from builders.rollout.plan.values import PlannedCall
from builders.rollout.steps import Action, Step

_SLOW = {
    "AWS::RDS::DBInstance": 15.0,
    "AWS::DMS::ReplicationInstance": 12.0,
    "AWS::DirectConnect::DirectConnectGatewayAssociation": 15.0,
    "AWS::EC2::VPCEndpoint": 3.0,
    "AWS::EC2::TransitGatewayAttachment": 3.0,
}
_ANY = 2.0


def call(wave: str, step: Step, template: str, preferences: Preferences) -> PlannedCall:
    """A step with its pace and its minutes."""
    accounts = len(step.accounts)
    at_once = pace.width(preferences, accounts) if accounts else 0
    rounds = -(-accounts // at_once) if at_once else 0
    turns = 1 if preferences.parallel_regions else len(step.regions)
    each = _minutes(template) * (1.0 if step.action is Action.CREATE else 0.5)
    return PlannedCall(wave, step.layer, step.action, accounts, step.regions, at_once, rounds * turns * each)


def total(calls: Sequence[PlannedCall], waves: Sequence[Wave], graph: Graph) -> float:
    """The minutes of all waves one after the other, each as long as its longest way through the graph."""
    minutes = 0.0
    for wave in waves:
        own: dict[str, float] = dict.fromkeys(graph, 0.0)
        for each in calls:
            if each.wave == wave.name:
                own[each.layer] += each.minutes
        longest: dict[str, float] = {}
        minutes += max((_until(layer, graph, own, longest) for layer in graph), default=0.0)
        if any(own.values()):
            minutes += wave.bake_seconds / 60
    return minutes


def slowest(preferences: Preferences, accounts: int) -> str:
    """A sentence where the preferences make it one account at a time; empty where they do not."""
    if accounts < 2 or pace.width(preferences, accounts) > 1:
        return ""
    if pace.count(preferences.max_concurrent, accounts) > 1:
        return (
            f"tolerance {preferences.failure_tolerance} with strict concurrency: one account at a time, whatever "
            f"max_concurrent says ({preferences.max_concurrent}); raise failure_tolerance, or take mode SOFT"
        )
    return f"max_concurrent {preferences.max_concurrent}: one account at a time"


def _until(layer: str, graph: Graph, own: Mapping[str, float], known: dict[str, float]) -> float:
    if layer not in known:
        known[layer] = own[layer] + max((_until(other, graph, own, known) for other in graph[layer]), default=0.0)
    return known[layer]


@functools.lru_cache(maxsize=64)
def _minutes(template: str) -> float:
    types = {str(each.get("Type")) for each in json.loads(template).get("Resources", {}).values()}
    return max([_ANY, *(minutes for name, minutes in _SLOW.items() if name in types)])
