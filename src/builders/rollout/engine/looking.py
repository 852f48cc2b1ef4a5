"""Reads the stack of every instance that may change, since a set tells what should be there and not what is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

from builders.errors import RolloutError
from builders.rollout.client.abreast import together
from builders.rollout.client.members import Look, Members
from builders.rollout.engine.watch import Watch
from builders.rollout.model import Deployed, Desired, Place, World
from builders.rollout.plan.making import stacks_to_look_at

TASK = "AWS::DMS::ReplicationTask"


def closer(members: Members, wanted: Desired, world: World, watch: Watch) -> World:
    """The world with the stacks that a plan compares, and the places whose replication task runs.

    A stack that cannot be read is left out and said: what an update does to it is not known, and so blocks.
    """
    looks = [Look((layer, place), stack_id) for layer, place, stack_id in stacks_to_look_at(wanted, world)]
    deployed: dict[tuple[str, Place], Deployed] = {}
    unread: dict[tuple[str, Place], str] = {}
    bodies: dict[str, str] = {}
    for look, answer in members.deployed_many(looks):
        if isinstance(answer, RolloutError):
            layer, place = look.key
            watch.say(f"{layer} at {place} is not looked at: {answer}")
            unread[look.key] = str(answer)
        elif answer is not None:
            # Each answer brings its own copy of what is mostly the same text, of up to 50 KB.
            body = bodies.setdefault(answer.template, answer.template)
            deployed[look.key] = dataclasses.replace(answer, template=body)
    ids = {look.key: look.stack_id for look in looks}
    running = frozenset(_running_tasks(members, deployed, ids))
    return dataclasses.replace(world, deployed=deployed, running_tasks=running, unread=unread)


def _running_tasks(
    members: Members, deployed: dict[tuple[str, Place], Deployed], ids: dict[tuple[str, Place], str]
) -> Iterator[Place]:
    """Where a task runs that an update or a deletion would meet; DMS refuses to change one that does."""
    bodies: dict[str, bool] = {}
    asked = [key for key, stack in deployed.items() if bodies.setdefault(stack.template, _has_task(stack.template))]
    for key, runs in together(lambda key: members.running_task(key[1], ids[key]), asked):
        if runs:
            yield key[1]


def _has_task(template: str) -> bool:
    try:
        resources = json.loads(template).get("Resources", {})
    except ValueError:  # somebody's YAML
        return TASK in template
    return any(each.get("Type") == TASK for each in resources.values())
