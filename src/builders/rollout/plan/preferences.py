"""How many accounts at once, how many failures, how long to wait between two looks."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from typing import Protocol

from builders.rollout.model import FailureMode, Preferences


class Clock(Protocol):
    """Time as the loop needs it."""

    def now(self) -> float:
        """Seconds that only grow."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


class WallClock:
    """The machine's time."""

    def now(self) -> float:
        """Return the monotonic time."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@dataclass(frozen=True)
class PollInterval:
    """Seconds between two looks at an operation: the first, and the longest, each a half more than the one before."""

    first: float = 1.0
    longest: float = 15.0

    def next(self, last: float | None) -> float:
        """The next pause; none before means the first."""
        return self.first if last is None else min(last * 1.5, self.longest)


def jittered(seconds: float) -> float:
    """Between half of the time and all of it, so that two who wait for each other do not meet again."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311  no secret


def account_count(given: str, accounts: int) -> int:
    """A count, or a percentage of the accounts rounded down, as StackSets do (API reference,
    StackSetOperationPreferences)."""
    if given.endswith("%"):
        return accounts * int(given.removesuffix("%")) // 100
    return int(given)


def tolerated_accounts(preferences: Preferences, accounts: int) -> int:
    """How many accounts may fail in a region, but never all: a canary of one that failed must stop what comes next."""
    return max(0, min(account_count(preferences.failure_tolerance, accounts), accounts - 1))


def concurrent_accounts(preferences: Preferences, accounts: int) -> int:
    """How many accounts of a region are worked on at once: strict tolerance begins one more than it may lose."""
    most = max(1, account_count(preferences.max_concurrent, accounts))
    if preferences.mode is FailureMode.STRICT:
        most = min(most, tolerated_accounts(preferences, accounts) + 1)
    return max(1, min(most, accounts))


def operation_preferences(preferences: Preferences, accounts: int, failed: int, of: int) -> Preferences:
    """The preferences of one of several operations that together may do what the wave's accounts (`of`) may."""
    left = max(0, tolerated_accounts(preferences, of) - failed)
    most = max(1, min(account_count(preferences.max_concurrent, of), accounts))
    return replace(preferences, max_concurrent=str(most), failure_tolerance=str(min(left, max(0, accounts - 1))))
