"""Updates of stacks: the events of what changes and of nothing else, stack policies, rollback triggers; and operations
that ministack would leave unfinished.

The order of events was recorded on AWS by LocalStack (test_change_set_parameters, test_change_set_conditions,
api/test_stacks). Other than on AWS, events have no ResourceProperties.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ministack.core.responses import get_account_id, now_iso

from builders.cloud.cloudformation import records, stack_policies
from builders.cloud.cloudformation.stack_policies import StackPolicy
from builders.cloud.internals import cloudformation, cloudwatch
from builders.cloud.patches import patch
from builders.resource_types import Json

STACK = "AWS::CloudFormation::Stack"
POLICY_IN_EFFECT = "_policy_in_effect"
"""Key under which a stack keeps the policy that its next update heeds; the one that it shows may be new."""
POLICY_AFTERWARDS = "_policy_afterwards"
"""Key under which a stack keeps the policy that it shows again after an update with one of its own."""

_INITIATED = "Resource creation Initiated"
_STARTS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS")

Event = tuple[str, str, str]
"""Status, reason and physical id."""

logger = logging.getLogger("updates")


@dataclass
class _Update:
    """An update that is under way: what was there before, and what is known of each resource so far."""

    previous: Mapping[str, Json]
    policy: StackPolicy
    described_anew: frozenset[str]
    """Resources of which only Metadata changes."""
    held: dict[str, Event] = field(default_factory=dict)
    """Events that tell of a change, as long as none is sure."""
    unchanged: set[str] = field(default_factory=set)
    cleaned_up: bool = False


_updates: dict[str, _Update] = {}
"""The updates that are under way, by stack id."""


@patch(
    "ministack.services.cloudformation.stacks._deploy_stack_async",
    why="a macro that is not there is left out, an error beside a resource's leaves the stack in progress for ever, "
    "and resources that an update does not change are reported as updated",
)
async def _deploy(
    original: Callable[..., Awaitable[None]],
    name: str,
    stack_id: str,
    template: Json,
    parameters: Json,
    *more: Any,
    **given: Any,
) -> None:
    stack = cloudformation.stacks[name]
    previous = given.get("previous_stack") if given.get("is_update") else None
    if previous is not None:
        _updates[stack_id] = _begun(stack, previous, template)
    try:
        refusal = missing_macro(template)
        if refusal:
            await _give_up(stack, template, parameters, previous, refusal)
        else:
            await original(name, stack_id, template, parameters, *more, **given)
    except Exception as error:
        logger.exception("the deployment of %s failed", name)
        await _give_up(stack, template, parameters, previous, f"Internal failure of the embedded cloud: {error!r}")
    finally:
        update = _updates.pop(stack_id, None)
        if update:
            _settle(stack, update)


def _begun(stack: Json, previous: Mapping[str, Json], template: Mapping[str, Json]) -> _Update:
    before = (previous.get("_template") or {}).get("Resources") or {}
    after = template.get("Resources") or {}
    policy = stack.pop(POLICY_IN_EFFECT, stack.get("_stack_policy") or "")
    return _Update(
        previous.get("_resources") or {},
        stack_policies.parse(policy) if policy else StackPolicy(()),
        frozenset(
            each for each in set(before) & set(after) if before[each].get("Metadata") != after[each].get("Metadata")
        ),
    )


def _settle(stack: Json, update: _Update) -> None:
    """Let resources show what became of them: nothing, or a creation."""
    if POLICY_AFTERWARDS in stack:
        stack["_stack_policy"] = stack.pop(POLICY_AFTERWARDS)
    if stack["StackStatus"] != "UPDATE_COMPLETE":
        return
    for logical_id, record in stack.get("_resources", {}).items():
        before = update.previous.get(logical_id)
        if before is None:
            record["ResourceStatus"] = "CREATE_COMPLETE"
        elif logical_id in update.unchanged and logical_id not in update.described_anew:
            record.update({key: before[key] for key in ("ResourceStatus", "Timestamp") if key in before})


async def _give_up(stack: Json, template: Json, parameters: Json, previous: Json, reason: str) -> None:
    """Roll a stack back of which nothing was done."""
    operation = {
        "is_update": previous is not None,
        "previous_stack": previous,
        "created": [],
        "template": {**template, "Conditions": {}, "Resources": {}},
        "param_values": parameters,
    }
    await cloudformation.roll_back(
        stack["StackName"], stack["StackId"], stack, operation, f"{reason}. Rollback requested by user."
    )


def missing_macro(template: Mapping[str, Json]) -> str:
    """Return the reason why a macro of a template cannot run; empty where it has none.

    The sentence is CloudFormation's. Other than on AWS, a macro that is there does not run either.
    """
    for name in _transforms(template):
        if name.startswith("AWS::"):
            continue
        full = name if "::" in name else f"{get_account_id()}::{name}"
        known = {each["Properties"].get("Name") for each in records.find("AWS::CloudFormation::Macro").values()}
        if full.rpartition("::")[2] in known:
            return f"Transform {full} failed with: the embedded cloud runs no macros"
        return f"No transform named {full} found."
    return ""


def _transforms(node: Mapping[str, Json] | list[Json]) -> list[str]:
    """Return the names of the transforms that a template declares or embeds."""
    if isinstance(node, list):
        return [name for each in node if isinstance(each, (dict, list)) for name in _transforms(each)]
    found = []
    for key, value in node.items():
        if key in ("Transform", "Fn::Transform"):
            given = value if isinstance(value, list) else [value]
            found += [each if isinstance(each, str) else str(each.get("Name")) for each in given if each]
        if isinstance(value, (dict, list)) and key not in ("Parameters", "AWSTemplateFormatVersion", "Transform"):
            found += _transforms(value)
    return found


@patch(
    "ministack.services.cloudformation.stacks._add_event",
    why="an update reports resources that it does not change or adds as updated; events of a begun creation, of the "
    "clean-up and reasons are missing",
)
def _add_event(
    original: Callable[..., None], stack_id: str, name: str, logical_id: str, kind: str, *given: str, **named: str
) -> None:
    members = dict(zip(("status", "reason", "physical_id", "detailed_status"), given, strict=False)) | named
    event = (members["status"], members.get("reason", ""), members.get("physical_id", ""))
    update = _updates.get(stack_id)
    if logical_id == name and kind == STACK:
        events = _events_of_stack(update, event)
    elif update and cloudformation.stacks[name]["StackStatus"] == "UPDATE_IN_PROGRESS":
        events = _events_of_update(update, logical_id, event)
    else:
        events = _events_of_creation(event)
    for each in events:
        original(stack_id, name, logical_id, kind, *each, members.get("detailed_status", ""))


def _events_of_stack(update: _Update | None, event: Event) -> list[Event]:
    status, reason, stack_id = event
    cleaning_up = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    first = [(cleaning_up, "", stack_id)] if update and status == "UPDATE_COMPLETE" and not update.cleaned_up else []
    if update and status == cleaning_up:
        update.cleaned_up = True
    return [*first, (status, full_reason(reason) or ("User Initiated" if status in _STARTS else ""), stack_id)]


def full_reason(reason: str) -> str:
    """Return a reason with the space that CloudFormation leaves behind resources (LocalStack, api/test_stacks)."""
    return f"{reason} " if reason.startswith("The following resource(s) failed") and reason.endswith("].") else reason


def _events_of_creation(event: Event) -> list[Event]:
    status, _, physical_id = event
    first = [("CREATE_IN_PROGRESS", _INITIATED, physical_id)] if status == "CREATE_COMPLETE" else []
    return [*first, event]


def _events_of_update(update: _Update, logical_id: str, event: Event) -> list[Event]:
    """Return what is reported of a resource of an update; what begins is held until the resource is sure to change."""
    status, reason, physical_id = event
    before = update.previous.get(logical_id)
    if before is None:
        return _events_of_creation((status.replace("UPDATE_", "CREATE_"), reason, physical_id))
    old = before.get("PhysicalResourceId", "")
    if status == "UPDATE_IN_PROGRESS":
        update.held[logical_id] = (status, reason, old)
        return []
    held = [update.held.pop(logical_id)] if logical_id in update.held else []
    if status == "UPDATE_COMPLETE":
        if logical_id in update.unchanged and logical_id not in update.described_anew:
            return []
        initiated = [("UPDATE_IN_PROGRESS", _INITIATED, physical_id)] if physical_id != old else []
        return [*held, *initiated, event]
    return [*(held if "by stack policy" not in reason else []), (status, reason, physical_id or old)]


@patch(
    "ministack.services.cloudformation.stacks._update_keeping_seed",
    why="stack policies are kept and not heeded, and whether a resource changes is not reported",
)
def _update_observed(
    original: Callable[..., Any],
    kind: str,
    physical_id: str,
    before: Mapping[str, Json],
    after: Mapping[str, Json],
    name: str,
    logical_id: str,
    *more: Any,
) -> Any:
    update = _updates.get(cloudformation.stacks[name]["StackId"])
    if update:
        if before == after and kind != STACK:
            update.unchanged.add(logical_id)
        else:
            action = "Update:Replace" if cloudformation.replacing_change(kind, before, after) else "Update:Modify"
            refusal = update.policy.refusal(action, logical_id, kind)
            if refusal:
                raise ValueError(refusal)
    return original(kind, physical_id, before, after, name, logical_id, *more)


@patch(
    "ministack.services.cloudformation.stacks._resolve_stack_outputs",
    why="stack policies are not heeded where an update drops a resource, and rollback triggers are not looked at",
)
def _check_before_the_end(original: Any, outputs: Json, conditions: Json, resources: Json, *more: Any) -> Any:
    name, stack_id = more[-2:]
    update, stack = _updates.get(stack_id), cloudformation.stacks.get(name)
    if update:
        for logical_id in sorted(set(update.previous) - set(resources)):
            record = update.previous[logical_id]
            refusal = update.policy.refusal("Update:Delete", logical_id, record["ResourceType"])
            if refusal:
                cloudformation.add_event(
                    stack_id,
                    name,
                    logical_id,
                    record["ResourceType"],
                    "UPDATE_FAILED",
                    refusal,
                    record.get("PhysicalResourceId", ""),
                )
                raise ValueError(f"The following resource(s) failed to update: [{logical_id}].")
    if stack:
        _check_triggers(stack)
    return original(outputs, conditions, resources, *more)


def _check_triggers(stack: Mapping[str, Json]) -> None:
    """Raise ValueError where a rollback trigger of a stack is missing or in alarm.

    Source: CloudFormation user guide, "Roll back your CloudFormation stack on alarm breach". The monitoring time is not
    waited for.
    """
    for each in (stack.get("RollbackConfiguration") or {}).get("RollbackTriggers") or []:
        name = each["Arn"].partition(":alarm:")[2]
        alarm = cloudwatch.alarms.get(name) or cloudwatch.composite_alarms.get(name)
        if alarm is None:
            raise ValueError(f"Rollback trigger {each['Arn']} does not exist")
        if alarm.get("StateValue") == "ALARM":
            raise ValueError(f"Rollback trigger {each['Arn']} is in ALARM state")


@patch(
    "ministack.services.cloudformation.stacks._roll_back_operation",
    why="the rollback of a creation does not say which resources failed, nor when it began",
)
async def _roll_back(
    original: Callable[..., Awaitable[None]], name: str, stack_id: str, stack: Json, operation: Json, reason: str = ""
) -> None:
    failed = operation.get("failed_logical_id")
    if not operation.get("is_update"):
        stack["DeletionTime"] = now_iso()
        if failed and not reason:
            reason = f"The following resource(s) failed to create: [{failed}]. Rollback requested by user."
    await original(name, stack_id, stack, operation, reason)
