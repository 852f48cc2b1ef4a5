"""What a rollout has told so far. Safe for threads: the loop tells, and another thread draws.

One plain line an event, for a pipe or a log.

A table on the terminal that changes while a rollout goes.

Who looks on while a rollout goes.

events.py  what was told so far: waves, operations, places; safe for threads
table.py   on a terminal: a table that changes
lines.py   in a pipe: a line an event
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from builders.rollout.checks.status import InstanceStatus, InstanceView, instance_status
from builders.rollout.diff.instances import ChangeKind
from builders.rollout.executor.context import Observer
from builders.rollout.executor.polling import Clock, WallClock
from builders.rollout.model import Operation, Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.plan.plan import Plan
from builders.rollout.render import status
from builders.rollout.render.page import BAD, FAINT, STRONG, Page, clean, elapsed_text, target_list
from builders.text import counted_noun, name_list

LAST_LINES = 5
_AT_FIRST = {ChangeKind.NOTHING: InstanceStatus.CURRENT, ChangeKind.INOPERABLE: InstanceStatus.INOPERABLE}


@dataclass(frozen=True)
class OperationProgress:
    """An operation that runs. `since` is in the clock's seconds."""

    id: str
    step: Call
    since: float


@dataclass
class RunProgress:
    """What can be drawn: how every instance stands, which wave it is, what runs, what was said."""

    layers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    instances: dict[str, dict[Target, InstanceView]] = field(default_factory=dict)
    wave: str = ""
    wave_places: int = 0
    running: dict[str, OperationProgress] = field(default_factory=dict)
    over: int = 0
    failed: int = 0
    said: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


class ProgressEvents:
    """Gathers what is told into a picture."""

    def __init__(self, plan: Plan | None = None) -> None:
        self._lock = threading.Lock()
        self._picture = RunProgress()
        self._statuses: dict[str, str] = {}
        if plan is not None:
            self._begin(plan)

    def _begin(self, plan: Plan) -> None:
        self._picture.layers = plan.layers
        regions = dict.fromkeys(region for call in plan.operations for region in call.regions)
        self._picture.regions = tuple(regions)
        for group in plan.groups:
            standing = InstanceView(_AT_FIRST.get(group.kind, InstanceStatus.PENDING))
            self._picture.instances.setdefault(group.layer, {}).update(dict.fromkeys(group.targets, standing))

    def wave(self, name: str, targets: int) -> None:
        """A wave begins."""
        with self._lock:
            self._picture.wave, self._picture.wave_places = name, targets

    def operation(self, step: Call, operation: Operation, now: float) -> bool:
        """An operation was looked at; return whether it has another status than before."""
        with self._lock:
            if self._statuses.get(operation.id) == operation.status:
                return False
            self._statuses[operation.id] = operation.status
            if operation.active:
                before = self._picture.running.get(operation.id)
                since = before.since if before else now
                self._picture.running[operation.id] = OperationProgress(operation.id, step, since)
                self._mark_running(step)
                return True
            self._picture.running.pop(operation.id, None)
            self._picture.over += 1
            # StackSets call one SUCCEEDED that failed within its tolerance.
            good = operation.status == "SUCCEEDED" and not operation.failed
            self._picture.failed += not good
            if good:
                self._mark_done(step)
            return True

    def targets(self, layer: str, states: Mapping[Target, str]) -> None:
        """Instances were looked at."""
        with self._lock:
            found = {target: InstanceView(instance_status(word)) for target, word in states.items()}
            self._picture.instances.setdefault(layer, {}).update(found)

    def say(self, line: str) -> None:
        """Something was said."""
        with self._lock:
            self._picture.said.append(line)

    def picture(self) -> RunProgress:
        """A copy, which does not change any more."""
        with self._lock:
            own = self._picture
            layers = (*own.layers, *(layer for layer in own.instances if layer not in own.layers))
            return RunProgress(
                layers=layers,
                regions=own.regions,
                instances={layer: dict(by_place) for layer, by_place in own.instances.items()},
                wave=own.wave,
                wave_places=own.wave_places,
                running=dict(own.running),
                over=own.over,
                failed=own.failed,
                said=deque(own.said, LAST_LINES),
            )

    def _mark_running(self, step: Call) -> None:
        """Until the instances are looked at, those of an operation that had nothing run yet are on their way."""
        by_place = self._picture.instances.setdefault(step.layer, {})
        for target in step.targets:
            if target not in by_place or by_place[target].status is InstanceStatus.PENDING:
                by_place[target] = InstanceView(InstanceStatus.RUNNING)

    def _mark_done(self, step: Call) -> None:
        by_place = self._picture.instances.setdefault(step.layer, {})
        for target in step.targets:
            if step.action is Action.DELETE:
                by_place.pop(target, None)
            else:
                by_place[target] = InstanceView(InstanceStatus.CURRENT)


SUMMARY_SECONDS = 30.0
_LAYERS_NAMED = 6


def _utc() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%H:%M:%SZ")


class ProgressLines(Observer):
    """Writes a line when a wave begins, when an operation begins or changes its status, and when something is said.

    A summary comes at most every 30 seconds, and only while somebody tells something. `stamp` says what time it is.
    """

    detailed = False

    def __init__(self, clock: Clock, stream: TextIO | None = None, stamp: Callable[[], str] = _utc) -> None:
        self._clock = clock
        self._stream = stream or sys.stderr
        self._stamp = stamp
        self._events = ProgressEvents()
        self._writing = threading.Lock()
        self._begun = self._summed = clock.now()

    def __enter__(self) -> ProgressLines:
        """Nothing has to be opened."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing has to be closed."""

    def wave(self, name: str, targets: int) -> None:
        """A wave begins."""
        self._events.wave(name, targets)
        self._write(f"wave {name}: {counted_noun(targets, 'place')}")

    def submitted(self, step: Call, operation_id: str) -> None:
        """A call was made."""
        sent = Operation(operation_id, step.action.value, "RUNNING")
        if self._events.operation(step, sent, self._clock.now()):
            at = f" at {target_list(step.targets)}" if step.targets else ""
            self._write(f"{step.layer}: {step.action.value}{at}, operation {operation_id}")

    def operation(self, step: Call, operation: Operation) -> None:
        """An operation was looked at."""
        if self._events.operation(step, operation, self._clock.now()):
            why = f": {operation.reason}" if operation.reason else ""
            failed = f", {counted_noun(operation.failed, 'instance')} failed" if operation.failed else ""
            self._write(f"{step.layer}: operation {operation.id} {operation.status}{failed}{why}")
        self._sum()

    def targets(self, layer: str, states: Mapping[Target, str]) -> None:
        """Instances of a layer were looked at; no operation tells of those that are skipped."""
        skipped = [target for target, word in states.items() if word == "skipped"]
        if skipped:
            self._write(f"{layer}: skipped at {target_list(skipped)}")

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
            f"{counted_noun(len(busy), 'layer')} under way ({name_list(busy, _LAYERS_NAMED)})"
            if busy
            else "nothing under way"
        ]
        parts.append(f"{counted_noun(picture.over, 'operation')} over")
        if picture.failed:
            parts.append(f"{picture.failed:,} not successful")
        self._write(f"wave {picture.wave}, {elapsed_text(now - self._begun)}: {', '.join(parts)}")

    def _write(self, line: str) -> None:
        # Whoever read the pipe may have gone, as `head` does: the rollout goes on, and tells nobody.
        with self._writing, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{self._stamp()} {clean(line)}\n")
            self._stream.flush()


_A_SECOND = 4
"""Drawings at most: more is no use to an eye, and costs the rollout."""
_OPERATIONS_LISTED = 6
_SMALLEST_HEIGHT = 12


class ProgressTable(Observer):
    """Accounts by regions by layers on stderr, with the wave, the operations that run and what was said last.

    The plan tells how everything stands at first; without one, places appear when they are told of. A context manager:
    the terminal has its cursor back however the block ends, and the last state stays to be read.
    """

    detailed = True

    def __init__(self, title: str, clock: Clock, plan: Plan | None = None, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._begun = clock.now()
        self._title = title
        self._events = ProgressEvents(plan)
        # stdout may be a file or a pipe: what is printed there is not for the terminal.
        self._live = Live(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=_A_SECOND,
            redirect_stdout=False,
            redirect_stderr=True,
        )

    def __enter__(self) -> ProgressTable:
        """Begin to draw."""
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draw once more, and give the terminal back."""
        self._live.stop()

    def wave(self, name: str, targets: int) -> None:
        """A wave begins."""
        self._events.wave(name, targets)

    def submitted(self, step: Call, operation_id: str) -> None:
        """A call was made."""
        self._events.operation(step, Operation(operation_id, step.action.value, "RUNNING"), self._clock.now())

    def operation(self, step: Call, operation: Operation) -> None:
        """An operation was looked at."""
        self._events.operation(step, operation, self._clock.now())

    def targets(self, layer: str, states: Mapping[Target, str]) -> None:
        """Instances of a layer were looked at."""
        self._events.targets(layer, states)

    def say(self, line: str) -> None:
        """Something that a person should read."""
        self._events.say(line)

    def _drawn(self) -> Text:
        """The table, or why there is none: whatever fails here fails in the thread that draws, and must end there."""
        try:
            return self.draw(self._console.width, self._console.height)
        except Exception as error:
            return Text(f"{self._title}: the table cannot be drawn ({error!r}); the rollout goes on")

    def draw(self, width: int, height: int) -> Text:
        """The table as it is now, in at most so many columns and lines."""
        picture, now = self._events.picture(), self._clock.now()
        page = Page(width)
        page.line((self._title, STRONG), f", {elapsed_text(now - self._begun)}{_wave(picture)}")
        page.line(
            f"{counted_noun(len(picture.running), 'operation')} under way, {picture.over:,} over", *_failed(picture)
        )
        tail = Page(width)
        _operations(tail, picture, now)
        for line in picture.said:
            tail.line((line, FAINT), hang=2)
        below = tail.text()
        lines = below.plain.count("\n") + 1 if below.plain else 0
        status.grid(page, picture.layers, picture.regions, picture.instances, max(1, height - lines - 3))
        return _cropped(page.text(), below, max(height, _SMALLEST_HEIGHT) - 1)


def _wave(picture: RunProgress) -> str:
    return f"; wave {picture.wave}: {counted_noun(picture.wave_places, 'place')}" if picture.wave else ""


def _failed(picture: RunProgress) -> list[tuple[str, str]]:
    return [(f", {picture.failed:,} not successful", BAD)] if picture.failed else []


def _operations(page: Page, picture: RunProgress, now: float) -> None:
    running = sorted(picture.running.values(), key=lambda each: each.since)
    for each in running[:_OPERATIONS_LISTED]:
        step = each.step
        where = f" in {counted_noun(len(step.accounts), 'account')}" if step.accounts else ""
        page.line(f"{step.layer}: {step.action.value}{where}, {elapsed_text(now - each.since)}  ", (each.id, FAINT))
    if len(running) > _OPERATIONS_LISTED:
        page.line((f"... and {counted_noun(len(running) - _OPERATIONS_LISTED, 'more operation')}", FAINT))


def _cropped(table: Text, below: Text, most: int) -> Text:
    """Both in so many lines; where they do not fit, the table gives way to what runs and what was said."""
    lower = list(below.split("\n")) if below.plain else []
    lines = [*table.split("\n")[: max(3, most - len(lower))], *lower]
    return Text("\n", end="").join(lines[:most])


def observing(
    title: str = "rollout", plan: Plan | None = None, clock: Clock | None = None
) -> AbstractContextManager[ProgressTable | ProgressLines]:
    """Whoever suits stderr: a table on a terminal that draws, without NO_COLOR, else lines. Open it with `with`.

    The plan tells the table how everything stands at first; without one, places appear when they are told of.
    """
    clock = clock or WallClock()
    draws = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    if sys.stderr.isatty() and draws and "NO_COLOR" not in os.environ:
        return ProgressTable(title, clock, plan)
    return ProgressLines(clock)
