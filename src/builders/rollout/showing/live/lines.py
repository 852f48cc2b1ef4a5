"""One plain line an event, for a pipe or a log."""

from __future__ import annotations

import contextlib
import datetime
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TextIO

from builders.rollout.model import Operation, Place
from builders.rollout.pace import Clock
from builders.rollout.showing.live.events import Events
from builders.rollout.showing.page import clean
from builders.rollout.showing.words import elapsed, many, names, places as where
from builders.rollout.steps import Step

SUMMARY_SECONDS = 30.0
_LAYERS_NAMED = 6


def _utc() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%H:%M:%SZ")


class Lines:
    """Writes a line when a wave begins, when an operation begins or changes its status, and when something is said.

    A summary comes at most every 30 seconds, and only while somebody tells something. `stamp` says what time it is.
    """

    detailed = False

    def __init__(self, clock: Clock, stream: TextIO | None = None, stamp: Callable[[], str] = _utc) -> None:
        self._clock = clock
        self._stream = stream or sys.stderr
        self._stamp = stamp
        self._events = Events()
        self._writing = threading.Lock()
        self._begun = self._summed = clock.now()

    def __enter__(self) -> Lines:
        """Nothing has to be opened."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing has to be closed."""

    def wave(self, name: str, places: int) -> None:
        """A wave begins."""
        self._events.wave(name, places)
        self._write(f"wave {name}: {many(places, 'place')}")

    def submitted(self, step: Step, operation_id: str) -> None:
        """A call was made."""
        sent = Operation(operation_id, step.action.value, "RUNNING")
        if self._events.operation(step, sent, self._clock.now()):
            at = f" at {where(step.places)}" if step.places else ""
            self._write(f"{step.layer}: {step.action.value}{at}, operation {operation_id}")

    def operation(self, step: Step, operation: Operation) -> None:
        """An operation was looked at."""
        if self._events.operation(step, operation, self._clock.now()):
            why = f": {operation.reason}" if operation.reason else ""
            failed = f", {many(operation.failed, 'instance')} failed" if operation.failed else ""
            self._write(f"{step.layer}: operation {operation.id} {operation.status}{failed}{why}")
        self._sum()

    def places(self, layer: str, states: Mapping[Place, str]) -> None:
        """Instances of a layer were looked at; what is held back will have no operation to tell of it."""
        held = [place for place, word in states.items() if word == "held back"]
        if held:
            self._write(f"{layer}: held back at {where(held)}")

    def say(self, line: str) -> None:
        """Something that a person should read."""
        self._write(line)

    def _sum(self) -> None:
        now = self._clock.now()
        with self._writing:
            if now - self._summed < SUMMARY_SECONDS:
                return
            self._summed = now
        picture = self._events.picture()
        busy = sorted({each.step.layer for each in picture.running.values()})
        parts = [
            f"{many(len(busy), 'layer')} under way ({names(busy, _LAYERS_NAMED)})" if busy else "nothing under way"
        ]
        parts.append(f"{many(picture.over, 'operation')} over")
        if picture.failed:
            parts.append(f"{picture.failed:,} not successful")
        self._write(f"wave {picture.wave}, {elapsed(now - self._begun)}: {', '.join(parts)}")

    def _write(self, line: str) -> None:
        # Whoever read the pipe may have gone, as `head` does: the rollout goes on, and tells nobody.
        with self._writing, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{self._stamp()} {clean(line)}\n")
            self._stream.flush()
