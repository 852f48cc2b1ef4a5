"""Instances that StackSets shall forget without deleting their stacks, as steps. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from builders.rollout.grouping import rectangles
from builders.rollout.model import StackSet, Status
from builders.rollout.steps import Action, Step


def prune(
    states: Mapping[str, StackSet], accounts: Collection[str], reached: Collection[str], region_order: Iterable[str]
) -> dict[str, list[Step]]:
    """By layer, what `remove --account` does: an account that is not `reached` any more loses all its instances.

    One that is reached loses only its INOPERABLE ones: the others still work, and are removed by a plan. The stacks,
    where there still are any, stay. Layers that lose nothing are left out.
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
            found[layer] = [
                Step(Action.DELETE, layer, state.name, those, regions, retain=True)
                for those, regions in rectangles(places, order)
            ]
    return found
