"""The operations of the API by name.

CloudFormation StackSets: stack sets whose member stacks are real stacks of the member accounts.

What is said about AWS is said once, in the room of that name:

    wire.py            requests and answers as botocore's model describes them; bounds of values
    refusals.py        every error, by name, with its sentence and where that was seen
    callers.py         CallAs; the set that a request names
    templates.py       what a set's template must be
    targets.py         accounts, organizational units, account filters
    overrides.py       set parameters, overrides, what a member stack gets
    preferences.py     concurrency, tolerance, order of regions: what the numbers mean
    queue.py           operation ids; one operation at a time, or managed execution
    engine.py          how an operation goes through regions and accounts, and what becomes of statuses
    permissions.py     the two roles of self-managed sets, and what the execution role may do
    members.py         member stacks: create, update, delete, drift
    authorization.py   what callers may do, when the server asks (`--auth`)
    autodeployment.py  accounts that join and leave organizational units
    model.py           what is remembered
    views.py           what is shown
    paging.py          pages and tokens
    driving.py         what a test decides: how long stacks take, how far results are behind, quotas
    actions/           the operations of the API
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from ministack.services.cloudformation import handlers

from builders.cloud.cloudformation.records import Handlers
from builders.cloud.organizations import membership
from builders.cloud.server import state
from builders.cloud.stacksets import (
    autodeployment,
    callers,
    instances,
    members,
    model,
    operations,
    permissions,
    queue,
    sets,
    wire,
)
from builders.cloud.stacksets.model import Instance, Operation, Result, StackSet
from builders.cloud.stacksets.wire import Action

ACTIONS: Mapping[str, Action] = {
    "CreateStackSet": sets.create,
    "DescribeStackSet": sets.describe,
    "ListStackSets": sets.list_sets,
    "UpdateStackSet": sets.update,
    "DeleteStackSet": sets.delete,
    "CreateStackInstances": instances.create,
    "UpdateStackInstances": instances.update,
    "DeleteStackInstances": instances.delete,
    "DescribeStackInstance": instances.describe,
    "ListStackInstances": instances.list_instances,
    "DescribeStackSetOperation": operations.describe,
    "ListStackSetOperations": operations.list_operations,
    "ListStackSetOperationResults": operations.list_results,
    "StopStackSetOperation": operations.stop,
    "DetectStackSetDrift": operations.detect,
    "ListStackInstanceResourceDrifts": operations.list_resource_drifts,
    "ActivateOrganizationsAccess": sets.activate_access,
    "DeactivateOrganizationsAccess": sets.deactivate_access,
    "DescribeOrganizationsAccess": sets.describe_access,
    "ListStackSetAutoDeploymentTargets": sets.list_targets,
}


def install(table: MutableMapping[str, Handlers]) -> None:
    """Put the operations into ministack; `table` holds the handlers of resource types, all in place already."""
    for operation, action in ACTIONS.items():
        handlers._ACTION_HANDLERS[operation] = wire.handler(operation, action)
    members.install()
    permissions.guard(table)
    model.install_driving()
    permissions.install()
    membership.listeners.append(autodeployment.follow)
    stores = {"sets": callers._sets, "settings": model._settings}
    state.keep("stacksets", stores, StackSet, Instance, Operation, Result, model.Settings, take_up=queue.take_up)
