"""Stack operations that a killed server leaves behind and that go on in the next one, as AWS's never stop.

A stack's record holds the operation that is under way: what it was asked to do, and the resources that it has made so
far; those are not made again. Events of such resources are recorded twice. What a stack set's execution role may do is
not asked again for the rest of a stack.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import request_scope

from builders.cloud.cloudformation import change_sets
from builders.cloud.internals import cloudformation, entries
from builders.cloud.patches import patch
from builders.resource_types import Json

_UNDER_WAY = "_under_way"
_DELETED_ON_FAILURE = "_deleted_on_failure"
_FORGOTTEN = "an operation that is under way ends with the server"

Step = Callable[..., Awaitable[None]]


@patch("ministack.services.cloudformation.stacks._deploy_stack_async", why=_FORGOTTEN)
async def _deploy(
    original: Step,
    name: str,
    stack_id: str,
    template: Json,
    parameters: Json,
    disable_rollback: bool,
    tags: Json,
    **more: Any,
) -> None:
    await _remembered(original, name, stack_id, "deploy", [template, parameters, disable_rollback, tags], more)


@patch("ministack.services.cloudformation.stacks._delete_stack_async", why=_FORGOTTEN)
async def _delete(original: Step, name: str, stack_id: str, retained: Any = (), force: bool = False) -> None:
    await _remembered(original, name, stack_id, "delete", [list(retained), force], {})


@patch("ministack.services.cloudformation.stacks._roll_back_operation", why=_FORGOTTEN)
async def _roll_back(
    original: Step, name: str, stack_id: str, stack: Json, operation: Json, reason_override: str = ""
) -> None:
    stack[_UNDER_WAY] = {"step": "roll back", "asked": [operation, reason_override], "more": {}, "made": {}}
    await original(name, stack_id, stack, operation, reason_override)
    stack.pop(_UNDER_WAY, None)


@patch("ministack.services.cloudformation.stacks._create_then_delete_on_failure", why=_FORGOTTEN)
async def _create_or_delete(original: Step, name: str, stack_id: str, deploying: Awaitable[None]) -> None:
    stack = cloudformation.stacks[name]
    stack[_DELETED_ON_FAILURE] = True
    await original(name, stack_id, deploying)
    stack.pop(_DELETED_ON_FAILURE, None)


async def _remembered(step: Step, name: str, stack_id: str, kind: str, asked: list[Json], more: Json) -> None:
    stack = cloudformation.stacks.get(name)
    if stack is None:
        return  # deleted meanwhile
    made = stack.get(_UNDER_WAY, {}).get("made", {})
    stack[_UNDER_WAY] = {"step": kind, "asked": asked, "more": more, "made": made}
    await step(name, stack_id, *asked, **more)
    stack.pop(_UNDER_WAY, None)


@patch("ministack.services.cloudformation.stacks._provision_keeping_seed", why=_FORGOTTEN)
def _provision_once(original: Any, *arguments: Any) -> Any:
    return _once(original, arguments, logical_id=arguments[1], stack_name=arguments[3])


@patch("ministack.services.cloudformation.stacks._update_keeping_seed", why=_FORGOTTEN)
def _update_once(original: Any, *arguments: Any) -> Any:
    return _once(original, arguments, logical_id=arguments[5], stack_name=arguments[4])


def _once(make: Callable[..., Any], arguments: tuple[Any, ...], logical_id: str, stack_name: str) -> Any:
    """Make a resource, unless the operation that is under way has made it already."""
    made = cloudformation.stacks[stack_name].get(_UNDER_WAY, {"made": {}})["made"]
    if logical_id not in made:
        made[logical_id] = make(*arguments)
    (physical_id, attributes), seed = made[logical_id]
    return (physical_id, attributes), seed


def take_up() -> None:
    """Go on with every stack that was under way."""
    for (account, region, name), stack in list(entries(cloudformation.stacks).items()):
        if _UNDER_WAY in stack:
            with request_scope(account, region):
                cloudformation.start_task(_go_on(name, stack), stack, stack["StackId"])


async def _go_on(name: str, stack: Json) -> None:
    stack_id, under_way = stack["StackId"], stack[_UNDER_WAY]
    asked = under_way["asked"]
    if under_way["step"] == "delete":
        await cloudformation.delete_stack(name, stack_id, *asked)
        return
    if under_way["step"] == "roll back":
        operation = asked[0]
        operation["created"] = [each for each in operation["created"] if each in stack["_resources"]]
        going = cloudformation.roll_back(name, stack_id, stack, *asked)
    else:
        going = cloudformation.deploy_stack(name, stack_id, *asked, **under_way["more"])
    if stack.get(_DELETED_ON_FAILURE):
        going = cloudformation.create_or_delete(name, stack_id, going)
    for change_set in change_sets.executed.values():
        if change_set["StackId"] == stack_id and change_set.get("ExecutionStatus") == "EXECUTE_IN_PROGRESS":
            going = cloudformation.track_change_set(change_set, stack, going)
    await going
