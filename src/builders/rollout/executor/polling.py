"""Time, and how often an operation is asked after."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Protocol


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
