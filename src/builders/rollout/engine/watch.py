"""Who looks on while a rollout goes. What a terminal or a log shows is made elsewhere; the loop only tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from builders.rollout.model import Operation, Place
from builders.rollout.steps import Step


class Watch(Protocol):
    """Is told what happens, in the order in which it happens. Nothing that it does reaches the rollout."""

    @property
    def detailed(self) -> bool:
        """Whether the state of each instance is worth asking for while operations run."""

    def wave(self, name: str, places: int) -> None:
        """A wave begins."""

    def submitted(self, step: Step, operation_id: str) -> None:
        """A call was made."""

    def operation(self, step: Step, operation: Operation) -> None:
        """An operation was looked at."""

    def places(self, layer: str, states: Mapping[Place, str]) -> None:
        """Instances of a layer were looked at: CURRENT, RUNNING, FAILED, PENDING, held back ..."""

    def say(self, line: str) -> None:
        """Something that a person should read."""


class Silent:
    """Nobody looks on."""

    detailed = False

    def wave(self, name: str, places: int) -> None:
        """Say nothing."""

    def submitted(self, step: Step, operation_id: str) -> None:
        """Say nothing."""

    def operation(self, step: Step, operation: Operation) -> None:
        """Say nothing."""

    def places(self, layer: str, states: Mapping[Place, str]) -> None:
        """Say nothing."""

    def say(self, line: str) -> None:
        """Say nothing."""
