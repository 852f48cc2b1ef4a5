"""Following operations of StackSets: each is sent, then asked after at growing intervals until it is over."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from builders.errors import RolloutError
from builders.rollout.aws.errors import OperationInProgress, Refused, StackSetNotFound
from builders.rollout.aws.stack_sets import StackSets
from builders.rollout.model import Operation

MOST_NOT_FOUND = 10
"""So often an operation that was accepted may not be found before it counts as lost."""


class Clock(Protocol):
    """Time, which tests let pass faster."""

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
    """Seconds between two polls of an operation: the first, and the longest, each a half more than the one before."""

    first: float = 1.0
    longest: float = 15.0

    def next(self, last: float | None) -> float:
        """The next pause; none before means the first."""
        return self.first if last is None else min(last * 1.5, self.longest)


@dataclass(kw_only=True)
class PolledOperation:
    """An operation from before its call to its end.

    `refusal` is AWS's answer to a call that it refused for good. `due` is when it is polled next, on the clock.
    """

    id: str
    set_name: str
    action: str
    accepted: bool = False
    refusal: str = ""
    due: float = 0.0
    pause: float | None = None
    not_found: int = 0

    def ended(self, status: str, reason: str = "") -> Operation:
        """The operation as it ended without AWS's word for it."""
        return Operation(self.id, self.action, status, reason=reason)


Polled = TypeVar("Polled", bound=PolledOperation)


class Poller(ABC, Generic[Polled]):
    """Sends operations and polls them. A subclass makes the call, and reports what happens."""

    def __init__(self, sets: StackSets, clock: Clock, interval: PollInterval) -> None:
        self.sets = sets
        self.clock = clock
        self.interval = interval

    @abstractmethod
    def send(self, polled: Polled) -> Operation | None:
        """Make the call; return the operation where it is over at once."""

    @abstractmethod
    def accepted(self, polled: Polled) -> None:
        """AWS took the call, now or in an attempt whose answer was lost."""

    @abstractmethod
    def looked(self, polled: Polled, operation: Operation) -> None:
        """The operation was polled."""

    @abstractmethod
    def blocked(self, polled: Polled, by: str) -> None:
        """Another operation of the set is not over: the call is made again."""

    @abstractmethod
    def lost(self, polled: Polled) -> Operation:
        """AWS accepted the operation and does not know it."""

    def poll(self, polled: Polled) -> Operation | None:
        """Send an operation, or ask after one that was sent; None where it is not due, or not there yet.

        Raises `RolloutError` where AWS cannot be asked. A refusal of the operation itself is a failed operation.
        """
        if self.clock.now() < polled.due:
            return None
        operation = self._find(polled) if polled.accepted else self._send(polled)
        polled.pause = self.interval.next(polled.pause)
        # Two who wait for each other's set do not meet again.
        pause = polled.pause if polled.accepted else polled.pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret
        polled.due = self.clock.now() + pause
        if operation is not None:
            self.looked(polled, operation)
        return operation

    def until_over(self, operations: Iterable[Polled]) -> Iterator[tuple[Polled, Operation]]:
        """Poll operations side by side, and yield each when it is over."""
        left = list(operations)
        while left:
            for polled in list(left):
                operation = self.poll(polled)
                if operation is not None and not operation.active:
                    left.remove(polled)
                    yield polled, operation
            if left:
                self.clock.wait(max(0.0, min(each.due for each in left) - self.clock.now()))

    def exists(self, polled: Polled) -> bool:
        """Ask whether AWS has the operation."""
        return self._describe(polled) is not None

    def _send(self, polled: Polled) -> Operation | None:
        try:
            over = self.send(polled)
        except OperationInProgress:
            self.blocked(polled, self._active(polled.set_name))
            return None
        except Refused as error:
            polled.refusal = str(error)
            return polled.ended("FAILED", polled.refusal)
        polled.accepted, polled.pause = True, None
        self.accepted(polled)
        return over or polled.ended("RUNNING")

    def _find(self, polled: Polled) -> Operation | None:
        operation = self._describe(polled)
        if operation is None:
            polled.not_found += 1
            if polled.not_found > MOST_NOT_FOUND:
                return self.lost(polled)
        return operation

    def _describe(self, polled: Polled) -> Operation | None:
        try:
            return self.sets.operation(polled.set_name, polled.id)
        except StackSetNotFound:
            return None
        except Refused as error:  # the question was refused, which says nothing of the operation
            raise RolloutError(str(error)) from error

    def _active(self, set_name: str) -> str:
        try:
            others = ", ".join(f"{each.action} {each.id}" for each in self.sets.active(set_name))
        except Refused:
            others = ""
        return others or "an operation"
