"""Which actions the execution role of StackSets needs: what the registry says of the resource types of the templates.

`python -m tools.execution_actions` writes them into `layers/_execution/actions.py`, so that the layer is
built without a look at cfn-lint's schemas; a test says when the file is out of date.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from builders import catalog, files, resource_types
from builders.scopes import Scope

TARGET = Path("src/builders/layers/_execution/actions.py")

_HANDLERS = ("create", "read", "update", "delete")
"""What a stack calls; `list` serves other tools."""

_UNTOLD = {
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
"""Services that a handler calls for properties that no template of ours has."""

_OTHER_PROPERTIES = {
    "a way to the internet": ("ec2:AttachInternetGateway", "ec2:DetachInternetGateway"),
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
"""Actions that a handler calls for properties that no template of ours has."""

_HEADER = '''"""What the resources of a phase need to be made, read, changed and deleted, by service.

Written by `python -m tools.execution_actions` from the registry's schemas; do not edit.
"""

from __future__ import annotations

'''

Actions = dict[str, tuple[str, ...]]
"""The names of actions, by service."""


def derive(templates: Iterable[Mapping[str, Any]]) -> Actions:
    """The actions that the resources of some templates need, without those of properties that we never set."""
    types = {resource["Type"] for template in templates for resource in template["Resources"].values()}
    passed_over = {action for actions in _OTHER_PROPERTIES.values() for action in actions}
    by_service: dict[str, set[str]] = {}
    for action in {each for name in types for each in _permissions(name)} - passed_over:
        service, _, verb = action.partition(":")
        if service not in _OTHER_SERVICES:
            by_service.setdefault(service, set()).add(verb)
    return {service: tuple(sorted(verbs)) for service, verbs in sorted(by_service.items())}


def _permissions(resource_type: str) -> Iterator[str]:
    yield from _UNTOLD.get(resource_type, ())
    known = resource_types.load(resource_type)
    handlers = (known.schema.get("handlers") or {}) if known else {}
    for handler in _HANDLERS:
        yield from (handlers.get(handler) or {}).get("permissions") or ()


def without_resource_level(actions: Actions) -> Actions:
    """Those of the actions that IAM allows on everything or not at all, as cfn-lint's table of IAM tells."""
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


def of_the_phase() -> Actions:
    """The actions for the layers that StackSets carry."""
    every = [catalog.load(name) for name in catalog.layer_names()]
    return derive(layer.build().to_dict() for layer in every if layer.scope is Scope.PHASE)


def source(actions: Actions) -> str:
    """The module that holds the actions."""
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
    files.replace(TARGET, source(of_the_phase()).encode())
