"""Which resources of a stack stay when it is deleted, and what takes each of them away. Pure.

What is to be purged, as an object beside the journal: written before a removal begins, struck as it goes.

Looks at every stack of a phase before it is removed, and writes down what will be left of it.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from builders.errors import RolloutError
from builders.rollout.aws import resources, stacks
from builders.rollout.aws.accounts import StackRef
from builders.rollout.aws.calls import concurrently
from builders.rollout.aws.client import Client
from builders.rollout.aws.errors import Conflict
from builders.rollout.aws.s3 import Expected
from builders.rollout.aws.stacks import StackResource
from builders.rollout.model import StackSet, Target
from builders.rollout.state.serialization import Folder, Objects

_STAYING = ("Retain", "RetainExceptOnCreate", "Snapshot")
"""DeletionPolicy attributes after which something is left (CloudFormation user guide, "DeletionPolicy attribute")."""


class Disposal(enum.Enum):
    """How something that was left goes."""

    SECRET = "deleted, and can be restored for 7 days"  # noqa: S105  words
    KEY = "scheduled for deletion"
    SNAPSHOT = "rid of its final snapshot"
    LOG_GROUP = "deleted with its logs"
    ROLE = "deleted"
    BY_HAND = "by hand"


_WAYS = {
    ("AWS::SecretsManager::Secret", "Retain"): Disposal.SECRET,
    ("AWS::KMS::Key", "Retain"): Disposal.KEY,
    ("AWS::RDS::DBInstance", "Snapshot"): Disposal.SNAPSHOT,
    ("AWS::Logs::LogGroup", "Retain"): Disposal.LOG_GROUP,
    ("AWS::IAM::Role", "Retain"): Disposal.ROLE,
}


@dataclass(frozen=True)
class RetainedResource:
    """A resource that outlives its stack. `policy` is its DeletionPolicy.

    Of a database instance, `identity` is its DbiResourceId, and `before` are the snapshots that it had then.
    """

    layer: str
    target: Annotated[Target, Field(alias="place")]
    stack_id: str
    logical_id: str
    type: str
    physical_id: str
    policy: str
    identity: str = ""
    before: tuple[str, ...] = ()

    @property
    def disposal(self) -> Disposal:
        """How it goes."""
        policy = "Retain" if self.policy == "RetainExceptOnCreate" else self.policy
        return _WAYS.get((self.type, policy), Disposal.BY_HAND)

    @property
    def by_hand(self) -> str:
        """The command that deletes it by hand; for a snapshot whose service we do not know, the place to look."""
        if self.policy == "Snapshot":
            return f"look for the snapshots of {self.physical_id} in {self.target}, and delete those of the last day"
        return (
            f"aws cloudcontrol delete-resource --region {self.target.region} --type-name {self.type} "
            f"--identifier {self.physical_id}"
        )


def staying(template: str) -> dict[str, str]:
    """The resources of a template that outlive its stack, with their policies. Raises `ValueError` for no JSON."""
    declared = json.loads(template).get("Resources", {})
    policies = {name: each.get("DeletionPolicy") or _default(each) for name, each in declared.items()}
    return {name: policy for name, policy in policies.items() if policy in _STAYING}


def retained(
    layer: str, target: Target, stack_id: str, template: str, resources: Iterable[StackResource]
) -> tuple[RetainedResource, ...]:
    """The resources that a stack's deletion leaves, by the template that it was deployed with.

    Those that a condition kept from being made are in no stack's list, and so not here. Raises `ValueError` for a
    template that is not JSON.
    """
    policies = staying(template)
    return tuple(
        RetainedResource(
            layer, target, stack_id, each.logical_id, each.type, each.physical_id, policies[each.logical_id]
        )
        for each in resources
        if each.logical_id in policies
    )


def final_snapshot(left: RetainedResource, now: Sequence[str]) -> str:
    """The snapshot that the deletion took; empty when there is none. `now` are those of the instance, oldest first.

    CloudFormation does not say what it calls them. It is the last one, since the instance was gone with it, and what
    somebody took by hand is before it.
    """
    return now[-1] if now and now[-1] not in left.before else ""


def in_order(found: Iterable[RetainedResource]) -> list[RetainedResource]:
    """Keys last: whatever is read with a key, and may still be brought back, goes before it."""
    return sorted(found, key=lambda each: (each.disposal is Disposal.KEY, each.target, each.layer, each.logical_id))


def _default(resource: Mapping[str, Any]) -> str:
    """Databases are kept as snapshots unless a template says otherwise (CloudFormation user guide, "DeletionPolicy
    attribute")."""
    alone = resource["Type"] == "AWS::RDS::DBInstance" and "DBClusterIdentifier" not in resource.get("Properties", {})
    return "Snapshot" if alone or resource["Type"] == "AWS::RDS::DBCluster" else "Delete"


ATTEMPTS = 5
"""Of a write that another one came before."""

_Key = tuple[Target, str, str, str]
_Recorded = dict[_Key, RetainedResource]


@dataclass(frozen=True)
class _Stored:
    """The content of left.json."""

    resources: Annotated[tuple[RetainedResource, ...], Field(alias="left")] = ()


class RetainedList:
    """The object rollout/<suffix>/left.json. Safe for threads, and for two who write at once."""

    def __init__(self, objects: Objects, bucket: str, suffix: str) -> None:
        folder = Folder(objects, bucket, suffix)
        self._object = folder.json(folder.key("left.json"), _Stored)
        self._lock = threading.Lock()

    def read(self) -> tuple[RetainedResource, ...]:
        """Everything that is recorded and not purged yet."""
        return tuple(self._read()[0].values())

    def add(self, found: Iterable[RetainedResource]) -> None:
        """Record what a removal will leave. What was there before stays: its database had fewer snapshots then."""
        added = {_key(each): each for each in found}
        self._change(lambda recorded: {**added, **recorded})

    def discard(self, done: Iterable[RetainedResource]) -> None:
        """Take out what is gone."""
        keys = {_key(each) for each in done}
        self._change(lambda recorded: {key: each for key, each in recorded.items() if key not in keys})

    def _change(self, change: Callable[[_Recorded], _Recorded]) -> None:
        with self._lock:
            for _ in range(ATTEMPTS):
                recorded, etag = self._read()
                changed = change(recorded)
                if changed == recorded or self._write(changed, etag):
                    return
        raise RolloutError(f"{self._object} is written by others all the time; run this again when they are done")

    def _write(self, recorded: _Recorded, etag: str | Expected) -> bool:
        try:
            self._object.write(_Stored(tuple(recorded[key] for key in sorted(recorded))), etag)
        except Conflict:
            return False
        return True

    def _read(self) -> tuple[_Recorded, str | Expected]:
        stored, etag = self._object.read()
        return {_key(each): each for each in (stored.resources if stored else ())}, etag


def _key(left: RetainedResource) -> _Key:
    return left.target, left.stack_id, left.type, left.physical_id


@dataclass(frozen=True)
class RecordedResources:
    """What was written down, and why some stacks could not be looked at: what they leave would not be purged."""

    resources: tuple[RetainedResource, ...]
    unread: Mapping[tuple[str, Target], str]


def record_retained(client: Client, sets: Mapping[str, StackSet], retained_list: RetainedList) -> RecordedResources:
    """Write down what the removal of these sets will leave. To be called before it begins, and again on resume."""
    looks = [
        StackRef((layer, target), instance.stack_id)
        for layer, state in sorted(sets.items())
        for target, instance in sorted(state.instances.items())
        if instance.stack_id
    ]
    found: list[RetainedResource] = []
    unread: dict[tuple[str, Target], str] = {}

    def of_stack(look: StackRef) -> list[RetainedResource] | RolloutError:
        try:
            return list(_of_stack(client, look))
        except RolloutError as error:
            return error

    for look, answer in concurrently(of_stack, looks):
        if isinstance(answer, RolloutError):
            unread[look.key] = str(answer)
        else:
            found += answer
    retained_list.add(found)
    return RecordedResources(tuple(sorted(found, key=lambda each: (each.target, each.layer, each.logical_id))), unread)


def _of_stack(client: Client, look: StackRef) -> Iterator[RetainedResource]:
    layer, target = look.key
    stack = client.members.deployed(target, look.stack_id)
    try:
        if stack is None or not staying(stack.template):
            return
        made = stacks.resources(client.calls, client.roles.reading(target), look.stack_id)
        found = retained(layer, target, look.stack_id, stack.template, made)
    except ValueError as error:
        raise RolloutError(f"the template of {layer} at {target} is not JSON; somebody else deployed it") from error
    for left in found:
        yield _with_snapshots(client, left) if left.disposal is Disposal.SNAPSHOT else left


def _with_snapshots(client: Client, left: RetainedResource) -> RetainedResource:
    where = client.roles.deploying(left.target)
    identity = resources.database(client.calls, where, left.physical_id)
    before = resources.snapshots(client.calls, where, left.physical_id, identity)
    return dataclasses.replace(left, identity=identity, before=before)
