"""What DescribeChangeSet shows.

Stack operations that a killed server leaves behind go on in the next one, as AWS's never stop.

What an operation was asked to do stands in its stack's record while it is under way, with the resources that it has
made so far; those are not made again. Events of such resources are told twice. What a stack set's execution role may do
is not asked again for the rest of a stack.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack.core.responses import request_scope
from ministack.services.cloudformation import _change_sets, _stacks, changesets, handlers, stacks
from ministack.services.cloudformation.helpers import _error, _p

from builders.cloud.patches import replace
from builders.cloud.server import pages
from builders.resource_types import Json

PAGE = 100
"""Changes on one page; the API reference names a NextToken and no size."""

_shown: contextvars.ContextVar[dict[str, Json] | None] = contextvars.ContextVar("shown", default=None)


def change_sets_in_pages() -> None:
    """ministack shows all changes at once, and the values of NoEcho parameters, which AWS shows as asterisks; and it
    finds no change set by its name beside the ARN of its stack."""
    find, describe = changesets._find_change_set, changesets._describe_change_set

    def find_shown(name: str, stack: str = "") -> Json:
        found, change_set = find(name, stack.split("/")[1] if stack.startswith("arn:") else stack)
        return found, _shown.get() or change_set

    def describe_page(parameters: Mapping[str, Json]) -> Json:
        _, change_set = find_shown(_p(parameters, "ChangeSetName"), _p(parameters, "StackName"))
        if not change_set:
            return describe(parameters)
        which, changes = change_set["ChangeSetId"], change_set.get("Changes") or []
        try:
            shown, token = pages.cut(which, changes, _p(parameters, "NextToken"), PAGE)
        except pages.InvalidToken:
            return _error("ValidationError", "NextToken is invalid")
        hidden = {name for name, each in change_set["_resolved_params"].items() if each["NoEcho"]}
        parameters_shown = [
            each | {"ParameterValue": "****"} if each["ParameterKey"] in hidden else each
            for each in change_set.get("Parameters") or []
        ]
        page = {**change_set, "Changes": shown, "Parameters": parameters_shown}
        context = _shown.set(page)
        try:
            status, headers, body = describe(parameters)
        finally:
            _shown.reset(context)
        if token:
            end = b"</DescribeChangeSetResult>"
            body = body.replace(end, f"<NextToken>{token}</NextToken>".encode() + end)
        return status, headers, body

    changesets._find_change_set = find_shown
    handlers._ACTION_HANDLERS["DescribeChangeSet"] = describe_page


_UNDER_WAY = "_under_way"
_DELETED_ON_FAILURE = "_deleted_on_failure"

Step = Callable[..., Awaitable[None]]


def install() -> None:
    """Let stacks remember what they are about."""
    deploy, delete = stacks._deploy_stack_async, stacks._delete_stack_async
    roll_back, create_or_delete = stacks._roll_back_operation, stacks._create_then_delete_on_failure

    async def remembered_deploy(
        name: str, stack_id: str, template: Json, parameters: Json, disable_rollback: bool, tags: Json, **more: Any
    ) -> None:
        asked = [template, parameters, disable_rollback, tags]
        await _remembered(deploy, name, stack_id, "deploy", asked, more)

    async def remembered_delete(name: str, stack_id: str, retained: Any = (), force: bool = False) -> None:
        await _remembered(delete, name, stack_id, "delete", [list(retained), force], {})

    async def remembered_rollback(
        name: str, stack_id: str, stack: Json, operation: Json, reason_override: str = ""
    ) -> None:
        stack[_UNDER_WAY] = {"step": "roll back", "asked": [operation, reason_override], "more": {}, "made": {}}
        await roll_back(name, stack_id, stack, operation, reason_override)
        stack.pop(_UNDER_WAY, None)

    async def remembered_creation(name: str, stack_id: str, deploying: Awaitable[None]) -> None:
        stack = _stacks[name]
        stack[_DELETED_ON_FAILURE] = True
        await create_or_delete(name, stack_id, deploying)
        stack.pop(_DELETED_ON_FAILURE, None)

    replace(stacks, "_deploy_stack_async", remembered_deploy)
    replace(stacks, "_delete_stack_async", remembered_delete)
    replace(stacks, "_roll_back_operation", remembered_rollback)
    replace(stacks, "_create_then_delete_on_failure", remembered_creation)
    stacks._provision_keeping_seed = _once(stacks._provision_keeping_seed, logical_id=1, stack_name=3)
    stacks._update_keeping_seed = _once(stacks._update_keeping_seed, logical_id=5, stack_name=4)


async def _remembered(step: Step, name: str, stack_id: str, kind: str, asked: list[Json], more: Json) -> None:
    stack = _stacks.get(name)
    if stack is None:
        return  # deleted meanwhile
    made = stack.get(_UNDER_WAY, {}).get("made", {})
    stack[_UNDER_WAY] = {"step": kind, "asked": asked, "more": more, "made": made}
    await step(name, stack_id, *asked, **more)
    stack.pop(_UNDER_WAY, None)


def _once(make: Callable[..., Any], logical_id: int, stack_name: int) -> Callable[..., Any]:
    """Return `make`, which is told the resource and the stack at these places, for resources that are not made yet."""

    def made_once(*arguments: Any) -> Any:
        under_way = _stacks[arguments[stack_name]].get(_UNDER_WAY, {"made": {}})
        name = arguments[logical_id]
        if name not in under_way["made"]:
            under_way["made"][name] = make(*arguments)
        (physical_id, attributes), seed = under_way["made"][name]
        return (physical_id, attributes), seed

    return made_once


def take_up() -> None:
    """Go on with every stack that was under way."""
    for (account, region, name), stack in list(_stacks._data.items()):
        if _UNDER_WAY in stack:
            with request_scope(account, region):
                stacks._create_stack_task_in_region(_go_on(name, stack), stack, stack["StackId"])


async def _go_on(name: str, stack: Json) -> None:
    stack_id, under_way = stack["StackId"], stack[_UNDER_WAY]
    asked = under_way["asked"]
    if under_way["step"] == "delete":
        await stacks._delete_stack_async(name, stack_id, *asked)
        return
    if under_way["step"] == "roll back":
        operation = asked[0]
        operation["created"] = [each for each in operation["created"] if each in stack["_resources"]]
        going: Any = stacks._roll_back_operation(name, stack_id, stack, *asked)
    else:
        going = stacks._deploy_stack_async(name, stack_id, *asked, **under_way["more"])
    if stack.get(_DELETED_ON_FAILURE):
        going = stacks._create_then_delete_on_failure(name, stack_id, going)
    for change_set in _change_sets.values():
        if change_set["StackId"] == stack_id and change_set.get("ExecutionStatus") == "EXECUTE_IN_PROGRESS":
            going = changesets._track_change_set_execution(change_set, stack, going)
    await going
