"""DescribeStackSetOperation, ListStackSetOperations, ListStackSetOperationResults, StopStackSetOperation."""

from __future__ import annotations

from typing import NamedTuple

from builders.cloud.stacksets import callers, paging, queue, views
from builders.cloud.stacksets.driving import settings
from builders.cloud.stacksets.model import Operation, Result, StackSet
from builders.cloud.stacksets.refusals import no_operation
from builders.cloud.stacksets.wire import Answer, Request


def _find(request: Request) -> tuple[StackSet, Operation]:
    stack_set = callers.find(request, deleted=True)
    operation = stack_set.operations.get(request["OperationId"])
    if operation is None:
        raise no_operation(request["OperationId"])
    return stack_set, operation


def describe(request: Request) -> Answer:
    """Show one operation."""
    return {"StackSetOperation": views.operation(*_find(request))}


def stop(request: Request) -> Answer:
    """Stop an operation that is not over."""
    queue.stop(*_find(request))
    return {}


def list_operations(request: Request) -> Answer:
    """List the operations of a set, the newest first."""
    stack_set = callers.find(request, deleted=True)
    numbered = [(-number, each) for number, each in enumerate(stack_set.operations.values())]
    which = f"ListStackSetOperations {stack_set.id}"
    return paging.page(request, which, numbered, lambda each: each[0], lambda each: views.operation_summary(each[1]))


class _Seen(NamedTuple):
    result: Result
    as_of: tuple[str, str]


def list_results(request: Request) -> Answer:
    """List what became of the instances, as it was a little while ago: reads are eventually consistent."""
    stack_set, operation = _find(request)
    lag = settings(stack_set.account).results_lag_seconds
    wanted = {each.get("Values") for each in request.get("Filters") or []}
    found = [
        _Seen(result, as_of)
        for result in operation.results.values()
        if (as_of := result.seen(lag)) is not None and (not wanted or as_of[0] in wanted)
    ]
    which = f"ListStackSetOperationResults {operation.id}"
    return paging.page(
        request,
        which,
        found,
        lambda each: [each.result.account, each.result.region],
        lambda each: views.result(each.result, each.as_of),
    )
