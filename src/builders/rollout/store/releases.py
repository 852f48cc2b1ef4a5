"""Releases: what a phase was to be, by content, so that it can be put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from builders.rollout.model import Desired, DesiredSet, PlainStacks, Values


@dataclass(frozen=True)
class Release:
    """What is deployed; how (waves, preferences, permissions, order of regions) is not part of it."""

    phase: str
    suffix: str
    sets: Mapping[str, DesiredSet]
    plain: Mapping[str, PlainStacks]
    needs: Mapping[str, frozenset[str]]
    tags: Values
    packages: tuple[str, ...]

    def desired(self, like: Desired) -> Desired:
        """This release, deployed in the way of another desired state: its waves, preferences and permissions."""
        raise NotImplementedError


class Releases:
    """The releases of one suffix."""

    def save(self, desired: Desired) -> str:
        """Keep a release and return its id: 12 hexadecimal digits. Only what is missing is uploaded."""
        raise NotImplementedError

    def load(self, release_id: str) -> Release:
        """A release with its templates. Raises `RolloutError` when it, or what it names, is not there."""
        raise NotImplementedError
