"""The three books of a phase, in one bucket."""

from __future__ import annotations

from typing import Protocol

from builders.rollout.client.objects import Expected
from builders.rollout.store.journal import Journal
from builders.rollout.store.known import Known
from builders.rollout.store.releases import Releases


class Bucket(Protocol):
    """What the store asks of S3: `client.objects(region)` has it."""

    def get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object and its ETag."""

    def put(self, bucket: str, key: str, body: bytes, if_match: str | Expected | None = None) -> str:
        """Write an object on a condition, and return its ETag."""

    def exists(self, bucket: str, key: str) -> bool:
        """Whether an object is there."""


class Store:
    """Journal, releases and known overrides of one suffix."""

    journal: Journal
    releases: Releases

    def __init__(self, objects: Bucket, bucket: str, suffix: str) -> None:
        raise NotImplementedError

    def known(self) -> Known:
        """What is known of overrides, the operations of a run under way included."""
        raise NotImplementedError

    def keep(self, known: Known) -> None:
        """Write it down, for the next command."""
        raise NotImplementedError

    def last_good(self, before: str | None = None) -> str | None:
        """The newest release whose run ended with every instance CURRENT; with `before`, the one before it."""
        raise NotImplementedError
