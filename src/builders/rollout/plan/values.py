"""A plan: what becomes of every instance, by which calls, what stands in the way, and about how long it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from builders.rollout.changes import Change, Hazard
from builders.rollout.comparing import Kind
from builders.rollout.model import Place
from builders.rollout.steps import Action


@dataclass(frozen=True)
class Group:
    """Instances of a layer in a wave that change alike. `changes` is None where their stacks were not looked at."""

    wave: str
    layer: str
    kind: Kind
    places: tuple[Place, ...]
    changes: tuple[Change, ...] | None = None


@dataclass(frozen=True)
class PlannedCall:
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
    places: tuple[Place, ...]

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
    calls: tuple[PlannedCall, ...]
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
        return not any(group.kind is not Kind.NOTHING for group in self.groups)

    def count(self, kinds: Iterable[Kind]) -> int:
        """How many instances become one of these."""
        wanted = set(kinds)
        return sum(len(group.places) for group in self.groups if group.kind in wanted)
