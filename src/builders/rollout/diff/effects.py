"""The values of this room: what happens to a resource, and what stands in the way.

Which properties differ between two versions of a resource, and where a property mentions another resource.

What a change of a property does to a resource, by the registry's schemas and, where those leave it open, its page.

A schema says "conditional" of properties that are replaced in some cases only; where the type's page is definite, this
is.

A replaced resource has a new id, so what mentions it changes too, and may be replaced by that in its turn.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from builders import resource_types
from builders.resource_types import ResourceType, value_at


class Effect(enum.Enum):
    """What an update does; the members go from what is looked at first to what is looked at last."""

    UNKNOWN = "unknown"
    """Not to a resource: the stack cannot be compared; the cause says why."""
    REPLACE = "replace"
    MAY_REPLACE = "may replace"
    """It depends on what only AWS knows: the value of an attribute, a custom resource's answer, the present state."""
    REMOVE = "remove"
    RETAIN = "keep"
    """It leaves the template, and the real thing stays: its DeletionPolicy says so."""
    ADD = "add"
    MODIFY = "modify"
    OUTPUTS = "outputs"
    """Not to a resource: outputs change; the causes are their names. Alone it says that no resource changes."""


@dataclass(frozen=True)
class Change:
    """What happens to one resource.

    `causes` are dotted property paths (`VpcConfig.SubnetIds`, `*` for the items of a list) or attributes of the
    resource (`DeletionPolicy`), the strongest only; ` (Vpc is replaced)` behind a path says that the value changes with
    another resource. `custom_name` is the name that the template gives, if any. `retained` tells that the physical
    resource stays when it is replaced or leaves the template.
    """

    logical_id: str
    type: str
    effect: Effect
    causes: tuple[str, ...] = ()
    custom_name: str = ""
    retained: bool = False


class HazardKind(enum.StrEnum):
    """Why an update should not simply go ahead."""

    NOT_COMPARABLE = "not-comparable"
    STATEFUL = "stateful"
    GENERATED_SECRET = "generated-secret"  # noqa: S105  a kind, not a secret
    RUNNING_TASK = "running-task"
    CUSTOM_NAME = "custom-name"
    TYPE_CHANGE = "type-change"
    SERVICE_TOKEN = "service-token"  # noqa: S105  a kind, not a token
    ALREADY_EXISTS = "same-place"
    STACK_STATE = "stack-state"
    RULE = "rule"
    EXPORT_IN_USE = "export-in-use"
    NEW_PARAMETER = "new-parameter"
    NAME_CONFLICT = "collision"
    LIMIT = "limit"
    SERVICE_MANAGED = "service-managed"


@dataclass(frozen=True)
class Hazard:
    """Something that is lost or refused. `resource` is a logical id, an export's or a parameter's name, or empty.

    What is not `acknowledgeable` would be refused by AWS or break what runs: only the way round helps. With
    `needs_order` there is none while those layers go first.
    """

    kind: HazardKind
    layer: str
    resource: str
    message: str
    remedy: str
    acknowledgeable: bool
    needs_order: tuple[str, ...] = ()


# The end of the text instead of the brace: what Fn::Split leaves of a mention.
_MENTION = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.([\w.]+))?(?:\[\d+\])*(?:\}|$)")


class Mention(NamedTuple):
    """A property at a dotted path (`*` for the items of a list) that holds another resource's Ref or attribute."""

    path: str
    target: str
    attribute: str
    """Empty for Ref."""


def is_same(left: Any, right: Any) -> bool:
    """Whether two values are the same to CloudFormation, which takes "5" for 5 and "true" for true.

    Python would take 0 for false as well, wherever it stands within.
    """
    if left is right:
        return True
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(is_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    if _is_scalar(left) and _is_scalar(right):
        return as_json_text(left) == as_json_text(right)
    return bool(left == right)


def differing_properties(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths of the values that differ, in the order of the alphabet; a list differs as a whole."""
    if is_same(left, right):
        return
    if not (isinstance(left, Mapping) and isinstance(right, Mapping)):
        yield path
        return
    for key in sorted(left.keys() | right.keys()):
        # What one side lacks differs as a whole, not leaf by leaf.
        yield from differing_properties(left.get(key), right.get(key), f"{path}.{key}" if path else key)


def mentions(value: Any, path: str = "") -> Iterator[Mention]:
    """Yield every mention of a resource in an evaluated value."""
    if isinstance(value, str):
        if "${" in value:
            for match in _MENTION.finditer(value):
                yield Mention(path, match[1], match[2] or "")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from mentions(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from mentions(item, f"{path}.*")


def mentions_any(value: Any, targets: frozenset[str]) -> bool:
    """Whether an evaluated value mentions one of the resources."""
    return any(each.target in targets for each in mentions(value))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def as_json_text(value: Any) -> str:
    """A scalar as CloudFormation compares it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


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


def effect_of(
    type_name: str, before: Mapping[str, Any], after: Mapping[str, Any], region: str
) -> tuple[Effect, tuple[str, ...]] | None:
    """Return the effect of new properties and the paths that cause it; None where they are the same."""
    paths = tuple(differing_properties(before, after))
    if not paths:
        return None
    kind = resource_types.load(type_name, region)
    if kind is None:
        # A type of somebody's own registry: its schema is not at hand.
        return Effect.MAY_REPLACE, paths

    def changed(pointers: tuple[str, ...]) -> tuple[str, ...]:
        found = sorted(path for path in pointers if not is_same(value_at(before, path), value_at(after, path)))
        # Some schemas name a property and the one in it that counts: the inner one says more.
        return tuple(path for path in found if not any(other.startswith(f"{path}.") for other in found))

    if replaced := changed(kind.create_only):
        return Effect.REPLACE, replaced
    if perhaps := changed(_conditional(kind, after)):
        return Effect.MAY_REPLACE, perhaps
    return (Effect.MAY_REPLACE if is_custom(type_name) else Effect.MODIFY), paths


def property_effect(type_name: str, path: str, properties: Mapping[str, Any], region: str) -> Effect:
    """Return the effect of a new value at one path (`*` for the items of a list)."""
    kind = resource_types.load(type_name, region)
    if kind is None:
        return Effect.MAY_REPLACE
    if any(_covers(pointer, path) for pointer in kind.create_only):
        return Effect.REPLACE
    if is_custom(type_name) or any(_covers(pointer, path) for pointer in _conditional(kind, properties)):
        return Effect.MAY_REPLACE
    return Effect.MODIFY


def surely_replaced(type_name: str, attribute: str, region: str) -> bool:
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


Effects = dict[str, tuple[Effect, frozenset[str]]]
"""By logical id: the effect on a resource that stays in the template, and its causes."""

_REPLACING = (Effect.REPLACE, Effect.MAY_REPLACE)


def spread_effects(effects: Effects, staying: Mapping[str, Mapping[str, Any]], region: str) -> Effects:
    """Return the effects with those that follow from replacements.

    `staying` are the evaluated resources of the new template that the old one has too.
    """
    found = dict(effects)
    waiting = [name for name, (effect, _) in found.items() if effect in _REPLACING]
    if not waiting:
        return found
    mentioned = _mentioned(staying)
    while waiting:
        target = waiting.pop()
        effect = found[target][0]
        for name, mention in mentioned[target]:
            added = _effect(staying, name, mention, effect, region)
            cause = f"{mention.path} ({target} {'is' if effect is Effect.REPLACE else 'may be'} replaced)"
            before = found.get(name)
            found[name] = _stronger(before, added, cause)
            # Ranks only rise, and there are three of them: this ends.
            if added in _REPLACING and (before is None or RANK[added] > RANK[before[0]]):
                waiting.append(name)
    return {name: (effect, _without_doubt(causes)) for name, (effect, causes) in found.items()}


def _mentioned(staying: Mapping[str, Mapping[str, Any]]) -> defaultdict[str, list[tuple[str, Mention]]]:
    by_target: defaultdict[str, list[tuple[str, Mention]]] = defaultdict(list)
    for name, body in staying.items():
        for mention in mentions(body.get("Properties", {})):
            by_target[mention.target].append((name, mention))
    return by_target


def _effect(
    staying: Mapping[str, Mapping[str, Any]], name: str, mention: Mention, effect: Effect, region: str
) -> Effect:
    body, target = staying[name], staying[mention.target]
    weight = property_effect(body["Type"], mention.path, body.get("Properties", {}), region)
    certain = effect is Effect.REPLACE and surely_replaced(target["Type"], mention.attribute, region)
    return weight if certain or weight is Effect.MODIFY else Effect.MAY_REPLACE


def _stronger(
    before: tuple[Effect, frozenset[str]] | None, effect: Effect, cause: str
) -> tuple[Effect, frozenset[str]]:
    if before is None or RANK[effect] > RANK[before[0]]:
        return effect, frozenset({cause})
    if effect is before[0]:
        return effect, before[1] | {cause}
    return before


def _without_doubt(causes: frozenset[str]) -> frozenset[str]:
    """Drop what a cause said before it was known that the other resource is replaced for certain."""
    return frozenset(
        each for each in causes if each.replace(" may be replaced)", " is replaced)") not in causes - {each}
    )
