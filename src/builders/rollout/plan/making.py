"""Desired state and world become a plan. Pure: what AWS was asked for stands in the world."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from builders.graphs import in_order
from builders.rollout import order, waves
from builders.rollout.changes import Change
from builders.rollout.comparing import Kind, differs, kind, plain_kind
from builders.rollout.model import Desired, Place, StackSet, Wave, World, some
from builders.rollout.plan import estimating, judging
from builders.rollout.plan.values import Group, Plan, PlannedCall
from builders.rollout.steps import Action, Step, after, steps

LOOKED_AT = frozenset({Kind.UPDATE, Kind.OVERRIDE, Kind.RETRY, Kind.DELETE})
"""What a plan tells resource by resource, so that the stack of each such instance is read."""


def kinds(wanted: Desired, world: World) -> dict[str, dict[Place, Kind]]:
    """What becomes of every instance, by layer."""
    found: dict[str, dict[Place, Kind]] = {}
    for layer in sorted({*wanted.sets, *world.sets}):
        desired, state = wanted.sets.get(layer), world.sets.get(layer)
        changed = desired is not None and state is not None and differs(wanted, desired, state)
        everywhere = waves.places(wanted, layer, state, ())
        found[layer] = {place: kind(desired, state, place, changed) for place in everywhere}
    return found


def stacks_to_look_at(wanted: Desired, world: World) -> Iterator[tuple[str, Place, str]]:
    """Layer, place and stack id of every instance that may change."""
    for layer, by_place in kinds(wanted, world).items():
        for place, each in sorted(by_place.items()):
            state = world.sets.get(layer)
            if each in LOOKED_AT and state and state.instances[place].stack_id:
                yield layer, place, state.instances[place].stack_id


def make(
    wanted: Desired,
    world: World,
    *,
    command: str = "apply",
    release: str = "",
    back: bool = False,
    acknowledged: Collection[str] = (),
) -> Plan:
    """Plan the way from the world to what is wanted. Raises `RolloutError` where the layers can be put in no order."""
    graph = order.of(wanted, world, back)
    drawing = _Drawing(wanted, world, judging.Judge(wanted, world, graph))
    layers = in_order(graph)
    every_kind = kinds(wanted, world)
    for wave in waves.of(wanted, world):
        for leaving, line in ((False, layers), (True, in_order(order.of_leaving(wanted, world)))):
            for layer in line:
                drawing.draw(wave, layer, every_kind.get(layer, {}), leaving)
    accounts = max((len(wave.accounts) for wave in wanted.waves), default=0)
    slow = estimating.slowest(wanted.preferences, accounts)
    return Plan(
        phase=wanted.phase,
        command=command,
        release=release,
        layers=tuple(layers),
        groups=tuple(drawing.groups),
        calls=tuple(drawing.calls),
        hazards=drawing.judge.hazards(),
        acknowledged=frozenset(acknowledged),
        minutes=estimating.total(drawing.calls, waves.of(wanted, world), graph),
        notes=tuple(filter(None, [slow if drawing.calls else "", *drawing.notes])),
    )


@dataclass
class _Drawing:
    """A plan as it comes about. `_states` are the sets as they will be when the steps so far have succeeded."""

    wanted: Desired
    world: World
    judge: judging.Judge
    groups: list[Group] = field(default_factory=list)
    calls: list[PlannedCall] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _states: dict[str, StackSet | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._states.update(self.world.sets)
        self._anchors = waves.anchors(self.wanted)

    def draw(self, wave: Wave, layer: str, by_place: Mapping[Place, Kind], leaving: bool) -> None:
        """Add what a wave does to a layer, where it stays or where it leaves."""
        everywhere = waves.places(self.wanted, layer, self.world.sets.get(layer), self.world.plain)
        gone = waves.leaving(self.wanted, layer, everywhere)
        accounts = frozenset(wave.accounts)
        chosen = [place for place in (gone if leaving else everywhere - gone) if place.account in accounts]
        if layer in self.wanted.plain:
            self._draw_plain(wave, layer, chosen)
            return
        members = {place: by_place[place] for place in chosen}
        found = steps(self.wanted, layer, self._states.get(layer), members, self._anchors)
        self._states[layer] = after(self.wanted, self._states.get(layer), *found)
        for step in found:
            if step.action not in (Action.CREATE_SET, Action.DELETE_SET):
                self.calls.append(estimating.call(wave.name, step, self._template(layer), self.wanted.preferences))
        self._note_early(wave, layer, found, members)
        self.groups.extend(self._grouped(wave, layer, members))
        self._note_state(wave, layer, members)

    def _grouped(self, wave: Wave, layer: str, members: dict[Place, Kind]) -> Iterable[Group]:
        together: dict[tuple[Kind, tuple[Change, ...] | None], list[Place]] = defaultdict(list)
        for place, each in sorted(members.items()):
            together[each, self.judge.changes(layer, place, each)].append(place)
        for (each, changes), places in together.items():
            yield Group(wave.name, layer, each, tuple(places), changes)

    def _draw_plain(self, wave: Wave, layer: str, chosen: Collection[Place]) -> None:
        stacks = self.wanted.plain[layer]
        together: dict[Kind, list[Place]] = defaultdict(list)
        for place in sorted(chosen):
            together[plain_kind(stacks, self.world.plain.get((layer, place)), place)].append(place)
        for each, places in together.items():
            self.groups.append(Group(wave.name, layer, each, tuple(places)))

    def _template(self, layer: str) -> str:
        state = self.world.sets.get(layer)
        desired = self.wanted.sets.get(layer)
        return desired.template if desired else state.template if state else "{}"

    def _note_early(self, wave: Wave, layer: str, found: list[Step], members: Collection[Place]) -> None:
        early = {place for step in found for place in step.places} - set(members)
        for place in sorted(early):
            self.notes.append(
                f"{layer}: {place} is updated with wave {wave.name}, ahead of its own: StackSets takes a new template "
                "only with a deployment, and no account of the wave has an instance yet"
            )

    def _note_state(self, wave: Wave, layer: str, members: Mapping[Place, Kind]) -> None:
        broken = [place for place, each in sorted(members.items()) if each is Kind.INOPERABLE]
        if broken:
            self.notes.append(
                f"{layer}: INOPERABLE at {some(broken)}, and passed over; let them go with `rollout-stacksets remove "
                "--account`, delete the stack there by hand, and apply again"
            )
