"""The calls that commands are made of.

Resource types are those of the Service Authorization Reference, "Actions, resources, and condition keys for AWS
CloudFormation" (likewise for the other services), and of the CloudFormation user guide, "Control CloudFormation access
with AWS Identity and Access Management", for stackset-target and type.
"""

from __future__ import annotations

from builders.rollout.permissions.grants import Grant, Who

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
    Who.CALLER, ("sts:AssumeRole",), ("arn:{aws}:iam::*:role/stackferry-plan-{suffix}",), "reads target accounts"
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
