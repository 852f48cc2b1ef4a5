"""Order in which operations of a set start: the same one not twice, one after the other, or queued.

Source: CloudFormation API reference, the errors of each operation, OperationId, and ManagedExecution.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from builders.cloud.cloudformation.wire import (
    Answer,
    Request,
    impossible,
    in_progress,
    limit,
    operation_id_taken,
    stale,
)
from builders.cloud.stacksets import callers, engine
from builders.cloud.stacksets.model import Instance, Key, Operation, Result, StackSet, settings

logger = logging.getLogger("stacksets")

RESULTS = 50_000
"""The number of results of past operations that are kept for each set, beside those of the last one."""

QUEUED_SECONDS = 0.05
"""The time that an operation is QUEUED at least while others run or wait, even where it conflicts with none.

API reference, ManagedExecution: all incoming operations are queued then; those without a conflict run concurrently.
"""

_tasks: set[asyncio.Task[None]] = set()
"""asyncio itself holds tasks weakly."""

Begin = Callable[[StackSet, Operation], list[Instance]]
"""Changes the set when an operation starts, and returns the instances to work on."""
_beginnings: dict[str, Begin] = {}


def beginning(begin: Begin) -> Begin:
    """Let a function begin operations; they know it by its name, since they may outlive the server."""
    _beginnings[begin.__name__] = begin
    return begin


def repeated(stack_set: StackSet, request: Request, action: str) -> Answer | None:
    """Return the answer to a request that came before with its OperationId; None when it is new.

    The API reference calls the id an idempotency token and names two errors: the id exists (another request has it),
    and the request is stale (other operations have been performed since). Ours is a reading of that.
    """
    earlier = stack_set.operations.get(request.get("OperationId", ""))
    if earlier is None:
        return None
    if (earlier.action, earlier.request) != (action, request):
        raise operation_id_taken(earlier.id)
    if earlier is not list(stack_set.operations.values())[-1]:
        raise stale(earlier.id)
    return {"OperationId": earlier.id}


def require_idle(stack_set: StackSet) -> None:
    """Refuse while an operation of the set is not over."""
    if stack_set.active_operations:
        raise in_progress(stack_set.arn)


def require_turn(stack_set: StackSet) -> None:
    """Refuse while an operation of the set is not over, unless the set queues what comes."""
    if not stack_set.managed_execution:
        require_idle(stack_set)


def submit(
    stack_set: StackSet,
    request: Request,
    action: str,
    targets: dict[Key, str] | None,
    begin: Begin,
    automatic: bool = False,
    **more: Any,
) -> Answer:
    """Take up an operation: start it, queue it behind others, or refuse it while another is not over.

    Only sets with managed execution queue, and what StackSets do by themselves (`automatic`). `more` are the fields
    of an Operation that only some have: whole, template, stack_ids.
    """
    asked = request.get("OperationPreferences") or {}
    engine.check(asked)
    if not automatic:
        require_turn(stack_set)
    operation_id = request.get("OperationId") or str(uuid.uuid4())
    if not automatic:
        _require_room(stack_set, targets)
        if settings(stack_set.account).next_is_stale():
            raise stale(operation_id)
    operation = Operation(
        id=operation_id,
        action=action,
        request=request,
        preferences=asked,
        targets=targets,
        begin=begin.__name__,
        retain=bool(request.get("RetainStacks")),
        deployment_targets=request.get("DeploymentTargets"),
        **more,
    )
    behind = stack_set.active_operations
    stack_set.operations[operation.id] = operation
    if behind:
        asyncio.get_running_loop().call_later(QUEUED_SECONDS, _start_what_may, stack_set)
    else:
        _start_what_may(stack_set)
    return {"OperationId": operation.id}


def _require_room(stack_set: StackSet, targets: dict[Key, str] | None) -> None:
    """Refuse an operation that would make the instances under way in a region too many, over all sets of the account.

    Sources: user guide, "Understand CloudFormation quotas" (concurrent stack instance operations, per Region per
    administrator account); the sentence begins as jenkinsci/pipeline-aws-plugin #220 recognizes it.
    """
    most = settings(stack_set.account).under_way
    busy: Counter[str] = Counter()
    for other in callers.owned(stack_set.account):
        for operation in other.active_operations:
            named = operation.under_way
            busy.update(region for _, region in (other.instances if named is None else named))
    asked = Counter(region for _, region in (stack_set.instances if targets is None else targets))
    if any(busy[region] + number > most for region, number in asked.items()):
        raise limit(f"StackSet operations cannot involve more than {most} stack instances in a Region at one time")


def stop(stack_set: StackSet, operation: Operation) -> None:
    """Cancel what has not begun; what runs is waited for."""
    if operation.status == "QUEUED":
        operation.become("STOPPED")
        _start_what_may(stack_set)
    elif operation.active:
        operation.become("STOPPING")
    else:
        raise impossible(f"Operation {operation.id} is {operation.status} and cannot be stopped")


def _start_what_may(stack_set: StackSet) -> None:
    """Start queued operations in the order of their requests, unless they conflict with one before them."""
    ahead: list[Operation] = []
    for operation in stack_set.active_operations:
        if operation.status == "QUEUED" and not any(_conflict(operation, other) for other in ahead):
            _start(stack_set, operation)
        ahead.append(operation)


def _conflict(one: Operation, other: Operation) -> bool:
    return one.whole or other.whole or bool((one.targets or {}).keys() & (other.targets or {}).keys())


def _start(stack_set: StackSet, operation: Operation) -> None:
    operation.become("RUNNING")
    operation.instances = _beginnings[operation.begin](stack_set, operation)
    for instance in operation.instances:
        result = Result(instance.account, instance.region, instance.unit)
        result.record("PENDING")
        operation.results[instance.key] = result
    _go_on(stack_set, operation)


def _go_on(stack_set: StackSet, operation: Operation) -> None:
    task = asyncio.get_running_loop().create_task(_run(stack_set, operation))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _run(stack_set: StackSet, operation: Operation) -> None:
    try:
        await engine.run(stack_set, operation)
    except Exception:
        logger.exception("operation %s of %s failed", operation.id, stack_set.name)
        operation.become("FAILED")
    _forget(stack_set)
    _start_what_may(stack_set)


def _forget(stack_set: StackSet) -> None:
    """Drop the oldest operations that are over; StackSets remember them for 90 days, here it goes by number."""
    results = 0
    for operation in reversed(list(stack_set.operations.values())[:-1]):
        results += len(operation.results)
        if results > RESULTS and not operation.active:
            del stack_set.operations[operation.id]


def take_up() -> None:
    """Go on with the operations that the last server left, when this one has taken up its state."""
    for stack_set in callers.every():
        for operation in stack_set.operations.values():
            # What was one object in the last server is two after it was kept.
            operation.instances = [stack_set.instances.get(each.key, each) for each in operation.instances]
            if operation.status in ("RUNNING", "STOPPING"):
                _go_on(stack_set, operation)
        _start_what_may(stack_set)
