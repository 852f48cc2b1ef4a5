"""What CloudFormation refuses, each said before it is tried."""

from __future__ import annotations

from collections.abc import Iterator

from builders import resource_types
from builders.rollout.changes.comparison import Comparison, given_name
from builders.rollout.changes.effects import Change, Effect, Hazard, HazardKind
from builders.rollout.changes.taken import taken
from builders.rollout.changes.weights import is_custom

PARAMETER_LIMIT_BYTES = 4_096
"""The longest value of a parameter (CloudFormation user guide, "Understand CloudFormation quotas")."""


def refusals(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    """Yield what CloudFormation would answer with a failed update."""
    yield from _state(layer, comparison)
    yield from _values(layer, comparison)
    for change in comparison.changes:
        if change.effect in (Effect.REPLACE, Effect.MAY_REPLACE):
            yield from _replacement(layer, comparison, change)
    yield from taken(layer, comparison)


def _state(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    if comparison.status == "UPDATE_ROLLBACK_FAILED":
        way = "repair what its events name, then `aws cloudformation continue-update-rollback`"
    elif comparison.status.endswith("_IN_PROGRESS"):
        way = "wait until it is over"
    else:
        return
    message = f"the stack is in {comparison.status}: CloudFormation refuses updates"
    yield Hazard(HazardKind.STACK_STATE, layer, "", message, way, acknowledgeable=False)


def _values(layer: str, comparison: Comparison) -> Iterator[Hazard]:
    for sentence in comparison.after.failed_rules:
        way = "give parameters for which it holds"
        yield Hazard(
            HazardKind.RULE, layer, "", f"a rule of the template fails: {sentence}", way, acknowledgeable=False
        )
    for name, value in comparison.values:
        size = len(value.encode())
        if size > PARAMETER_LIMIT_BYTES:
            message = f"parameter {name} has {size} bytes; CloudFormation takes {PARAMETER_LIMIT_BYTES}"
            yield Hazard(HazardKind.LIMIT, layer, name, message, f"shorten {name}", acknowledgeable=False)


def _replacement(layer: str, comparison: Comparison, change: Change) -> Iterator[Hazard]:
    before, after = comparison.before.resources[change.logical_id], comparison.after.resources[change.logical_id]
    name, certain = change.logical_id, change.effect is Effect.REPLACE
    causes = ", ".join(change.causes)
    if before["Type"] != after["Type"]:
        message = f"{name} changes from {before['Type']} to {after['Type']}: update of resource type is not permitted"
        way = "give the new resource another logical id"
        yield Hazard(HazardKind.TYPE_CHANGE, layer, name, message, way, acknowledgeable=False)
        return
    if is_custom(change.type) and any(cause.split(" ")[0] == "ServiceToken" for cause in change.causes):
        # "Modifying service token is not allowed" (cloudformation-coverage-roadmap#802).
        message = f"{name}: {causes} changes, and modifying the service token of a custom resource is not allowed"
        way = "give the custom resource another logical id, or leave its function as it is"
        yield Hazard(HazardKind.SERVICE_TOKEN, layer, name, message, way, acknowledgeable=not certain)
    kind = resource_types.load(change.type, comparison.region)
    if kind is None or kind.deleted_first:
        return
    if change.named and change.named == given_name(before, comparison.region):
        message = (
            f"{name} is named {change.named}, and {causes} {'requires' if certain else 'may require'} replacing it: "
            "cannot update a stack when a custom-named resource requires replacing"
        )
        way = f"change {kind.name_property} too (another suffix), or remove {name} in a release of its own first"
        yield Hazard(HazardKind.CUSTOM_NAME, layer, name, message, way, acknowledgeable=not certain)
