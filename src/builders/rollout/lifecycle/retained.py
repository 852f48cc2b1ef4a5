"""Resources that outlive their stack: found before a removal begins and recorded beside the journal.

A purge deletes them, once their stack is gone and a person acknowledged it.
"""

from __future__ import annotations

import dataclasses
import enum
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from builders.aws import resources, stacks
from builders.aws.calls import attempted, concurrently
from builders.aws.errors import NotFound
from builders.aws.stacks import StackResource
from builders.errors import EvaluationError, RolloutError
from builders.rollout.client import Client
from builders.rollout.model import LayerTarget, StackSet, Target, grouped
from builders.rollout.state.serialization import Folder
from builders.template_bodies import LEAVING, deletion_policy, parse_template
from builders.text import counted_noun, name_list

ACKNOWLEDGED = "purge"

SECRET_DAYS = 7
"""The shortest recovery window of a secret (Secrets Manager API reference, DeleteSecret): whoever purges wants it gone,
and whoever regrets it still has a week."""

KEY_DAYS = 30
"""The longest waiting period of a key (KMS API reference, ScheduleKeyDeletion): longer than a secret can be restored,
and whatever else was encrypted with it shows by then."""


class Disposal(enum.Enum):
    """The way in which a purge deletes a resource."""

    SECRET = "deleted, and can be restored for 7 days"  # noqa: S105  words
    KEY = "scheduled for deletion"
    SNAPSHOT = "rid of its final snapshot"
    LOG_GROUP = "deleted with its logs"
    ROLE = "deleted"
    BY_HAND = "by hand"


_DISPOSALS = {
    ("AWS::SecretsManager::Secret", "Retain"): Disposal.SECRET,
    ("AWS::KMS::Key", "Retain"): Disposal.KEY,
    ("AWS::RDS::DBInstance", "Snapshot"): Disposal.SNAPSHOT,
    ("AWS::Logs::LogGroup", "Retain"): Disposal.LOG_GROUP,
    ("AWS::IAM::Role", "Retain"): Disposal.ROLE,
}


@dataclass(frozen=True)
class RetainedResource:
    """A resource that outlives its stack. `policy` is its DeletionPolicy.

    Of a database instance, `identity` is its DbiResourceId, and `snapshots` are those from before the removal.
    """

    layer: str
    target: Annotated[Target, Field(alias="place")]
    stack_id: str
    logical_id: str
    type: str
    physical_id: str
    policy: str
    identity: str = ""
    snapshots: Annotated[tuple[str, ...], Field(alias="before")] = ()

    @property
    def disposal(self) -> Disposal:
        """The way in which a purge deletes it."""
        policy = "Retain" if self.policy == "RetainExceptOnCreate" else self.policy
        return _DISPOSALS.get((self.type, policy), Disposal.BY_HAND)

    @property
    def by_hand(self) -> str:
        """The command that deletes it by hand; for a snapshot whose service we do not know, where to look."""
        if self.policy == "Snapshot":
            return f"look for the snapshots of {self.physical_id} in {self.target}, and delete those of the last day"
        command = f"aws cloudcontrol delete-resource --region {self.target.region}"
        return f"{command} --type-name {self.type} --identifier {self.physical_id}"

    def final_snapshot(self, now: Iterable[str]) -> str:
        """The snapshot that the deletion took; empty when there is none. `now` are the instance's, oldest first.

        CloudFormation does not say what it calls them. It is the last one, since the instance was gone with it, and
        what somebody took by hand is before it.
        """
        *_, last = "", *now
        return "" if last in self.snapshots else last


def retained_resources(
    layer: str, target: Target, stack_id: str, template: str, resources: Iterable[StackResource]
) -> tuple[RetainedResource, ...]:
    """The resources that a stack's deletion leaves, by the template that it was deployed with; those that a condition
    kept from being made are in no stack's list, and so not here."""
    policies = _policies(template)
    return tuple(
        RetainedResource(layer, target, stack_id, each.logical_id, each.type, each.physical_id, policy)
        for each in resources
        if (policy := policies.get(each.logical_id))
    )


def _policies(template: str) -> dict[str, str]:
    """The resources of a template that outlive its stack, with their policies."""
    policies = {name: deletion_policy(each) for name, each in parse_template(template)["Resources"].items()}
    return {name: policy for name, policy in policies.items() if policy in LEAVING}


@dataclass(frozen=True)
class _Stored:
    """The content of left.json."""

    resources: Annotated[tuple[RetainedResource, ...], Field(alias="left")] = ()


class RetainedList:
    """The object rollout/<suffix>/left.json. Safe for threads, and for two who write at once."""

    def __init__(self, folder: Folder) -> None:
        self._object = folder.json("left.json", _Stored())
        self._lock = threading.Lock()

    def read(self) -> tuple[RetainedResource, ...]:
        """Everything that is recorded and not purged yet."""
        return self._object.read()[0].resources

    def summary(self) -> str:
        """Count what is recorded, by the last part of its type: 2 Secrets and 1 Key; empty where there is nothing."""
        final = "final snapshot"
        kinds = Counter(final if each.policy == "Snapshot" else each.type.rpartition("::")[2] for each in self.read())
        return name_list([counted_noun(count, kind) for kind, count in sorted(kinds.items())])

    def update(self, added: Iterable[RetainedResource] = (), gone: Iterable[RetainedResource] = ()) -> None:
        """Record what a removal will leave, and take out what is gone. What was there before stays as it is: its
        database had fewer snapshots then."""
        new, left_out = _by_key(added), _by_key(gone)

        def changed(stored: _Stored) -> _Stored:
            resources = new | _by_key(stored.resources)
            return _Stored(tuple(resources[key] for key in sorted(resources.keys() - left_out)))

        with self._lock:
            self._object.update(changed)


def _by_key(resources: Iterable[RetainedResource]) -> dict[tuple[Target, str, str, str], RetainedResource]:
    return {(each.target, each.stack_id, each.type, each.physical_id): each for each in resources}


def record_retained(client: Client, sets: Mapping[str, StackSet], retained: RetainedList) -> dict[LayerTarget, str]:
    """Record what the removal of these sets will leave. To be called before it begins, and again on resume.

    Return why some stacks were not read, by layer and target: what they leave would not be purged.
    """
    ids = {key: each for state in sets.values() for key, each in state.stack_ids.items()}
    found: list[RetainedResource] = []
    unread: dict[LayerTarget, str] = {}
    for key, answer in attempted(lambda key: list(_of_stack(client, *key, ids[key])), ids):
        if isinstance(answer, RolloutError):
            unread[key] = str(answer)
        else:
            found += answer
    retained.update(found)
    return unread


def _of_stack(client: Client, layer: str, target: Target, stack_id: str) -> Iterator[RetainedResource]:
    session = client.reading(target)
    stack = stacks.deployed(session, stack_id)
    try:
        if stack is None or not _policies(stack.template):
            return
    except EvaluationError as error:  # somebody has given the stack another template, which only AWS understands
        raise RolloutError(str(error)) from error
    for each in retained_resources(layer, target, stack_id, stack.template, stacks.resources(session, stack_id)):
        if each.disposal is Disposal.SNAPSHOT:
            identity = resources.database_resource_id(client.deploying(target), each.physical_id)
            found = dataclasses.replace(each, identity=identity)
            yield dataclasses.replace(found, snapshots=tuple(_snapshots(client, found)))
        else:
            yield each


def _snapshots(client: Client, database: RetainedResource) -> dict[str, int]:
    return resources.manual_snapshots(client.deploying(database.target), database.physical_id, database.identity)


class PurgeStatus(enum.Enum):
    """The outcome for a retained resource."""

    PLANNED = "to purge"
    PURGED = "purged"
    KEPT = "kept"
    """Not acknowledged, its stack still exists, or it is deleted by hand only."""
    FAILED = "failed"


@dataclass(frozen=True)
class PurgeResult:
    """A retained resource, what becomes of it, and what was done or is to be done."""

    resource: RetainedResource
    status: PurgeStatus
    detail: str

    @property
    def goes(self) -> bool:
        """Return whether a purge would delete it."""
        return self.status is PurgeStatus.PLANNED

    def __str__(self) -> str:
        """Return one line for a person."""
        found = self.resource
        return f"{self.status.value}: {found.type} {found.physical_id} at {found.target}: {self.detail}"


def purge_items(client: Client, retained: RetainedList, acknowledged: Collection[str]) -> tuple[PurgeResult, ...]:
    """The resources that a purge would delete and those that it would keep, by names as `purge_retained` takes them."""

    def planned(resource: RetainedResource) -> PurgeResult:
        if reason := _unacknowledged(resource, {*acknowledged, ACKNOWLEDGED}):
            return PurgeResult(resource, PurgeStatus.KEPT, f"kept: {reason}")
        detail = resource.disposal.value
        if resource.disposal is Disposal.SNAPSHOT:
            try:
                sizes, detail = _snapshots(client, resource), "the final snapshot that its removal takes is deleted"
                if final := resource.final_snapshot(sizes):
                    detail = f"snapshot {final} of {sizes[final]:,} GiB is deleted"
            except RolloutError as error:
                detail = f"its final snapshot, which cannot be looked at: {error}"
        return PurgeResult(resource, PurgeStatus.PLANNED, detail)

    found = dict(concurrently(planned, retained.read()))
    return tuple(found[each] for each in purge_order(found))


def purge_retained(
    client: Client, retained: RetainedList, acknowledged: Collection[str], say: Callable[[str], None] = lambda _: None
) -> tuple[tuple[PurgeResult, ...], int]:
    """Delete everything that is recorded, target by target, and take what is gone out of the list.

    `acknowledged` must hold "purge"; a role goes only when "purge/<its name>" is there too, since others may use it.
    The exit code is 1 when something could not be deleted. Run again, it goes on where it was.
    """
    by_target = grouped((each.target, each) for each in purge_order(retained.read()))

    def purge(target: Target) -> list[PurgeResult]:
        done: list[PurgeResult] = []
        try:
            for resource in by_target[target]:
                done.append(_purge(client, resource, acknowledged))
        finally:
            retained.update(gone=[each.resource for each in done if each.status is PurgeStatus.PURGED])
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


def _purge(client: Client, resource: RetainedResource, acknowledged: Collection[str]) -> PurgeResult:
    if reason := _unacknowledged(resource, acknowledged):
        return PurgeResult(resource, PurgeStatus.KEPT, reason)
    try:
        if stacks.describe(client.reading(resource.target), resource.stack_id):
            detail = "its stack still exists, and uses it; remove the phase there first"
            return PurgeResult(resource, PurgeStatus.KEPT, detail)
        return PurgeResult(resource, PurgeStatus.PURGED, _delete(client, resource))
    except NotFound:
        return PurgeResult(resource, PurgeStatus.PURGED, "was gone already")
    except RolloutError as error:
        return PurgeResult(resource, PurgeStatus.FAILED, str(error))


def _delete(client: Client, resource: RetainedResource) -> str:
    """Delete a resource and say what was done. Raises `NotFound` for what is gone already."""
    session, name = client.deploying(resource.target), resource.physical_id
    match resource.disposal:
        case Disposal.SECRET:
            resources.schedule_secret_deletion(session, name, SECRET_DAYS)
            return f"deleted; `aws secretsmanager restore-secret` brings it back for {SECRET_DAYS} days"
        case Disposal.KEY:
            resources.schedule_key_deletion(session, name, KEY_DAYS)
            return f"deleted in {KEY_DAYS} days; `aws kms cancel-key-deletion` keeps it until then"
        case Disposal.SNAPSHOT:
            if found := resource.final_snapshot(_snapshots(client, resource)):
                session.ask("rds", "DeleteDBSnapshot", DBSnapshotIdentifier=found)
                return f"snapshot {found} deleted"
            return "left no final snapshot"
        case Disposal.LOG_GROUP:
            session.ask("logs", "DeleteLogGroup", logGroupName=name)
            return "deleted with its logs"
        case Disposal.ROLE:
            resources.delete_role(session, name)
            return "deleted"
        case Disposal.BY_HAND:
            raise AssertionError("a person deletes it")
