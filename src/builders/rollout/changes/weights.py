"""What a change of a property does to a resource, by the registry's schemas and, where those leave it open, its page.

A schema says "conditional" of properties that are replaced in some cases only; where the type's page is definite, this
is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from builders import resource_types
from builders.resource_types import ResourceType, value_at
from builders.rollout.changes.differences import differing, same
from builders.rollout.changes.effects import Effect

RANK = {Effect.MODIFY: 0, Effect.MAY_REPLACE: 1, Effect.REPLACE: 2}
"""The effects of a change in place, from weak to strong."""

# "Update requires: No interruption" or "Some interruptions" on the type's page of the CloudFormation template
# reference, for an instance that was not made from another one; the schema calls them conditional for replicas' sake.
_IN_PLACE = {
    "AWS::RDS::DBInstance": frozenset(
        {
            "AutoMinorVersionUpgrade",
            "BackupRetentionPeriod",
            "DBParameterGroupName",
            "MultiAZ",
            "PreferredMaintenanceWindow",
        }
    )
}
_MADE_FROM_ANOTHER = (
    "SourceDBInstanceIdentifier",
    "SourceDbiResourceId",
    "SourceDBClusterIdentifier",
    "SourceDBInstanceAutomatedBackupsArn",
    "DBClusterIdentifier",
)


def is_custom(type_name: str) -> bool:
    """Whether a function answers for the resource: it may give another physical id, and then the old one is deleted."""
    return type_name.startswith("Custom::") or type_name == "AWS::CloudFormation::CustomResource"


def weigh(
    type_name: str, before: Mapping[str, Any], after: Mapping[str, Any], region: str
) -> tuple[Effect, tuple[str, ...]] | None:
    """Return the effect of new properties and the paths that cause it; None where they are the same."""
    paths = tuple(differing(before, after))
    if not paths:
        return None
    kind = resource_types.load(type_name, region)
    if kind is None:
        # A type of somebody's own registry: its schema is not at hand.
        return Effect.MAY_REPLACE, paths

    def changed(pointers: tuple[str, ...]) -> tuple[str, ...]:
        found = sorted(path for path in pointers if not same(value_at(before, path), value_at(after, path)))
        # Some schemas name a property and the one in it that counts: the inner one says more.
        return tuple(path for path in found if not any(other.startswith(f"{path}.") for other in found))

    if replaced := changed(kind.create_only):
        return Effect.REPLACE, replaced
    if perhaps := changed(_conditional(kind, after)):
        return Effect.MAY_REPLACE, perhaps
    return (Effect.MAY_REPLACE if is_custom(type_name) else Effect.MODIFY), paths


def weight_of(type_name: str, path: str, properties: Mapping[str, Any], region: str) -> Effect:
    """Return the effect of a new value at one path (`*` for the items of a list)."""
    kind = resource_types.load(type_name, region)
    if kind is None:
        return Effect.MAY_REPLACE
    if any(_covers(pointer, path) for pointer in kind.create_only):
        return Effect.REPLACE
    if is_custom(type_name) or any(_covers(pointer, path) for pointer in _conditional(kind, properties)):
        return Effect.MAY_REPLACE
    return Effect.MODIFY


def surely_new(type_name: str, attribute: str, region: str) -> bool:
    """Whether a replaced resource has another value of an attribute: its Ref, an identifier, an ARN.

    Others, such as a port, may come out the same.
    """
    if not attribute:
        return True
    kind = resource_types.load(type_name, region)
    return kind is not None and (attribute in kind.identifiers or attribute.endswith(("Arn", "Id")))


def _conditional(kind: ResourceType, properties: Mapping[str, Any]) -> tuple[str, ...]:
    if any(properties.get(name) for name in _MADE_FROM_ANOTHER):
        return kind.conditional_create_only
    in_place = _IN_PLACE.get(kind.name, frozenset())
    return tuple(path for path in kind.conditional_create_only if path not in in_place)


def _covers(pointer: str, path: str) -> bool:
    return path == pointer or path.startswith(f"{pointer}.")
