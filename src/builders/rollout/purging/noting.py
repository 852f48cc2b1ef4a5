"""Looks at every stack of a phase before it is removed, and writes down what will be left of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout.client import Client, resources
from builders.rollout.client.abreast import together
from builders.rollout.client.members import Look
from builders.rollout.client.reach import Reach
from builders.rollout.model import Place, StackSet
from builders.rollout.purging.ledger import Ledger
from builders.rollout.purging.left import Left, Way, retained, staying


@dataclass(frozen=True)
class Noted:
    """What was written down, and why some stacks could not be looked at: what they leave would not be purged."""

    left: tuple[Left, ...]
    unread: Mapping[tuple[str, Place], str]


def note(client: Client, reach: Reach, sets: Mapping[str, StackSet], ledger: Ledger) -> Noted:
    """Write down what the removal of these sets will leave. To be called before it begins, and again on resume."""
    looks = [
        Look((layer, place), instance.stack_id)
        for layer, state in sorted(sets.items())
        for place, instance in sorted(state.instances.items())
        if instance.stack_id
    ]
    found: list[Left] = []
    unread: dict[tuple[str, Place], str] = {}

    def of_stack(look: Look) -> list[Left] | RolloutError:
        try:
            return list(_of_stack(client, reach, look))
        except RolloutError as error:
            return error

    for look, answer in together(of_stack, looks):
        if isinstance(answer, RolloutError):
            unread[look.key] = str(answer)
        else:
            found += answer
    ledger.note(found)
    return Noted(tuple(sorted(found, key=lambda each: (each.place, each.layer, each.logical_id))), unread)


def _of_stack(client: Client, reach: Reach, look: Look) -> Iterator[Left]:
    layer, place = look.key
    stack = client.members.deployed(place, look.stack_id)
    try:
        if stack is None or not staying(stack.template):
            return
        made = resources.of_stack(client.calls, reach.reading(place), look.stack_id)
        found = retained(layer, place, look.stack_id, stack.template, made)
    except ValueError as error:
        raise RolloutError(f"the template of {layer} at {place} is not JSON; somebody else deployed it") from error
    for left in found:
        yield _with_snapshots(client, reach, left) if left.way is Way.SNAPSHOT else left


def _with_snapshots(client: Client, reach: Reach, left: Left) -> Left:
    where = reach.deploying(left.place)
    identity = resources.database(client.calls, where, left.physical_id)
    before = resources.snapshots(client.calls, where, left.physical_id, identity)
    return dataclasses.replace(left, identity=identity, before=before)
