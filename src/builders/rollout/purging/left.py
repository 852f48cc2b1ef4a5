"""Which resources of a stack stay when it is deleted, and what takes each of them away. Pure."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders.rollout.client.resources import StackResource
from builders.rollout.model import Place

_STAYING = ("Retain", "RetainExceptOnCreate", "Snapshot")
"""DeletionPolicy attributes after which something is left (CloudFormation user guide, "DeletionPolicy attribute")."""


class Way(enum.Enum):
    """How something that was left goes."""

    SECRET = "deleted, and can be restored for 7 days"  # noqa: S105  words
    KEY = "scheduled for deletion"
    SNAPSHOT = "rid of its final snapshot"
    LOG_GROUP = "deleted with its logs"
    ROLE = "deleted"
    BY_HAND = "by hand"


_WAYS = {
    ("AWS::SecretsManager::Secret", "Retain"): Way.SECRET,
    ("AWS::KMS::Key", "Retain"): Way.KEY,
    ("AWS::RDS::DBInstance", "Snapshot"): Way.SNAPSHOT,
    ("AWS::Logs::LogGroup", "Retain"): Way.LOG_GROUP,
    ("AWS::IAM::Role", "Retain"): Way.ROLE,
}


@dataclass(frozen=True)
class Left:
    """A resource that outlives its stack. `policy` is its DeletionPolicy.

    Of a database instance, `identity` is its DbiResourceId, and `before` are the snapshots that it had then.
    """

    layer: str
    place: Place
    stack_id: str
    logical_id: str
    type: str
    physical_id: str
    policy: str
    identity: str = ""
    before: tuple[str, ...] = ()

    @property
    def way(self) -> Way:
        """How it goes."""
        policy = "Retain" if self.policy == "RetainExceptOnCreate" else self.policy
        return _WAYS.get((self.type, policy), Way.BY_HAND)

    @property
    def by_hand(self) -> str:
        """The command that deletes it by hand; for a snapshot whose service we do not know, the place to look."""
        if self.policy == "Snapshot":
            return f"look for the snapshots of {self.physical_id} in {self.place}, and delete those of the last day"
        return (
            f"aws cloudcontrol delete-resource --region {self.place.region} --type-name {self.type} "
            f"--identifier {self.physical_id}"
        )


def staying(template: str) -> dict[str, str]:
    """The resources of a template that outlive its stack, with their policies. Raises `ValueError` for no JSON."""
    declared = json.loads(template).get("Resources", {})
    policies = {name: each.get("DeletionPolicy") or _default(each) for name, each in declared.items()}
    return {name: policy for name, policy in policies.items() if policy in _STAYING}


def retained(
    layer: str, place: Place, stack_id: str, template: str, resources: Iterable[StackResource]
) -> tuple[Left, ...]:
    """The resources that a stack's deletion leaves, by the template that it was deployed with.

    Those that a condition kept from being made are in no stack's list, and so not here. Raises `ValueError` for a
    template that is not JSON.
    """
    policies = staying(template)
    return tuple(
        Left(layer, place, stack_id, each.logical_id, each.type, each.physical_id, policies[each.logical_id])
        for each in resources
        if each.logical_id in policies
    )


def final_snapshot(left: Left, now: Sequence[str]) -> str:
    """The snapshot that the deletion took; empty when there is none. `now` are those of the instance, oldest first.

    CloudFormation does not say what it calls them. It is the last one, since the instance was gone with it, and what
    somebody took by hand is before it.
    """
    return now[-1] if now and now[-1] not in left.before else ""


def in_order(found: Iterable[Left]) -> list[Left]:
    """Keys last: whatever is read with a key, and may still be brought back, goes before it."""
    return sorted(found, key=lambda each: (each.way is Way.KEY, each.place, each.layer, each.logical_id))


def _default(resource: Mapping[str, Any]) -> str:
    """Databases are kept as snapshots unless a template says otherwise (CloudFormation user guide, "DeletionPolicy
    attribute")."""
    alone = resource["Type"] == "AWS::RDS::DBInstance" and "DBClusterIdentifier" not in resource.get("Properties", {})
    return "Snapshot" if alone or resource["Type"] == "AWS::RDS::DBCluster" else "Delete"
