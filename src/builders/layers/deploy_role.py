"""The role by which the tooling account deploys plain stacks in another account: `deploy_role` of rollout.yaml.

It is made from outside: by a stack set of the organization's management account, or by each account itself, before
anything else is there (docs/bootstrap.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from awacs import (
    account as account_actions,
    cloudformation as stack_actions,
    directconnect,
    ec2,
    iam as iam_actions,
    kms,
    logs,
    ram,
    rds,
    secretsmanager,
)
from awacs.aws import Action, ArnLike, Condition, Principal, Statement, StringEquals
from troposphere import Equals, If, Not, Split, Sub, iam

from builders import naming, parameters, policies
from builders.layers import _accounts
from builders.stack import Scope, Stack

SCOPE = Scope.MEMBER

_ANYWHERE = "no resource level (Service Authorization Reference)"
_WILDCARDS = {
    "FindStacks": f"ListStacks, ValidateTemplate, logs:DescribeLogGroups and account:ListRegions have {_ANYWHERE}",
    "SeeNetworks": f"EC2, Direct Connect and RAM describe with {_ANYWHERE}",
}

_DEPLOYED = "DeployedSuffix"

_ROLES = (
    naming.DMS_VPC_ROLE,
    naming.DMS_LOGS_ROLE,
    f"{naming.EXECUTION_ROLE}-${{{_DEPLOYED}}}",
    f"{naming.PLAN_ROLE}-${{{_DEPLOYED}}}",
)
"""The roles of `account`."""

_POLICIES = (f"account-${{{_DEPLOYED}}}-*", f"{naming.PERMISSIONS_BOUNDARY}-${{{_DEPLOYED}}}")
"""Its policies: those without a name of their own are called by the stack's."""

_STACKS = (f"account-${{{_DEPLOYED}}}", f"phase-routes-${{{_DEPLOYED}}}-*", "shared-network-*")


def build(stack: Stack) -> None:
    """Make the role, whom it trusts, and its policies."""
    tooling = _tooling_account(stack)
    stack.parameter(
        parameters.string(
            _DEPLOYED,
            "EnvironmentSuffix of the phase whose stacks the role deploys; * for every phase",
            pattern=rf"^\*$|{naming.SUFFIX_PATTERN}",
            explanation="the suffix of a phase, or *",
            default="*",
        )
    )
    role = stack.add(
        iam.Role(
            "DeployRole",
            RoleName=stack.name(naming.DEPLOY_ROLE),
            Description="Deploys the plain stacks of a migration into this account for the tooling account",
            AssumeRolePolicyDocument=policies.trust(
                "ToolingAccount",
                tooling,
                _deployers(stack),
                policies.may_say_who(tooling, parameters.reference("ToolingAccountId")),
            ),
        )
    )
    purging = stack.parameter(
        parameters.boolean(
            "AllowPurge", "Whether `remove --purge` may delete retained secrets, keys and snapshots here"
        )
    ).ref()
    _policy(stack, role, "Stacks", [*_stacks(), *_roles()])
    _policy(stack, role, "Network", list(_network()))
    _policy(stack, role, "Purge", list(_purge()), stack.condition("IsPurgeAllowed", Equals(purging, "true")))
    stack.output("DeployRoleName", role.ref(), "Role for deploy_role of rollout.yaml")


def _tooling_account(stack: Stack) -> Principal:
    stack.parameter(_accounts.account_id("ToolingAccountId", "Account that runs the rollout, and that deploys here"))
    return Principal("AWS", [Sub("arn:${AWS::Partition}:iam::${ToolingAccountId}:root")])


def _deployers(stack: Stack) -> Condition:
    """Principals of the tooling account that are listed, or that its own IAM lets; never one of another account."""
    listed = stack.parameter(
        parameters.string(
            "DeployerArns",
            "ARNs, with * where they vary, of the tooling account's roles and users that may deploy here, joined by "
            "commas; empty for all whom its IAM lets",
            pattern=r"^$|^(,?arn:[a-z-]+:iam::\d{12}:(role|user)/[\w+=,.@*/-]+)+$",
            explanation="ARNs of roles and users joined by commas without spaces, or empty",
            default="",
        )
    ).ref()
    has_listed = stack.condition("HasDeployers", Not(Equals(listed, "")))
    own = Sub("arn:${AWS::Partition}:iam::${ToolingAccountId}:*")
    return Condition(
        [
            StringEquals({"aws:PrincipalAccount": parameters.reference("ToolingAccountId")}),
            ArnLike({"aws:PrincipalArn": If(has_listed, Split(",", listed), own)}),
        ]
    )


def _policy(
    stack: Stack, role: iam.Role, title: str, statements: list[Statement], condition: str | None = None
) -> None:
    policy = iam.ManagedPolicy(
        f"{title}Policy",
        Description="What the plain stacks of a migration need to be made, read, changed and deleted",
        PolicyDocument=policies.document(*statements),
        Roles=[role.ref()],
    )
    if condition:
        policy.Condition = condition
    reasons = {str(each.Sid): _WILDCARDS[str(each.Sid)] for each in statements if each.Resource == ["*"]}
    if reasons:
        policy.Metadata = {"WildcardReasons": reasons}
    stack.add(policy)


def _global(*resources: str) -> list[Sub]:
    return [Sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{each}") for each in resources]


def _stacks() -> Iterator[Statement]:
    yield policies.allow(
        "PlainStacks",
        [
            stack_actions.CreateChangeSet,
            stack_actions.DeleteChangeSet,
            stack_actions.DeleteStack,
            stack_actions.DescribeChangeSet,
            stack_actions.DescribeEvents,
            stack_actions.DescribeStackEvents,
            stack_actions.DescribeStackResources,
            stack_actions.DescribeStacks,
            stack_actions.ExecuteChangeSet,
            stack_actions.GetTemplate,
            stack_actions.GetTemplateSummary,
            stack_actions.ListStackResources,
            stack_actions.TagResource,
            stack_actions.UntagResource,
        ],
        policies.in_every_region("cloudformation", *(f"stack/{name}/*" for name in _STACKS)),
    )
    yield policies.allow(
        "FindStacks",
        [
            account_actions.ListRegions,
            logs.DescribeLogGroups,
            stack_actions.ListStacks,
            stack_actions.ValidateTemplate,
        ],
        ["*"],
    )


def _roles() -> Iterator[Statement]:
    own = _global(*(f"role/{name}" for name in _ROLES))
    yield policies.allow(
        "RolesOfAccount",
        [
            iam_actions.CreateRole,
            iam_actions.DeleteRole,
            iam_actions.GetRolePolicy,
            iam_actions.ListAttachedRolePolicies,
            iam_actions.ListRolePolicies,
            iam_actions.TagRole,
            iam_actions.UntagRole,
            iam_actions.UpdateAssumeRolePolicy,
            iam_actions.UpdateRole,
            iam_actions.UpdateRoleDescription,
        ],
        own,
    )
    aws_policies = ("AmazonDMSVPCManagementRole", "AmazonDMSCloudWatchLogsRole")
    attached = [
        *_global(*(f"policy/{name}" for name in _POLICIES)),
        *(policies.managed_policy(f"service-role/{name}") for name in aws_policies),
    ]
    yield policies.allow(
        "AttachPoliciesOfAccount",
        [iam_actions.AttachRolePolicy, iam_actions.DetachRolePolicy],
        own,
        condition=Condition(ArnLike({"iam:PolicyARN": attached})),
    )
    yield policies.allow(
        "PoliciesOfAccount",
        [
            iam_actions.CreatePolicy,
            iam_actions.CreatePolicyVersion,
            iam_actions.DeletePolicy,
            iam_actions.DeletePolicyVersion,
            iam_actions.GetPolicy,
            iam_actions.GetPolicyVersion,
            iam_actions.ListEntitiesForPolicy,
            iam_actions.ListPolicyVersions,
        ],
        _global(*(f"policy/{name}" for name in _POLICIES)),
    )
    # `remove` records which snapshots are there before the database goes.
    yield policies.allow(
        "SeeDatabases",
        [rds.DescribeDBInstances, rds.DescribeDBSnapshots],
        policies.in_every_region("rds", "db:stackferry-database-*", "snapshot:*"),
    )
    # Lambda's interfaces can outlive their functions; `remove` clears them.
    yield policies.allow(
        "ClearInterfaces", [ec2.DeleteNetworkInterface], policies.in_every_region("ec2", "network-interface/*")
    )
    yield policies.allow("SeeRoles", [iam_actions.GetRole], _global("role/*"))
    yield policies.allow(
        "SeeRotation", [secretsmanager.DescribeSecret], policies.in_every_region("secretsmanager", "secret:*")
    )
    # `doctor` asks IAM what the role may do.
    yield policies.allow("KnowOneself", [iam_actions.SimulatePrincipalPolicy], _global(f"role/{naming.DEPLOY_ROLE}-*"))


def _network() -> Iterator[Statement]:
    yield policies.allow(
        "TransitGateways",
        [
            ec2.AssociateTransitGatewayRouteTable,
            ec2.CreateTags,
            ec2.CreateTransitGateway,
            ec2.CreateTransitGatewayRouteTable,
            ec2.DeleteTags,
            ec2.DeleteTransitGateway,
            ec2.DeleteTransitGatewayRouteTable,
            ec2.DisableTransitGatewayRouteTablePropagation,
            ec2.DisassociateTransitGatewayRouteTable,
            ec2.EnableTransitGatewayRouteTablePropagation,
            ec2.ModifyTransitGateway,
        ],
        [
            *policies.in_every_region("ec2", "transit-gateway/*", "transit-gateway-route-table/*"),
            # Those of the phases' networks are of the phases' accounts; which account's number EC2 puts into the ARN
            # of what two share has changed (github.com/aws-solutions-library-samples/
            # network-orchestration-for-aws-transit-gateway, issue 37). No other account can use the tables above.
            Sub("arn:${AWS::Partition}:ec2:*:*:transit-gateway-attachment/*"),
        ],
    )
    yield policies.allow(
        "Shares",
        [
            ram.AssociateResourceShare,
            ram.AssociateResourceSharePermission,
            ram.DeleteResourceShare,
            ram.DisassociateResourceShare,
            ram.ListResourceSharePermissions,
            ram.TagResource,
            ram.UntagResource,
            ram.UpdateResourceShare,
        ],
        policies.in_every_region("ram", "resource-share/*"),
    )
    yield policies.allow("SharePermissions", [ram.GetPermission], [Sub("arn:${AWS::Partition}:ram::aws:permission/*")])
    gateways = Sub("arn:${AWS::Partition}:directconnect::${AWS::AccountId}:dx-gateway/*")
    lines = policies.in_every_region("directconnect", "dxcon/*", "dxlag/*", "dxvif/*")
    yield policies.allow("DirectConnect", _DIRECT_CONNECT, [gateways, *lines])
    yield policies.allow("SeeNetworks", _SEE_NETWORKS, ["*"])


_DIRECT_CONNECT = [
    Action("directconnect", "AssociateVirtualInterface"),
    Action("directconnect", "ConfirmTransitVirtualInterface"),
    Action("directconnect", "CreateBGPPeer"),
    Action("directconnect", "CreateDirectConnectGatewayAssociation"),
    Action("directconnect", "CreateDirectConnectGatewayAssociationProposal"),
    Action("directconnect", "CreateTransitVirtualInterface"),
    Action("directconnect", "DeleteBGPPeer"),
    Action("directconnect", "DeleteDirectConnectGateway"),
    Action("directconnect", "DeleteDirectConnectGatewayAssociation"),
    Action("directconnect", "DeleteVirtualInterface"),
    Action("directconnect", "DescribeDirectConnectGatewayAssociations"),
    Action("directconnect", "TagResource"),
    Action("directconnect", "UntagResource"),
    Action("directconnect", "UpdateDirectConnectGateway"),
    Action("directconnect", "UpdateVirtualInterfaceAttributes"),
]

_SEE_NETWORKS: Sequence[Any] = [
    directconnect.CreateDirectConnectGateway,
    directconnect.DescribeDirectConnectGateways,
    directconnect.DescribeVirtualInterfaces,
    directconnect.UpdateDirectConnectGatewayAssociation,
    ec2.DescribeNetworkInterfaces,
    ec2.DescribeTags,
    ec2.DescribeTransitGatewayAttachments,
    ec2.DescribeTransitGatewayRouteTables,
    ec2.DescribeTransitGateways,
    ec2.GetTransitGatewayAttachmentPropagations,
    ec2.GetTransitGatewayRouteTableAssociations,
    ec2.GetTransitGatewayRouteTablePropagations,
    ram.CreateResourceShare,
    ram.GetResourceShareAssociations,
    ram.GetResourceShares,
]


def _purge() -> Iterator[Statement]:
    """Allow deleting what a phase's templates retain; CloudFormation chose most of the names."""
    yield policies.allow("PurgeSnapshots", [rds.DeleteDBSnapshot], policies.in_every_region("rds", "snapshot:*"))
    yield policies.allow(
        "PurgeSecrets",
        [secretsmanager.DeleteSecret, secretsmanager.DescribeSecret],
        policies.in_every_region("secretsmanager", "secret:*"),
    )
    yield policies.allow(
        "PurgeKeys", [kms.DescribeKey, kms.ScheduleKeyDeletion], policies.in_every_region("kms", "key/*")
    )
    yield policies.allow("PurgeLogs", [logs.DeleteLogGroup], policies.in_every_region("logs", "log-group:*"))
    yield policies.allow(
        "PurgeRoles",
        [
            iam_actions.DeleteRole,
            iam_actions.DeleteRolePolicy,
            iam_actions.DetachRolePolicy,
            iam_actions.ListAttachedRolePolicies,
            iam_actions.ListRolePolicies,
        ],
        _global("role/StackSet-stackferry-*"),
    )
