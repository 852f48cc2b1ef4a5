"""Ends the function before Lambda does, whatever hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from function_errors import OutOfTime

# Time kept back to report the failure: a log line and a metric.
RESERVE_SECONDS = 1.0

T = TypeVar("T")


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the function."""
        ...


class Deadline:
    """A moment after which nothing may be sent any more; seconds throughout."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @classmethod
    def before_timeout(cls, context: LambdaContext) -> Deadline:
        """The moment that leaves time to report a failure before Lambda ends the function."""
        return cls(context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS)

    def remaining(self, at_most: float | None = None) -> float:
        """Seconds left, capped at `at_most`; raises OutOfTime when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise OutOfTime(
                "the time given to this invocation is used up: nothing more was sent; "
                "where it is so again, raise the function's timeout"
            )
        return left if at_most is None else min(left, at_most)


def run_within(deadline: Deadline, work: Callable[[], T]) -> T:
    """Return work()'s result or raise its error; raise OutOfTime when it does not end in time.

    Socket timeouts cover what sockets do. They do not cover the resolver, which has none, nor an endpoint that sends
    one byte a second. So the work runs in a thread that may be left behind: it can send nothing after the deadline,
    since every call and every socket asks the deadline first.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="work", daemon=True)
    thread.start()
    thread.join(deadline.remaining())
    if errors:
        raise errors[0]
    if results:
        return results[0]
    raise OutOfTime("something did not answer within the time given to this invocation: check network and endpoints")
