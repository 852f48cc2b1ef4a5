"""Who is deployed together, and where a layer is or shall be. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from builders.rollout.model import Desired, Place, StackSet, Wave, World

LEAVING = "leaving"
"""The last wave: accounts that the phase has no more."""


def of(wanted: Desired, world: World) -> list[Wave]:
    """The waves of the phase, and one for whoever is there and should not be."""
    named = {account for wave in wanted.waves for account in wave.accounts}
    there = {place.account for state in world.sets.values() for place in state.instances}
    there |= {place.account for _, place in world.plain}
    gone = tuple(sorted(there - named))
    # A set without instances is to go, too, and goes with the last wave.
    return [*wanted.waves, Wave(LEAVING, gone)] if gone or not wanted.waves else list(wanted.waves)


def places(wanted: Desired, layer: str, state: StackSet | None, standing: Iterable[tuple[str, Place]]) -> set[Place]:
    """Where a layer is or shall be; `standing` are the plain stacks that are there."""
    if layer in wanted.plain:
        return {*wanted.plain[layer].parameters, *(place for name, place in standing if name == layer)}
    shall: Collection[Place] = wanted.sets[layer].overrides.keys() if layer in wanted.sets else ()
    return {*shall, *(state.instances if state else ())}


def leaving(wanted: Desired, layer: str, where: Collection[Place]) -> set[Place]:
    """Those of a layer's places that it leaves while it stays at others."""
    if layer in wanted.plain:
        staying: Collection[Place] = wanted.plain[layer].parameters
    elif layer in wanted.sets:
        staying = wanted.sets[layer].overrides
    else:
        staying = ()
    return {place for place in where if place not in staying} if staying else set()


def anchors(wanted: Desired) -> list[Place]:
    """All places of the phase, those of the first wave first."""
    number = {account: index for index, wave in enumerate(wanted.waves) for account in wave.accounts}
    return sorted(wanted.places, key=lambda place: (number.get(place.account, len(number)), place))
