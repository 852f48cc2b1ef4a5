"""What a step asks of StackSets, as the API writes it. Pure.

Source: CloudFormation API reference, of each operation; StackSetOperationPreferences; DeploymentTargets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from builders.errors import RolloutError
from builders.rollout.model import DesiredSet, Permissions, Preferences, Values
from builders.rollout.steps import Action, Step

Request = dict[str, Any]

LARGEST_TEMPLATE = 51_200
"""Bytes of a template that is sent along (CloudFormation user guide, "Understand CloudFormation quotas")."""

CAPABILITIES = ["CAPABILITY_NAMED_IAM"]


def create_set(
    desired: DesiredSet, operation_id: str, permissions: Permissions, call_as: Mapping[str, str], tags: Values
) -> Request:
    """CreateStackSet: without instances, queueing operations that do not conflict, deploying nothing by itself."""
    request = {**_definition(desired, permissions, tags), **call_as, "ClientRequestToken": operation_id}
    if permissions.service_managed:
        # An update must not say it: "If you specify AutoDeployment, don't specify DeploymentTargets or Regions"
        # (CloudFormation API reference, UpdateStackSet).
        request["AutoDeployment"] = {"Enabled": False}
    return request


def update_set(
    step: Step,
    desired: DesiredSet,
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
    return {**_definition(desired, permissions, tags), **aimed, **call_as, "OperationId": operation_id}


def instances(
    step: Step, operation_id: str, preferences: Preferences, permissions: Permissions, call_as: Mapping[str, str]
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
    if size > LARGEST_TEMPLATE:
        message = (
            f"the template of {name} has {size:,} bytes; CloudFormation takes {LARGEST_TEMPLATE:,}: split the layer"
        )
        raise RolloutError(message)


def _definition(desired: DesiredSet, permissions: Permissions, tags: Values) -> Request:
    require_inline(desired.name, desired.template)
    request: Request = {
        "StackSetName": desired.name,
        "TemplateBody": desired.template,
        "Parameters": parameters(desired.parameters),
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


def _aimed(step: Step, preferences: Preferences, permissions: Permissions) -> Request:
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
