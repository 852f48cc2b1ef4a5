"""The actions that CloudFormation calls for a resource type, by the handlers of the registry's schemas.

cfn-lint's schemas and its table of IAM actions take half a second to read: `actions.py` has what the layers of this
package need, and `own.py` asks only for layers of a project's own.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders import resource_types

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

Actions = dict[str, tuple[str, ...]]
"""The names of actions, by service."""


def derive(templates: Iterable[Mapping[str, Any]]) -> Actions:
    """The actions that the resources of some templates need, without those for properties that no template sets."""
    by_service: dict[str, set[str]] = {}
    for action in set[str]().union(*needed(templates).values()):
        service, _, verb = action.partition(":")
        by_service.setdefault(service, set()).add(verb)
    return {service: tuple(sorted(verbs)) for service, verbs in sorted(by_service.items())}


def needed(templates: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """The same by resource type, each action as "service:Verb"; types for which the registry names none have none."""
    every = list(templates)
    unset = {action for each in OPTIONAL if not each.is_set(every) for action in each.actions}
    found = {}
    for name in types_of(every):
        own = service_of(name)
        found[name] = frozenset(
            action
            for action in set(handler_actions(name)) - unset - WITHHELD
            if (service := action.partition(":")[0]) not in _OTHER_SERVICES or service == own
        )
    return found


def types_of(templates: Iterable[Mapping[str, Any]]) -> list[str]:
    """The resource types of some templates, in alphabetical order."""
    return sorted({resource["Type"] for template in templates for resource in template["Resources"].values()})


def service_of(resource_type: str) -> str:
    """The service that most of a type's actions belong to; empty for a type without actions."""
    services = Counter(action.partition(":")[0] for action in sorted(set(handler_actions(resource_type))))
    return max(services, key=services.__getitem__, default="")


def handler_actions(resource_type: str) -> Iterator[str]:
    """The actions of a type's handlers, and those that it needs beyond them.

    Some schemas write a service with capitals, name a service or a list of actions that IAM does not have, or have an
    empty entry: IAM ignores capitals, and what is no action grants nothing.
    """
    yield from _BEYOND_HANDLERS.get(resource_type, ())
    registered = resource_types.load(resource_type)
    handlers = (registered.schema.get("handlers") or {}) if registered else {}
    for handler in _HANDLERS:
        for action in (handlers.get(handler) or {}).get("permissions") or ():
            service, _, verb = action.strip().partition(":")
            if verb and service.lower() in iam_table():
                yield f"{service.lower()}:{verb}"


def without_resource_level(actions: Actions) -> Actions:
    """The actions without a resource level, by cfn-lint's table of IAM actions."""
    found = {
        service: tuple(verb for verb in verbs if not resources_of(f"{service}:{verb}"))
        for service, verbs in actions.items()
    }
    return {service: verbs for service, verbs in found.items() if verbs}


def resources_of(action: str) -> list[str]:
    """The kinds of resources on which an action can be allowed; none where it has no resource level or is unknown."""
    service, _, verb = action.partition(":")
    return list(iam_table().get(service, {}).get("Actions", {}).get(verb.lower(), {}).get("Resources", ()))


@functools.cache
def iam_table() -> Any:
    """cfn-lint's table of the Service Authorization Reference: actions and ARNs by service."""
    path = importlib.resources.files("cfnlint.data.AdditionalSpecs") / "Policies.json"
    return json.loads(path.read_text(encoding="utf-8"))
