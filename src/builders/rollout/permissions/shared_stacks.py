"""What the resources of `artifacts` and `administration` need: CloudFormation makes them with the caller's own rights.

Source: the permissions that the registry's schemas name for the handlers of each type; of those, what the properties
of these templates use. A test compares the actions with the schemas.
"""

from __future__ import annotations

from builders.rollout.permissions.grants import Grant, Who

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
