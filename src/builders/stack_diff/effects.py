"""Effects of an update on resources: which properties differ, and whether CloudFormation modifies or replaces.

The registry's schemas tell which properties replace; where a schema says "conditional", the type's page decides where
it is definite. A replaced resource has a new physical id, so that whatever refers to it changes too, and may be
replaced in its turn.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from builders import resource_types
from builders.parameter_validation import as_text
from builders.resource_types import ResourceType, value_at


class Effect(enum.Enum):
    """An update's effect, the gravest first: Action and Replacement of a change set in one."""

    UNKNOWN = "unknown"
    """The stack cannot be compared; the cause says why. Of the stack, not of a resource."""
    REPLACE = "replace"
    """Replacement: True."""
    MAY_REPLACE = "may replace"
    """Replacement: Conditional. Only AWS knows: an attribute's value, a custom resource's answer, the present state."""
    REMOVE = "remove"
    RETAIN = "keep"
    """The resource leaves the stack and its DeletionPolicy retains it."""
    ADD = "add"
    MODIFY = "modify"
    """Replacement: False."""
    OUTPUTS = "outputs"
    """Outputs change; the causes are their names. Alone it says that no resource changes."""

    @property
    def replaces(self) -> bool:
        """Return whether a new resource takes the old one's part, for certain or perhaps."""
        return self in (Effect.REPLACE, Effect.MAY_REPLACE)


@dataclass(frozen=True)
class Change:
    """The change of one resource.

    `causes` are dotted property paths (`VpcConfig.SubnetIds`, `*` for the items of a list) or attributes of the
    resource (`DeletionPolicy`), the strongest only; ` (Vpc is replaced)` behind a path says that the value changes with
    another resource. `named` is the name that the template gives, if any. `retained` tells that the physical
    resource stays when it is replaced or leaves the template.
    """

    logical_id: str
    type: str
    effect: Effect
    causes: tuple[str, ...] = ()
    named: str = ""
    retained: bool = False


def gravest_first(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Put changes into the order of their effects, then of their logical ids."""
    order = {effect: number for number, effect in enumerate(Effect)}
    return tuple(sorted(changes, key=lambda change: (order[change.effect], change.logical_id)))


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


ATTRIBUTES = frozenset({"CreationPolicy", "DeletionPolicy", "Metadata", "UpdatePolicy", "UpdateReplacePolicy"})
"""Attributes of a resource that change beside its properties (CloudFormation API reference, ResourceChange, Scope)."""

Resource = Mapping[str, Any]
Caused = tuple[Effect, frozenset[str]]
"""An effect and its causes."""


def effect_of(before: Resource, after: Resource, region: str) -> Caused | None:
    """Return the effect of a resource's new version; None where nothing differs."""
    if before["Type"] != after["Type"]:
        return Effect.REPLACE, frozenset({"Type"})
    attributes = frozenset(name for name in ATTRIBUTES if not is_same(before.get(name), after.get(name)))
    old, new = before.get("Properties", {}), after.get("Properties", {})
    paths = frozenset(differing_properties(old, new))
    if not paths:
        return (Effect.MODIFY, attributes) if attributes else None
    kind = resource_types.load(after["Type"], region)
    if kind is None:
        # A type of somebody's own registry: its schema is not at hand.
        return Effect.MAY_REPLACE, paths

    def changed(pointers: tuple[str, ...]) -> frozenset[str]:
        found = [path for path in pointers if not is_same(value_at(old, path), value_at(new, path))]
        # Some schemas name a property and the one in it that counts: the inner one says more.
        return frozenset(path for path in found if not any(other.startswith(f"{path}.") for other in found))

    if replacing := changed(kind.create_only):
        return Effect.REPLACE, replacing
    if conditional := changed(_conditional(kind, new)):
        return Effect.MAY_REPLACE, conditional
    return (Effect.MAY_REPLACE, paths) if is_custom(kind.name) else (Effect.MODIFY, paths | attributes)


def is_custom(type_name: str) -> bool:
    """Return whether a function answers for the resource.

    It may give another physical id, and then the old resource is deleted.
    """
    return type_name.startswith("Custom::") or type_name == "AWS::CloudFormation::CustomResource"


def _conditional(kind: ResourceType, properties: Mapping[str, Any]) -> tuple[str, ...]:
    if any(properties.get(name) for name in _MADE_FROM_ANOTHER):
        return kind.conditional_create_only
    in_place = _IN_PLACE.get(kind.name, frozenset())
    return tuple(path for path in kind.conditional_create_only if path not in in_place)


def differing_properties(left: Any, right: Any) -> Iterator[str]:
    """Yield the dotted paths of the values that differ, in the order of the alphabet; a list differs as a whole."""
    return (path for path, _, _ in differing_values(left, right))


def differing_values(left: Any, right: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the paths of `differing_properties` with the value on either side."""
    if is_same(left, right):
        return
    if not (isinstance(left, Mapping) and isinstance(right, Mapping)):
        yield path, left, right
        return
    for key in sorted(left.keys() | right.keys()):
        # What one side lacks differs as a whole, not leaf by leaf.
        yield from differing_values(left.get(key), right.get(key), f"{path}.{key}" if path else key)


def is_same(left: Any, right: Any) -> bool:
    """Return whether two values are the same to CloudFormation, which takes "5" for 5 and "true" for true.

    Python would take 0 for false as well, however deep it is.
    """
    if left is right:
        return True
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(is_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    if isinstance(left, (str, int, float)) and isinstance(right, (str, int, float)):
        return as_text(left) == as_text(right)
    return bool(left == right)


class Reference(NamedTuple):
    """The Ref of a resource, or one of its attributes, in the property at a dotted path (`*` for the items of a list).

    `attribute` is empty for Ref.
    """

    path: str
    logical_id: str
    attribute: str


# The end of the text instead of the brace: what Fn::Split leaves of a reference.
_REFERENCE = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.([\w.]+))?(?:\[\d+\])*(?:\}|$)")


def references(value: Any, path: str = "") -> Iterator[Reference]:
    """Yield every reference to a resource in an evaluated value."""
    if isinstance(value, str):
        if "${" in value:
            for match in _REFERENCE.finditer(value):
                yield Reference(path, match[1], match[2] or "")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from references(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from references(item, f"{path}.*")


Effects = dict[str, Caused]
"""Effects by logical id of a resource that stays in the template."""

_RANK = {Effect.MODIFY: 0, Effect.MAY_REPLACE: 1, Effect.REPLACE: 2}


def spread_effects(effects: Effects, staying: Mapping[str, Resource], region: str) -> Effects:
    """Return the effects with those that follow from replacements.

    `staying` are the evaluated resources of the new template that the old one has too.
    """
    found = dict(effects)
    waiting = [name for name, (effect, _) in found.items() if effect.replaces]
    if not waiting:
        return found
    referring: defaultdict[str, list[tuple[str, Reference]]] = defaultdict(list)
    for name, body in staying.items():
        for reference in references(body.get("Properties", {})):
            referring[reference.logical_id].append((name, reference))
    while waiting:
        replaced = waiting.pop()
        effect = found[replaced][0]
        for name, reference in referring[replaced]:
            added = _following(staying, name, reference, effect, region)
            cause = f"{reference.path} ({replaced} {'is' if effect is Effect.REPLACE else 'may be'} replaced)"
            before = found.get(name)
            if before is None or _RANK[added] > _RANK[before[0]]:
                found[name] = added, frozenset({cause})
                # Ranks only rise, and there are three of them: this ends.
                if added.replaces:
                    waiting.append(name)
            elif added is before[0]:
                found[name] = added, before[1] | {cause}
    return {name: (effect, _without_doubt(causes)) for name, (effect, causes) in found.items()}


def _following(staying: Mapping[str, Resource], name: str, reference: Reference, effect: Effect, region: str) -> Effect:
    """The effect on a resource that refers to one which is replaced, or may be."""

    def is_changed(pointers: tuple[str, ...]) -> bool:
        return any(f"{reference.path}.".startswith(f"{pointer}.") for pointer in pointers)

    body, replaced = staying[name], staying[reference.logical_id]
    kind = resource_types.load(body["Type"], region)
    if kind is None:
        return Effect.MAY_REPLACE
    if is_changed(kind.create_only):
        certain = effect is Effect.REPLACE and surely_replaced(replaced["Type"], reference.attribute, region)
        return Effect.REPLACE if certain else Effect.MAY_REPLACE
    if is_custom(body["Type"]) or is_changed(_conditional(kind, body.get("Properties", {}))):
        return Effect.MAY_REPLACE
    return Effect.MODIFY


def surely_replaced(type_name: str, attribute: str, region: str) -> bool:
    """Return whether a replaced resource has another value of an attribute: its Ref, an identifier, an ARN.

    Others, such as a port, may come out the same.
    """
    if not attribute:
        return True
    kind = resource_types.load(type_name, region)
    return kind is not None and (attribute in kind.identifiers or attribute.endswith(("Arn", "Id")))


def _without_doubt(causes: frozenset[str]) -> frozenset[str]:
    """Drop what a cause said before it was known that the other resource is replaced for certain."""
    return frozenset(
        each for each in causes if each.replace(" may be replaced)", " is replaced)") not in causes - {each}
    )


def custom_name(resource: Mapping[str, Any], region: str) -> str:
    """The name that a template gives a resource; empty where AWS chooses it or another resource is part of it."""
    kind = resource_types.load(resource["Type"], region)
    name = resource.get("Properties", {}).get(kind.name_property) if kind and kind.name_property else None
    return str(name) if name and not any(references(name)) else ""
