"""Deletes what a removal left, once its stack is gone and a person said so."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout.client import Client, stacks
from builders.rollout.client.abreast import together
from builders.rollout.client.reach import Reach
from builders.rollout.client.refusals import Refused
from builders.rollout.client.resources import GONE
from builders.rollout.model import Place
from builders.rollout.purging.deleting import delete
from builders.rollout.purging.ledger import Ledger
from builders.rollout.purging.left import Left, Way, in_order

ACKNOWLEDGED = "purge"


class Fate(enum.Enum):
    """What became of something that was left."""

    PURGED = "purged"
    KEPT = "kept"
    """Not acknowledged, its stack still stands, or it goes by hand only."""
    FAILED = "failed"


@dataclass(frozen=True)
class Purged:
    """Something that was left, what became of it, and what was done or is to be done."""

    left: Left
    fate: Fate
    words: str


def run_purge(
    client: Client,
    reach: Reach,
    ledger: Ledger,
    acknowledged: Collection[str],
    say: Callable[[str], None] = lambda _line: None,
) -> tuple[tuple[Purged, ...], int]:
    """Delete everything that is noted, account by account, and strike what is gone.

    `acknowledged` must hold "purge"; a role goes only when "purge/<its name>" is there too, since others may use it.
    The exit code is 1 when something could not be deleted. Run again, it goes on where it was.
    """
    by_place: dict[Place, list[Left]] = defaultdict(list)
    for left in in_order(ledger.read()):
        by_place[left.place].append(left)

    def at(place: Place) -> Sequence[Purged]:
        done: list[Purged] = []
        try:
            done.extend(_purged(client, reach, by_place[place], acknowledged))
        finally:
            ledger.strike(each.left for each in done if each.fate is Fate.PURGED)
        return done

    found: list[Purged] = []
    for place, purged in together(at, sorted(by_place)):
        found += purged
        say(f"{place}: {sum(each.fate is Fate.PURGED for each in purged)} of {len(purged)} purged")
    found.sort(key=lambda each: (each.left.place, each.left.layer, each.left.logical_id))
    return tuple(found), int(any(each.fate is Fate.FAILED for each in found))


def _purged(client: Client, reach: Reach, found: list[Left], acknowledged: Collection[str]) -> Iterator[Purged]:
    for left in found:
        unasked = _unacknowledged(left, acknowledged)
        if unasked:
            yield Purged(left, Fate.KEPT, unasked)
            continue
        try:
            yield _one(client, reach, left)
        except RolloutError as error:
            yield Purged(left, Fate.FAILED, str(error))


def _one(client: Client, reach: Reach, left: Left) -> Purged:
    if stacks.describe(client.calls, reach.reading(left.place), left.stack_id):
        return Purged(left, Fate.KEPT, "its stack still stands, and uses it; remove the phase there first")
    try:
        words = delete(client.calls, reach.deploying(left.place), left)
    except Refused as refused:
        if refused.code not in GONE:
            raise
        words = "was gone already"
    return Purged(left, Fate.PURGED, words)


def _unacknowledged(left: Left, acknowledged: Collection[str]) -> str:
    """Why something is not deleted; empty when it may be."""
    if left.way is Way.BY_HAND:
        return left.by_hand
    if ACKNOWLEDGED not in acknowledged:
        return f"will be {left.way.value} with --acknowledge {ACKNOWLEDGED}"
    named = f"{ACKNOWLEDGED}/{left.physical_id}"
    if left.way is Way.ROLE and named not in acknowledged:
        return f"others may use this role; delete it with --acknowledge {named}"
    return ""
