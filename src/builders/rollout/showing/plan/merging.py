"""Groups that differ in nothing that is shown become one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from builders.rollout.changes import Change
from builders.rollout.plan.values import Group


def merged(groups: Iterable[Group]) -> list[Group]:
    """The groups, those as one that differ in the given names only.

    A name holds an account or a region where it has to be unique, so that the same change would show once for each.
    """
    known: dict[tuple[Change, ...] | None, tuple[Change, ...] | None] = {}
    together: dict[Group, list[Group]] = {}
    for group in groups:
        if group.changes not in known:
            known[group.changes] = _without_names(group.changes)
        alike = dataclasses.replace(group, places=(), changes=known[group.changes])
        together.setdefault(alike, []).append(group)
    return [
        dataclasses.replace(alike, places=tuple(sorted({place for group in those for place in group.places})))
        for alike, those in together.items()
    ]


def numbered(groups: Sequence[Group]) -> dict[tuple[str, tuple[Change, ...]], int]:
    """The different changes of each layer, numbered from one in the order in which they come."""
    numbers: dict[tuple[str, tuple[Change, ...]], int] = {}
    found: dict[str, int] = {}
    for group in groups:
        if group.changes and (group.layer, group.changes) not in numbers:
            found[group.layer] = numbers[group.layer, group.changes] = found.get(group.layer, 0) + 1
    return numbers


def _without_names(changes: tuple[Change, ...] | None) -> tuple[Change, ...] | None:
    return None if changes is None else tuple(dataclasses.replace(each, named="") for each in changes)
