"""StackSets as their administrator sees and drives them. Every request carries CallAs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from builders.rollout.model import (
    DesiredSet,
    Instance,
    Operation,
    Permissions,
    Place,
    Preferences,
    StackSet,
    Values,
)
from builders.rollout.steps import Step


@dataclass(frozen=True)
class Result:
    """What an operation came to at one place (ListStackSetOperationResults)."""

    status: str
    reason: str = ""


@dataclass(frozen=True)
class ResourceDrift:
    """A resource that is not as its template says. `differences` are "path: expected -> actual" lines."""

    logical_id: str
    type: str
    status: str
    differences: tuple[str, ...] = ()


class StackSets:
    """The stack sets of the administrator's account and region."""

    def names(self) -> list[str]:
        """Names of all active sets, sorted."""
        raise NotImplementedError

    def read(self, layer: str, name: str) -> StackSet | None:
        """A set with all its instances (overrides unknown) and its active operations; None when there is none."""
        raise NotImplementedError

    def instances(self, name: str) -> dict[Place, Instance]:
        """All instances of a set, overrides unknown. Raises `SetNotFound`."""
        raise NotImplementedError

    def overrides(self, name: str, place: Place) -> dict[str, str]:
        """The parameters that an instance overrides: one call, the only one that tells."""
        raise NotImplementedError

    def submit(
        self,
        step: Step,
        desired: DesiredSet | None,
        operation_id: str,
        preferences: Preferences,
        permissions: Permissions,
        tags: Values,
    ) -> None:
        """Make the call of a step. Sending the same again with the same id does nothing twice.

        Raises `OperationInProgress`, `OperationExists`, `StaleRequest`, `SetExists`, `SetNotFound`, `SetNotEmpty`.
        """
        raise NotImplementedError

    def operation(self, name: str, operation_id: str) -> Operation | None:
        """An operation as it is; None when the set has none of that id. Raises `SetNotFound`."""
        raise NotImplementedError

    def active(self, name: str) -> tuple[Operation, ...]:
        """The set's operations that are not over, oldest first."""
        raise NotImplementedError

    def results(self, name: str, operation_id: str) -> Mapping[Place, Result]:
        """What an operation came to at each of its places. AWS is a little behind with it."""
        raise NotImplementedError

    def stop(self, name: str, operation_id: str) -> None:
        """Ask an operation to begin nothing more. Nothing happens when it is over."""
        raise NotImplementedError

    def detect_drift(self, name: str, operation_id: str, preferences: Preferences) -> None:
        """Begin to look for drift in all instances of a set."""
        raise NotImplementedError

    def resource_drifts(self, name: str, operation_id: str, place: Place) -> list[ResourceDrift]:
        """What a detection found at a place: the resources that were modified or deleted."""
        raise NotImplementedError
