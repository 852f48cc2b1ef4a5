"""The bucket of one region that hands the functions' packages to the accounts that deploy them."""

from __future__ import annotations

from typing import Any

from awacs import s3 as s3_actions
from awacs.aws import Action, ArnLike, Condition, Deny, Null, Principal, Statement, StringEquals
from troposphere import AccountId, And, Equals, If, Join, Not, NoValue, Or, Ref, Split, s3

from builders import naming, parameters, policies, scanners
from builders.layers import _accounts
from builders.stack import Scope, Stack

SCOPE = Scope.TOOLING

BUCKET = "stackferry-${AWS::AccountId}-${AWS::Region}"
"""Names of buckets are unique in the world, so this one carries account and region beside the suffix."""

PACKAGES = "*.zip"
"""All that others read. Beside the packages lies the state of rollouts, with the parameters of every phase."""

WRITTEN_ONCE = (PACKAGES, "rollout/content/*", "rollout/*/releases/*")
"""Keys whose content never changes: packages, and the templates and manifests of releases."""

REWRITTEN = "rollout/"
"""Journals and caches lie there: each write leaves an old version. Of a package no version expires: functions and
releases name it."""

READ = [s3_actions.GetObject, s3_actions.GetObjectVersion]
"""Functions name the version of their package, and a version is read by an action of its own (S3 API reference,
GetObject, "Permissions")."""

ABANDONED_UPLOAD_DAYS = 7
ACCESS_LOG_DAYS = 365
"""The shortest retention of audit logs (PCI DSS v4.0.1, requirement 10.5.1: 12 months)."""


def build(stack: Stack) -> None:
    """Make the bucket, and let the organization or the listed accounts read its packages, over TLS alone.

    Nobody else's account lists it: what is deployed names its package. What is written once is neither overwritten nor
    destroyed, by the account's own administrators neither, as long as they leave the policy alone.
    """
    bucket = _bucket(stack)
    organization, has_organization = _accounts.declare_organization(
        stack, "Organization whose accounts read the packages, and that operators must belong to; empty for none"
    )
    accounts = stack.parameter(
        _accounts.account_ids("ReaderAccountIds", "Accounts outside OrganizationId that read the packages")
    ).ref()
    has_accounts = stack.condition("HasReaderAccounts", Not(Equals(accounts, "")))
    stack.rule(
        "Readers",
        Or(Not(Equals(organization, "")), Not(Equals(accounts, ""))),
        "Nobody could read the packages: give OrganizationId, ReaderAccountIds or both",
    )
    stack.add(
        s3.BucketPolicy(
            "BucketPolicy",
            Bucket=bucket.ref(),
            # As plain data: awacs takes no condition of the template around a statement.
            PolicyDocument={
                "Version": policies.VERSION,
                "Statement": [
                    policies.deny_without_tls([Action("s3", "*")], [bucket.get_att("Arn"), _inside(bucket, "*")]),
                    _create_only(bucket),
                    _keep_versions(bucket),
                    If(has_organization, _organization_reads(bucket, organization), NoValue),
                    If(has_accounts, _accounts_read(bucket, accounts), NoValue),
                ],
            },
        )
    )
    stack.output(naming.ARTIFACTS_BUCKET, bucket.ref(), "Bucket of this region that holds the functions' packages")


def _bucket(stack: Stack) -> s3.Bucket:
    locked, lock = _object_lock(stack)
    return stack.add(
        s3.Bucket(
            "Bucket",
            BucketName=stack.name(BUCKET),
            **_private(),
            LifecycleConfiguration=_lifecycle(stack),
            LoggingConfiguration=_access_logs(stack),
            ObjectLockEnabled=If(locked, True, NoValue),
            ObjectLockConfiguration=If(locked, lock, NoValue),
            # S3 refuses to delete a bucket that holds anything, so nothing is lost; a kept bucket would hold its name
            # against the next deployment of the suffix.
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Retain",
        )
    )


def _private() -> dict[str, Any]:
    return {
        # S3's own key: packages are code, without secrets or account data. A key of ours would have to open itself to
        # the deploying roles of every reader, each of which would need kms:Decrypt, and so guard nothing that the
        # bucket's policy does not. Access logs take no other (S3 user guide, "Enabling Amazon S3 server access
        # logging").
        "BucketEncryption": s3.BucketEncryption(
            ServerSideEncryptionConfiguration=[
                s3.ServerSideEncryptionRule(
                    ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
                )
            ]
        ),
        "OwnershipControls": s3.OwnershipControls(
            Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
        ),
        "PublicAccessBlockConfiguration": s3.PublicAccessBlockConfiguration(
            BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
        ),
        "VersioningConfiguration": s3.VersioningConfiguration(Status="Enabled"),
    }


def _object_lock(stack: Stack) -> tuple[str, s3.ObjectLockConfiguration]:
    """Governance: who may bypass it is a permission of its own, and a mistake does not last for years."""
    days = stack.parameter(
        parameters.integer(
            "ObjectLockDays",
            "Days for which nobody deletes a version in the bucket (S3 Object Lock, governance mode); 0 for none. Once "
            "on, S3 never turns it off",
            minimum=0,
            maximum=3650,
            default=0,
        )
    ).ref()
    retention = s3.DefaultRetention(Mode="GOVERNANCE", Days=days)
    lock = s3.ObjectLockConfiguration(ObjectLockEnabled="Enabled", Rule=s3.ObjectLockRule(DefaultRetention=retention))
    return stack.condition("HasObjectLock", Not(Equals(days, "0"))), lock


def _lifecycle(stack: Stack) -> s3.LifecycleConfiguration:
    days = stack.parameter(
        parameters.integer(
            "OldVersionRetentionDays",
            "Days for which an earlier version of a rollout's journal can be brought back",
            minimum=1,
            maximum=3650,
            default=90,
        )
    ).ref()
    return s3.LifecycleConfiguration(
        Rules=[
            s3.LifecycleRule(
                Id="ExpireOldVersions",
                Status="Enabled",
                Prefix=REWRITTEN,
                NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=days),
            ),
            s3.LifecycleRule(
                Id="AbortAbandonedUploads",
                Status="Enabled",
                AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(
                    DaysAfterInitiation=ABANDONED_UPLOAD_DAYS
                ),
            ),
        ]
    )


def _access_logs(stack: Stack) -> If:
    """The log of who read or wrote: in a bucket of one's own choice, in one that is made here, or nowhere."""
    given = stack.parameter(
        parameters.string(
            "AccessLogsBucket",
            "Bucket in this account and region that takes the log of who read a package, or empty",
            pattern=r"^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            explanation="the name of an S3 bucket, or empty",
            default="",
        )
    ).ref()
    made = stack.parameter(
        parameters.boolean("CreateAccessLogsBucket", "true makes a bucket for that log where AccessLogsBucket is empty")
    ).ref()
    is_given = stack.condition("HasAccessLogsBucket", Not(Equals(given, "")))
    is_made = stack.condition("IsAccessLogsBucketMade", And(Equals(made, "true"), Equals(given, "")))
    prefix = stack.name("stackferry-artifacts")
    own = _logs_bucket(stack, is_made)

    def logging(bucket: Ref) -> s3.LoggingConfiguration:
        return s3.LoggingConfiguration(DestinationBucketName=bucket, LogFilePrefix=prefix)

    return If(is_given, logging(given), If(is_made, logging(own.ref()), NoValue))


def _logs_bucket(stack: Stack, is_made: str) -> s3.Bucket:
    """Nobody takes a line out of it again before its time (S3 user guide, "Enabling Amazon S3 server access logging":
    the service principal and its conditions)."""
    days = stack.parameter(
        parameters.integer(
            "AccessLogRetentionDays",
            "Days for which the bucket that CreateAccessLogsBucket makes keeps the log",
            minimum=ACCESS_LOG_DAYS,
            maximum=3650,
            default=ACCESS_LOG_DAYS,
        )
    ).ref()
    bucket = stack.add(
        s3.Bucket(
            "AccessLogs",
            Condition=is_made,
            **_private(),
            LifecycleConfiguration=s3.LifecycleConfiguration(
                Rules=[
                    s3.LifecycleRule(
                        Id="ExpireLogs",
                        Status="Enabled",
                        ExpirationInDays=days,
                        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=1),
                    )
                ]
            ),
            # It outlives what it tells of, and has no name that the next deployment would want.
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
        )
    )
    scanners.accept(bucket, {"CKV_AWS_18": "The log of the log would be its own subject"})
    of_artifacts = stack.name(f"arn:${{AWS::Partition}}:s3:::{BUCKET}")
    stack.add(
        s3.BucketPolicy(
            "AccessLogsPolicy",
            Condition=is_made,
            Bucket=bucket.ref(),
            PolicyDocument=policies.document(
                policies.deny_without_tls([Action("s3", "*")], [bucket.get_att("Arn"), _inside(bucket, "*")]),
                policies.allow(
                    "LogsAreWritten",
                    [s3_actions.PutObject],
                    [_inside(bucket, "*")],
                    principal=policies.service("logging.s3.amazonaws.com"),
                    condition=Condition(
                        [
                            ArnLike({"aws:SourceArn": of_artifacts}),
                            StringEquals({"aws:SourceAccount": AccountId}),
                        ]
                    ),
                ),
                _deny("LogsStay", [s3_actions.DeleteObject, s3_actions.DeleteObjectVersion], [_inside(bucket, "*")]),
            ),
        )
    )
    return bucket


def _create_only(bucket: s3.Bucket) -> Statement:
    """A write that would replace is refused: it must ask that the key be free (S3 user guide, "Enforce conditional
    writes on Amazon S3 buckets").

    The guide lets multipart uploads begin without the header. Here they are refused, as copies are: no package is as
    large as that, and what has no exception cannot be got round by one.
    """
    unasked = Condition(Null({"s3:if-none-match": "true"}))
    return _deny("CreateOnly", [s3_actions.PutObject], _written_once(bucket), unasked)


def _keep_versions(bucket: s3.Bucket) -> Statement:
    """A function and a release name the version that they were made with: without it nothing can be put back.

    s3:DeleteObject stays allowed: it hides an object, and destroys none; below `rollout/` it expires then as an old
    version does. Whoever empties the bucket to delete its stack takes this policy away first.
    """
    return _deny("KeepVersions", [s3_actions.DeleteObjectVersion], _written_once(bucket))


def _written_once(bucket: s3.Bucket) -> list[Join]:
    return [_inside(bucket, keys) for keys in WRITTEN_ONCE]


def _deny(sid: str, actions: list[Action], resources: list[Join], condition: Condition | None = None) -> Statement:
    given = {} if condition is None else {"Condition": condition}
    return Statement(Sid=sid, Effect=Deny, Principal=Principal("*"), Action=actions, Resource=resources, **given)


def _organization_reads(bucket: s3.Bucket, organization: Ref) -> Statement:
    """S3 holds a policy for all principals of one organization to be not public (S3 user guide, "Blocking public
    access to your Amazon S3 storage")."""
    return policies.allow(
        "OrganizationReads",
        READ,
        [_inside(bucket, PACKAGES)],
        principal=Principal("*"),
        condition=Condition(StringEquals({"aws:PrincipalOrgID": organization})),
    )


def _accounts_read(bucket: s3.Bucket, accounts: Ref) -> Statement:
    """Lambda fetches a package as whoever makes the function: the role that CloudFormation deploys with, which needs
    s3:GetObject in its own policy too (github.com/aws/aws-cdk, issue 3765)."""
    return policies.allow(
        "AccountsRead",
        READ,
        [_inside(bucket, PACKAGES)],
        principal=Principal("AWS", Split(",", accounts)),
    )


def _inside(bucket: s3.Bucket, keys: str) -> Join:
    return Join("/", [bucket.get_att("Arn"), keys])
