"""A table on the terminal that changes while a rollout goes."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from builders.rollout.model import Operation, Place
from builders.rollout.pace import Clock
from builders.rollout.plan.values import Plan
from builders.rollout.showing import grid
from builders.rollout.showing.live.events import Events, Picture
from builders.rollout.showing.page import BAD, FAINT, STRONG, Page
from builders.rollout.showing.words import elapsed, many
from builders.rollout.steps import Step

_A_SECOND = 4
"""Drawings at most: more is no use to an eye, and costs the rollout."""
_OPERATIONS_LISTED = 6
_SMALLEST_HEIGHT = 12


class LiveTable:
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
        self._events = Events(plan)
        # stdout may be a file or a pipe: what is printed there is not for the terminal.
        self._live = Live(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=_A_SECOND,
            redirect_stdout=False,
            redirect_stderr=True,
        )

    def __enter__(self) -> LiveTable:
        """Begin to draw."""
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draw once more, and give the terminal back."""
        self._live.stop()

    def wave(self, name: str, places: int) -> None:
        """A wave begins."""
        self._events.wave(name, places)

    def submitted(self, step: Step, operation_id: str) -> None:
        """A call was made."""
        self._events.operation(step, Operation(operation_id, step.action.value, "RUNNING"), self._clock.now())

    def operation(self, step: Step, operation: Operation) -> None:
        """An operation was looked at."""
        self._events.operation(step, operation, self._clock.now())

    def places(self, layer: str, states: Mapping[Place, str]) -> None:
        """Instances of a layer were looked at."""
        self._events.places(layer, states)

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
        page.line((self._title, STRONG), f", {elapsed(now - self._begun)}{_wave(picture)}")
        page.line(f"{many(len(picture.running), 'operation')} under way, {picture.over:,} over", *_failed(picture))
        tail = Page(width)
        _operations(tail, picture, now)
        for line in picture.said:
            tail.line((line, FAINT), hang=2)
        below = tail.text()
        lines = below.plain.count("\n") + 1 if below.plain else 0
        grid.show(page, picture.layers, picture.regions, picture.standings, max(1, height - lines - 3))
        return _cropped(page.text(), below, max(height, _SMALLEST_HEIGHT) - 1)


def _wave(picture: Picture) -> str:
    return f"; wave {picture.wave}: {many(picture.wave_places, 'place')}" if picture.wave else ""


def _failed(picture: Picture) -> list[tuple[str, str]]:
    return [(f", {picture.failed:,} not successful", BAD)] if picture.failed else []


def _operations(page: Page, picture: Picture, now: float) -> None:
    running = sorted(picture.running.values(), key=lambda each: each.since)
    for each in running[:_OPERATIONS_LISTED]:
        step = each.step
        where = f" in {many(len(step.accounts), 'account')}" if step.accounts else ""
        page.line(f"{step.layer}: {step.action.value}{where}, {elapsed(now - each.since)}  ", (each.id, FAINT))
    if len(running) > _OPERATIONS_LISTED:
        page.line((f"... and {many(len(running) - _OPERATIONS_LISTED, 'more operation')}", FAINT))


def _cropped(table: Text, below: Text, most: int) -> Text:
    """Both in so many lines; where they do not fit, the table gives way to what runs and what was said."""
    lower = list(below.split("\n")) if below.plain else []
    lines = [*table.split("\n")[: max(3, most - len(lower))], *lower]
    return Text("\n", end="").join(lines[:most])
