"""What a rollout has told so far. Safe for threads: the loop tells, and another thread draws."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from builders.rollout.comparing import Kind
from builders.rollout.model import Operation, Place
from builders.rollout.plan.values import Plan
from builders.rollout.showing.views import Mark, Standing, of_word
from builders.rollout.steps import Action, Step

LAST_LINES = 5
_AT_FIRST = {Kind.NOTHING: Mark.CURRENT, Kind.INOPERABLE: Mark.INOPERABLE}


@dataclass(frozen=True)
class Underway:
    """An operation that runs. `since` is in the clock's seconds."""

    id: str
    step: Step
    since: float


@dataclass
class Picture:
    """What can be drawn: how every instance stands, which wave it is, what runs, what was said."""

    layers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    standings: dict[str, dict[Place, Standing]] = field(default_factory=dict)
    wave: str = ""
    wave_places: int = 0
    running: dict[str, Underway] = field(default_factory=dict)
    over: int = 0
    failed: int = 0
    said: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


class Events:
    """Gathers what is told into a picture."""

    def __init__(self, plan: Plan | None = None) -> None:
        self._lock = threading.Lock()
        self._picture = Picture()
        self._statuses: dict[str, str] = {}
        if plan is not None:
            self._begin(plan)

    def _begin(self, plan: Plan) -> None:
        self._picture.layers = plan.layers
        regions = dict.fromkeys(region for call in plan.calls for region in call.regions)
        self._picture.regions = tuple(regions)
        for group in plan.groups:
            standing = Standing(_AT_FIRST.get(group.kind, Mark.PENDING))
            self._picture.standings.setdefault(group.layer, {}).update(dict.fromkeys(group.places, standing))

    def wave(self, name: str, places: int) -> None:
        """A wave begins."""
        with self._lock:
            self._picture.wave, self._picture.wave_places = name, places

    def operation(self, step: Step, operation: Operation, now: float) -> bool:
        """An operation was looked at; return whether it has another status than before."""
        with self._lock:
            if self._statuses.get(operation.id) == operation.status:
                return False
            self._statuses[operation.id] = operation.status
            if operation.active:
                before = self._picture.running.get(operation.id)
                since = before.since if before else now
                self._picture.running[operation.id] = Underway(operation.id, step, since)
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

    def places(self, layer: str, states: Mapping[Place, str]) -> None:
        """Instances were looked at."""
        with self._lock:
            found = {place: Standing(of_word(word)) for place, word in states.items()}
            self._picture.standings.setdefault(layer, {}).update(found)

    def say(self, line: str) -> None:
        """Something was said."""
        with self._lock:
            self._picture.said.append(line)

    def picture(self) -> Picture:
        """A copy, which does not change any more."""
        with self._lock:
            own = self._picture
            layers = (*own.layers, *(layer for layer in own.standings if layer not in own.layers))
            return Picture(
                layers=layers,
                regions=own.regions,
                standings={layer: dict(by_place) for layer, by_place in own.standings.items()},
                wave=own.wave,
                wave_places=own.wave_places,
                running=dict(own.running),
                over=own.over,
                failed=own.failed,
                said=deque(own.said, LAST_LINES),
            )

    def _mark_running(self, step: Step) -> None:
        """Until the instances are looked at, those of an operation that had nothing run yet are on their way."""
        by_place = self._picture.standings.setdefault(step.layer, {})
        for place in step.places:
            if place not in by_place or by_place[place].mark is Mark.PENDING:
                by_place[place] = Standing(Mark.RUNNING)

    def _mark_done(self, step: Step) -> None:
        by_place = self._picture.standings.setdefault(step.layer, {})
        for place in step.places:
            if step.action is Action.DELETE:
                by_place.pop(place, None)
            else:
                by_place[place] = Standing(Mark.CURRENT)
