"""Accounts and regions that one operation can name together. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from builders.rollout.model import Place

Rectangle = tuple[tuple[str, ...], tuple[str, ...]]
"""Accounts and regions, whose every pair is meant."""


def rectangles(places: Collection[Place], region_order: Iterable[str]) -> list[Rectangle]:
    """Cover the places by rectangles that touch each place once: by the fewer of two ways of gathering them."""
    order = {region: number for number, region in enumerate(region_order)}

    def sort(regions: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(regions, key=lambda region: (order.get(region, len(order)), region)))

    by_account = _gathered((place.account, place.region) for place in places)
    by_region = _gathered((place.region, place.account) for place in places)
    if len(by_region) < len(by_account):
        return sorted((tuple(sorted(accounts)), sort(regions)) for accounts, regions in by_region.items())
    return sorted((tuple(sorted(accounts)), sort(regions)) for regions, accounts in by_account.items())


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[frozenset[str], list[str]]:
    """The first parts that have the same second parts."""
    seconds: dict[str, set[str]] = defaultdict(set)
    for first, second in pairs:
        seconds[first].add(second)
    together: dict[frozenset[str], list[str]] = defaultdict(list)
    for first, those in seconds.items():
        together[frozenset(those)].append(first)
    return together
