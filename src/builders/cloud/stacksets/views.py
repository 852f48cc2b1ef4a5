"""Sets, instances, operations and results as the API shows them, in pages of 1 to 100.

A token names the key of the last item that was shown, and belongs to one list of one set: what comes or goes between
two pages shifts nothing, and another list's token is refused.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from builders import naming
from builders.cloud.cloudformation.wire import Answer, Request, invalid
from builders.cloud.stacksets import templates
from builders.cloud.stacksets.model import ACTIVE, Instance, Operation, Result, StackSet
from builders.resource_types import Json


def stack_set(each: StackSet) -> Answer:
    """DescribeStackSet."""
    hidden = templates.hidden(each.template)
    return {
        **_common(each),
        "TemplateBody": each.template_body,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": "****" if name in hidden else value}
            for name, value in each.parameters.items()
        ],
        "Capabilities": each.capabilities,
        "Tags": each.tags,
        "StackSetARN": each.arn,
        "AdministrationRoleARN": None if each.service_managed else each.administration_role_arn,
        "ExecutionRoleName": None if each.service_managed else each.execution_role_name,
        "StackSetDriftDetectionDetails": _last_drift(each),
        "OrganizationalUnitIds": list(each.units),
        "Regions": sorted({region for _, region in each.instances}),
    }


def stack_set_summary(each: StackSet) -> Answer:
    """ListStackSets."""
    drift = _last_drift(each) or {}
    checked = {"LastDriftCheckTimestamp": drift.get("LastDriftCheckTimestamp")}
    return {**_common(each), "DriftStatus": drift.get("DriftStatus", "NOT_CHECKED"), **checked}


def _common(each: StackSet) -> Answer:
    return {
        "StackSetName": each.name,
        "StackSetId": each.id,
        "Description": each.description or None,
        "Status": each.status,
        "PermissionModel": each.permission_model,
        "AutoDeployment": each.auto_deployment,
        "ManagedExecution": {"Active": each.managed_execution},
    }


def instance_summary(owner: StackSet, each: Instance) -> Answer:
    """ListStackInstances: all but the overrides, which only DescribeStackInstance shows."""
    return {
        "StackSetId": owner.id,
        "Region": each.region,
        "Account": each.account,
        "StackId": each.stack_id or None,
        "Status": each.status,
        "StatusReason": each.reason or None,
        "StackInstanceStatus": {"DetailedStatus": each.detailed},
        "OrganizationalUnitId": each.unit,
        "DriftStatus": each.drift,
        "LastDriftCheckTimestamp": each.drift_checked,
        "LastOperationId": each.last_operation or None,
    }


def instance(owner: StackSet, each: Instance) -> Answer:
    """DescribeStackInstance."""
    hidden = templates.hidden(owner.template)
    overrides = [
        {"ParameterKey": name, "ParameterValue": "****" if name in hidden else value}
        for name, value in each.overrides.items()
    ]
    return {**instance_summary(owner, each), "ParameterOverrides": overrides}


def operation_summary(each: Operation, lag: float = 0.0) -> Answer:
    """ListStackSetOperations, which shows an operation as it was a little while ago.

    StatusDetails has all that botocore's model gives it: there are no stages yet.
    """
    status = each.seen(lag)
    return {
        "OperationId": each.id,
        "Action": each.action,
        "Status": status,
        "CreationTimestamp": each.created,
        "EndTimestamp": None if status in ACTIVE else each.ended,
        "StatusDetails": {"FailedStackInstancesCount": each.failed(lag)},
        "OperationPreferences": {"RegionOrder": [], **each.preferences},
    }


def operation(owner: StackSet, each: Operation) -> Answer:
    """DescribeStackSetOperation."""
    return {
        **operation_summary(each),
        "StackSetId": owner.id,
        "RetainStacks": each.retain if each.action == "DELETE" else None,
        "AdministrationRoleARN": None if owner.service_managed else owner.administration_role_arn,
        "ExecutionRoleName": None if owner.service_managed else owner.execution_role_name,
        "DeploymentTargets": each.deployment_targets,
        "StackSetDriftDetectionDetails": drift_details(each) if each.action == "DETECT_DRIFT" else None,
    }


def result(each: Result, seen: tuple[str, str]) -> Answer:
    """ListStackSetOperationResults.

    No account gate is ever called; AWS tells so in this form, and for an account that it cannot enter by the reason
    for that (user guide, "Troubleshooting StackSets").
    """
    gate = f"arn:aws:lambda:{each.region}:{each.account}:function:{naming.ACCOUNT_GATE_FUNCTION}"
    status, reason = seen
    begun = status not in ("PENDING", "CANCELLED")
    skipped = reason if " with trust relationship to " in reason else f"Function not found: {gate}"
    return {
        "Account": each.account,
        "Region": each.region,
        "Status": status,
        "StatusReason": reason or None,
        "AccountGateResult": {"Status": "SKIPPED", "StatusReason": skipped} if begun else None,
        "OrganizationalUnitId": each.unit,
    }


_DETECTION = {
    "QUEUED": "IN_PROGRESS",
    "RUNNING": "IN_PROGRESS",
    "STOPPING": "IN_PROGRESS",
    "STOPPED": "STOPPED",
    "FAILED": "FAILED",
}


def _last_drift(each: StackSet) -> Answer | None:
    """Return what the last completed detection found; one that still runs is left out."""
    over = [one for one in each.operations.values() if one.action == "DETECT_DRIFT" and one.ended]
    return drift_details(over[-1]) if over else None


def drift_details(each: Operation) -> dict[str, Any]:
    """StackSetDriftDetectionDetails of a drift operation, finished or not."""
    drifted = sum(found == "DRIFTED" for found in each.drift.values())
    counts: Mapping[str, int] = {
        "TotalStackInstancesCount": len(each.instances),
        "DriftedStackInstancesCount": drifted,
        "InSyncStackInstancesCount": len(each.drift) - drifted,
        "InProgressStackInstancesCount": sum(one.status in ("PENDING", "RUNNING") for one in each.results.values()),
        "FailedStackInstancesCount": each.failed(),
    }
    finished = "PARTIAL_SUCCESS" if each.failed() else "COMPLETED"
    return {
        "DriftStatus": "DRIFTED" if drifted else "IN_SYNC" if each.drift else "NOT_CHECKED",
        "DriftDetectionStatus": _DETECTION.get(each.status, finished),
        "LastDriftCheckTimestamp": each.ended,
        **counts,
    }


LARGEST = 100
Item = TypeVar("Item")


def page(
    request: Request,
    which: str,
    items: Iterable[Item],
    key: Callable[[Item], Json],
    show: Callable[[Item], Answer],
) -> Answer:
    """Return one page, `Summaries` and perhaps `NextToken`, of items in the order of their keys.

    `which` names the list (its operation and what it is of); `key` gives an item's position, a JSON value that sorts.
    """
    after = _after(request.get("NextToken"), which)
    rest = ((key(item), item) for item in items)
    size = request.get("MaxResults", LARGEST)
    found = heapq.nsmallest(
        size + 1, (pair for pair in rest if after is None or pair[0] > after), key=lambda pair: pair[0]
    )
    shown = found[:size]
    answer: Answer = {"Summaries": [show(item) for _, item in shown]}
    if len(found) > size:
        answer["NextToken"] = base64.urlsafe_b64encode(json.dumps([which, shown[-1][0]]).encode()).decode()
    return answer


def _after(token: str | None, which: str) -> Json:
    if token is None:
        return None
    try:
        owner, position = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError):
        owner, position = None, None
    if owner != which:
        raise invalid("Invalid NextToken")
    return position
