"""S3 in the administrator's account: objects, and writes that expect what is there."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Literal


class Expected(enum.Enum):
    """What a conditional write may expect instead of an ETag."""

    ABSENT = "*"


ABSENT: Literal[Expected.ABSENT] = Expected.ABSENT
"""The object must not be there yet."""


class Objects:
    """The buckets of one region."""

    def get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object and its ETag; None when it is not there."""
        raise NotImplementedError

    def put(self, bucket: str, key: str, body: bytes, if_match: str | Expected | None = None) -> str:
        """Write an object and return its ETag. Raises `Conflict` when it is not what `if_match` expects."""
        raise NotImplementedError

    def exists(self, bucket: str, key: str) -> bool:
        """Whether an object is there."""
        raise NotImplementedError

    def list(self, bucket: str, prefix: str) -> list[str]:
        """Keys that begin so, sorted."""
        raise NotImplementedError

    def upload(self, bucket: str, key: str, path: Path) -> None:
        """Write a file as an object."""
        raise NotImplementedError
