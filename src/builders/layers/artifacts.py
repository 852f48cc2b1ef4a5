"""The bucket of one region that hands the functions' packages to the accounts that deploy them."""

from __future__ import annotations

from awacs import s3 as s3_actions
from awacs.aws import Action, Condition, Principal, Statement, StringEquals
from troposphere import Equals, If, Join, Not, NoValue, Or, Ref, Split, s3

from builders import naming, parameters, policies
from builders.layers import _accounts
from builders.stack import Scope, Stack

SCOPE = Scope.TOOLING

BUCKET = "stackferry-${AWS::AccountId}-${AWS::Region}"
"""Names of buckets are unique in the world, so this one carries account and region beside the suffix."""

PACKAGES = "*.zip"
"""All that others read. Beside the packages lies the state of rollouts, with the parameters of every phase."""

ABANDONED_UPLOAD_DAYS = 7


def build(stack: Stack) -> None:
    """Make the bucket, and let the organization or the listed accounts read its packages, over TLS alone.

    Nobody else's account lists it: what is deployed names its package.
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
                    If(has_organization, _organization_reads(bucket, organization), NoValue),
                    If(has_accounts, _accounts_read(bucket, accounts), NoValue),
                ],
            },
        )
    )
    stack.output(naming.ARTIFACTS_BUCKET, bucket.ref(), "Bucket of this region that holds the functions' packages")


def _bucket(stack: Stack) -> s3.Bucket:
    return stack.add(
        s3.Bucket(
            "Bucket",
            BucketName=stack.name(BUCKET),
            # S3's own key: packages are code, without secrets or account data. A key of ours would have to open itself
            # to the deploying roles of every reader, each of which would need kms:Decrypt, and so guard nothing that
            # the bucket's policy does not.
            BucketEncryption=s3.BucketEncryption(
                ServerSideEncryptionConfiguration=[
                    s3.ServerSideEncryptionRule(
                        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
                    )
                ]
            ),
            LifecycleConfiguration=_lifecycle(stack),
            LoggingConfiguration=_access_logs(stack),
            OwnershipControls=s3.OwnershipControls(
                Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
            ),
            PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
                BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
            ),
            VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
            # S3 refuses to delete a bucket that holds anything, so nothing is lost; a kept bucket would hold its name
            # against the next deployment of the suffix.
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Retain",
        )
    )


def _lifecycle(stack: Stack) -> s3.LifecycleConfiguration:
    """A package's key is its content, so an old version is what somebody overwrote or deleted, kept for a while."""
    days = stack.parameter(
        parameters.integer(
            "OldVersionRetentionDays",
            "Days for which a package that was overwritten or deleted can be brought back",
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
                NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=days),
                AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(
                    DaysAfterInitiation=ABANDONED_UPLOAD_DAYS
                ),
            )
        ]
    )


def _access_logs(stack: Stack) -> If:
    bucket = stack.parameter(
        parameters.string(
            "AccessLogsBucket",
            "Bucket in this account and region that takes the log of who read a package, or empty",
            pattern=r"^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            explanation="the name of an S3 bucket, or empty",
            default="",
        )
    ).ref()
    logged = stack.condition("HasAccessLogsBucket", Not(Equals(bucket, "")))
    prefix = stack.name("stackferry-artifacts")
    return If(logged, s3.LoggingConfiguration(DestinationBucketName=bucket, LogFilePrefix=prefix), NoValue)


def _organization_reads(bucket: s3.Bucket, organization: Ref) -> Statement:
    """S3 holds a policy for all principals of one organization to be not public (S3 user guide, "Blocking public
    access to your Amazon S3 storage")."""
    return policies.allow(
        "OrganizationReads",
        [s3_actions.GetObject],
        [_inside(bucket, PACKAGES)],
        principal=Principal("*"),
        condition=Condition(StringEquals({"aws:PrincipalOrgID": organization})),
    )


def _accounts_read(bucket: s3.Bucket, accounts: Ref) -> Statement:
    """Lambda fetches a package as whoever makes the function: the role that CloudFormation deploys with, which needs
    s3:GetObject in its own policy too (github.com/aws/aws-cdk, issue 3765)."""
    return policies.allow(
        "AccountsRead",
        [s3_actions.GetObject],
        [_inside(bucket, PACKAGES)],
        principal=Principal("AWS", Split(",", accounts)),
    )


def _inside(bucket: s3.Bucket, keys: str) -> Join:
    return Join("/", [bucket.get_att("Arn"), keys])
