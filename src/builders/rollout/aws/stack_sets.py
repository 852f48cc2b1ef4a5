"""What StackSets answer, as the model's values. Pure.

What a step asks of StackSets, as the API writes it. Pure.

Source: CloudFormation API reference, of each operation; StackSetOperationPreferences; DeploymentTargets.

StackSets as their administrator sees and drives them. Every request carries CallAs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders import naming
from builders.errors import RolloutError
from builders.rollout.aws.access import Session
from builders.rollout.aws.calls import ApiCalls
from builders.rollout.aws.errors import NotFound, Refused, StackSetNotFound
from builders.rollout.model import (
    Instance,
    Operation,
    Permissions,
    Preferences,
    StackSet,
    StackSetSpec,
    Status,
    Target,
    Values,
)
from builders.rollout.plan.calls import Action, Call


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
        target=Target(found["Account"], found["Region"]),
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


Request = dict[str, Any]

CAPABILITIES = ["CAPABILITY_NAMED_IAM"]


def create_set(
    spec: StackSetSpec, operation_id: str, permissions: Permissions, call_as: Mapping[str, str], tags: Values
) -> Request:
    """CreateStackSet: without instances, queueing operations that do not conflict, deploying nothing by itself."""
    request = {**_definition(spec, permissions, tags), **call_as, "ClientRequestToken": operation_id}
    if permissions.service_managed:
        # An update must not say it: "If you specify AutoDeployment, don't specify DeploymentTargets or Regions"
        # (CloudFormation API reference, UpdateStackSet).
        request["AutoDeployment"] = {"Enabled": False}
    return request


def update_set(
    step: Call,
    spec: StackSetSpec,
    operation_id: str,
    preferences: Preferences,
    permissions: Permissions,
    call_as: Mapping[str, str],
    tags: Values,
) -> Request:
    """UpdateStackSet, for the step's places; a step without places is for a set without instances.

    All of the definition is sent: what is left out of it would fall back, or stay as somebody else left it.
    """
    aimed = _aimed(step, preferences, permissions) if step.accounts else {}
    return {**_definition(spec, permissions, tags), **aimed, **call_as, "OperationId": operation_id}


def instances(
    step: Call, operation_id: str, preferences: Preferences, permissions: Permissions, call_as: Mapping[str, str]
) -> Request:
    """CreateStackInstances, UpdateStackInstances or DeleteStackInstances.

    An empty list of overrides is not sent: boto3 writes it as an empty value, whose meaning no reference tells.
    """
    request = {
        "StackSetName": step.set_name,
        **_aimed(step, preferences, permissions),
        **call_as,
        "OperationId": operation_id,
    }
    if step.action is Action.DELETE:
        request["RetainStacks"] = step.retain
    elif step.overrides:
        request["ParameterOverrides"] = parameters(step.overrides)
    return request


def operation_preferences(preferences: Preferences, regions: tuple[str, ...] = ()) -> Request:
    """OperationPreferences; the regions are gone through in the given order."""
    request: Request = {
        "RegionConcurrencyType": "PARALLEL" if preferences.parallel_regions else "SEQUENTIAL",
        "ConcurrencyMode": preferences.mode.value,
        **_amount("MaxConcurrent", preferences.max_concurrent),
        **_amount("FailureTolerance", preferences.failure_tolerance),
    }
    if regions:
        request["RegionOrder"] = list(regions)
    return request


def parameters(values: Values) -> list[dict[str, str]]:
    """Parameters as the API writes them."""
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in sorted(values.items())]


def tags_of(values: Values) -> list[dict[str, str]]:
    """Tags as the API writes them."""
    return [{"Key": name, "Value": value} for name, value in sorted(values.items())]


def require_inline(name: str, template: str) -> None:
    """Refuse a template that is too large to be sent along."""
    size = len(template.encode())
    if size > naming.TEMPLATE_LIMIT_BYTES:
        most = f"{naming.TEMPLATE_LIMIT_BYTES:,}"
        message = f"the template of {name} has {size:,} bytes; CloudFormation takes {most}: split the layer"
        raise RolloutError(message)


def _definition(spec: StackSetSpec, permissions: Permissions, tags: Values) -> Request:
    require_inline(spec.name, spec.template)
    request: Request = {
        "StackSetName": spec.name,
        "TemplateBody": spec.template,
        "Parameters": parameters(spec.parameters),
        "Capabilities": CAPABILITIES,
        "Tags": tags_of(tags),
        "ManagedExecution": {"Active": True},
    }
    if permissions.service_managed:
        return {**request, "PermissionModel": "SERVICE_MANAGED"}
    if permissions.administration_role_arn:
        request["AdministrationRoleARN"] = permissions.administration_role_arn
    if permissions.execution_role_name:
        request["ExecutionRoleName"] = permissions.execution_role_name
    return {**request, "PermissionModel": "SELF_MANAGED"}


def _aimed(step: Call, preferences: Preferences, permissions: Permissions) -> Request:
    if not (step.accounts and step.regions):
        # An operation without accounts is one for all of the units' accounts.
        raise RolloutError(
            f"{step.action.value} of {step.set_name} names no account or no region; nothing was submitted"
        )
    request: Request = {
        "Regions": list(step.regions),
        "OperationPreferences": operation_preferences(preferences, step.regions),
    }
    accounts = list(step.accounts)
    if not permissions.service_managed:
        return {**request, "Accounts": accounts}
    targets = {"OrganizationalUnitIds": list(permissions.units), "Accounts": accounts}
    return {**request, "DeploymentTargets": {**targets, "AccountFilterType": "INTERSECTION"}}


def _amount(name: str, amount: str) -> Request:
    if amount.endswith("%"):
        return {f"{name}Percentage": int(amount[:-1])}
    return {f"{name}Count": int(amount)}


PAGE = {"MaxResults": 100}
"""The most that the lists of StackSets take (CloudFormation API reference)."""


class StackSets:
    """The stack sets of the administrator's account and region."""

    def __init__(self, calls: ApiCalls, permissions: Permissions) -> None:
        self._calls = calls
        self._where = Session(calls.access.region)
        # Only sets with service-managed permissions have delegated administrators; others refuse the word.
        self._call_as = {"CallAs": permissions.call_as if permissions.service_managed else "SELF"}

    def names(self) -> list[str]:
        """Names of all active sets, sorted."""
        return sorted(each["StackSetName"] for each in self._pages("ListStackSets", Status="ACTIVE"))

    def read(self, layer: str, name: str) -> StackSet | None:
        """A set with all its instances (overrides unknown) and its active operations; None when there is none."""
        try:
            found = self._ask("DescribeStackSet", StackSetName=name)["StackSet"]
            if found["Status"] != "ACTIVE":
                return None
            instances, active = self.instances(name), self.active(name)
        except StackSetNotFound:
            return None
        return StackSet(
            layer=layer,
            name=name,
            template=found["TemplateBody"],
            parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])},
            tags={each["Key"]: each["Value"] for each in found.get("Tags", [])},
            instances=instances,
            active=active,
            permissions=self._permissions(found),
        )

    def instances(self, name: str) -> dict[Target, Instance]:
        """All instances of a set, overrides unknown. Raises `SetNotFound`."""
        found = (instance(each) for each in self._pages("ListStackInstances", StackSetName=name))
        return {each.target: each for each in found}

    def overrides(self, name: str, target: Target) -> dict[str, str]:
        """The parameters that an instance overrides: one call, the only one that tells. Empty where it is gone."""
        where = {"StackInstanceAccount": target.account, "StackInstanceRegion": target.region}
        try:
            found = self._ask("DescribeStackInstance", StackSetName=name, **where)["StackInstance"]
        except NotFound:
            return {}
        return {each["ParameterKey"]: each["ParameterValue"] for each in found.get("ParameterOverrides", [])}

    def submit(
        self,
        step: Call,
        spec: StackSetSpec | None,
        operation_id: str,
        preferences: Preferences,
        permissions: Permissions,
        tags: Values,
    ) -> None:
        """Make the call of a step. Sending the same again with the same id does nothing twice.

        `desired` is needed to create and update a set; deleting one that is not there does nothing. Raises
        `OperationInProgress`, `OperationExists`, `StaleRequest`, `SetExists`, `SetNotFound`, `SetNotEmpty`.
        """
        ask, call_as = self._calls.ask, self._call_as
        if step.action is Action.DELETE_SET:
            with contextlib.suppress(StackSetNotFound):  # perhaps by an attempt of ours whose answer was lost
                ask(self._where, "cloudformation", step.action.value, StackSetName=step.set_name, **call_as)
            return
        if step.action in (Action.CREATE_SET, Action.UPDATE_SET):
            assert spec is not None, f"{step.action.value} needs the desired set"
            if step.action is Action.CREATE_SET:
                request: Request = create_set(spec, operation_id, permissions, call_as, tags)
            else:
                request = update_set(step, spec, operation_id, preferences, permissions, call_as, tags)
        else:
            request = instances(step, operation_id, preferences, permissions, call_as)
        ask(self._where, "cloudformation", step.action.value, **request)

    def operation(self, name: str, operation_id: str) -> Operation | None:
        """An operation as it is; None when the set has none of that id. Raises `SetNotFound`."""
        try:
            found = self._ask("DescribeStackSetOperation", StackSetName=name, OperationId=operation_id)
        except NotFound:
            return None
        return operation(found["StackSetOperation"])

    def active(self, name: str) -> tuple[Operation, ...]:
        """The set's operations that are not over, oldest first. One call: its page begins with the newest."""
        found = self._ask("ListStackSetOperations", StackSetName=name, **PAGE)["Summaries"]
        return tuple(each for each in map(operation, reversed(found)) if each.active)

    def results(self, name: str, operation_id: str) -> Mapping[Target, Result]:
        """What an operation came to at each of its places. AWS is a little behind with it."""
        found = self._pages("ListStackSetOperationResults", StackSetName=name, OperationId=operation_id)
        return {
            Target(each["Account"], each["Region"]): Result(each["Status"], each.get("StatusReason", ""))
            for each in found
        }

    def stop(self, name: str, operation_id: str) -> None:
        """Ask an operation to begin nothing more. Nothing happens when it is over."""
        try:
            self._ask("StopStackSetOperation", StackSetName=name, OperationId=operation_id)
        except Refused as refused:
            if refused.code != "InvalidOperationException":
                raise

    def detect_drift(self, name: str, operation_id: str, preferences: Preferences) -> None:
        """Begin to look for drift in all instances of a set. Raises `OperationInProgress`, `OperationExists`."""
        desired = operation_preferences(preferences)
        self._ask("DetectStackSetDrift", StackSetName=name, OperationId=operation_id, OperationPreferences=desired)

    def resource_drifts(self, name: str, operation_id: str, target: Target) -> list[ResourceDrift]:
        """What a detection found at a place: the resources that were modified or deleted."""
        found = self._pages(
            "ListStackInstanceResourceDrifts",
            StackSetName=name,
            OperationId=operation_id,
            StackInstanceAccount=target.account,
            StackInstanceRegion=target.region,
            StackInstanceResourceDriftStatuses=["MODIFIED", "DELETED"],
        )
        return [drift(each) for each in found]

    def _ask(self, operation: str, **request: Any) -> Any:
        return self._calls.ask(self._where, "cloudformation", operation, **request, **self._call_as)

    def _pages(self, operation: str, **request: Any) -> list[Any]:
        request.update(PAGE, **self._call_as)
        return list(self._calls.pages(self._where, "cloudformation", operation, "Summaries", **request))

    def _permissions(self, found: Mapping[str, Any]) -> Permissions:
        return Permissions(
            service_managed=found.get("PermissionModel") == "SERVICE_MANAGED",
            call_as=self._call_as["CallAs"],
            administration_role_arn=found.get("AdministrationRoleARN", ""),
            execution_role_name=found.get("ExecutionRoleName", ""),
            units=tuple(found.get("OrganizationalUnitIds", [])),
        )
