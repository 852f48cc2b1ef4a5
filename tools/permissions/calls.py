"""Who makes which calls on what, as values.

The calls that commands are made of.

Resource types are those of the Service Authorization Reference, "Actions, resources, and condition keys for AWS
CloudFormation" (likewise for the other services), and of the CloudFormation user guide, "Control CloudFormation access
with AWS Identity and Access Management", for stackset-target and type.

The calls of `doctor` and of `remove --purge`, which reach further than those of a rollout.

What the resources of `artifacts` and `administration` need: CloudFormation makes them with the caller's own rights.

Source: the permissions that the registry's schemas name for the handlers of each type; of those, what the properties
of these templates use. A test compares the actions with the schemas.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from builders import naming


class Who(enum.Enum):
    """Whose credentials a call is made with."""

    CALLER = "the caller, in the tooling account"
    PLAN = "the plan role, in each target account"
    DEPLOY = "the deploy role, in the network account and each target account"


@dataclass(frozen=True)
class Scope:
    """Whose resources are meant: names that a page leaves open, or those of a real phase as rollout.yaml has them."""

    tooling: str = "${ToolingAccount}"
    home: str = "${HomeRegion}"
    suffix: str = "${Suffix}"
    deploy_role: str = "${DeployRole}"
    partition: str = "aws"

    def filled(self, resource: str) -> str:
        """A resource with them filled in."""
        return resource.format(
            aws=self.partition,
            tooling=self.tooling,
            home=self.home,
            suffix=self.suffix,
            deploy_role=self.deploy_role,
        )


@dataclass(frozen=True)
class Grant:
    """Calls on resources. `calls` are boto3's service and operation, as the client counts them.

    `implied` are further actions that IAM asks for where those calls are made. `why` says what it is for, and where the
    resource is "*", why it is no narrower.
    """

    who: Who
    calls: tuple[str, ...]
    resources: tuple[str, ...]
    why: str
    implied: tuple[str, ...] = ()

    @property
    def actions(self) -> tuple[str, ...]:
        """What IAM must allow."""
        return tuple(sorted({*(action for call in self.calls for action in _actions(call)), *self.implied}))


_OTHERWISE = {
    # Amazon S3 API reference, HeadObject and HeadBucket: "Permissions".
    "s3:HeadObject": ("s3:GetObject",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    # Security Token Service API reference, GetCallerIdentity: no permissions are needed, and none can be taken away.
    "sts:GetCallerIdentity": (),
    "service-quotas:ListServiceQuotas": ("servicequotas:ListServiceQuotas",),
}
"""Where the action is not called as the operation is."""


def _actions(call: str) -> Iterator[str]:
    yield from _OTHERWISE.get(call, (call,))


_SET = "arn:{aws}:cloudformation:{home}:{tooling}:stackset/stackferry-*"
_TARGETS = (
    "arn:{aws}:cloudformation:*:{tooling}:stackset-target/stackferry-*",
    "arn:{aws}:cloudformation:*:*:type/resource/*",
)
_BUCKETS = "arn:{aws}:s3:::stackferry-{tooling}-*"
_ADMINISTRATION_ROLE = "arn:{aws}:iam::{tooling}:role/stackferry-administration-*"
_MEMBER_STACKS = "arn:{aws}:cloudformation:*:*:stack/StackSet-stackferry-*"
_OWN_STACKS = (
    "arn:{aws}:cloudformation:*:{tooling}:stack/administration-*/*",
    "arn:{aws}:cloudformation:*:{tooling}:stack/artifacts-*/*",
)
_OTHERS_STACKS = (
    "arn:{aws}:cloudformation:*:*:stack/account-{suffix}/*",
    "arn:{aws}:cloudformation:*:*:stack/phase-routes-{suffix}-*/*",
    "arn:{aws}:cloudformation:*:*:stack/shared-network-*/*",
)
_CHANGE_SETS = ("CreateChangeSet", "DeleteChangeSet", "DescribeChangeSet", "ExecuteChangeSet")


def _cloudformation(*operations: str) -> tuple[str, ...]:
    return tuple(f"cloudformation:{operation}" for operation in operations)


IDENTITY = Grant(Who.CALLER, ("sts:GetCallerIdentity",), ("*",), "knows its own account; IAM asks for nothing")
ENTER_DEPLOY = Grant(
    Who.CALLER, ("sts:AssumeRole",), ("arn:{aws}:iam::*:role/{deploy_role}",), "reaches the network and target accounts"
)
ENTER_PLAN = Grant(
    Who.CALLER,
    ("sts:AssumeRole",),
    ("arn:{aws}:iam::*:role/" + naming.PLAN_ROLE + "-{suffix}",),
    "reads target accounts",
)
OWN_STACKS = Grant(
    Who.CALLER, _cloudformation("DescribeStacks", "GetTemplate"), _OWN_STACKS, "reads what the shared stacks put out"
)
OTHERS_STACKS = Grant(
    Who.DEPLOY, _cloudformation("DescribeStacks", "GetTemplate"), _OTHERS_STACKS, "reads shared stacks and routes"
)
UNITS = Grant(
    Who.CALLER,
    ("organizations:ListAccountsForParent", "organizations:ListOrganizationalUnitsForParent"),
    ("arn:{aws}:organizations::*:ou/*", "arn:{aws}:organizations::*:root/*"),
    "finds the accounts of organizational units, where the phase names such",
)
ORGANIZATION = Grant(
    Who.CALLER,
    ("organizations:DescribeOrganization",),
    ("*",),
    "leaves the management account out, where the phase names units; the action has no resource level",
)
LIST_SETS = Grant(
    Who.CALLER,
    _cloudformation("ListStackSets"),
    ("*",),
    "finds the sets; the call names none of them, so no pattern of names could match",
)
READ_INSTANCES = Grant(
    Who.CALLER,
    _cloudformation("ListStackInstances", "ListStackSetOperations"),
    (f"{_SET}:*",),
    "reads instances and what runs",
)
READ_SETS = Grant(
    Who.CALLER,
    _cloudformation("DescribeStackInstance", "DescribeStackSet"),
    (f"{_SET}:*",),
    "reads templates, parameters and overrides",
)
FOLLOW = Grant(Who.CALLER, _cloudformation("DescribeStackSetOperation"), (f"{_SET}:*",), "follows its operations")
CHANGE_SETS_OF_PHASE = Grant(
    Who.CALLER,
    _cloudformation(
        "CreateStackInstances",
        "CreateStackSet",
        "DeleteStackInstances",
        "DeleteStackSet",
        "UpdateStackInstances",
        "UpdateStackSet",
    ),
    (f"{_SET}:*", *_TARGETS),
    "changes sets and instances; a set's tags are checked, too (CloudFormation API reference, CreateStackSet)",
    implied=("cloudformation:TagResource", "cloudformation:UntagResource"),
)
PASS = Grant(
    Who.CALLER,
    (),
    (_ADMINISTRATION_ROLE,),
    "hands the administration role to StackSets, where permissions are self-managed",
    implied=("iam:PassRole",),
)
READ_BOOKS = Grant(
    Who.CALLER,
    ("s3:GetObject",),
    (f"{_BUCKETS}/rollout/{{suffix}}/*", f"{_BUCKETS}/rollout/content/*"),
    "reads the journal, releases and known overrides",
)
SEE_MISSING = Grant(
    Who.CALLER,
    (),
    (_BUCKETS,),
    "without it S3 answers 403 instead of 404 for what is not there (Amazon S3 API reference, GetObject)",
    implied=("s3:ListBucket",),
)
WRITE_BOOKS = Grant(
    Who.CALLER,
    ("s3:HeadObject", "s3:PutObject"),
    (f"{_BUCKETS}/rollout/{{suffix}}/*", f"{_BUCKETS}/rollout/content/*"),
    "writes the journal, releases and overrides",
)
KEEP_KNOWN = Grant(
    Who.CALLER,
    ("s3:PutObject",),
    (f"{_BUCKETS}/rollout/{{suffix}}/known.json",),
    "keeps what is known of overrides, which the detection would hide",
)
PACKAGES = Grant(
    Who.CALLER, ("s3:HeadObject", "s3:PutObject"), (f"{_BUCKETS}/*.zip",), "publishes the functions' packages"
)
SEE_PACKAGES = Grant(Who.CALLER, ("s3:HeadObject",), (f"{_BUCKETS}/*.zip",), "sees that the packages are still there")
READ_PACKAGES = Grant(
    Who.PLAN, ("s3:HeadObject",), (f"{_BUCKETS}/*.zip",), "sees that the account can read the packages"
)
MEMBER_STACKS = Grant(Who.PLAN, _cloudformation("DescribeStacks"), (f"{_MEMBER_STACKS}",), "reads what stacks put out")
MEMBER_TEMPLATES = Grant(
    Who.PLAN, _cloudformation("GetTemplate"), (_MEMBER_STACKS,), "compares the stack with what it shall be"
)
MEMBER_RESOURCES = Grant(
    Who.PLAN, _cloudformation("ListStackResources"), (_MEMBER_STACKS,), "finds replication tasks and what is kept"
)
MEMBER_TASKS = Grant(
    Who.PLAN, ("dms:DescribeReplicationTasks",), ("*",), "sees whether a task runs; the action has no resource level"
)
PREVIEWS = Grant(
    Who.PLAN,
    _cloudformation("CreateChangeSet", "DeleteChangeSet", "DescribeChangeSet"),
    (_MEMBER_STACKS,),
    "asks AWS itself, with --change-sets; nothing is executed",
)
ALARMS = Grant(
    Who.PLAN,
    ("cloudwatch:DescribeAlarms",),
    ("arn:{aws}:cloudwatch:*:*:alarm:*",),
    "sees whether alarms are quiet before the next wave",
)
REASONS = Grant(Who.PLAN, _cloudformation("DescribeStackEvents"), (_MEMBER_STACKS,), "tells why a stack failed")
ROUTES_LISTED = Grant(
    Who.DEPLOY, _cloudformation("ListStacks"), ("*",), "lists the routes; the action has no resource level"
)
DEPLOY_OTHERS = Grant(
    Who.DEPLOY,
    _cloudformation(*_CHANGE_SETS, "DeleteStack", "DescribeStackEvents"),
    _OTHERS_STACKS,
    "deploys plain stacks; what their resources need comes on top",
)
DEPLOY_OWN = Grant(
    Who.CALLER,
    _cloudformation(*_CHANGE_SETS, "DeleteStack", "DescribeStackEvents"),
    _OWN_STACKS,
    "deploys the shared stacks of the tooling account",
)
DETECT = Grant(
    Who.CALLER,
    _cloudformation("DetectStackSetDrift", "ListStackInstanceResourceDrifts", "ListStackSetOperationResults"),
    (f"{_SET}:*",),
    "detects drift, and reads what was found",
)


DOCTOR = (
    Grant(
        Who.CALLER,
        ("iam:GetRole", "iam:SimulatePrincipalPolicy"),
        ("arn:{aws}:iam::{tooling}:role/*",),
        "sees what the administration role trusts, and whether it may assume execution roles",
    ),
    Grant(
        Who.CALLER,
        ("organizations:ListAccounts", "organizations:ListDelegatedAdministrators"),
        ("*",),
        "finds suspended accounts, and delegated administrators; the actions have no resource level",
    ),
    Grant(
        Who.CALLER,
        ("cloudformation:DescribeOrganizationsAccess",),
        ("*",),
        "sees whether trusted access is on, where permissions are service-managed; the action has no resource level",
    ),
    Grant(
        Who.CALLER,
        ("service-quotas:ListServiceQuotas",),
        ("*",),
        "compares sets and instances with their quotas; the action has no resource level",
    ),
    Grant(
        Who.CALLER, ("s3:HeadBucket",), ("arn:{aws}:s3:::stackferry-{tooling}-*",), "sees that the buckets are there"
    ),
    Grant(
        Who.CALLER,
        ("s3:HeadObject",),
        ("arn:{aws}:s3:::stackferry-{tooling}-*/*.zip",),
        "sees that the packages are there",
    ),
    Grant(
        Who.DEPLOY,
        ("iam:GetRole",),
        ("arn:{aws}:iam::*:role/*",),
        "sees the execution roles, the plan roles and those that DMS demands",
    ),
    Grant(
        Who.DEPLOY,
        ("account:ListRegions",),
        ("*",),
        "sees which regions an account has opted into; an account asks of itself without a resource",
    ),
    Grant(Who.DEPLOY, ("sts:GetCallerIdentity",), ("*",), "sees that the role can be assumed; IAM asks for nothing"),
    Grant(Who.PLAN, ("sts:GetCallerIdentity",), ("*",), "sees that the role can be assumed; IAM asks for nothing"),
)

PURGE = (
    Grant(
        Who.DEPLOY,
        ("rds:DescribeDBInstances", "rds:DescribeDBSnapshots"),
        ("arn:{aws}:rds:*:*:db:stackferry-database-*", "arn:{aws}:rds:*:*:snapshot:*"),
        "with --purge, knows the database's own snapshots",
    ),
    Grant(
        Who.DEPLOY,
        ("rds:DeleteDBSnapshot",),
        ("arn:{aws}:rds:*:*:snapshot:*",),
        "with --purge, deletes the last snapshot, whose name CloudFormation chose",
    ),
    Grant(
        Who.DEPLOY,
        ("secretsmanager:DescribeSecret", "secretsmanager:DeleteSecret"),
        ("arn:{aws}:secretsmanager:*:*:secret:*",),
        "with --purge, deletes the kept secrets, whose names CloudFormation chose",
    ),
    Grant(
        Who.DEPLOY,
        ("kms:DescribeKey", "kms:ScheduleKeyDeletion"),
        ("arn:{aws}:kms:*:*:key/*",),
        "with --purge, deletes the kept keys; a key's ARN tells nothing of whose it is",
    ),
    Grant(
        Who.DEPLOY,
        ("logs:DeleteLogGroup",),
        ("arn:{aws}:logs:*:*:log-group:*",),
        "with --purge, deletes kept log groups",
    ),
    Grant(
        Who.DEPLOY,
        (
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
        ),
        ("arn:{aws}:iam::*:role/StackSet-stackferry-*",),
        "with --purge, deletes kept roles, whose names CloudFormation chose",
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
"""Actions by the types of resources."""

RESOURCES = (
    Grant(
        Who.CALLER,
        (),
        ("arn:{aws}:s3:::stackferry-{tooling}-*",),
        "makes the bucket of each region",
        implied=(*BY_TYPE["AWS::S3::Bucket"], *BY_TYPE["AWS::S3::BucketPolicy"]),
    ),
    Grant(
        Who.CALLER,
        (),
        ("arn:{aws}:iam::{tooling}:role/stackferry-administration-*",),
        "makes the administration role",
        implied=BY_TYPE["AWS::IAM::Role"],
    ),
    Grant(
        Who.CALLER,
        (),
        ("arn:{aws}:iam::{tooling}:policy/administration-*",),
        "makes its policy, whose name begins with the stack's",
        implied=BY_TYPE["AWS::IAM::ManagedPolicy"],
    ),
)
