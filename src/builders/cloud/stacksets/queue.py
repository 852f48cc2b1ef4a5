"""Which operation of a set may start: the same one not twice, one after the other, or queued.

Source: CloudFormation API reference, the errors of each operation, OperationId, and ManagedExecution.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable

from builders.cloud.stacksets import engine, preferences
from builders.cloud.stacksets.model import Instance, Key, Operation, Result, StackSet, now
from builders.cloud.stacksets.refusals import impossible, in_progress, operation_id_taken, stale
from builders.cloud.stacksets.wire import Answer, Request

logger = logging.getLogger("stacksets")

_tasks: set[asyncio.Task[None]] = set()
"""asyncio itself holds tasks weakly."""


def repeated(stack_set: StackSet, request: Request, action: str) -> Answer | None:
    """Return the answer to a request that came before with its OperationId; None when it is new.

    The API reference calls the id an idempotency token and names two errors: the id exists (another request has it),
    and the request is stale (other operations have been performed since). Ours is a reading of that.
    """
    known = stack_set.operations.get(request.get("OperationId", ""))
    if known is None:
        return None
    if (known.action, known.request) != (action, request):
        raise operation_id_taken(known.id)
    if known is not list(stack_set.operations.values())[-1]:
        raise stale(known.id)
    return {"OperationId": known.id}


def require_idle(stack_set: StackSet) -> None:
    """Refuse while an operation of the set is not over."""
    if stack_set.active_operations:
        raise in_progress(stack_set.arn)


def submit(
    stack_set: StackSet,
    request: Request,
    action: str,
    keys: frozenset[Key] | None,
    begin: Callable[[Operation], list[Instance]],
    automatic: bool = False,
) -> Answer:
    """Take up an operation: start it, queue it behind others, or refuse it while another is not over.

    `begin` changes the set and returns the instances to work on, when the operation starts. Only sets with managed
    execution queue, and what StackSets do by themselves (`automatic`).
    """
    asked = request.get("OperationPreferences") or {}
    preferences.check(asked)
    if not (stack_set.managed_execution or automatic):
        require_idle(stack_set)
    operation = Operation(
        id=request.get("OperationId") or str(uuid.uuid4()),
        action=action,
        request=request,
        preferences=asked,
        keys=keys,
        begin=begin,
        retain=bool(request.get("RetainStacks")),
        deployment_targets=request.get("DeploymentTargets"),
    )
    stack_set.operations[operation.id] = operation
    _start_what_may(stack_set)
    return {"OperationId": operation.id}


def stop(stack_set: StackSet, operation: Operation) -> None:
    """Cancel what has not begun; what runs is waited for."""
    if operation.status == "QUEUED":
        operation.status, operation.ended = "STOPPED", now()
        _start_what_may(stack_set)
    elif operation.active:
        operation.status = "STOPPING"
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
    return one.keys is None or other.keys is None or bool(one.keys & other.keys)


def _start(stack_set: StackSet, operation: Operation) -> None:
    operation.status = "RUNNING"
    operation.instances = operation.begin(operation)
    for instance in operation.instances:
        result = Result(instance.account, instance.region, instance.unit)
        result.record("PENDING")
        operation.results[instance.key] = result
    task = asyncio.get_running_loop().create_task(_run(stack_set, operation))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _run(stack_set: StackSet, operation: Operation) -> None:
    try:
        await engine.run(stack_set, operation)
    except Exception:
        logger.exception("operation %s of %s stumbled", operation.id, stack_set.name)
        operation.status, operation.ended = "FAILED", now()
    _start_what_may(stack_set)
