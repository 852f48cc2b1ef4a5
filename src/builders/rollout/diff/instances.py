"""What becomes of one instance of a stack set: the set as it is beside the set as it shall be. Pure.

What counts is what a stack is deployed with, the set's values with the instance's own over them: two lists of overrides
that lead to the same values are the same.
"""

from __future__ import annotations

import enum
import functools
import json
from typing import Any

from builders.rollout.model import (
    Deployed,
    DesiredState,
    Instance,
    Permissions,
    PlainStackSpec,
    StackSet,
    StackSetSpec,
    Status,
    Target,
    Values,
)


class ChangeKind(enum.Enum):
    """What becomes of one instance."""

    CREATE = "create"
    UPDATE = "update"
    OVERRIDE = "override"
    """Only its own values change."""
    RETRY = "retry"
    """It is OUTDATED although nothing differs: an operation failed or stopped before it."""
    DELETE = "delete"
    INOPERABLE = "inoperable"
    """StackSets leave it out until it is removed."""
    NOTHING = "nothing"


def change_kind(spec: StackSetSpec | None, state: StackSet | None, target: Target, changed: bool) -> ChangeKind:
    """What becomes of the instance at a place; `changed` tells whether the set itself `differs`."""
    instance = state.instances.get(target) if state else None
    if spec is None or target not in spec.overrides:
        return ChangeKind.DELETE if instance else ChangeKind.NOTHING
    if instance is None:
        return ChangeKind.CREATE
    if instance.status is Status.INOPERABLE:
        return ChangeKind.INOPERABLE
    if changed:
        return ChangeKind.UPDATE
    assert state is not None
    if not _same_values(spec, state, instance):
        return ChangeKind.OVERRIDE
    return ChangeKind.NOTHING if instance.status is Status.CURRENT else ChangeKind.RETRY


def differs(desired: DesiredState, spec: StackSetSpec, state: StackSet) -> bool:
    """Whether the set itself, and not one instance of it, is other than it shall be."""
    return (
        spec.template != state.template
        or _with_defaults(spec.template, spec.parameters) != _with_defaults(state.template, state.parameters)
        or dict(desired.tags) != dict(state.tags)
        or not _acts_as(desired.permissions, state.permissions)
    )


def _same_values(spec: StackSetSpec, state: StackSet, instance: Instance) -> bool:
    if instance.overrides == spec.overrides[instance.target]:
        return True  # over a set that does not differ: the common case, of which there are thousands
    if instance.overrides is None:
        return False
    present = _with_defaults(state.template, {**state.parameters, **instance.overrides})
    return present == _with_defaults(spec.template, spec.values(instance.target))


def plain_change_kind(stacks: PlainStackSpec, found: Deployed | None, target: Target) -> ChangeKind:
    """What becomes of a plain stack, as far as it does not depend on what other stacks put out."""
    if target not in stacks.parameters:
        return ChangeKind.DELETE if found else ChangeKind.NOTHING
    if found is None:
        return ChangeKind.CREATE
    if not found.status.endswith("_COMPLETE") or not _same_body(found.template, stacks.template):
        return ChangeKind.UPDATE
    same = all(found.parameters.get(name) == value for name, value in stacks.parameters[target].items())
    return ChangeKind.NOTHING if same else ChangeKind.UPDATE


@functools.lru_cache(maxsize=256)
def _same_body(one: str, other: str) -> bool:
    return one == other or json.loads(one) == json.loads(other)


def keeps_overrides(spec: StackSetSpec, state: StackSet, instance: Instance) -> bool:
    """Whether the instance's present overrides over the new set's values are what it shall have."""
    if instance.overrides == spec.overrides[instance.target]:
        return True
    if instance.overrides is None:
        return False
    return _with_defaults(spec.template, {**spec.parameters, **instance.overrides}) == _with_defaults(
        spec.template, spec.values(instance.target)
    )


def _with_defaults(template: str, values: Values) -> dict[str, str]:
    """The values of all parameters that a template declares: an override of one that is gone overrides nothing."""
    defaults = _defaults(template)
    return {name: values.get(name, default) for name, default in defaults.items()}


@functools.lru_cache(maxsize=256)
def _defaults(template: str) -> dict[str, str]:
    parameters: dict[str, Any] = json.loads(template).get("Parameters", {})
    return {name: str(definition.get("Default", "")) for name, definition in parameters.items()}


def _acts_as(desired: Permissions, present: Permissions) -> bool:
    """Whether a set uses the roles that it shall use; where none is named, those that AWS takes are right."""
    return desired.administration_role_arn in ("", present.administration_role_arn) and (
        desired.execution_role_name in ("", present.execution_role_name)
    )
