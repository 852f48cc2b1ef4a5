"""The calls of `doctor` and of `remove --purge`, which reach further than those of a rollout."""

from __future__ import annotations

from builders.rollout.permissions.grants import Grant, Who

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
