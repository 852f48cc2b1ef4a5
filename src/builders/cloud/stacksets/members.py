"""Member stacks: real stacks of the member account, made, changed, deleted and looked at by ministack's engine.

Every function runs in a task of its own, in the account and region of the instance.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.cloud import stamps
from builders.cloud.cloudformation import wire
from builders.cloud.internals import cloudformation
from builders.cloud.patches import patch
from builders.cloud.stacksets import callers, permissions, templates
from builders.cloud.stacksets.model import Instance, StackSet
from builders.resource_types import Json
from builders.template_bodies import same_template

NOTHING_TO_DO = "No updates are to be performed."
_CREATED = ("CREATE_COMPLETE", "DELETE_COMPLETE", "DELETE_FAILED")
"""Final states with OnFailure=DELETE (user guide, "Troubleshooting StackSets": a failed stack is DELETED)."""

_IMPORTABLE = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
)
"""The statuses of a stack of which a change set can be made."""

_any_size: contextvars.ContextVar[bool] = contextvars.ContextVar("any_size", default=False)


@dataclass(frozen=True)
class Outcome:
    """The outcome for a stack."""

    reason: str = ""
    failed: bool = False
    broken: bool = False
    """The stack is there and in no state to go on from."""


@patch(
    "ministack.services.cloudformation.helpers._template_body_problem",
    why="the template of a set, which may be 1 MB by its URL, is too large for a member stack",
)
def _template_body_problem(original: Any, body: str) -> Any:
    return None if _any_size.get() else original(body)


async def deploy(stack_set: StackSet, instance: Instance, carries: bool = True) -> Outcome:
    """Create the instance's stack, or update the one that is there; nothing to update is success.

    An update that does not carry the set's template and tags leaves those that the stack has.
    """
    stack = _stack(instance)
    creating = stack is None or stack["StackStatus"] == "DELETE_COMPLETE"
    if creating:
        name = f"StackSet-{stack_set.name}-{stamps.new_id()}"[:128]
        outcome = await _create(stack_set, instance, name)
    else:
        assert stack is not None
        outcome = await _update(stack_set, instance, stack, carries)
    if not outcome.failed:
        instance.parameters = frozenset(stack_set.template.get("Parameters") or {})
    return outcome


async def _create(stack_set: StackSet, instance: Instance, name: str) -> Outcome:
    refused = _call("CreateStack", stack_set, instance, name, OnFailure=["DELETE"])
    if refused:
        return Outcome(refused, failed=True)
    stack = cloudformation.stacks[name]
    instance.stack_id = stack["StackId"]
    await _until(stack, _CREATED)
    if stack["StackStatus"] == "CREATE_COMPLETE":
        return Outcome()
    return Outcome(_first_failure(stack, 0), failed=True, broken=stack["StackStatus"] == "DELETE_FAILED")


async def _update(stack_set: StackSet, instance: Instance, stack: Mapping[str, Json], carries: bool) -> Outcome:
    seen = len(_events(stack))
    more = _clear_tags(stack_set) if carries else {"UsePreviousTemplate": ["true"]}
    refused = _call("UpdateStack", stack_set, instance, stack["StackName"], **more)
    if refused == NOTHING_TO_DO:
        return Outcome(NOTHING_TO_DO)
    if refused:
        return Outcome(refused, failed=True)
    await _until(stack)
    if stack["StackStatus"] == "UPDATE_COMPLETE":
        return Outcome()
    return Outcome(_first_failure(stack, seen), failed=True)


async def delete(stack_set: StackSet, instance: Instance) -> Outcome:
    """Delete the instance's stack; one that is not there is deleted."""
    stack = _stack(instance)
    if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
        return Outcome()
    seen = len(_events(stack))
    refused = _call("DeleteStack", stack_set, instance, stack["StackName"])
    if refused:
        return Outcome(refused, failed=True, broken=True)
    await _until(stack, ("DELETE_COMPLETE", "DELETE_FAILED"))
    if stack["StackStatus"] == "DELETE_COMPLETE":
        return Outcome()
    return Outcome(_first_failure(stack, seen), failed=True, broken=True)


def adopt(stack_set: StackSet, instance: Instance, arn: str) -> Outcome:
    """Make a stack that stands already the instance's, with the values by which it differs as the overrides.

    Nothing of the stack changes; what is wrong leaves the instance FAILED_IMPORT (imports.py has the sources).
    """
    instance.stack_id = arn
    stack = _stack(instance)
    refused = _unlike(stack_set, stack, arn) or _member_elsewhere(stack_set, arn)
    role = None if stack_set.service_managed else permissions.execution_role(stack_set, instance.account)
    if role is not None:
        refused = role.refusal("cloudformation:GetTemplate", arn) or refused
    if refused or stack is None:
        return Outcome(refused, failed=True, broken=True)
    values = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    instance.overrides = {name: value for name, value in values.items() if value != stack_set.parameters.get(name)}
    instance.parameters = frozenset(stack_set.template.get("Parameters") or {})
    return Outcome()


def _unlike(stack_set: StackSet, stack: Mapping[str, Json] | None, arn: str) -> str:
    """Return why a stack cannot be a member of the set as it is; the sentences are ours."""
    if stack is None or stack["StackId"] != arn:
        return f"Stack {arn} does not exist"
    if stack["StackStatus"] not in _IMPORTABLE:
        return f"Stack {arn} is in {stack['StackStatus']} state and can not be imported"
    if stack.get("ParentId"):
        return f"Stack {arn} is a nested stack: its root stack can be imported"
    hidden = sorted(templates.hidden(stack["_template"]))
    if hidden:
        return f"Stack {arn} has the NoEcho parameters [{', '.join(hidden)}], which cannot be imported"
    if not same_template(stack["_template_body"], stack_set.template_body):
        return f"The template of stack {arn} differs from the template of the stack set"
    return ""


def _member_elsewhere(stack_set: StackSet, arn: str) -> str:
    """Return the sentence that a stack belongs to another set: it can belong to one only."""
    for other in callers.every():
        member = any(each.stack_id == arn and each.detailed != "FAILED_IMPORT" for each in other.instances.values())
        if other is not stack_set and other.status == "ACTIVE" and member:
            return f"Stack {arn} already belongs to stack set {other.id}"
    return ""


async def at_rest(instance: Instance) -> None:
    """Wait for what a killed server had begun with the instance's stack (cloudformation/change_sets.py)."""
    stack = _stack(instance)
    if stack is not None:
        await _until(stack)


def detect_drift(instance: Instance) -> str:
    """Compare the stack with what it says it is; return DRIFTED or IN_SYNC. Raises ValueError with the reason.

    What a member changed through CloudFormation itself is what the stack says it is, and no drift.
    """
    stack = _stack(instance)
    if stack is None:
        raise ValueError(f"Stack {instance.stack_id or 'of this instance'} does not exist")
    status, _, _ = answer = cloudformation.action_handlers["DetectStackDrift"]({"StackName": [stack["StackName"]]})
    if status >= 400:
        raise ValueError(wire.message(answer))
    return str(stack["DriftInformation"]["StackDriftStatus"])


def drifted_resources(instance: Instance) -> list[dict[str, Json]]:
    """Return what the last detection found about each resource."""
    stack = _stack(instance)
    return [each["_drift"] for each in (stack or {}).get("_resources", {}).values() if each.get("_drift")]


def _stack(instance: Instance) -> dict[str, Json] | None:
    name = instance.stack_id.split("/")[1] if instance.stack_id else ""
    stack: dict[str, Json] | None = cloudformation.stacks.get(name)
    return stack


def _call(action: str, stack_set: StackSet, instance: Instance, name: str, **more: list[str]) -> str:
    """Call ministack's action as the execution role; return the reason when it refuses."""
    role = None if stack_set.service_managed else permissions.execution_role(stack_set, instance.account)
    if role is not None:
        arn = f"arn:aws:cloudformation:{instance.region}:{instance.account}:stack/{name}/*"
        refused = role.refusal(f"cloudformation:{action}", arn)
        if refused:
            return refused
    form = {"StackName": [name], **more}
    if action != "DeleteStack":
        form |= _form(stack_set, instance)
    if "UsePreviousTemplate" in form:
        form = {key: value for key, value in form.items() if key != "TemplateBody" and not key.startswith("Tags.")}
    tokens = permissions.acting.set(role), _any_size.set(True)
    try:
        status, _, _ = answer = cloudformation.action_handlers[action](form)
    finally:
        permissions.acting.reset(tokens[0])
        _any_size.reset(tokens[1])
    return wire.message(answer) if status >= 400 else ""


def _form(stack_set: StackSet, instance: Instance) -> dict[str, list[str]]:
    form = {"TemplateBody": [stack_set.template_body]}
    for number, (key, value) in enumerate(templates.stack_parameters(stack_set, instance).items(), 1):
        form[f"Parameters.member.{number}.ParameterKey"] = [key]
        form[f"Parameters.member.{number}.ParameterValue"] = [value]
    for number, tag in enumerate(stack_set.tags, 1):
        form[f"Tags.member.{number}.Key"] = [tag["Key"]]
        form[f"Tags.member.{number}.Value"] = [tag["Value"]]
    for number, capability in enumerate(stack_set.capabilities, 1):
        form[f"Capabilities.member.{number}"] = [capability]
    return form


def _clear_tags(stack_set: StackSet) -> dict[str, list[str]]:
    """An update without tags takes away those that the set had before."""
    return {} if stack_set.tags else {"Tags": [""]}


async def _until(stack: Mapping[str, Json], statuses: tuple[str, ...] = ()) -> None:
    """Wait until a stack is at rest; with `statuses`, until its status is one of them."""
    await asyncio.sleep(0)  # the stack's own task begins: a status from before is gone
    pause = 0.0
    while stack["StackStatus"] not in statuses if statuses else stack["StackStatus"].endswith("_IN_PROGRESS"):
        await asyncio.sleep(pause)
        pause = min(pause + 0.001, 0.05)


def _events(stack: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    events: list[Mapping[str, Json]] = cloudformation.stack_events.get(stack["StackId"]) or []
    return events


def _first_failure(stack: Mapping[str, Json], after: int) -> str:
    """Return the reason as StackSets tell it: the first failed resource (seen in aws/copilot-cli #1364)."""
    failed = [event for event in _events(stack)[after:] if event["ResourceStatus"].endswith("_FAILED")]
    for event in failed:
        if event["ResourceType"] != "AWS::CloudFormation::Stack":
            return (
                f"ResourceLogicalId:{event['LogicalResourceId']}, ResourceType:{event['ResourceType']}, "
                f"ResourceStatusReason:{event['ResourceStatusReason']}."
            )
    return str(failed[0]["ResourceStatusReason"]) if failed else f"Stack is in {stack['StackStatus']} state"
