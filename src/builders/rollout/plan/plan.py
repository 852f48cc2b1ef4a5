"""A plan: what becomes of every instance, by which calls, what stands in the way, and about how long it takes.

How long a rollout may take: an estimate from what a template holds. Pure.

The minutes are round figures for creating the slowest resource; AWS promises none. Updates are taken for half of it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from builders.rollout.diff.effects import Change
from builders.rollout.diff.hazards import Hazard
from builders.rollout.diff.instances import ChangeKind
from builders.rollout.model import Preferences, Target, Wave
from builders.rollout.plan.calls import Action, Call
from builders.rollout.plan.preferences import account_count, concurrent_accounts
from builders.rollout.plan.schedule import Graph


@dataclass(frozen=True)
class Group:
    """Instances of a layer in a wave that change alike. `changes` is None where their stacks were not looked at."""

    wave: str
    layer: str
    kind: ChangeKind
    targets: tuple[Target, ...]
    changes: tuple[Change, ...] | None = None


@dataclass(frozen=True)
class PlannedOperation:
    """One operation. `at_once` is how many accounts of a region it works on; `minutes` is an estimate."""

    wave: str
    layer: str
    action: Action
    accounts: int
    regions: tuple[str, ...]
    at_once: int
    minutes: float


@dataclass(frozen=True)
class PlannedHazard:
    """A hazard with the places where it lies."""

    hazard: Hazard
    targets: tuple[Target, ...]

    @property
    def name(self) -> str:
        """What acknowledges it."""
        return f"{self.hazard.layer}/{self.hazard.resource}"


@dataclass(frozen=True)
class Plan:
    """What a command would do to one phase."""

    phase: str
    command: str
    release: str
    layers: tuple[str, ...]
    """In the order in which they go."""
    groups: tuple[Group, ...]
    operations: tuple[PlannedOperation, ...]
    hazards: tuple[PlannedHazard, ...]
    acknowledged: frozenset[str]
    minutes: float
    notes: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[PlannedHazard, ...]:
        """What must not happen, or not before it is acknowledged."""
        return tuple(
            each for each in self.hazards if not (each.hazard.acknowledgeable and each.name in self.acknowledged)
        )

    @property
    def nothing_to_do(self) -> bool:
        """Whether no call would be made and no plain stack touched."""
        return not any(group.kind is not ChangeKind.NOTHING for group in self.groups)

    def count(self, kinds: Iterable[ChangeKind]) -> int:
        """How many instances become one of these."""
        desired = set(kinds)
        return sum(len(group.targets) for group in self.groups if group.kind in desired)


_SLOW = {
    "AWS::RDS::DBInstance": 15.0,
    "AWS::DMS::ReplicationInstance": 12.0,
    "AWS::DirectConnect::DirectConnectGatewayAssociation": 15.0,
    "AWS::EC2::VPCEndpoint": 3.0,
    "AWS::EC2::TransitGatewayAttachment": 3.0,
}
_ANY = 2.0


def estimate_operation(wave: str, step: Call, template: str, preferences: Preferences) -> PlannedOperation:
    """A step with its pace and its minutes."""
    accounts = len(step.accounts)
    at_once = concurrent_accounts(preferences, accounts) if accounts else 0
    rounds = -(-accounts // at_once) if at_once else 0
    turns = 1 if preferences.parallel_regions else len(step.regions)
    each = _minutes(template) * (1.0 if step.action is Action.CREATE else 0.5)
    return PlannedOperation(wave, step.layer, step.action, accounts, step.regions, at_once, rounds * turns * each)


def total_minutes(calls: Sequence[PlannedOperation], waves: Sequence[Wave], graph: Graph) -> float:
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


def slowest_note(preferences: Preferences, accounts: int) -> str:
    """A sentence where the preferences make it one account at a time; empty where they do not."""
    if accounts < 2 or concurrent_accounts(preferences, accounts) > 1:
        return ""
    if account_count(preferences.max_concurrent, accounts) > 1:
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
