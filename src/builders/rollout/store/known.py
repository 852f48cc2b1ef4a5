"""Overrides that need no DescribeStackInstance: those that an operation of ours gave, while it is the last one."""

from __future__ import annotations

from collections.abc import Iterable

from builders.rollout.model import Instance, Values
from builders.rollout.store.journal import Entry


class Known:
    """Overrides by layer and place, each with the operation after which they held."""

    def overrides(self, layer: str, instance: Instance) -> Values | None:
        """What an instance overrides; None unless it is CURRENT and its last operation is the one that we know."""
        raise NotImplementedError

    def learn(self, layer: str, instance: Instance, overrides: Values) -> None:
        """Keep what DescribeStackInstance said of an instance."""
        raise NotImplementedError

    def fold(self, entries: Iterable[Entry]) -> None:
        """Follow operations of ours in their order. Folding the same ones again changes nothing."""
        raise NotImplementedError
