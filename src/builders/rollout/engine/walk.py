"""The waves, and the layers' graph within each: the loop that apply, resume, rollback and remove are."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from builders.rollout import order, pace, waves
from builders.rollout.engine.context import Context
from builders.rollout.engine.lane import Lane
from builders.rollout.engine.plain_lane import PlainLane
from builders.rollout.engine.quiet import bake
from builders.rollout.engine.report import Missed, Report
from builders.rollout.engine.submitting import Operations
from builders.rollout.model import Place, StackSet, Wave, World

TICK_SECONDS = 0.2


class Walk:
    """One way through all waves. `resumed` are the places that an earlier process had worked on in this run."""

    def __init__(self, context: Context, world: World, resumed: Collection[Place] = ()) -> None:
        self.report = Report()
        self._context = context
        self._operations = Operations(context)
        self._sets: dict[str, StackSet | None] = dict(world.sets)
        self._plain = world.plain
        self._resumed = frozenset(resumed)
        self._graph = order.of(context.wanted, world, context.back)
        self._leaving = order.of_leaving(context.wanted, world)
        self._anchors = waves.anchors(context.wanted)
        self._waves = waves.of(context.wanted, world)

    def go(self) -> Report:
        """Walk, and return what it came to. Raises `RolloutError` when AWS cannot be asked any more."""
        for number, wave in enumerate(self._waves):
            worked = self._wave(wave)
            later = {account for each in self._waves[number + 1 :] for account in each.accounts}
            if not self.report.stopped and (worked or self._was_baking(wave, later)):
                self.report.stopped = bake(self._context, wave, self._members(wave))
            if self.report.stopped:
                break
        self.report.operations = self._operations.submitted
        return self.report

    def _was_baking(self, wave: Wave, later: Collection[str]) -> bool:
        """Whether an earlier process had done the wave, and not begun the next."""
        touched = {place.account for place in self._resumed}
        return bool(touched & set(wave.accounts)) and not touched & set(later)

    def _members(self, wave: Wave) -> list[Place]:
        accounts = frozenset(wave.accounts)
        return sorted(place for place in self._context.wanted.places if place.account in accounts)

    def _wave(self, wave: Wave) -> bool:
        """Take a wave to what it shall be, then away from where it shall be no more; return whether anything was done.

        Those who leave a place go in reverse, and so on a way of their own.
        """
        self._context.watch.wave(wave.name, len(self._members(wave)))
        staying = self._way(wave, self._graph, leaving=False)
        leaving = self._way(wave, self._leaving, leaving=True)
        for lane in staying:
            self.report.reached[lane.layer] = self.report.reached.get(lane.layer, 0) + lane.reached
        self._judge(wave, [*staying, *leaving])
        return any(lane.worked for lane in [*staying, *leaving])

    def _way(self, wave: Wave, graph: order.Graph, leaving: bool) -> list[Lane | PlainLane]:
        """Take every layer of a graph through a wave, each behind those that it waits for."""
        lanes: dict[str, Lane | PlainLane] = {}
        accounts = frozenset(wave.accounts)
        while len(lanes) < len(graph) or not all(lane.over for lane in lanes.values()):
            for layer, waits in graph.items():
                if layer not in lanes and all(other in lanes and lanes[other].over for other in waits):
                    places = {place for place in self._places(layer, leaving) if place.account in accounts}
                    lanes[layer] = self._begin(layer, places, [lanes[other] for other in sorted(waits)])
            for lane in [each for each in lanes.values() if not each.over]:
                lane.advance()
                self._collect(lane)
            if not all(lane.over for lane in lanes.values()):
                self._context.clock.wait(min(TICK_SECONDS, self._context.patience.first))
        return list(lanes.values())

    def _places(self, layer: str, leaving: bool) -> set[Place]:
        wanted = self._context.wanted
        everywhere = waves.places(wanted, layer, self._sets.get(layer), self._plain)
        gone = waves.leaving(wanted, layer, everywhere)
        return gone if leaving else everywhere - gone

    def _begin(self, layer: str, places: set[Place], upstream: Iterable[Lane | PlainLane]) -> Lane | PlainLane:
        """Start a layer at those places where what it waits for is well."""
        held = {place: missed.layer for lane in upstream for place, missed in lane.missed.items()}
        lane = self._lane(layer, places - held.keys(), upstream)
        for place in sorted(places & held.keys()):
            reason = f"held back: {held[place]} is not what it shall be there"
            lane.missed[place] = Missed(layer, place, reason, held=True)
        self._context.watch.places(layer, dict.fromkeys(lane.missed, "held back"))
        return lane

    def _lane(self, layer: str, places: Collection[Place], upstream: Iterable[Lane | PlainLane]) -> Lane | PlainLane:
        wanted = self._context.wanted
        if layer not in wanted.plain:
            return Lane(self._context, self._operations, layer, self._sets.get(layer), places, self._anchors)
        there = {place: stack for (name, place), stack in self._plain.items() if name == layer}
        lane = PlainLane(self._context, wanted.plain[layer], there, places)
        moved = {place for other in upstream if other.worked for place in places}
        lane.begin([self._sets.get(need) for need in sorted(wanted.needs.get(layer, ()))], moved)
        return lane

    def _collect(self, lane: Lane | PlainLane) -> None:
        if lane.over and isinstance(lane, Lane):
            self._sets[lane.layer] = lane.state

    def _judge(self, wave: Wave, lanes: Iterable[Lane | PlainLane]) -> None:
        """Add up what the wave came to. Failures stop the next one unless the tolerance bears them."""
        failed: set[str] = set()
        for lane in lanes:
            self.report.missed.extend(lane.missed[place] for place in sorted(lane.missed))
            failed.update(place.account for place in lane.missed)
        if len(failed) > pace.tolerance(self._context.wanted.preferences, len(wave.accounts)):
            self.report.stopped = f"wave {wave.name}: {len(failed)} of {len(wave.accounts)} accounts failed"
