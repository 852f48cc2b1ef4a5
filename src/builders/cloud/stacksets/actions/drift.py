"""DetectStackSetDrift, ListStackInstanceResourceDrifts."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ministack.core.responses import request_scope

from builders.cloud.schemas import Json
from builders.cloud.stacksets import callers, members, paging, queue
from builders.cloud.stacksets.model import Instance, Operation, StackSet
from builders.cloud.stacksets.refusals import no_instance, no_operation
from builders.cloud.stacksets.wire import Answer, Request


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
    wanted = request.get("StackInstanceResourceDriftStatuses")
    with request_scope(*key):
        drifts = members.drifted_resources(stack_set.instances[key])
    found = [each for each in drifts if not wanted or each["StackResourceDriftStatus"] in wanted]
    which = f"ListStackInstanceResourceDrifts {stack_set.id} {key}"
    return paging.page(request, which, found, lambda each: each["LogicalResourceId"], _shown)


def _shown(drift: Mapping[str, Json]) -> Answer:
    names = ("StackId", "LogicalResourceId", "PhysicalResourceId", "ResourceType", "StackResourceDriftStatus")
    differences = [
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in each.items()}
        for each in drift.get("PropertyDifferences") or []
    ]
    shown = {name: drift.get(name) for name in (*names, "Timestamp")}
    return {**shown, "PropertyDifferences": differences or None}
