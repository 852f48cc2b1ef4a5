"""The waves, and the layers' graph within each: the loop that apply, resume, rollback and remove are."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from builders.rollout import order
from builders.rollout.engine import pace
from builders.rollout.engine.context import Context
from builders.rollout.engine.lane import Lane
from builders.rollout.engine.plain_lane import PlainLane
from builders.rollout.engine.quiet import bake
from builders.rollout.engine.report import Missed, Report
from builders.rollout.engine.submitting import Operations
from builders.rollout.model import Desired, Place, StackSet, Wave, World

LEAVING = "leaving"
"""The last wave: accounts that the phase has no more."""

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
        self._graph = graph(context, world)
        self._anchors = _in_wave_order(context.wanted)

    def go(self) -> Report:
        """Walk, and return what it came to. Raises `RolloutError` when AWS cannot be asked any more."""
        waves = self._waves()
        for number, wave in enumerate(waves):
            worked = self._wave(wave)
            later = {account for each in waves[number + 1 :] for account in each.accounts}
            if self.report.stopped:
                break
            if worked or self._was_baking(wave, later):
                self.report.stopped = bake(self._context, wave, self._members(wave))
            if self.report.stopped:
                break
        self.report.operations = self._operations.submitted
        return self.report

    def _waves(self) -> list[Wave]:
        """The waves of the phase, and one for whoever is there and should not be."""
        waves = list(self._context.wanted.waves)
        named = {account for wave in waves for account in wave.accounts}
        there = {place.account for each in self._sets.values() if each for place in each.instances}
        there |= {place.account for _, place in self._plain}
        gone = tuple(sorted(there - named))
        return [*waves, Wave(LEAVING, gone)] if gone or not waves else waves

    def _was_baking(self, wave: Wave, later: Collection[str]) -> bool:
        """Whether an earlier process had done the wave, and not begun the next."""
        touched = {place.account for place in self._resumed}
        return bool(touched & set(wave.accounts)) and not touched & set(later)

    def _members(self, wave: Wave) -> list[Place]:
        return sorted(place for place in self._context.wanted.places if place.account in set(wave.accounts))

    def _wave(self, wave: Wave) -> bool:
        """Take every layer through a wave; return whether anything was done."""
        lanes: dict[str, Lane | PlainLane] = {}
        accounts = frozenset(wave.accounts)
        self._context.watch.wave(wave.name, len(self._members(wave)))
        while len(lanes) < len(self._graph) or not all(lane.over for lane in lanes.values()):
            for layer, waits in self._graph.items():
                if layer not in lanes and all(other in lanes and lanes[other].over for other in waits):
                    lanes[layer] = self._begin(layer, accounts, [lanes[other] for other in sorted(waits)])
            for lane in [each for each in lanes.values() if not each.over]:
                lane.advance()
                self._collect(lane)
            if not all(lane.over for lane in lanes.values()):
                self._context.clock.wait(TICK_SECONDS)
        self._judge(wave, lanes.values())
        return any(lane.worked for lane in lanes.values())

    def _begin(self, layer: str, accounts: frozenset[str], upstream: Iterable[Lane | PlainLane]) -> Lane | PlainLane:
        """Start a layer at those places of the wave where what it waits for is well."""
        held = {place: missed for lane in upstream for place, missed in lane.missed.items()}
        places = {place for place in self._places(layer) if place.account in accounts}
        for place in sorted(places & held.keys()):
            why = held[place]
            reason = f"held back: {why.layer} is not what it shall be there"
            self.report.missed.append(Missed(layer, place, reason, held=True))
        if held:
            self._context.watch.places(layer, dict.fromkeys(places & held.keys(), "held back"))
        lane = self._lane(layer, places - held.keys(), upstream)
        lane.missed.update({place: Missed(layer, place, "held back", held=True) for place in places & held.keys()})
        return lane

    def _lane(self, layer: str, places: Collection[Place], upstream: Iterable[Lane | PlainLane]) -> Lane | PlainLane:
        wanted = self._context.wanted
        if layer not in wanted.plain:
            anchors = [
                place for wave in wanted.waves for place in sorted(wanted.places) if place.account in wave.accounts
            ]
            return Lane(self._context, self._operations, layer, self._sets.get(layer), places, anchors)
        there = {place: stack for (name, place), stack in self._plain.items() if name == layer}
        lane = PlainLane(self._context, wanted.plain[layer], there, places)
        moved = {place for other in upstream if other.worked for place in places}
        lane.begin([self._sets.get(need) for need in sorted(wanted.needs.get(layer, ()))], moved)
        return lane

    def _places(self, layer: str) -> set[Place]:
        """Where a layer is or shall be."""
        wanted = self._context.wanted
        if layer in wanted.plain:
            return {*wanted.plain[layer].parameters, *(place for name, place in self._plain if name == layer)}
        shall = wanted.sets[layer].overrides.keys() if layer in wanted.sets else ()
        state = self._sets.get(layer)
        return {*shall, *(state.instances if state else ())}

    def _collect(self, lane: Lane | PlainLane) -> None:
        if lane.over and isinstance(lane, Lane):
            self._sets[lane.layer] = lane.state

    def _judge(self, wave: Wave, lanes: Iterable[Lane | PlainLane]) -> None:
        """Add up what the wave came to. Failures stop the next one unless the tolerance bears them."""
        known = {(each.layer, each.place) for each in self.report.missed}
        failed: set[str] = set()
        for lane in lanes:
            self.report.reached[lane.layer] = self.report.reached.get(lane.layer, 0) + lane.reached
            for missed in lane.missed.values():
                failed.add(missed.place.account)
                if (missed.layer, missed.place) not in known:
                    self.report.missed.append(missed)

        if len(failed) > pace.tolerance(self._context.wanted.preferences, len(wave.accounts)):
            self.report.stopped = f"wave {wave.name}: {len(failed)} of {len(wave.accounts)} accounts failed"


def _in_wave_order(wanted: Desired) -> list[Place]:
    number = {account: index for index, wave in enumerate(wanted.waves) for account in wave.accounts}
    return sorted(wanted.places, key=lambda place: (number.get(place.account, len(number)), place))


def graph(context: Context, world: World) -> order.Graph:
    """The order of the layers that are there or shall be."""
    wanted = context.wanted
    before = {layer: order.interface(state.template) for layer, state in world.sets.items()}
    before |= {layer: order.NONE for layer, _ in world.plain}
    to_be = {layer: order.interface(each.template) for layer, each in wanted.sets.items()}
    to_be |= {layer: order.NONE for layer, each in wanted.plain.items() if each.parameters}
    return order.graph(before, to_be, wanted.needs, back=context.back)
