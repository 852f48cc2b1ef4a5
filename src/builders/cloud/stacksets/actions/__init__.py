"""The operations of the API by name."""

from __future__ import annotations

from collections.abc import Mapping

from builders.cloud.stacksets.actions import access, drift, instances, operations, sets
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
    "DetectStackSetDrift": drift.detect,
    "ListStackInstanceResourceDrifts": drift.list_resource_drifts,
    "ActivateOrganizationsAccess": access.activate,
    "DeactivateOrganizationsAccess": access.deactivate,
    "DescribeOrganizationsAccess": access.describe,
    "ListStackSetAutoDeploymentTargets": access.list_targets,
}
