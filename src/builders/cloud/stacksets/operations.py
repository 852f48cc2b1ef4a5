"""DescribeStackSetOperation, StopStackSetOperation, the lists of operations and results; DetectStackSetDrift."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from ministack.core.responses import request_scope

from builders.cloud.cloudformation.wire import Answer, Request, no_instance, no_operation
from builders.cloud.stacksets import callers, members, queue, views
from builders.cloud.stacksets.model import Instance, Operation, Result, StackSet, settings
from builders.resource_types import Json


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
    """List the operations of a set, the newest first, as they were a little while ago: a new one may be missing."""
    stack_set = callers.find(request, deleted=True)
    lag = settings(stack_set.account).operations_lag_seconds
    numbered = [(-number, each) for number, each in enumerate(stack_set.operations.values()) if each.seen(lag)]
    which = f"ListStackSetOperations {stack_set.id}"
    return views.page(
        request, which, numbered, lambda each: each[0], lambda each: views.operation_summary(each[1], lag)
    )


class _Seen(NamedTuple):
    result: Result
    as_of: tuple[str, str]


def list_results(request: Request) -> Answer:
    """List what became of the instances, as it was a little while ago: reads are eventually consistent."""
    stack_set, operation = _find(request)
    lag = settings(stack_set.account).results_lag_seconds
    statuses = {each.get("Values") for each in request.get("Filters") or []}
    found = [
        _Seen(result, as_of)
        for result in operation.results.values()
        if (as_of := result.seen(lag)) is not None and (not statuses or as_of[0] in statuses)
    ]
    which = f"ListStackSetOperationResults {operation.id}"
    return views.page(
        request,
        which,
        found,
        lambda each: [each.result.account, each.result.region],
        lambda each: views.result(each.result, each.as_of),
    )


def detect(request: Request) -> Answer:
    """Look for drift in every instance's stack; statuses of instances stay as they are."""
    stack_set = callers.find(request)
    again = queue.repeated(stack_set, request, "DETECT_DRIFT")
    if again:
        return again
    return queue.submit(stack_set, request, "DETECT_DRIFT", None, _begin_detection, whole=True)


@queue.beginning
def _begin_detection(stack_set: StackSet, operation: Operation) -> list[Instance]:
    for instance in stack_set.instances.values():
        instance.last_operation = operation.id
    return list(stack_set.instances.values())


def list_resource_drifts(request: Request) -> Answer:
    """List what a detection found about an instance's resources (what the last one found, whichever is named)."""
    stack_set = callers.find(request)
    operation = stack_set.operations.get(request["OperationId"])
    if operation is None or operation.action != "DETECT_DRIFT":
        raise no_operation(request["OperationId"])
    key = request["StackInstanceAccount"], request["StackInstanceRegion"]
    if key not in stack_set.instances:
        raise no_instance(*key)
    statuses = request.get("StackInstanceResourceDriftStatuses")
    with request_scope(*key):
        drifts = members.drifted_resources(stack_set.instances[key])
    found = [each for each in drifts if not statuses or each["StackResourceDriftStatus"] in statuses]
    which = f"ListStackInstanceResourceDrifts {stack_set.id} {key}"
    return views.page(request, which, found, lambda each: each["LogicalResourceId"], _shown)


def _shown(drift: Mapping[str, Json]) -> Answer:
    names = ("StackId", "LogicalResourceId", "PhysicalResourceId", "ResourceType", "StackResourceDriftStatus")
    differences = [
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in each.items()}
        for each in drift.get("PropertyDifferences") or []
    ]
    shown = {name: drift.get(name) for name in (*names, "Timestamp")}
    return {**shown, "PropertyDifferences": differences or None}
