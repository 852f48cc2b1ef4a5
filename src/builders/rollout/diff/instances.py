"""The change of each instance of a stack set, and of each plain stack: the current one beside the desired one. Pure.

What counts is what a stack is deployed with, the set's values with the instance's overrides over them: two lists of
overrides that lead to the same values are the same.
"""

from __future__ import annotations

import enum

from builders.rollout.diff.templates import declared_values, differing_parameters, same_template
from builders.rollout.model import (
    DeployedStack,
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
    """The change of one instance."""

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
    """The change of the instance of a target; `changed` tells whether the set itself `differs`."""
    instance = state.instances.get(target) if state else None
    if spec is None or target not in spec.overrides:
        return ChangeKind.DELETE if instance else ChangeKind.NOTHING
    if state is None or instance is None:
        return ChangeKind.CREATE
    if instance.status is Status.INOPERABLE:
        return ChangeKind.INOPERABLE
    if changed:
        return ChangeKind.UPDATE
    if not _has_desired_values(spec, instance, state.template, state.parameters):
        return ChangeKind.OVERRIDE
    return ChangeKind.NOTHING if instance.status is Status.CURRENT else ChangeKind.RETRY


def differs(desired: DesiredState, spec: StackSetSpec, state: StackSet) -> bool:
    """Return whether the set itself, and not one of its instances, is other than desired."""
    return (
        spec.template != state.template
        or declared_values(spec.template, spec.parameters) != declared_values(state.template, state.parameters)
        or dict(desired.tags) != dict(state.tags)
        or not _has_roles(desired.permissions, state.permissions)
    )


def keeps_overrides(spec: StackSetSpec, instance: Instance) -> bool:
    """Return whether the instance's present overrides over the new set's values are the desired values."""
    return _has_desired_values(spec, instance, spec.template, spec.parameters)


def plain_change_kind(stacks: PlainStackSpec, found: DeployedStack | None, target: Target) -> ChangeKind:
    """The change of a plain stack, as far as it does not depend on the outputs of other stacks."""
    if target not in stacks.parameters:
        return ChangeKind.DELETE if found else ChangeKind.NOTHING
    if found is None:
        return ChangeKind.CREATE
    if not found.status.endswith("_COMPLETE") or not same_template(found.template, stacks.template):
        return ChangeKind.UPDATE
    return ChangeKind.UPDATE if differing_parameters(found, stacks.parameters[target]) else ChangeKind.NOTHING


def _has_desired_values(spec: StackSetSpec, instance: Instance, template: str, parameters: Values) -> bool:
    """Return whether the instance's overrides over the values of a set that does not differ are the desired values."""
    if instance.overrides == spec.overrides[instance.target]:
        return True  # the common case, of which there are thousands
    if instance.overrides is None:
        return False
    present = declared_values(template, {**parameters, **instance.overrides})
    return present == declared_values(spec.template, spec.values(instance.target))


def _has_roles(desired: Permissions, present: Permissions) -> bool:
    """Return whether a set uses the desired roles; where none is named, those that AWS takes are right."""
    return desired.administration_role_arn in ("", present.administration_role_arn) and (
        desired.execution_role_name in ("", present.execution_role_name)
    )
