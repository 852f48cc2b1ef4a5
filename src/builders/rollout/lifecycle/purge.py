"""purge: deletes the resources that a removal left, once their stack is gone and a person acknowledged it."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout.aws import resources, stacks
from builders.rollout.aws.calls import concurrently
from builders.rollout.aws.client import Client
from builders.rollout.aws.errors import NotFound
from builders.rollout.lifecycle.retained import Disposal, RetainedList, RetainedResource
from builders.rollout.model import Target

ACKNOWLEDGED = "purge"

SECRET_DAYS = 7
"""The shortest recovery window of a secret (Secrets Manager API reference, DeleteSecret): whoever purges wants it gone,
and whoever regrets it still has a week."""

KEY_DAYS = 30
"""The longest waiting period of a key (KMS API reference, ScheduleKeyDeletion): longer than a secret can be restored,
and whatever else was encrypted with it shows by then."""


class PurgeStatus(enum.Enum):
    """The outcome for a retained resource."""

    PURGED = "purged"
    KEPT = "kept"
    """Not acknowledged, its stack still exists, or it is deleted by hand only."""
    FAILED = "failed"


@dataclass(frozen=True)
class PurgeResult:
    """A retained resource, what became of it, and what was done or is to be done."""

    resource: RetainedResource
    status: PurgeStatus
    detail: str

    def __str__(self) -> str:
        """Return one line for a person."""
        found = self.resource
        return f"{self.status.value}: {found.type} {found.physical_id} at {found.target}: {self.detail}"


def purge_retained(
    client: Client,
    retained: RetainedList,
    acknowledged: Collection[str],
    say: Callable[[str], None] = lambda _line: None,
) -> tuple[tuple[PurgeResult, ...], int]:
    """Delete everything that is recorded, target by target, and take what is gone out of the list.

    `acknowledged` must hold "purge"; a role goes only when "purge/<its name>" is there too, since others may use it.
    The exit code is 1 when something could not be deleted. Run again, it goes on where it was.
    """
    by_target: dict[Target, list[RetainedResource]] = defaultdict(list)
    for each in purge_order(retained.read()):
        by_target[each.target].append(each)

    def purge(target: Target) -> list[PurgeResult]:
        done: list[PurgeResult] = []
        try:
            done.extend(_results(client, by_target[target], acknowledged))
        finally:
            retained.discard(each.resource for each in done if each.status is PurgeStatus.PURGED)
        return done

    results: list[PurgeResult] = []
    for target, done in concurrently(purge, sorted(by_target)):
        results += done
        say(f"{target}: {sum(each.status is PurgeStatus.PURGED for each in done)} of {len(done)} purged")
    results.sort(key=lambda each: (each.resource.target, each.resource.layer, each.resource.logical_id))
    return tuple(results), int(any(each.status is PurgeStatus.FAILED for each in results))


def purge_order(found: Iterable[RetainedResource]) -> list[RetainedResource]:
    """Keys last: whatever is read with a key, and may still be restored, goes before it."""
    return sorted(found, key=lambda each: (each.disposal is Disposal.KEY, each.target, each.layer, each.logical_id))


def _results(client: Client, found: list[RetainedResource], acknowledged: Collection[str]) -> Iterator[PurgeResult]:
    for resource in found:
        if reason := _unacknowledged(resource, acknowledged):
            yield PurgeResult(resource, PurgeStatus.KEPT, reason)
            continue
        try:
            yield _purge(client, resource)
        except RolloutError as error:
            yield PurgeResult(resource, PurgeStatus.FAILED, str(error))


def _unacknowledged(resource: RetainedResource, acknowledged: Collection[str]) -> str:
    """The reason why a resource is not deleted; empty when it may be."""
    if resource.disposal is Disposal.BY_HAND:
        return resource.by_hand
    if ACKNOWLEDGED not in acknowledged:
        return f"will be {resource.disposal.value} with --acknowledge {ACKNOWLEDGED}"
    name = f"{ACKNOWLEDGED}/{resource.physical_id}"
    if resource.disposal is Disposal.ROLE and name not in acknowledged:
        return f"others may use this role; delete it with --acknowledge {name}"
    return ""


def _purge(client: Client, resource: RetainedResource) -> PurgeResult:
    if stacks.describe(client.roles.reading(resource.target), resource.stack_id):
        detail = "its stack still exists, and uses it; remove the phase there first"
        return PurgeResult(resource, PurgeStatus.KEPT, detail)
    try:
        detail = _delete(client, resource)
    except NotFound:
        detail = "was gone already"
    return PurgeResult(resource, PurgeStatus.PURGED, detail)


def _delete(client: Client, resource: RetainedResource) -> str:
    """Delete a resource and say what was done. Raises `NotFound` for what is gone already."""
    session, name = client.roles.deploying(resource.target), resource.physical_id
    match resource.disposal:
        case Disposal.SECRET:
            resources.delete_secret(session, name, SECRET_DAYS)
            return f"deleted; `aws secretsmanager restore-secret` brings it back for {SECRET_DAYS} days"
        case Disposal.KEY:
            resources.schedule_key_deletion(session, name, KEY_DAYS)
            return f"deleted in {KEY_DAYS} days; `aws kms cancel-key-deletion` keeps it until then"
        case Disposal.SNAPSHOT:
            found = resource.final_snapshot(resources.snapshots(session, name, resource.identity))
            if not found:
                return "left no final snapshot"
            session.ask("rds", "DeleteDBSnapshot", DBSnapshotIdentifier=found)
            return f"snapshot {found} deleted"
        case Disposal.LOG_GROUP:
            session.ask("logs", "DeleteLogGroup", logGroupName=name)
            return "deleted with its logs"
        case Disposal.ROLE:
            resources.delete_role(session, name)
            return "deleted"
        case Disposal.BY_HAND:
            raise AssertionError("a person deletes it")
