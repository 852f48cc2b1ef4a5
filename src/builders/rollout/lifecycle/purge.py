"""Deletes one resource that was left, by its type.

Deletes what a removal left, once its stack is gone and a person said so.

Instances that StackSets shall forget without deleting their stacks, as steps. Pure.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout.aws import resources, stacks
from builders.rollout.aws.access import Session
from builders.rollout.aws.calls import ApiCalls, concurrently
from builders.rollout.aws.client import Client
from builders.rollout.aws.errors import NotFound
from builders.rollout.lifecycle.retained import Disposal, RetainedList, RetainedResource, final_snapshot, in_order
from builders.rollout.model import StackSet, Status, Target
from builders.rollout.plan.calls import Action, Call, rectangles

SECRET_DAYS = 7
"""The shortest recovery window of a secret (Secrets Manager API reference, DeleteSecret): whoever purges wants it gone,
and whoever regrets it still has a week."""

KEY_DAYS = 30
"""The longest waiting period of a key (KMS API reference, ScheduleKeyDeletion): longer than a secret can be restored,
and whatever else was encrypted with it shows by then."""

Delete = Callable[[ApiCalls, Session, RetainedResource], str]
"""Deletes, and returns what was done in words."""


def delete(calls: ApiCalls, where: Session, left: RetainedResource) -> str:
    """Delete what was left and say what was done. Raises `NotFound` for what is gone already."""
    return _BY_WAY[left.disposal](calls, where, left)


def _secret(calls: ApiCalls, where: Session, left: RetainedResource) -> str:
    resources.delete_secret(calls, where, left.physical_id, SECRET_DAYS)
    return f"deleted; `aws secretsmanager restore-secret` brings it back for {SECRET_DAYS} days"


def _key(calls: ApiCalls, where: Session, left: RetainedResource) -> str:
    resources.schedule_key_deletion(calls, where, left.physical_id, KEY_DAYS)
    return f"deleted in {KEY_DAYS} days; `aws kms cancel-key-deletion` keeps it until then"


def _snapshot(calls: ApiCalls, where: Session, left: RetainedResource) -> str:
    found = final_snapshot(left, resources.snapshots(calls, where, left.physical_id, left.identity))
    if not found:
        return "left no final snapshot"
    resources.delete_snapshot(calls, where, found)
    return f"snapshot {found} deleted"


def _log_group(calls: ApiCalls, where: Session, left: RetainedResource) -> str:
    resources.delete_log_group(calls, where, left.physical_id)
    return "deleted with its logs"


def _role(calls: ApiCalls, where: Session, left: RetainedResource) -> str:
    resources.delete_role(calls, where, left.physical_id)
    return "deleted"


_BY_WAY: Mapping[Disposal, Delete] = {
    Disposal.SECRET: _secret,
    Disposal.KEY: _key,
    Disposal.SNAPSHOT: _snapshot,
    Disposal.LOG_GROUP: _log_group,
    Disposal.ROLE: _role,
}


ACKNOWLEDGED = "purge"


class PurgeStatus(enum.Enum):
    """What became of something that was left."""

    PURGED = "purged"
    KEPT = "kept"
    """Not acknowledged, its stack still stands, or it goes by hand only."""
    FAILED = "failed"


@dataclass(frozen=True)
class PurgeResult:
    """Something that was left, what became of it, and what was done or is to be done."""

    resource: RetainedResource
    status: PurgeStatus
    detail: str

    def __str__(self) -> str:
        """Return one line for a person."""
        found = self.resource
        return f"{self.status.value}: {found.type} {found.physical_id} at {found.target}: {self.detail}"


def purge_retained(
    client: Client,
    retained_list: RetainedList,
    acknowledged: Collection[str],
    say: Callable[[str], None] = lambda _line: None,
) -> tuple[tuple[PurgeResult, ...], int]:
    """Delete everything that is noted, account by account, and strike what is gone.

    `acknowledged` must hold "purge"; a role goes only when "purge/<its name>" is there too, since others may use it.
    The exit code is 1 when something could not be deleted. Run again, it goes on where it was.
    """
    by_place: dict[Target, list[RetainedResource]] = defaultdict(list)
    for left in in_order(retained_list.read()):
        by_place[left.target].append(left)

    def at(target: Target) -> Sequence[PurgeResult]:
        done: list[PurgeResult] = []
        try:
            done.extend(_purged(client, by_place[target], acknowledged))
        finally:
            retained_list.discard(each.resource for each in done if each.status is PurgeStatus.PURGED)
        return done

    found: list[PurgeResult] = []
    for target, purged in concurrently(at, sorted(by_place)):
        found += purged
        say(f"{target}: {sum(each.status is PurgeStatus.PURGED for each in purged)} of {len(purged)} purged")
    found.sort(key=lambda each: (each.resource.target, each.resource.layer, each.resource.logical_id))
    return tuple(found), int(any(each.status is PurgeStatus.FAILED for each in found))


def _purged(client: Client, found: list[RetainedResource], acknowledged: Collection[str]) -> Iterator[PurgeResult]:
    for left in found:
        unasked = _unacknowledged(left, acknowledged)
        if unasked:
            yield PurgeResult(left, PurgeStatus.KEPT, unasked)
            continue
        try:
            yield _one(client, left)
        except RolloutError as error:
            yield PurgeResult(left, PurgeStatus.FAILED, str(error))


def _one(client: Client, left: RetainedResource) -> PurgeResult:
    if stacks.describe(client.calls, client.roles.reading(left.target), left.stack_id):
        return PurgeResult(left, PurgeStatus.KEPT, "its stack still stands, and uses it; remove the phase there first")
    try:
        words = delete(client.calls, client.roles.deploying(left.target), left)
    except NotFound:
        words = "was gone already"
    return PurgeResult(left, PurgeStatus.PURGED, words)


def _unacknowledged(left: RetainedResource, acknowledged: Collection[str]) -> str:
    """Why something is not deleted; empty when it may be."""
    if left.disposal is Disposal.BY_HAND:
        return left.by_hand
    if ACKNOWLEDGED not in acknowledged:
        return f"will be {left.disposal.value} with --acknowledge {ACKNOWLEDGED}"
    named = f"{ACKNOWLEDGED}/{left.physical_id}"
    if left.disposal is Disposal.ROLE and named not in acknowledged:
        return f"others may use this role; delete it with --acknowledge {named}"
    return ""


def detach_calls(
    states: Mapping[str, StackSet], accounts: Collection[str], reached: Collection[str], region_order: Iterable[str]
) -> dict[str, list[Call]]:
    """By layer, what `remove --account` does: an account that is not `reached` any more loses all its instances.

    One that is reached loses only its INOPERABLE ones: the others still work, and are removed by a plan. The stacks,
    where there still are any, stay. Layers that lose nothing are left out.
    """
    order = tuple(region_order)
    gone = set(accounts) - set(reached)
    found = {}
    for layer, state in states.items():
        targets = [
            target
            for target, instance in state.instances.items()
            if target.account in gone or (target.account in accounts and instance.status is Status.INOPERABLE)
        ]
        if targets:
            found[layer] = [
                Call(Action.DELETE, layer, state.name, those, regions, retain=True)
                for those, regions in rectangles(targets, order)
            ]
    return found
