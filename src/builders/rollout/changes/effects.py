"""The values of this room: what happens to a resource, and what stands in the way."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Effect(enum.Enum):
    """What an update does; the members go from what is looked at first to what is looked at last."""

    UNKNOWN = "unknown"
    """Not to a resource: the stack cannot be compared; the cause says why."""
    REPLACE = "replace"
    MAY_REPLACE = "may replace"
    """It depends on what only AWS knows: the value of an attribute, a custom resource's answer, the present state."""
    REMOVE = "remove"
    KEEP = "keep"
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
    another resource. `named` is the name that the template gives, if any. `retained` tells that the real thing stays
    when it is replaced or leaves the template.
    """

    logical_id: str
    type: str
    effect: Effect
    causes: tuple[str, ...] = ()
    named: str = ""
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
    SAME_PLACE = "same-place"
    STACK_STATE = "stack-state"
    RULE = "rule"
    EXPORT_IN_USE = "export-in-use"
    NEW_PARAMETER = "new-parameter"
    COLLISION = "collision"
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
    way_round: str
    acknowledgeable: bool
    needs_order: tuple[str, ...] = ()
