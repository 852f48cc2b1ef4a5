"""Calls of the commands as grants: an identity, its calls, their resources, and the purpose.

Resource types follow the Service Authorization Reference, "Actions, resources, and condition keys for AWS
CloudFormation" (likewise for the other services), and, for stackset-target and type, the CloudFormation user guide,
"Control CloudFormation access with AWS Identity and Access Management".
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from builders import naming


class Identity(enum.Enum):
    """The credentials that a call is made with."""

    CALLER = "the caller, in the tooling account"
    PLAN = "the plan role, in each target account and the network account"
    DEPLOY = "the deploy role, in each target account and the network account"


CALLER, PLAN, DEPLOY = Identity


@dataclass(frozen=True)
class Names:
    """The names in resources: placeholders on the page, or those of a phase in rollout.yaml."""

    tooling: str = "${ToolingAccount}"
    home: str = "${HomeRegion}"
    suffix: str = "${Suffix}"
    account: str = "${Account}"
    deploy_role: str = "${DeployRole}"
    partition: str = "aws"
    sets: str = "${StackSetsAccount}"
    network: str = "${NetworkAccount}"
    network_role: str = "${NetworkDeployRole}"

    def fill(self, resource: str) -> str:
        """Put the names into a resource."""
        return resource.format(
            aws=self.partition,
            tooling=self.tooling,
            home=self.home,
            suffix=self.suffix,
            account=self.account,
            deploy_role=self.deploy_role,
            sets=self.sets,
            network=self.network,
            network_role=self.network_role,
        )


_OTHER_ACTIONS = {
    # Amazon S3 API reference, HeadObject and HeadBucket: "Permissions".
    "s3:HeadObject": ("s3:GetObject",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    # Security Token Service API reference, GetCallerIdentity: no permissions are needed, and none can be taken away.
    "sts:GetCallerIdentity": (),
    "service-quotas:ListServiceQuotas": ("servicequotas:ListServiceQuotas",),
}
"""The actions of calls whose action has another name than the operation."""


@dataclass(frozen=True)
class Grant:
    """Calls on resources. `calls` are boto3's service and operation, as the client counts them.

    `implied` are further actions that IAM checks for these calls. `why` says what the calls are for, and for the
    resource "*", why it is no narrower.
    """

    identity: Identity
    calls: tuple[str, ...]
    resources: tuple[str, ...]
    why: str
    implied: tuple[str, ...] = ()

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that IAM must allow."""
        named = {action for call in self.calls for action in _OTHER_ACTIONS.get(call, (call,))}
        return tuple(sorted({*named, *self.implied}))


_SETS = ("arn:{aws}:cloudformation:{home}:{sets}:stackset/stackferry-*-{suffix}:*",)
_SET_TARGETS = (
    "arn:{aws}:cloudformation:*:{sets}:stackset-target/stackferry-*-{suffix}:*/{account}",
    "arn:{aws}:cloudformation:*:*:type/resource/*",
)
_INSTANCE_STACKS = (
    "arn:{aws}:cloudformation:*:*:stack/StackSet-stackferry-*",
    # Adopted ones keep the names by which they were deployed.
    "arn:{aws}:cloudformation:*:*:stack/*-{suffix}/*",
)
_OWN_STACKS = (
    "arn:{aws}:cloudformation:*:{tooling}:stack/administration-{suffix}/*",
    "arn:{aws}:cloudformation:*:{tooling}:stack/artifacts-*/*",
)
_NETWORK_STACKS = (
    "arn:{aws}:cloudformation:*:*:stack/phase-routes-{suffix}-*/*",
    "arn:{aws}:cloudformation:*:*:stack/shared-network-*/*",
)
_MEMBER_STACKS = ("arn:{aws}:cloudformation:*:*:stack/account-{suffix}/*", *_NETWORK_STACKS)
_BUCKETS = "arn:{aws}:s3:::stackferry-{tooling}-*"
_STATE = (f"{_BUCKETS}/rollout/{{suffix}}/*", f"{_BUCKETS}/rollout/content/*")
_PACKAGES = (f"{_BUCKETS}/{{suffix}}/*.zip",)
_ANY_PACKAGES = (f"{_BUCKETS}/*.zip",)
_ADMINISTRATION_ROLE = "arn:{aws}:iam::{tooling}:role/" + naming.ADMINISTRATION_ROLE + "-{suffix}"


def _role(name: str) -> str:
    """A role of any account."""
    return "arn:{aws}:iam::*:role/" + name


def _cloudformation(*operations: str) -> tuple[str, ...]:
    return tuple(f"cloudformation:{operation}" for operation in operations)


_DEPLOY_CALLS = _cloudformation(
    "CreateChangeSet",
    "DeleteChangeSet",
    "DescribeChangeSet",
    "ExecuteChangeSet",
    "DeleteStack",
    "DescribeEvents",
    "DescribeStackEvents",
)

SHARED = (
    Grant(CALLER, ("sts:GetCallerIdentity",), ("*",), "finds its own account; needs no permission"),
    Grant(CALLER, _cloudformation("DescribeStacks", "GetTemplate"), _OWN_STACKS, "reads the outputs of shared stacks"),
    Grant(
        CALLER,
        ("sts:AssumeRole",),
        (_role(naming.PLAN_ROLE + "-{suffix}"),),
        "reads the target accounts and the network account, with the caller as source identity",
        implied=("sts:SetSourceIdentity",),
    ),
    Grant(
        PLAN,
        _cloudformation("DescribeStacks", "GetTemplate"),
        _NETWORK_STACKS,
        "reads shared stacks and route stacks of the network account",
    ),
    Grant(
        CALLER,
        ("organizations:ListAccountsForParent", "organizations:ListOrganizationalUnitsForParent"),
        ("arn:{aws}:organizations::*:ou/*", "arn:{aws}:organizations::*:root/*"),
        "finds the accounts of organizational units, where the phase names units",
    ),
    Grant(
        CALLER,
        ("organizations:DescribeOrganization",),
        ("*",),
        "leaves the management account out, where the phase names units; the action has no resource level",
    ),
    Grant(
        CALLER,
        (),
        ("*",),
        "needed for CallAs=DELEGATED_ADMIN (`call_as`): StackSets checks with the caller's permissions "
        "whether the account is registered; the action has no resource level",
        implied=("organizations:ListDelegatedAdministrators",),
    ),
)
"""Every command: the outputs of the shared stacks, and the accounts of the phase."""

READ_STATE = (
    Grant(CALLER, ("s3:GetObject",), _STATE, "reads the journal, releases and the override cache"),
    Grant(
        CALLER,
        (),
        (_BUCKETS,),
        "without it S3 answers 403 instead of 404 for missing objects (Amazon S3 API reference, GetObject)",
        implied=("s3:ListBucket",),
    ),
)
WRITE_STATE = Grant(
    CALLER, ("s3:HeadObject", "s3:PutObject"), _STATE, "writes the journal, releases and the override cache"
)
WRITE_OVERRIDES = Grant(
    CALLER,
    ("s3:PutObject",),
    (f"{_BUCKETS}/rollout/{{suffix}}/known.json",),
    "writes the override cache, since drift detection hides the overrides",
)

LIST_INSTANCES = (
    Grant(
        CALLER,
        _cloudformation("ListStackSets"),
        ("*",),
        "finds the stack sets; the call names none of them, so no pattern of names could match",
    ),
    Grant(
        CALLER,
        _cloudformation("ListStackInstances", "ListStackSetOperations"),
        _SETS,
        "reads instances and running operations",
    ),
)
READ_SETS = Grant(
    CALLER,
    _cloudformation("DescribeStackInstance", "DescribeStackSet"),
    _SETS,
    "reads templates, parameters and overrides",
)
WRITE_SETS = Grant(
    CALLER,
    _cloudformation(
        "CreateStackInstances",
        "CreateStackSet",
        "DeleteStackInstances",
        "DeleteStackSet",
        "UpdateStackInstances",
        "UpdateStackSet",
    ),
    (*_SETS, *_SET_TARGETS),
    "changes stack sets and instances; a set's tags are checked, too (CloudFormation API reference, CreateStackSet)",
    implied=("cloudformation:TagResource", "cloudformation:UntagResource"),
)
IMPORT_STACKS = Grant(
    CALLER,
    _cloudformation("CreateStackSet", "ImportStacksToStackSet"),
    (*_SETS, *_SET_TARGETS),
    "imports stacks into stack sets that it creates",
    implied=("cloudformation:TagResource",),
)
PASS_ROLE = Grant(
    CALLER,
    (),
    (_ADMINISTRATION_ROLE,),
    "passes the administration role to StackSets, where permissions are self-managed",
    implied=("iam:PassRole",),
)
FOLLOW_OPERATION = Grant(CALLER, _cloudformation("DescribeStackSetOperation"), _SETS, "follows its operations")
DETECT_DRIFT = Grant(
    CALLER,
    _cloudformation("DetectStackSetDrift", "ListStackInstanceResourceDrifts", "ListStackSetOperationResults"),
    _SETS,
    "detects drift, and reads the results",
)

READ_OUTPUTS = Grant(PLAN, _cloudformation("DescribeStacks"), _INSTANCE_STACKS, "reads the outputs of stacks")
COMPARE_TEMPLATES = (
    READ_SETS,
    READ_OUTPUTS,
    Grant(PLAN, _cloudformation("GetTemplate"), _INSTANCE_STACKS, "compares the stack with its desired template"),
)
COMPARE = (
    *COMPARE_TEMPLATES,
    Grant(
        PLAN, _cloudformation("ListStackResources"), _INSTANCE_STACKS, "finds replication tasks and retained resources"
    ),
    Grant(
        PLAN, ("dms:DescribeReplicationTasks",), ("*",), "checks whether a task runs; the action has no resource level"
    ),
)
PREVIEW = Grant(
    PLAN,
    _cloudformation("CreateChangeSet", "DeleteChangeSet", "DescribeChangeSet", "DescribeEvents"),
    _INSTANCE_STACKS,
    "with --change-sets, creates change sets to read the changes from AWS; nothing is executed",
)
READ_ALARMS = Grant(
    PLAN,
    ("cloudwatch:DescribeAlarms",),
    ("arn:{aws}:cloudwatch:*:*:alarm:*",),
    "checks that alarms are quiet before the next wave",
)
READ_REASONS = Grant(
    PLAN, _cloudformation("DescribeEvents", "DescribeStackEvents"), _INSTANCE_STACKS, "reads why a stack failed"
)

LIST_ROUTES = Grant(
    PLAN, _cloudformation("ListStacks"), ("*",), "lists the route stacks; the action has no resource level"
)
DEPLOY_MEMBER_STACKS = (
    Grant(
        CALLER,
        ("sts:AssumeRole",),
        ("arn:{aws}:iam::{account}:role/{deploy_role}", "arn:{aws}:iam::{network}:role/{network_role}"),
        "deploys plain stacks in the network and target accounts, with the caller as source identity",
        implied=("sts:SetSourceIdentity",),
    ),
    Grant(
        DEPLOY,
        (*_cloudformation("DescribeStacks", "GetTemplate"), *_DEPLOY_CALLS),
        _MEMBER_STACKS,
        "deploys plain stacks; their resources need further permissions",
    ),
)
DEPLOY_OWN_STACKS = Grant(CALLER, _DEPLOY_CALLS, _OWN_STACKS, "deploys the shared stacks of the tooling account")

_FIND_DIRECT_CONNECT = (
    ("ec2:DescribeTransitGatewayAttachments",),
    ("*",),
    "finds the attachment of the Direct Connect gateway, in the network account; the action has no resource level",
)
FIND_DIRECT_CONNECT = Grant(DEPLOY, *_FIND_DIRECT_CONNECT)

LOOK_AT_BOOTSTRAP = (
    Grant(
        PLAN,
        _cloudformation("DescribeStacks", "GetTemplate"),
        ("arn:{aws}:cloudformation:*:*:stack/account-{suffix}/*",),
        "reads the accounts' stacks for `--plan-only` and `--out`",
    ),
    Grant(PLAN, *_FIND_DIRECT_CONNECT),
    Grant(PLAN, ("sts:GetCallerIdentity",), ("*",), "checks that the role can be assumed; needs no permission"),
)

PUBLISH_PACKAGES = Grant(CALLER, ("s3:PutObject",), _PACKAGES, "publishes the phase's packages, and no other phase's")
FIND_PACKAGES = Grant(
    CALLER,
    ("s3:GetObject", "s3:HeadObject"),
    _ANY_PACKAGES,
    "compares packages with what was built, by digest; those of people and of earlier releases have other keys",
    implied=("s3:GetObjectVersion",),
)
READ_PACKAGES = Grant(
    PLAN,
    ("s3:HeadObject",),
    _ANY_PACKAGES,
    "checks that the account can read the packages",
    implied=("s3:GetObjectVersion",),
)

READ_CODE = Grant(
    PLAN,
    ("lambda:GetFunctionConfiguration",),
    ("arn:{aws}:lambda:*:*:function:StackSet-stackferry-*", "arn:{aws}:lambda:*:*:function:*-{suffix}-*"),
    "compares the code that functions run with their packages",
)

DOCTOR = (
    Grant(
        CALLER,
        ("iam:GetRole", "iam:SimulatePrincipalPolicy"),
        ("arn:{aws}:iam::{tooling}:role/*",),
        "reads the trust policy of the administration role, and whether it may assume execution roles",
    ),
    Grant(
        CALLER,
        ("organizations:ListAccounts", "organizations:ListDelegatedAdministrators"),
        ("*",),
        "finds suspended accounts, and delegated administrators; the actions have no resource level",
    ),
    Grant(
        CALLER,
        ("cloudformation:DescribeOrganizationsAccess",),
        ("*",),
        "checks whether trusted access is on, where permissions are service-managed; the action has no resource level",
    ),
    Grant(
        CALLER,
        ("service-quotas:ListServiceQuotas",),
        ("*",),
        "compares sets and instances with their quotas; the action has no resource level",
    ),
    Grant(CALLER, ("s3:HeadBucket",), (_BUCKETS,), "checks that the buckets exist"),
    FIND_PACKAGES,
    READ_PACKAGES,
    Grant(
        PLAN,
        ("iam:GetRole", "iam:SimulatePrincipalPolicy"),
        (_role("*"),),
        "reads the execution roles, the deploy roles and those that DMS requires, and what a deploy role may do",
    ),
    Grant(
        PLAN,
        ("account:ListRegions",),
        ("*",),
        "reads which regions an account has opted into; an account asks about itself without a resource",
    ),
    Grant(
        PLAN,
        ("logs:DescribeLogGroups",),
        ("*",),
        "finds log groups with names that a stack is about to create; the action has no resource level",
    ),
    Grant(PLAN, _cloudformation("ListStackResources"), _INSTANCE_STACKS, "finds rotation schedules"),
    Grant(
        PLAN,
        ("secretsmanager:DescribeSecret",),
        ("arn:{aws}:secretsmanager:*:*:secret:*",),
        "checks that the secrets that values name exist, and that those with a schedule are rotated",
    ),
    Grant(PLAN, *_FIND_DIRECT_CONNECT),
    Grant(
        PLAN,
        ("ec2:GetTransitGatewayAttachmentPropagations",),
        ("*",),
        "checks that the ranges of on-premises are propagated to the phase's tables; the action has no resource level",
    ),
    Grant(
        PLAN,
        (
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeVpcEndpointServices",
            "rds:DescribeOrderableDBInstanceOptions",
        ),
        ("*",),
        "checks that the zones offer what the layers deploy there; the actions have no resource level",
    ),
    Grant(
        PLAN,
        ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups"),
        ("*",),
        "finds what uses the default security group of the phase's VPC; the actions have no resource level",
    ),
    Grant(PLAN, ("sts:GetCallerIdentity",), ("*",), "checks that the role can be assumed; needs no permission"),
)

INTERFACES = (
    Grant(
        DEPLOY,
        ("ec2:DescribeNetworkInterfaces",),
        ("*",),
        "before a VPC is deleted, waits for the interfaces of its functions; the action has no resource level",
    ),
    Grant(
        DEPLOY,
        ("ec2:DeleteNetworkInterface",),
        ("arn:{aws}:ec2:*:*:network-interface/*",),
        "deletes those that Lambda has detached and cannot delete, since the functions' roles are gone",
    ),
)

PURGE = (
    Grant(
        DEPLOY,
        ("rds:DescribeDBInstances", "rds:DescribeDBSnapshots"),
        ("arn:{aws}:rds:*:*:db:stackferry-database-*", "arn:{aws}:rds:*:*:snapshot:*"),
        "finds the database's own snapshots, so that a purge knows the one that the removal takes",
    ),
    Grant(
        DEPLOY,
        ("rds:DeleteDBSnapshot",),
        ("arn:{aws}:rds:*:*:snapshot:*",),
        "with --purge, deletes the last snapshot, whose name CloudFormation chose",
    ),
    Grant(
        DEPLOY,
        ("secretsmanager:DescribeSecret", "secretsmanager:DeleteSecret"),
        ("arn:{aws}:secretsmanager:*:*:secret:*",),
        "with --purge, deletes the retained secrets, whose names CloudFormation chose",
    ),
    Grant(
        DEPLOY,
        ("kms:DescribeKey", "kms:ScheduleKeyDeletion"),
        ("arn:{aws}:kms:*:*:key/*",),
        "with --purge, deletes the retained keys; a key's ARN does not show its owner",
    ),
    Grant(
        DEPLOY,
        ("logs:DeleteLogGroup",),
        ("arn:{aws}:logs:*:*:log-group:*",),
        "with --purge, deletes retained log groups",
    ),
    Grant(
        DEPLOY,
        (
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
        ),
        (_role("StackSet-stackferry-*"),),
        "with --purge, deletes retained roles, whose names CloudFormation chose",
    ),
)


BY_TYPE = {
    "AWS::S3::Bucket": (
        "s3:CreateBucket",
        "s3:DeleteBucket",
        "s3:GetBucketOwnershipControls",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketTagging",
        "s3:GetBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
        "s3:PutBucketLogging",
        "s3:PutBucketOwnershipControls",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketTagging",
        "s3:PutBucketVersioning",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
    ),
    "AWS::S3::BucketPolicy": ("s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"),
    "AWS::IAM::Role": (
        "iam:AttachRolePolicy",
        "iam:CreateRole",
        "iam:DeleteRole",
        "iam:DetachRolePolicy",
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListAttachedRolePolicies",
        "iam:ListRolePolicies",
        "iam:TagRole",
        "iam:UntagRole",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRole",
        "iam:UpdateRoleDescription",
    ),
    "AWS::IAM::ManagedPolicy": (
        "iam:CreatePolicy",
        "iam:CreatePolicyVersion",
        "iam:DeletePolicy",
        "iam:DeletePolicyVersion",
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:ListEntitiesForPolicy",
        "iam:ListPolicyVersions",
    ),
}
"""The actions by resource type. Source: the handlers in the registry's schemas; of those, the ones for properties that
these templates set. A test compares them with the schemas."""

SHARED_RESOURCES = (
    Grant(
        CALLER,
        (),
        (_BUCKETS,),
        "creates the bucket of each region",
        implied=(*BY_TYPE["AWS::S3::Bucket"], *BY_TYPE["AWS::S3::BucketPolicy"]),
    ),
    Grant(
        CALLER,
        (),
        (_ADMINISTRATION_ROLE,),
        "creates the administration role",
        implied=BY_TYPE["AWS::IAM::Role"],
    ),
    Grant(
        CALLER,
        (),
        ("arn:{aws}:iam::{tooling}:policy/administration-{suffix}-*",),
        "creates its policy, whose name begins with the stack's",
        implied=BY_TYPE["AWS::IAM::ManagedPolicy"],
    ),
)
