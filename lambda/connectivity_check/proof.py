"""All ways gone, those that fail again and again until patience ends: routes and names take minutes to spread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import function_log
from custom_resource import ResourceFailed
from deadline import Deadline
from function_errors import OutOfTime
from way import Way

log = function_log.logger("connectivity_check")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 15.0
WAY_SECONDS = 40.0
"""For one destination, once: its steps have times of their own, and this ends a server that trickles."""


class Destination(Protocol):
    """A destination to reach, and the way to connect to it."""

    @property
    def way(self) -> Way:
        """Begins every reason."""

    def reach(self, deadline: Deadline) -> str:
        """Go there and return what was found; raises ResourceFailed, with `is_final` where time cures nothing."""


class NotConnected(ResourceFailed):
    """Some way does not lead to its end; the message has a sentence for each."""


def prove(destinations: Sequence[Destination], patience_seconds: float, deadline: Deadline) -> str:
    """Reach every destination, or raise NotConnected with why not, once nothing more is to be hoped for."""
    patience_ends = time.monotonic() + patience_seconds
    found: list[str] = []
    waiting, pause = list(destinations), FIRST_PAUSE_SECONDS
    while True:
        failures = _round(waiting, found, deadline)
        if not failures:
            return "; ".join(found)
        waiting = [destination for destination, _ in failures]
        hopeless = any(getattr(failure, "is_final", False) for _, failure in failures)
        if hopeless or time.monotonic() + pause > patience_ends or _is_late(deadline, pause, len(waiting)):
            raise NotConnected(" | ".join(str(failure) for _, failure in failures))
        log.info("tried again in %.0f s: %s", pause, "; ".join(str(failure) for _, failure in failures))
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _round(
    destinations: Sequence[Destination], found: list[str], deadline: Deadline
) -> list[tuple[Destination, ResourceFailed]]:
    failures: list[tuple[Destination, ResourceFailed]] = []
    for destination in destinations:
        try:
            found.append(destination.reach(Deadline(deadline.remaining(WAY_SECONDS))))
        except ResourceFailed as failure:
            failures.append((destination, failure))
        except OutOfTime:
            deadline.remaining()
            failures.append((destination, NotConnected(f"{destination.way}: no end in {WAY_SECONDS:.0f} s")))
    return failures


def _is_late(deadline: Deadline, pause: float, ways: int) -> bool:
    return deadline.remaining() < pause + ways * WAY_SECONDS
