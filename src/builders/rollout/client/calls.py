"""The one place through which every AWS call goes."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class Moment(enum.Enum):
    """When a call is observed."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Call:
    """One call to AWS; pages are calls of their own, botocore's retries are not. `account` is empty for our own."""

    service: str
    operation: str
    account: str
    region: str


Observer = Callable[[Moment, Call], None]
"""Is told of each call before it is made and after it was answered; what it raises goes through (crash tests)."""
