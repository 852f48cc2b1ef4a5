"""The changes of each instance, of each plain stack, and of the resources and outputs inside a stack. Pure.

What counts is what a stack is deployed with, the set's values with the instance's overrides over them: two lists of
overrides that lead to the same values are the same.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from builders import resource_types
from builders.errors import EvaluationError
from builders.evaluate import Evaluated
from builders.rollout.diff.effects import (
    Change,
    Effect,
    custom_name,
    differing_properties,
    effect_of,
    gravest_first,
    spread_effects,
)
from builders.rollout.model import (
    DeployedStack,
    DesiredState,
    Instance,
    PlainStackSpec,
    StackSet,
    StackSetSpec,
    Status,
    Target,
    Values,
)
from builders.template_bodies import declared_values, evaluate_template, parse_template, same_template


class ChangeKind(enum.Enum):
    """The change of one instance."""

    CREATE = "create"
    UPDATE = "update"
    OVERRIDE = "override"
    """Only its own values change."""
    RETRY = "retry"
    """It is OUTDATED although nothing differs: an operation failed there, or stopped before it."""
    DELETE = "delete"
    INOPERABLE = "inoperable"
    """StackSets leave it out until it is removed."""
    ADOPT = "adopt"
    """A stack that stands already becomes the instance, as it is; the changes are those of the next apply."""
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
    if changed or instance.behind:
        return ChangeKind.UPDATE
    if not keeps_overrides(spec, instance):
        return ChangeKind.OVERRIDE
    return ChangeKind.NOTHING if instance.status is Status.CURRENT else ChangeKind.RETRY


def differs(desired: DesiredState, spec: StackSetSpec, state: StackSet) -> bool:
    """Return whether the set itself, and not one of its instances, is other than desired."""
    return (
        not same_template(spec.template, state.template)
        or declared_values(spec.template, spec.parameters) != declared_values(state.template, state.parameters)
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
    present = declared_values(spec.template, {**spec.parameters, **instance.overrides})
    return present == declared_values(spec.template, spec.values(instance.target))


def plain_change_kind(stacks: PlainStackSpec, found: DeployedStack | None, target: Target) -> ChangeKind:
    """The change of a plain stack, as far as it does not depend on the outputs of other stacks."""
    if target not in stacks.parameters:
        return ChangeKind.DELETE if found else ChangeKind.NOTHING
    if found is None:
        return ChangeKind.CREATE
    if not found.status.endswith("_COMPLETE") or not same_template(found.template, stacks.template):
        return ChangeKind.UPDATE
    return ChangeKind.UPDATE if differing_parameters(found, stacks.parameters[target]) else ChangeKind.NOTHING


# A change set of type CREATE makes a stack without resources; a deleted one has none left.
_EMPTY = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
_NOTHING = Evaluated({}, {}, {}, {}, ())


@dataclass(frozen=True)
class Comparison:
    """The changes of a stack, and the two sides evaluated; `problem` says why nothing could be compared.

    `values` are the desired parameters, `status` is that of the deployed stack.
    """

    changes: tuple[Change, ...]
    before: Evaluated = _NOTHING
    after: Evaluated = _NOTHING
    values: tuple[tuple[str, str], ...] = ()
    status: str = ""
    region: str = resource_types.HOME_REGION
    problem: str = ""


def compare(stack: DeployedStack | None, desired_template: str, desired_values: Values, target: Target) -> Comparison:
    """Compare a stack with a template and complete parameters.

    No stack makes an ADD of everything; an empty template means a stack that goes. Where a template cannot be
    evaluated, the one change is UNKNOWN. The gravest effect comes first, then the order is that of the logical ids.
    """
    values = tuple(sorted(desired_values.items()))
    deployed = None if stack is None or stack.status in _EMPTY else stack
    try:
        after = evaluate_template(desired_template, desired_values, *target)[0] if desired_template else _NOTHING
        before = _NOTHING
        if deployed is not None:
            hidden = hidden_parameters(deployed)  # taken to stay as they are
            own = {
                name: desired_values.get(name, value) if name in hidden else value
                for name, value in deployed.parameters.items()
            }
            before = evaluate_template(deployed.template, own, *target)[0]
    except EvaluationError as error:
        unknown = Change("", "", Effect.UNKNOWN, (f"cannot be compared: {error}",))
        return Comparison((unknown,), values=values, region=target.region, problem=str(error))
    found = _resource_changes(before, after, target.region)
    if deployed is not None and desired_template:
        found += _output_changes(deployed.template, before, desired_template, after)
    status = deployed.status if deployed else ""
    return Comparison(gravest_first(found), before, after, values, status, target.region)


def _resource_changes(before: Evaluated, after: Evaluated, region: str) -> list[Change]:
    old, new = before.resources, after.resources
    staying = {name: body for name, body in new.items() if name in old}
    effects = {name: caused for name, body in staying.items() if (caused := effect_of(old[name], body, region))}
    found = [
        Change(name, body["Type"], Effect.ADD, named=custom_name(body, region))
        for name, body in new.items()
        if name not in old
    ]
    for name, body in old.items():
        if name not in new:
            retained = body.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")
            effect = Effect.RETAIN if retained else Effect.REMOVE
            named = custom_name(body, region)
            found.append(Change(name, body["Type"], effect, named=named, retained=retained))
    for name, (kind, causes) in spread_effects(effects, staying, region).items():
        # Which version's policy counts is not documented: both have to retain.
        retained = kind.replaces and all(each[name].get("UpdateReplacePolicy") == "Retain" for each in (old, new))
        named = custom_name(new[name], region)
        found.append(Change(name, new[name]["Type"], kind, tuple(sorted(causes)), named, retained))
    return found


def _output_changes(deployed: str, before: Evaluated, desired: str, after: Evaluated) -> list[Change]:
    old, new = parse_template(deployed).get("Outputs", {}), parse_template(desired).get("Outputs", {})
    names = {name.partition(".")[0] for name in differing_properties(before.outputs, after.outputs)}
    for name in before.outputs.keys() & after.outputs.keys():
        if any(old[name].get(part) != new[name].get(part) for part in ("Description", "Export")):
            names.add(name)
    causes = tuple(sorted(names or before.exports.keys() ^ after.exports.keys()))
    return [Change("", "", Effect.OUTPUTS, causes)] if causes else []


def differing_parameters(stack: DeployedStack, desired: Values) -> list[str]:
    """The desired parameters that a stack lacks or has with another value; a hidden value counts as equal."""
    hidden = hidden_parameters(stack)
    return [
        name for name, value in sorted(desired.items()) if name not in hidden and stack.parameters.get(name) != value
    ]


def hidden_parameters(stack: DeployedStack) -> frozenset[str]:
    """The NoEcho parameters of a stack, whose values CloudFormation shows as asterisks."""
    declared = parse_template(stack.template).get("Parameters", {})
    return frozenset(
        name
        for name, value in stack.parameters.items()
        if set(value) == {"*"} and str(declared.get(name, {}).get("NoEcho")).lower() == "true"
    )
