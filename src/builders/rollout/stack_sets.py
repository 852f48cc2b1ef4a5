"""Calls of the StackSets API.

Every request carries CallAs. Source: CloudFormation API reference, of each operation; StackSetOperationPreferences;
DeploymentTargets.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from builders import naming
from builders.aws import stacks
from builders.aws.calls import ApiCalls
from builders.aws.errors import NotFound, Refused, StackSetNotFound
from builders.errors import RolloutError
from builders.rollout.model import (
    DesiredState,
    Instance,
    Operation,
    Permissions,
    Preferences,
    StackSet,
    Status,
    Target,
    shared_target,
)
from builders.rollout.plan.calls import Action, Call

PAGE = {"MaxResults": 100}
"""The most that the lists of StackSets take (CloudFormation API reference)."""

Request = dict[str, Any]


class InstanceResult(NamedTuple):
    """The result of an operation at one instance (ListStackSetOperationResults)."""

    status: str
    reason: str = ""


class DriftedProperty(NamedTuple):
    """One property of one resource that is not as its template says, or a whole resource, which has no property.

    `difference` is StackResourceDriftStatus or PropertyDifference.DifferenceType (MODIFIED, DELETED, ADD, REMOVE,
    NOT_EQUAL); values are JSON, or bare.
    """

    layer: str
    target: Target
    resource: str
    type: str
    difference: str
    property: str = ""
    expected: str = ""
    actual: str = ""


class StackSets:
    """The stack sets of the administrator's account and region."""

    def __init__(self, calls: ApiCalls, permissions: Permissions) -> None:
        self._session = calls.session()
        self._units: dict[str, dict[Target, str]] = {}
        # Only sets with service-managed permissions have delegated administrators; others refuse the word.
        self._call_as = {"CallAs": permissions.call_as if permissions.service_managed else "SELF"}

    def names(self) -> list[str]:
        """Names of all active sets, sorted."""
        return sorted(each["StackSetName"] for each in self._pages("ListStackSets", Status="ACTIVE"))

    def existing(self, layers: Iterable[str], suffix: str) -> dict[str, str]:
        """Names of the sets of a phase that exist, by layer in the order of the alphabet."""
        return naming.existing_stack_sets(layers, suffix, self.names())

    def read(self, layer: str, name: str) -> StackSet | None:
        """A set with all its instances (overrides unknown) and its active operations; None when there is none."""
        try:
            found = self._ask("DescribeStackSet", StackSetName=name)["StackSet"]
            if found["Status"] != "ACTIVE":
                return None
            operations = self._operations(name)  # first: one that begins meanwhile is noticed later
            instances = self.instances(name)
        except StackSetNotFound:
            return None
        return StackSet(
            layer=layer,
            name=name,
            template=found["TemplateBody"],
            parameters=stacks.read_parameters(found.get("Parameters", [])),
            tags={each["Key"]: each["Value"] for each in found.get("Tags", [])},
            instances=instances,
            active=tuple(each for each in operations if each.active),
            newest=operations[-1].id if operations else "",
            permissions=Permissions(
                service_managed=found.get("PermissionModel") == "SERVICE_MANAGED",
                call_as=self._call_as["CallAs"],
                administration_role_arn=found.get("AdministrationRoleARN", ""),
                execution_role_name=found.get("ExecutionRoleName", ""),
                units=tuple(found.get("OrganizationalUnitIds", [])),
            ),
        )

    def instances(self, name: str) -> dict[Target, Instance]:
        """All instances of a set, overrides unknown. Raises `StackSetNotFound`."""
        listed = (_instance(each) for each in self._pages("ListStackInstances", StackSetName=name))
        found = {each.target: each for each in listed}
        self._units[name] = {target: each.unit for target, each in found.items() if each.unit}
        return found

    def instances_left(self, name: str) -> dict[Target, Instance]:
        """All instances of a set as `instances` has them; none where the set is gone."""
        with contextlib.suppress(StackSetNotFound):
            return self.instances(name)
        return {}

    def _units_of(self, call: Call) -> tuple[str, ...]:
        """The units in which a call's instances were made: an update or deletion by others does not reach them.

        An account may be in another unit since, and rollout.yaml name others.
        """
        units = self._units.get(call.set_name, {})
        if not call.targets <= units.keys():
            self.instances(call.set_name)
            units = self._units[call.set_name]
        found = tuple(sorted({units[each] for each in call.targets if each in units}))
        if len(found) > naming.UNITS_LIMIT:
            # Not another error: the operation fails by it and its run can end, where a resumed one would meet it again.
            raise Refused(
                f"{call.set_name}: the instances of this {call.action.value} were made in {len(found)} organizational "
                f"units, and a call takes {naming.UNITS_LIMIT}; divide the accounts into more waves"
            )
        return found

    def overrides(self, name: str, target: Target) -> dict[str, str]:
        """The parameters that an instance overrides: one call, the only one that has them. Empty where it is gone."""
        instance = {"StackInstanceAccount": target.account, "StackInstanceRegion": target.region}
        with contextlib.suppress(NotFound):
            found = self._ask("DescribeStackInstance", StackSetName=name, **instance)["StackInstance"]
            return stacks.read_parameters(found.get("ParameterOverrides", []))
        return {}

    def submit(self, call: Call, desired: DesiredState, operation_id: str, preferences: Preferences) -> None:
        """Make a call. Sending the same again with the same id does nothing twice.

        Deleting a set that is not there does nothing. Raises `OperationInProgress`, `OperationIdExists`,
        `StaleRequest`, `TooManyInstances`, `InstanceNotFound`, `StackSetExists`, `StackSetModified`,
        `StackSetNotFound`, `StackSetNotEmpty`.
        """
        request: Request = {"StackSetName": call.set_name}
        if call.action is Action.DELETE_SET:
            with contextlib.suppress(StackSetNotFound):  # perhaps by an attempt of ours whose answer was lost
                self._ask(call.action.value, **request)
            return
        if call.action in (Action.CREATE_SET, Action.UPDATE_SET):
            request |= _definition(desired, call.layer)
        if call.action is Action.CREATE_SET:
            request["ClientRequestToken"] = operation_id
            if desired.permissions.service_managed:
                # An update must not say it: "If you specify AutoDeployment, don't specify DeploymentTargets or Regions"
                # (CloudFormation API reference, UpdateStackSet).
                request["AutoDeployment"] = {"Enabled": False}
        else:
            permissions = desired.permissions
            if permissions.service_managed and call.action not in (Action.CREATE, Action.IMPORT):
                permissions = dataclasses.replace(permissions, units=self._units_of(call) or permissions.units)
            request |= {**_deployment(call, preferences, permissions), "OperationId": operation_id}
        self._ask(call.action.value, **request)

    def operation(self, name: str, operation_id: str) -> Operation | None:
        """An operation as it is; None when the set has none of that id. Raises `StackSetNotFound`."""
        with contextlib.suppress(NotFound):
            found = self._ask("DescribeStackSetOperation", StackSetName=name, OperationId=operation_id)
            return _operation(found["StackSetOperation"])
        return None

    def active(self, name: str) -> tuple[Operation, ...]:
        """The set's operations that are not over, oldest first."""
        return tuple(each for each in self._operations(name) if each.active)

    def newest(self, name: str) -> str:
        """The id of the set's newest operation; empty before the first. Raises `StackSetNotFound`."""
        return found[-1].id if (found := self._operations(name)) else ""

    def operation_ids(self, name: str) -> Iterator[str]:
        """The ids of all operations of a set that AWS keeps, the newest first."""
        return (each["OperationId"] for each in self._pages("ListStackSetOperations", StackSetName=name))

    def _operations(self, name: str) -> list[Operation]:
        """The last operations of a set, oldest first. One call: its page begins with the newest."""
        found = self._ask("ListStackSetOperations", StackSetName=name, **PAGE)["Summaries"]
        return [_operation(each) for each in reversed(found)]

    def results(self, name: str, operation_id: str) -> Mapping[Target, InstanceResult]:
        """The results of an operation, by instance. AWS is a little behind with them."""
        found = self._pages("ListStackSetOperationResults", StackSetName=name, OperationId=operation_id)
        return {
            Target(each["Account"], each["Region"]): InstanceResult(each["Status"], each.get("StatusReason", ""))
            for each in found
        }

    def detect_drift(self, name: str, operation_id: str, preferences: Preferences) -> None:
        """Begin to detect drift in all instances of a set. Raises `OperationInProgress`, `OperationIdExists`."""
        request = {"OperationId": operation_id, "OperationPreferences": _preferences(preferences)}
        self._ask("DetectStackSetDrift", StackSetName=name, **request)

    def resource_drifts(self, layer: str, name: str, operation_id: str, target: Target) -> list[DriftedProperty]:
        """The differences of an instance's resources that a detection found to be modified or deleted."""
        instance = {"StackInstanceAccount": target.account, "StackInstanceRegion": target.region}
        which = {"OperationId": operation_id, "StackInstanceResourceDriftStatuses": ["MODIFIED", "DELETED"], **instance}
        drifts: list[DriftedProperty] = []
        for each in self._pages("ListStackInstanceResourceDrifts", StackSetName=name, **which):
            resource = layer, target, each["LogicalResourceId"], each["ResourceType"]
            properties = each.get("PropertyDifferences", [])
            for one in properties:
                values = _bare(one["ExpectedValue"]), _bare(one["ActualValue"])
                drifts.append(DriftedProperty(*resource, one["DifferenceType"], one["PropertyPath"], *values))
            if not properties:
                drifts.append(DriftedProperty(*resource, each["StackResourceDriftStatus"]))
        return drifts

    def _ask(self, operation: str, **request: Any) -> Any:
        return self._session.ask("cloudformation", operation, **request, **self._call_as)

    def _pages(self, operation: str, **request: Any) -> Iterator[Any]:
        return self._session.pages("cloudformation", operation, **request, **PAGE, **self._call_as)


def _definition(desired: DesiredState, layer: str) -> Request:
    """A set without instances, which queues operations that do not conflict.

    An update sends all of it, too: what is left out would fall back, or stay as somebody else left it.
    """
    spec, given = desired.sets[layer], desired.permissions
    stacks.require_inline(spec.name, spec.template)
    request: Request = {
        "PermissionModel": "SERVICE_MANAGED" if given.service_managed else "SELF_MANAGED",
        "TemplateBody": spec.template,
        "Parameters": stacks.api_parameters(spec.parameters),
        "Capabilities": stacks.CAPABILITIES,
        "Tags": stacks.api_tags(desired.tags),
        "ManagedExecution": {"Active": True},
    }
    roles = {"AdministrationRoleARN": given.administration_role_arn, "ExecutionRoleName": given.execution_role_name}
    return request | {name: role for name, role in roles.items() if role}


def _deployment(call: Call, preferences: Preferences, permissions: Permissions) -> Request:
    """The instances that a call touches, and how it goes through them; none to update a set without instances.

    An empty list of overrides is not sent: boto3 writes it as an empty value, which no reference explains.
    """
    if call.action is Action.UPDATE_SET and not call.accounts:
        return {}
    if not (call.accounts and call.regions):
        # An operation without accounts is one for all of the units' accounts.
        raise RolloutError(
            f"{call.action.value} of {call.set_name} names no account or no region; nothing was submitted"
        )
    units = {"OrganizationalUnitIds": list(permissions.units)} if permissions.service_managed else {}
    if call.action is Action.IMPORT:
        # It tolerates every failure: it changes no stack, and one that is cancelled leaves an instance without a stack.
        tolerant = dataclasses.replace(preferences, max_concurrent="100%", failure_tolerance="100%")
        order = _preferences(tolerant, call.regions)
        return {"StackIds": list(call.stack_ids), "OperationPreferences": order, **units}
    request: Request = {"Accounts": list(call.accounts)}
    if units:
        request = {"DeploymentTargets": {**units, "AccountFilterType": "INTERSECTION", **request}}
    request |= {"Regions": list(call.regions), "OperationPreferences": _preferences(preferences, call.regions)}
    if call.action is Action.DELETE:
        request["RetainStacks"] = call.retain
    elif call.overrides:
        request["ParameterOverrides"] = stacks.api_parameters(call.overrides)
    return request


def _preferences(preferences: Preferences, regions: Sequence[str] = ()) -> Request:
    """The preferences with "the order of the Regions where you want to perform the stack operation" (CloudFormation API
    reference, StackSetOperationPreferences): regions in parallel have none."""
    parallel = preferences.parallel_regions
    request: Request = {"RegionOrder": list(regions)} if regions and not parallel else {}
    request["RegionConcurrencyType"] = "PARALLEL" if parallel else "SEQUENTIAL"
    request["ConcurrencyMode"] = preferences.mode.value
    amounts = {"MaxConcurrent": preferences.max_concurrent, "FailureTolerance": preferences.failure_tolerance}
    for name, amount in amounts.items():
        request[name + ("Percentage" if amount.endswith("%") else "Count")] = int(amount.removesuffix("%"))
    return request


def _instance(found: Mapping[str, Any]) -> Instance:
    """An item of ListStackInstances, which has no overrides. What thousands have in common is kept once."""
    return Instance(
        target=shared_target(found["Account"], found["Region"]),
        status=Status(found["Status"]),
        detailed=sys.intern(found.get("StackInstanceStatus", {}).get("DetailedStatus", "")),
        reason=sys.intern(found.get("StatusReason", "")),
        stack_id=found.get("StackId", ""),
        last_operation_id=sys.intern(found.get("LastOperationId", "")),
        unit=sys.intern(found.get("OrganizationalUnitId", "")),
        drift=sys.intern(found.get("DriftStatus", "NOT_CHECKED")),
    )


def _operation(found: Mapping[str, Any]) -> Operation:
    """An item of ListStackSetOperations, or of DescribeStackSetOperation."""
    return Operation(
        id=found["OperationId"],
        action=found["Action"],
        status=found["Status"],
        failed=found.get("StatusDetails", {}).get("FailedStackInstancesCount", 0),
        reason=found.get("StatusReason", ""),
    )


def _bare(value: str) -> str:
    """Values come as JSON, or as they are."""
    with contextlib.suppress(ValueError):
        return json.dumps(json.loads(value))
    return value
