"""The change of each instance and of each plain stack, from the current state to the desired one.

What counts is what a stack is deployed with, the set's values with the instance's overrides over them: two lists of
overrides that lead to the same values are the same.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from builders.rollout.model import (
    DeployedStack,
    DesiredState,
    Instance,
    PlainStackSpec,
    StackSet,
    StackSetSpec,
    Status,
    Target,
)
from builders.stack_diff.comparison import differing_parameters
from builders.template_bodies import comparable_values, same_template


class ChangeKind(enum.Enum):
    """The change of one instance."""

    CREATE = "create"
    UPDATE = "update"
    OVERRIDE = "override"
    """Only its own values change."""
    RETRY = "retry"
    """The instance is OUTDATED although nothing differs: an operation failed there, or stopped before it."""
    DELETE = "delete"
    INOPERABLE = "inoperable"
    """StackSets leave it out until it is removed."""
    ADOPT = "adopt"
    """A stack that stands already becomes the instance, as it is; the changes are those of the next apply."""
    NOTHING = "nothing"


def change_kinds(
    desired: DesiredState, layer: str, state: StackSet | None, targets: Iterable[Target]
) -> dict[Target, ChangeKind]:
    """The change of a layer's instance at each of the targets."""
    spec = desired.sets.get(layer)
    changed = differs(desired, spec, state)
    return {target: change_kind(spec, state, target, changed) for target in targets}


def change_kind(spec: StackSetSpec | None, state: StackSet | None, target: Target, changed: bool) -> ChangeKind:
    """The change of the instance of a target; `changed` tells whether the set itself `differs`."""
    instance = state.instances.get(target) if state else None
    if spec is None or target not in spec.overrides:
        return ChangeKind.DELETE if instance else ChangeKind.NOTHING
    if state is None or instance is None:
        return ChangeKind.CREATE
    if instance.status is Status.INOPERABLE:
        return ChangeKind.INOPERABLE
    if changed or instance.behind:
        return ChangeKind.UPDATE
    if not keeps_overrides(spec, instance):
        return ChangeKind.OVERRIDE
    return ChangeKind.NOTHING if instance.status is Status.CURRENT else ChangeKind.RETRY


def differs(desired: DesiredState, spec: StackSetSpec | None, state: StackSet | None) -> bool:
    """Return whether the set itself, and not one of its instances, is other than desired; one to be made is not."""
    return (spec is not None and state is not None) and (
        not same_template(spec.template, state.template)
        or comparable_values(spec.template, spec.parameters) != comparable_values(state.template, state.parameters)
        or dict(desired.tags) != dict(state.tags)
        # Where no role is named, those that AWS takes are right.
        or desired.permissions.administration_role_arn not in ("", state.permissions.administration_role_arn)
        or desired.permissions.execution_role_name not in ("", state.permissions.execution_role_name)
    )


def keeps_overrides(spec: StackSetSpec, instance: Instance) -> bool:
    """Return whether the instance's present overrides over the new set's values are the desired values."""
    if instance.overrides == spec.overrides[instance.target]:
        return True  # the common case, of which there are thousands
    if instance.overrides is None:
        return False
    present = comparable_values(spec.template, {**spec.parameters, **instance.overrides})
    return present == comparable_values(spec.template, spec.values(instance.target))


def plain_change_kind(stacks: PlainStackSpec, found: DeployedStack | None, target: Target) -> ChangeKind:
    """The change of a plain stack, as far as it does not depend on the outputs of other stacks."""
    if target not in stacks.parameters:
        return ChangeKind.DELETE if found else ChangeKind.NOTHING
    if found is None:
        return ChangeKind.CREATE
    same = found.was_given(stacks.template) and not differing_parameters(found, stacks.parameters[target])
    return ChangeKind.NOTHING if same else ChangeKind.UPDATE
