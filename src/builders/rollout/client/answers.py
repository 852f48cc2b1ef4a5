"""What StackSets answer, as the model's values. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.rollout.model import Instance, Operation, Place, Status


@dataclass(frozen=True)
class Result:
    """What an operation came to at one place (ListStackSetOperationResults)."""

    status: str
    reason: str = ""


@dataclass(frozen=True)
class PropertyDifference:
    """A property that is not as its template says. `type` is ADD, REMOVE or NOT_EQUAL; values are JSON, or bare."""

    path: str
    type: str
    expected: str
    actual: str


@dataclass(frozen=True)
class ResourceDrift:
    """A resource that is not as its template says: `status` is MODIFIED or DELETED."""

    logical_id: str
    type: str
    status: str
    differences: tuple[PropertyDifference, ...] = ()


def instance(found: Mapping[str, Any]) -> Instance:
    """An item of ListStackInstances, which tells no overrides."""
    return Instance(
        place=Place(found["Account"], found["Region"]),
        status=Status(found["Status"]),
        detailed=found.get("StackInstanceStatus", {}).get("DetailedStatus", ""),
        reason=found.get("StatusReason", ""),
        stack_id=found.get("StackId", ""),
        last_operation_id=found.get("LastOperationId", ""),
        unit=found.get("OrganizationalUnitId", ""),
        drift=found.get("DriftStatus", "NOT_CHECKED"),
    )


def operation(found: Mapping[str, Any]) -> Operation:
    """An item of ListStackSetOperations, or what DescribeStackSetOperation tells."""
    return Operation(
        id=found["OperationId"],
        action=found["Action"],
        status=found["Status"],
        failed=found.get("StatusDetails", {}).get("FailedStackInstancesCount", 0),
        reason=found.get("StatusReason", ""),
    )


def drift(found: Mapping[str, Any]) -> ResourceDrift:
    """An item of ListStackInstanceResourceDrifts."""
    differences = tuple(
        PropertyDifference(
            each["PropertyPath"], each["DifferenceType"], _plain(each["ExpectedValue"]), _plain(each["ActualValue"])
        )
        for each in found.get("PropertyDifferences", [])
    )
    status = found["StackResourceDriftStatus"]
    return ResourceDrift(found["LogicalResourceId"], found["ResourceType"], status, differences)


def _plain(value: str) -> str:
    """Values come as JSON, or as they are."""
    try:
        return json.dumps(json.loads(value))
    except ValueError:
        return value
