"""Instances that StackSets shall forget without deleting their stacks, as steps. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from builders.rollout.grouping import rectangles
from builders.rollout.model import Place, StackSet, Status
from builders.rollout.steps import Action, Step


def lost(state: StackSet, active: Collection[str]) -> tuple[Place, ...]:
    """Instances that no operation reaches: those of accounts that are not active any more, and INOPERABLE ones."""
    return tuple(
        sorted(
            place
            for place, instance in state.instances.items()
            if place.account not in active or instance.status is Status.INOPERABLE
        )
    )


def letting_go(state: StackSet, accounts: Collection[str], region_order: Iterable[str]) -> list[Step]:
    """The calls that let go of every instance of some accounts. Their stacks, where there still are any, stay."""
    return _steps(state, [place for place in state.instances if place.account in accounts], region_order)


def prune(
    states: Mapping[str, StackSet], accounts: Collection[str], reached: Collection[str], region_order: Iterable[str]
) -> dict[str, list[Step]]:
    """By layer, what `remove --account` does: an account that is not `reached` any more loses all its instances.

    One that is reached loses only its INOPERABLE ones: the others still work, and are removed by a plan. Layers that
    lose nothing are left out.
    """
    order = tuple(region_order)
    gone = set(accounts) - set(reached)
    found = {}
    for layer, state in states.items():
        places = [
            place
            for place, instance in state.instances.items()
            if place.account in gone or (place.account in accounts and instance.status is Status.INOPERABLE)
        ]
        if places:
            found[layer] = _steps(state, places, order)
    return found


def _steps(state: StackSet, places: Collection[Place], region_order: Iterable[str]) -> list[Step]:
    return [
        Step(Action.DELETE, state.layer, state.name, accounts, regions, retain=True)
        for accounts, regions in rectangles(places, region_order)
    ]
