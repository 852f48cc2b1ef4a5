"""The operations of StackSets by name, and the way that requests take to them."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from builders.cloud.cloudformation import wire
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.cloudformation.wire import Action
from builders.cloud.internals import cloudformation
from builders.cloud.organizations import membership
from builders.cloud.server import state
from builders.cloud.stacksets import (
    autodeployment,
    callers,
    imports,
    instances,
    model,
    operations,
    permissions,
    queue,
    sets,
)
from builders.cloud.stacksets.model import Instance, Operation, Result, StackSet

ACTIONS: Mapping[str, Action] = {
    "CreateStackSet": sets.create,
    "DescribeStackSet": sets.describe,
    "ListStackSets": sets.list_sets,
    "UpdateStackSet": sets.update,
    "DeleteStackSet": sets.delete,
    "CreateStackInstances": instances.create,
    "UpdateStackInstances": instances.update,
    "DeleteStackInstances": instances.delete,
    "ImportStacksToStackSet": imports.import_stacks,
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
        cloudformation.action_handlers[operation] = wire.handler(operation, callers.authorized(operation, action))
    permissions.guard(table)
    model.install()
    membership.listeners.append(autodeployment.follow)
    stores = {"sets": callers._sets, "settings": model._settings}
    state.keep("stacksets", stores, StackSet, Instance, Operation, Result, model.Settings, take_up=queue.take_up)
