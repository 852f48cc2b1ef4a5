"""The roles by which people work on a phase, and on no other.

Operators start, stop and watch the replication task, and read no secret. Whoever carries the migration, which takes
checking the source, loading definitions, comparing and the cut-over, does the same and logs in to both databases: that
role is made where somebody asks for it, and taken away after the cut-over.
"""

from __future__ import annotations

from typing import Any

from awacs import (
    awslambda as lambda_actions,
    cloudwatch as alarm_actions,
    dms as dms_actions,
    iam as iam_actions,
    rds as rds_actions,
    secretsmanager as secret_actions,
)
from awacs.aws import Bool, Condition, PolicyDocument, Principal, Statement, StringEquals
from troposphere import AccountId, And, Condition as IfCondition, Equals, If, Join, Not, NoValue, Or, Split, Sub, iam

from builders import naming, parameters, policies
from builders.layers import _accounts, _functions, _source
from builders.layers.database import INSTANCE_IDENTIFIER
from builders.layers.fallback import SECRET_ARN as FALLBACK_SECRET_ARN
from builders.layers.foundation import ENVELOPE, KEY_ARN
from builders.layers.rotation import DMS_ROTATION_FUNCTION_ARN
from builders.layers.secrets import DATABASE_SECRET_ARN, DMS_SECRET_ARN
from builders.stack import Scope, Stack, Value

SCOPE = Scope.PHASE

OPERATOR_ROLE = "stackferry-operator-${AWS::Region}"
"""Assumed from another account by a person, who composes the role's ARN from this name and the suffix. Roles are
global, and a phase may live in two regions of an account."""

MIGRATION_ROLE = "stackferry-migration-${AWS::Region}"
"""Likewise, of whoever carries the migration."""

_LONGEST_SESSION_SECONDS = 43_200
"""IAM's most. A comparison of large tables outlasts the hour that is the default; a caller asks for what he needs."""

_WILDCARDS = {
    "DescribeReplication": "DMS describes tasks, instances and connections without a resource "
    "(Service Authorization Reference)"
}

_MIGRATION_WILDCARDS = _WILDCARDS | {
    "DescribeEnds": "DMS describes endpoints and certificates without a resource (Service Authorization Reference)",
    "ReadMetrics": "CloudWatch reads metrics without a resource (Service Authorization Reference)",
}


def build(stack: Stack) -> None:
    """Make both roles and their policies."""
    people = _declare_people(stack)
    operator = stack.add(
        iam.Role(
            "OperatorRole",
            RoleName=stack.name(OPERATOR_ROLE),
            Description="Runs the replication task of one phase; reads its alarms and snapshots, and no secret",
            AssumeRolePolicyDocument=_trust(people.accounts, people),
        )
    )
    stack.add(
        iam.ManagedPolicy(
            "OperatorPolicy",
            Description="Starts, stops, resumes and watches the replication task of one phase",
            PolicyDocument=policies.document(*_run_task(), *_watch(stack)),
            Roles=[operator.ref()],
            Metadata={"WildcardReasons": _WILDCARDS},
        )
    )
    stack.output("OperatorRoleArn", operator.get_att("Arn"), "Role of the phase's operators")
    _migration_role(stack, people)


class _People(Value):
    """Principals that may assume a role: accounts and an organization as parameters, and the conditions for these."""

    listed: Any
    has_listed: str
    organization: Any
    has_organization: str

    @property
    def accounts(self) -> If:
        """The listed accounts, or this one."""
        return If(self.has_listed, Split(",", self.listed), AccountId)


def _declare_people(stack: Stack) -> _People:
    listed = stack.parameter(
        _accounts.account_ids("OperatorAccountIds", "Accounts whose operators may assume the role; empty for this one")
    ).ref()
    has_listed = stack.condition("HasOperatorAccounts", Not(Equals(listed, "")))
    organization, has_organization = _accounts.declare_organization(
        stack, "Organization whose accounts read the packages, and that operators must belong to; empty for none"
    )
    return _People(listed, has_listed, organization, has_organization)


def _trust(accounts: Any, people: _People) -> PolicyDocument:
    """The external id names the phase, so that a role is not taken for another's."""
    return policies.trust(
        "Operators",
        Principal("AWS", accounts),
        Condition(
            StringEquals(
                {
                    "sts:ExternalId": policies.migration_external_id(),
                    "aws:PrincipalOrgID": If(people.has_organization, people.organization, NoValue),
                }
            )
        ),
    )


def _migration_role(stack: Stack, people: _People) -> None:
    """The role that reads secrets, and its policy; off by default."""
    asked_for = stack.parameter(
        parameters.boolean("CreateMigrationRole", "Make the role that carries the migration and reads its secrets")
    ).ref()
    has_role = stack.condition("HasMigrationRole", Equals(asked_for, "true"))
    role = stack.add(
        iam.Role(
            "MigrationRole",
            Condition=has_role,
            RoleName=stack.name(MIGRATION_ROLE),
            Description="Carries the migration of one phase: runs its task, and logs in to its two databases",
            MaxSessionDuration=_LONGEST_SESSION_SECONDS,
            AssumeRolePolicyDocument=If(
                people.has_listed, _trust(Split(",", people.listed), people), _trust_with_second_factor()
            ),
        )
    )
    stack.add(
        iam.ManagedPolicy(
            "MigrationPolicy",
            Condition=has_role,
            Description="Runs the replication tasks of one phase, and reads the secrets of its two databases",
            PolicyDocument=policies.document(
                *_run_task(),
                *_watch(stack),
                *_see_ends(),
                *_read_secrets(stack),
                *_keep_application_passwords(stack),
                *_rotate_user_of_dms(stack),
            ),
            Roles=[role.ref()],
            Metadata={"WildcardReasons": _MIGRATION_WILDCARDS},
        )
    )
    _assess(stack, role, has_role)
    stack.output("MigrationRoleArn", role.get_att("Arn"), "Role of whoever carries the migration", condition=has_role)


def _trust_with_second_factor() -> PolicyDocument:
    """People of this account who logged in with MFA; the console's Switch Role works, since it passes no external id.

    Source: re:Post, knowledge center, "iam-switch-role". A session of another role has no MFA of its own: who works
    through one lists this account in OperatorAccountIds, and says the external id.
    """
    return policies.trust(
        "Operators", Principal("AWS", AccountId), Condition(Bool({"aws:MultiFactorAuthPresent": "true"}))
    )


def _see_ends() -> list[Statement]:
    """Allow reading which secrets and certificates the tasks use, and how late the tasks are."""
    return [
        policies.allow("DescribeEnds", [dms_actions.DescribeCertificates, dms_actions.DescribeEndpoints], ["*"]),
        policies.allow("ReadMetrics", [alarm_actions.GetMetricData], ["*"]),
    ]


def _read_secrets(stack: Stack) -> list[Statement]:
    """The secrets by which `migrate-database` logs in, and those of the way back, for which it makes users and rights.

    DMS's own secret of the way forth is for DMS alone.
    """
    source = stack.parameter(_source.secret_arn()).ref()
    key = stack.parameter(_source.secret_key_arn()).ref()
    has_key = stack.condition("HasSourceSecretKey", Not(Equals(key, "")))
    has_fallback, fallback = _source.declare_fallback(stack)
    fallback_key = stack.parameter(_source.fallback_secret_key_arn()).ref()
    has_fallback_key = stack.condition("HasFallbackSecretKey", Not(Equals(fallback_key, "")))
    migrator = stack.parameter(_source.migrator_secret_arn()).ref()
    has_migrator = stack.condition("HasMigratorSecret", Not(Equals(migrator, "")))
    migrator_key = stack.parameter(_source.migrator_secret_key_arn()).ref()
    has_migrator_key = stack.condition("HasMigratorSecretKey", Not(Equals(migrator_key, "")))
    return _functions.reading_statements(
        [
            stack.import_value(DATABASE_SECRET_ARN),
            source,
            If(has_fallback, fallback.ref(), NoValue),
            If(has_fallback, stack.import_value(FALLBACK_SECRET_ARN), NoValue),
            If(has_migrator, migrator, NoValue),
        ],
        [
            stack.import_value(KEY_ARN),
            If(has_key, key, NoValue),
            If(has_fallback_key, fallback_key, NoValue),
            If(has_migrator_key, migrator_key, NoValue),
        ],
    )


def _keep_application_passwords(stack: Stack) -> list[Statement]:
    """New passwords of the application's roles, where the source does not show their verifiers."""
    prefix = f"{naming.APPLICATION_SECRET}-${{{naming.SUFFIX}}}-*"
    making = Condition(StringEquals({"kms:ViaService": Sub("secretsmanager.${AWS::Region}.amazonaws.com")}))
    return [
        policies.allow(
            "KeepApplicationPasswords",
            [
                secret_actions.CreateSecret,
                secret_actions.DescribeSecret,
                secret_actions.GetSecretValue,
                secret_actions.PutSecretValue,
                secret_actions.TagResource,
            ],
            [policies.arn("secretsmanager", f"secret:{prefix}")],
        ),
        policies.allow("EncryptApplicationPasswords", ENVELOPE, [stack.import_value(KEY_ARN)], condition=making),
    ]


def _rotate_user_of_dms(stack: Stack) -> list[Statement]:
    """A new password for DMS's user by its function, without reading it.

    Whoever rotates calls the function, too (Secrets Manager API reference, "RotateSecret", required permissions).
    """
    return [
        policies.allow(
            "RotateSecretOfDms",
            [secret_actions.CancelRotateSecret, secret_actions.DescribeSecret, secret_actions.RotateSecret],
            [stack.import_value(DMS_SECRET_ARN)],
        ),
        policies.allow(
            "CallItsFunction", [lambda_actions.InvokeFunction], [stack.import_value(DMS_ROTATION_FUNCTION_ARN)]
        ),
    ]


def _assess(stack: Stack, role: iam.Role, has_role: str) -> None:
    """DMS's own premigration assessments, where there is a role by which DMS writes their results into a bucket.

    Whoever starts a run passes that role on (DMS API reference, "StartReplicationTaskAssessmentRun"). What each found
    is read from DMS, and not from the bucket.
    """
    writer = stack.parameter(
        parameters.string(
            "AssessmentRoleArn",
            "ARN of the role by which DMS writes the results of premigration assessments; empty for no assessments",
            pattern=r"^$|^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$",
            explanation="the ARN of a role that trusts dms.amazonaws.com, or empty",
            default="",
            max_length=2048,
        )
    ).ref()
    bucket = stack.parameter(
        parameters.string(
            "AssessmentBucket",
            "Bucket that AssessmentRoleArn may write to; needed with it",
            pattern=r"^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            explanation="the name of an S3 bucket, or empty",
            default="",
        )
    ).ref()
    no_writer, no_bucket = Equals(writer, ""), Equals(bucket, "")
    stack.rule(
        "AssessmentRoleAndBucketTogether",
        Or(And(no_writer, no_bucket), And(Not(no_writer), Not(no_bucket))),
        "AssessmentRoleArn and AssessmentBucket belong together: give both, or neither",
    )
    wanted = stack.condition("HasAssessments", And(IfCondition(has_role), Not(no_writer)))
    stack.add(
        iam.ManagedPolicy(
            "AssessmentPolicy",
            Condition=wanted,
            Description="Starts and reads DMS's premigration assessments of one phase",
            PolicyDocument=policies.document(
                policies.allow(
                    "StartAssessment",
                    [dms_actions.StartReplicationTaskAssessmentRun],
                    [policies.arn("dms", "task:*")],
                    condition=_own_task(),
                ),
                policies.allow(
                    "DescribeAssessments",
                    [
                        dms_actions.DescribeApplicableIndividualAssessments,
                        dms_actions.DescribeReplicationTaskAssessmentRuns,
                        dms_actions.DescribeReplicationTaskIndividualAssessments,
                    ],
                    ["*"],
                ),
                policies.allow(
                    "LendWriter",
                    [iam_actions.PassRole],
                    [writer],
                    condition=Condition(StringEquals({"iam:PassedToService": "dms.amazonaws.com"})),
                ),
            ),
            Roles=[role.ref()],
            Metadata={
                "WildcardReasons": {
                    "DescribeAssessments": "DMS describes assessments without a resource (Service Authorization "
                    "Reference)"
                }
            },
        )
    )
    stack.output("AssessmentRoleArn", writer, "Role that migrate-database check hands to DMS", condition=wanted)
    stack.output("AssessmentBucket", bucket, "Bucket of the results of premigration assessments", condition=wanted)


def _own_task() -> Condition:
    """DMS gives ARNs an end of its own, so the tag tells whose they are (DMS user guide, "Fine-grained access control
    using resource names and tags"). The role may not tag, or it could claim another's."""
    return Condition(StringEquals({"dms:task-tag/Environment": parameters.reference(naming.SUFFIX)}))


def _run_task() -> list[Statement]:
    """Start (which resumes and reloads, too) and stop the phase's own tasks, and test their connections before.

    A test is asked for on the endpoint and on the instance (Service Authorization Reference, "AWS Database Migration
    Service").
    """
    return [
        policies.allow(
            "DescribeReplication",
            [
                dms_actions.DescribeConnections,
                dms_actions.DescribeReplicationInstances,
                dms_actions.DescribeReplicationTasks,
            ],
            ["*"],
        ),
        policies.allow(
            "RunOwnTask",
            [dms_actions.DescribeTableStatistics, dms_actions.StartReplicationTask, dms_actions.StopReplicationTask],
            [policies.arn("dms", "task:*")],
            condition=_own_task(),
        ),
        policies.allow(
            "TestOwnConnections",
            [dms_actions.TestConnection],
            [policies.arn("dms", "endpoint:*"), policies.arn("dms", "rep:*")],
            condition=Condition(StringEquals({"aws:ResourceTag/Environment": parameters.reference(naming.SUFFIX)})),
        ),
    ]


def _watch(stack: Stack) -> list[Statement]:
    """Alarms and snapshots of this account and region: reading many at once cannot be confined to one phase's. And the
    storage of the phase's own database, into which the source has to fit."""
    database = Join(":", [policies.arn("rds", "db"), stack.import_value(INSTANCE_IDENTIFIER)])
    return [
        policies.allow("ReadAlarms", [alarm_actions.DescribeAlarms], [policies.arn("cloudwatch", "alarm:*")]),
        policies.allow("ReadDatabase", [rds_actions.DescribeDBInstances], [database]),
        policies.allow(
            "ReadSnapshots", [rds_actions.DescribeDBSnapshots], [database, policies.arn("rds", "snapshot:*")]
        ),
    ]
