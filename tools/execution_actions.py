"""Writes the actions that the execution role of StackSets needs, from the registry's schemas of the resource types.

They are kept in `layers/_execution/actions.py`, so that the layer is built without reading cfn-lint's schemas.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import catalog, resource_types
from builders.scopes import Scope
from tools import written_files

TARGET = Path("src/builders/layers/_execution/actions.py")

_HANDLERS = ("create", "read", "update", "delete")
"""The handlers that CloudFormation calls for a stack; `list` serves other tools."""

_BEYOND_HANDLERS = {
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
    # Resolver lends its endpoint's network interfaces to itself; the handlers do not say so. Source: Route 53 developer
    # guide, "Using identity-based policies (IAM policies) for Amazon Route 53 Resolver", example policies.
    "AWS::Route53Resolver::ResolverEndpoint": (
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DescribeNetworkInterfaceAttribute",
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

WITHHELD = frozenset(
    {
        "iam:DeleteRolePermissionsBoundary",
        "kms:DisableKey",
        "kms:ScheduleKeyDeletion",
        "secretsmanager:DeleteSecret",
    }
)
"""Actions that handlers call to take away what must stay: keys and secrets, which their templates retain and a purge
deletes by the deploy role, and the boundary of a role."""


@dataclass(frozen=True)
class Optional:
    """Actions that the handlers of a type call only for some of its properties."""

    type: str
    properties: tuple[str, ...]
    actions: tuple[str, ...]

    def is_set(self, templates: Iterable[Mapping[str, Any]]) -> bool:
        """Return whether a template sets one of the properties, so that the actions are needed."""
        return any(
            resource["Type"] == self.type and set(self.properties) & resource.get("Properties", {}).keys()
            for template in templates
            for resource in template["Resources"].values()
        )


_FUNCTION, _LOG_GROUP, _DATABASE = "AWS::Lambda::Function", "AWS::Logs::LogGroup", "AWS::RDS::DBInstance"

OPTIONAL = (
    Optional(
        "AWS::DMS::Endpoint",
        ("DocDbSettings", "KinesisSettings", "RedshiftSettings", "S3Settings"),
        (
            "kms:GenerateDataKeyPair",
            "kms:GenerateDataKeyPairWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ),
    ),
    Optional("AWS::EC2::FlowLog", ("LogDestination",), ("s3:GetBucketPolicy", "s3:PutBucketPolicy")),
    Optional(
        "AWS::EC2::Subnet",
        ("Ipv6CidrBlock", "Ipv6CidrBlocks", "Ipv6IpamPoolId"),
        ("ec2:AssociateSubnetCidrBlock", "ec2:DisassociateSubnetCidrBlock"),
    ),
    Optional("AWS::EC2::VPC", ("VpcEncryptionControl",), ("ec2:CreateVpcEncryptionControl",)),
    Optional("AWS::EC2::VPC", ("InstanceTenancy",), ("ec2:ModifyVpcTenancy",)),
    Optional(
        "AWS::EC2::VPCGatewayAttachment",
        ("InternetGatewayId",),
        ("ec2:AttachInternetGateway", "ec2:DetachInternetGateway"),
    ),
    Optional("AWS::IAM::ManagedPolicy", ("Groups",), ("iam:AttachGroupPolicy", "iam:DetachGroupPolicy")),
    Optional("AWS::IAM::ManagedPolicy", ("Users",), ("iam:AttachUserPolicy", "iam:DetachUserPolicy")),
    Optional("AWS::IAM::Role", ("Policies",), ("iam:DeleteRolePolicy", "iam:PutRolePolicy")),
    Optional("AWS::IAM::Role", ("PermissionsBoundary",), ("iam:PutRolePermissionsBoundary",)),
    Optional(
        _FUNCTION,
        ("CodeSigningConfigArn",),
        (
            "lambda:DeleteFunctionCodeSigningConfig",
            "lambda:GetCodeSigningConfig",
            "lambda:PutFunctionCodeSigningConfig",
        ),
    ),
    Optional(_FUNCTION, ("Layers",), ("lambda:GetLayerVersion",)),
    Optional(
        _FUNCTION,
        ("CapacityProviderConfig", "FunctionScalingConfig"),
        ("lambda:PassCapacityProvider", "lambda:PutFunctionScalingConfig"),
    ),
    Optional(_FUNCTION, ("PublishToLatestPublished",), ("lambda:PublishVersion",)),
    Optional(_FUNCTION, ("RecursiveLoop",), ("lambda:PutFunctionRecursionConfig",)),
    Optional(
        _FUNCTION,
        ("RuntimeManagementConfig",),
        ("lambda:AssociateRuntimeAlias", "lambda:PutRuntimeManagementConfig"),
    ),
    Optional(_LOG_GROUP, ("BearerTokenAuthenticationEnabled",), ("logs:PutBearerTokenAuthentication",)),
    Optional(
        _LOG_GROUP,
        ("DataProtectionPolicy",),
        ("logs:DeleteDataProtectionPolicy", "logs:PutDataProtectionPolicy", "s3:REST.PUT.OBJECT"),
    ),
    Optional(_LOG_GROUP, ("DeletionProtectionEnabled",), ("logs:PutLogGroupDeletionProtection",)),
    Optional(_LOG_GROUP, ("FieldIndexPolicies",), ("logs:DeleteIndexPolicy", "logs:PutIndexPolicy")),
    Optional(_LOG_GROUP, ("ResourcePolicyDocument",), ("logs:DeleteResourcePolicy", "logs:PutResourcePolicy")),
    Optional(_DATABASE, ("AssociatedRoles",), ("rds:AddRoleToDBInstance", "rds:RemoveRoleFromDBInstance")),
    Optional(
        _DATABASE,
        ("SourceDBClusterIdentifier", "SourceDBInstanceIdentifier"),
        ("rds:CreateDBInstanceReadReplica", "rds:PromoteReadReplica"),
    ),
    Optional(_DATABASE, ("DBSnapshotIdentifier",), ("rds:RestoreDBInstanceFromDBSnapshot",)),
    Optional(
        _DATABASE,
        ("RestoreTime", "SourceDBInstanceAutomatedBackupsArn", "SourceDbiResourceId", "UseLatestRestorableTime"),
        ("rds:RestoreDBInstanceToPointInTime",),
    ),
    Optional(
        _DATABASE,
        ("AutomaticBackupReplicationRegion",),
        ("rds:StartDBInstanceAutomatedBackupsReplication", "rds:StopDBInstanceAutomatedBackupsReplication"),
    ),
    Optional(
        "AWS::Route53Resolver::ResolverEndpoint",
        ("Ipv6InternetAccessEnabled", "ResolverEndpointType"),
        ("ec2:AssignIpv6Addresses", "ec2:UnassignIpv6Addresses"),
    ),
    Optional(
        "AWS::SecretsManager::Secret",
        ("ReplicaRegions",),
        ("secretsmanager:RemoveRegionsFromReplication", "secretsmanager:ReplicateSecretToRegions"),
    ),
    Optional("AWS::SNS::Topic", ("DataProtectionPolicy",), ("sns:PutDataProtectionPolicy",)),
)
"""Actions that count only where a template sets a property."""

_HEADER = '''"""The actions that create, read, update and delete the resources of a phase, by service.

Written by `python -m tools.execution_actions` from the registry's schemas; do not edit.
"""

from __future__ import annotations

'''

Actions = dict[str, tuple[str, ...]]
"""The names of actions, by service."""


def derive(templates: Iterable[Mapping[str, Any]]) -> Actions:
    """The actions that the resources of some templates need, without those for properties that no template sets."""
    every = list(templates)
    types = {resource["Type"] for template in every for resource in template["Resources"].values()}
    unset = {action for each in OPTIONAL if not each.is_set(every) for action in each.actions}
    by_service: dict[str, set[str]] = {}
    for action in {each for name in types for each in handler_actions(name)} - unset - WITHHELD:
        service, _, verb = action.partition(":")
        if service not in _OTHER_SERVICES:
            by_service.setdefault(service, set()).add(verb)
    return {service: tuple(sorted(verbs)) for service, verbs in sorted(by_service.items())}


def handler_actions(resource_type: str) -> Iterator[str]:
    """The actions of a type's handlers, and those that it needs beyond them."""
    yield from _BEYOND_HANDLERS.get(resource_type, ())
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
