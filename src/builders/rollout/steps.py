"""The fewest StackSets operations that lead from a stack set as it is to the set as it shall be. Pure.

An operation names accounts and regions, and touches all their pairs; its overrides hold for all of them. So pairs are
gathered into rectangles of equal overrides.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from builders.rollout.model import Place, Values


class Action(enum.Enum):
    """What a step asks of StackSets, one call each."""

    CREATE_SET = "CreateStackSet"
    UPDATE_SET = "UpdateStackSet"
    CREATE = "CreateStackInstances"
    UPDATE = "UpdateStackInstances"
    DELETE = "DeleteStackInstances"
    DELETE_SET = "DeleteStackSet"


@dataclass(frozen=True)
class Step:
    """One call. `overrides` is the full list of the places' own values; `retain` leaves the stacks standing."""

    action: Action
    layer: str
    set_name: str
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    overrides: Values | None = None
    retain: bool = False

    @property
    def places(self) -> frozenset[Place]:
        """The instances that the operation touches."""
        return frozenset(Place(account, region) for account in self.accounts for region in self.regions)


Rectangle = tuple[tuple[str, ...], tuple[str, ...]]
"""Accounts and regions, whose every pair is meant."""


def rectangles(places: Collection[Place], region_order: Iterable[str]) -> list[Rectangle]:
    """Cover the places by as few rectangles as one way of gathering gives, none touching a place twice."""
    order = {region: number for number, region in enumerate(region_order)}
    by_account = _gathered(places, lambda place: place.account, lambda place: place.region)
    by_region = _gathered(places, lambda place: place.region, lambda place: place.account)
    if len(by_region) < len(by_account):
        found = [(accounts, regions) for accounts, regions in by_region.items()]
    else:
        found = [(accounts, regions) for regions, accounts in by_account.items()]
    return sorted(
        (tuple(sorted(accounts)), tuple(sorted(regions, key=lambda region: (order.get(region, len(order)), region))))
        for accounts, regions in found
    )
