"""Writes the actions that the execution role of StackSets needs, from the registry's schemas of the resource types.

They are kept in `layers/_execution/actions.py`, so that the layer is built without reading cfn-lint's schemas.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from builders import catalog, resource_types
from builders.scopes import Scope
from tools import written_files

TARGET = Path("src/builders/layers/_execution/actions.py")

_HANDLERS = ("create", "read", "update", "delete")
"""The handlers that CloudFormation calls for a stack; `list` serves other tools."""

_WITHOUT_HANDLERS = {
    # The registry has no handlers of this type. Source: Service Authorization Reference, "AWS Database Migration
    # Service".
    "AWS::DMS::ReplicationInstance": (
        "dms:AddTagsToResource",
        "dms:CreateReplicationInstance",
        "dms:DeleteReplicationInstance",
        "dms:DescribeReplicationInstances",
        "dms:ModifyReplicationInstance",
        "dms:RemoveTagsFromResource",
    ),
}

_OTHER_SERVICES = {
    "autoscaling": "flow logs of groups of instances",
    "docdb-elastic": "secrets of other databases",
    "elasticfilesystem": "functions with a file system",
    "firehose": "log groups that deliver elsewhere",
    "redshift": "DMS endpoints and secrets of another database",
    "redshift-serverless": "secrets of another database",
    "s3files": "functions with a file system",
    "vpc-lattice": "endpoints of service networks",
    "vpce": "endpoints into another region",
}
"""Services that a handler calls only for properties that no template here sets, and what those are for."""

_OTHER_PROPERTIES = {
    "internet gateways": ("ec2:AttachInternetGateway", "ec2:DetachInternetGateway"),
    "IPv6": (
        "ec2:AssignIpv6Addresses",
        "ec2:AssociateSubnetCidrBlock",
        "ec2:DisassociateSubnetCidrBlock",
        "ec2:UnassignIpv6Addresses",
    ),
    "other tenancy and encryption of a VPC": ("ec2:CreateVpcEncryptionControl", "ec2:ModifyVpcTenancy"),
    "policies of users, groups, and within roles": (
        "iam:AttachGroupPolicy",
        "iam:AttachUserPolicy",
        "iam:DeleteRolePolicy",
        "iam:DetachGroupPolicy",
        "iam:DetachUserPolicy",
        "iam:PutRolePolicy",
    ),
    "permissions boundaries": ("iam:DeleteRolePermissionsBoundary", "iam:PutRolePermissionsBoundary"),
    "asymmetric keys, and other keys for what is encrypted": (
        "kms:GenerateDataKeyPair",
        "kms:GenerateDataKeyPairWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    ),
    "signed code, layers, versions, scaling and runtimes of functions": (
        "lambda:AssociateRuntimeAlias",
        "lambda:DeleteFunctionCodeSigningConfig",
        "lambda:GetCodeSigningConfig",
        "lambda:GetLayerVersion",
        "lambda:PassCapacityProvider",
        "lambda:PublishVersion",
        "lambda:PutFunctionCodeSigningConfig",
        "lambda:PutFunctionRecursionConfig",
        "lambda:PutFunctionScalingConfig",
        "lambda:PutRuntimeManagementConfig",
    ),
    "policies, indexes and tokens of log groups": (
        "logs:DeleteDataProtectionPolicy",
        "logs:DeleteIndexPolicy",
        "logs:DeleteResourcePolicy",
        "logs:PutBearerTokenAuthentication",
        "logs:PutDataProtectionPolicy",
        "logs:PutIndexPolicy",
        "logs:PutLogGroupDeletionProtection",
        "logs:PutResourcePolicy",
    ),
    "replicas, restored databases, and roles of databases": (
        "rds:AddRoleToDBInstance",
        "rds:CreateDBInstanceReadReplica",
        "rds:PromoteReadReplica",
        "rds:RemoveRoleFromDBInstance",
        "rds:RestoreDBInstanceFromDBSnapshot",
        "rds:RestoreDBInstanceToPointInTime",
        "rds:StartDBInstanceAutomatedBackupsReplication",
        "rds:StopDBInstanceAutomatedBackupsReplication",
    ),
    "flow logs and log groups in buckets": ("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:REST.PUT.OBJECT"),
    "replicas of secrets": (
        "secretsmanager:RemoveRegionsFromReplication",
        "secretsmanager:ReplicateSecretToRegions",
    ),
    "filters for personal data in topics": ("sns:PutDataProtectionPolicy",),
}
"""Actions that a handler calls only for properties that no template here sets, by what those are for."""

_HEADER = '''"""The actions that create, read, update and delete the resources of a phase, by service.

Written by `python -m tools.execution_actions` from the registry's schemas; do not edit.
"""

from __future__ import annotations

'''

Actions = dict[str, tuple[str, ...]]
"""The names of actions, by service."""


def derive(templates: Iterable[Mapping[str, Any]]) -> Actions:
    """The actions that the resources of some templates need, without those for properties that no template sets."""
    types = {resource["Type"] for template in templates for resource in template["Resources"].values()}
    left_out = {action for actions in _OTHER_PROPERTIES.values() for action in actions}
    by_service: dict[str, set[str]] = {}
    for action in {each for name in types for each in _permissions(name)} - left_out:
        service, _, verb = action.partition(":")
        if service not in _OTHER_SERVICES:
            by_service.setdefault(service, set()).add(verb)
    return {service: tuple(sorted(verbs)) for service, verbs in sorted(by_service.items())}


def _permissions(resource_type: str) -> Iterator[str]:
    yield from _WITHOUT_HANDLERS.get(resource_type, ())
    registered = resource_types.load(resource_type)
    handlers = (registered.schema.get("handlers") or {}) if registered else {}
    for handler in _HANDLERS:
        yield from (handlers.get(handler) or {}).get("permissions") or ()


def without_resource_level(actions: Actions) -> Actions:
    """The actions without a resource level, by cfn-lint's table of IAM actions."""
    services = _policies()
    found = {
        service: tuple(verb for verb in verbs if not services[service]["Actions"][verb.lower()].get("Resources"))
        for service, verbs in actions.items()
    }
    return {service: verbs for service, verbs in found.items() if verbs}


@functools.cache
def _policies() -> Any:
    path = importlib.resources.files("cfnlint.data.AdditionalSpecs") / "Policies.json"
    return json.loads(path.read_text(encoding="utf-8"))


def phase_actions() -> Actions:
    """The actions for the layers that StackSets deploy."""
    every = [catalog.load(name) for name in catalog.layer_names()]
    return derive(layer.build().to_dict() for layer in every if layer.scope is Scope.PHASE)


def desired_files() -> dict[Path, str]:
    """The module with the actions of a phase."""
    return {TARGET: _source(phase_actions())}


def _source(actions: Actions) -> str:
    everywhere = without_resource_level(actions)
    confined = {
        service: tuple(v for v in verbs if v not in everywhere.get(service, ())) for service, verbs in actions.items()
    }
    return (
        _HEADER
        + _assignment("CONFINED", confined, "Actions that IAM allows on some resources and not on others.")
        + "\n"
        + _assignment("EVERYWHERE", everywhere, "Actions without a resource level.")
    )


def _assignment(name: str, actions: Actions, meaning: str) -> str:
    lines = [f"{name}: dict[str, tuple[str, ...]] = {{"]
    for service, verbs in actions.items():
        if len(verbs) > 1:
            lines += [f'    "{service}": (', *(f'        "{verb}",' for verb in verbs), "    ),"]
        elif verbs:
            lines += [f'    "{service}": ("{verbs[0]}",),']
    return "\n".join([*lines, "}", f'"""{meaning}"""', ""])


if __name__ == "__main__":
    sys.exit(written_files.main("tools.execution_actions", desired_files()))
