"""The boundary of a phase's roles, and the policies that hold the execution role to it.

Whoever writes the stack sets of the tooling account writes the roles of a phase and their policies. The boundary is
made beside the stack sets, by the deploy role: within it a role does what the roles of our layers do, and reads a
secret as they read it, whatever its own policies say (IAM user guide, "Permissions boundaries for IAM entities").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from awacs import cloudwatch, dms, iam as iam_actions, kms, logs, rds, secretsmanager, sns
from awacs.aws import Action, Allow, ArnLike, Condition, Deny, Statement, StringEquals, StringLike, StringNotEquals
from troposphere import And, Condition as IfCondition, Equals, If, Not, NoValue, Split, Sub, iam

from builders import naming, parameters, policies
from builders.layers import _accounts, _functions
from builders.layers._execution.grants import SECRETS
from builders.stack import Stack

_SUFFIX = parameters.reference(naming.SUFFIX)
_OWN_TAG = {"aws:ResourceTag/Environment": _SUFFIX}

_SECRET_NAME = r"[\w/+=.@-][\w/+=.@*-]*"  # noqa: S105  a pattern
"""The name of a secret, which begins with a character of its own: an asterisk alone would be every secret."""

_WILDCARDS = {
    "Watch": "DMS, CloudWatch and its logs describe without a resource (Service Authorization Reference)",
    "LiveInTheVpc": "Interfaces have no id before Lambda makes them; a function's own policy denies them to its code",
}


def build(stack: Stack, is_wanted: str, role: iam.Role) -> None:
    """Make the boundary, which the phase's parameter PermissionsBoundary names, and hold the execution role to it."""
    stack.add(
        iam.ManagedPolicy(
            "PhaseBoundary",
            ManagedPolicyName=stack.name(naming.PERMISSIONS_BOUNDARY),
            Description="The most that a role of the phase may do, whatever its own policies say",
            # As plain data: awacs takes no condition of the template around a statement.
            PolicyDocument={"Version": policies.VERSION, "Statement": [*_secrets(stack), *_work()]},
            Metadata={"WildcardReasons": _WILDCARDS},
        )
    )
    name = stack.parameter(parameters.permissions_boundary()).ref()
    bounded = stack.condition("HasPermissionsBoundary", Not(Equals(name, "")))
    _attach(
        stack,
        "ExecutionBoundaryPolicy",
        stack.condition("IsBoundaryDemanded", And(IfCondition(is_wanted), IfCondition(bounded))),
        role,
        "Makes no role without the boundary, and leaves the boundary alone",
        _demand(policies.own_policy("${PermissionsBoundary}")),
    )
    sealed = stack.parameter(
        parameters.boolean(
            "SealExecutionRole",
            "Whether stack sets change nothing that reaches secrets and data, such as roles and functions; for the "
            "time between releases",
        )
    ).ref()
    _attach(
        stack,
        "ExecutionSealPolicy",
        stack.condition("IsExecutionRoleSealed", And(IfCondition(is_wanted), Equals(sealed, "true"))),
        role,
        "Changes nothing that reaches secrets and data",
        [_deny("Sealed", SEALED)],
    )


def _attach(
    stack: Stack, title: str, condition: str, role: iam.Role, description: str, statements: Sequence[Statement]
) -> None:
    stack.add(
        iam.ManagedPolicy(
            title,
            Condition=condition,
            Description=description,
            PolicyDocument=policies.document(*statements),
            Roles=[role.ref()],
        )
    )


def _deny(sid: str, actions: Sequence[Action], resource: Any = "*", condition: Condition | None = None) -> Statement:
    statement = Statement(Sid=sid, Effect=Deny, Action=list(actions), Resource=[resource])
    if condition is not None:
        statement.Condition = condition
    return statement


def _demand(boundary: Sub) -> list[Statement]:
    """Denials rather than conditions of what is allowed, so that a later grant does not open a way around them.

    A role without a boundary has no iam:PermissionsBoundary, and counts as one of another (IAM user guide, "IAM JSON
    policy elements: Condition operators", on negated matching).
    """
    other = Condition(StringNotEquals({"iam:PermissionsBoundary": boundary}))
    return [
        _deny(
            "RolesWithTheBoundaryAlone",
            [
                iam_actions.AttachRolePolicy,
                iam_actions.CreateRole,
                iam_actions.PutRolePermissionsBoundary,
                iam_actions.PutRolePolicy,
            ],
            condition=other,
        ),
        _deny("BoundariesStay", [iam_actions.DeleteRolePermissionsBoundary]),
        _deny(
            "TheBoundaryStaysAsItIs",
            [
                iam_actions.CreatePolicyVersion,
                iam_actions.DeletePolicy,
                iam_actions.DeletePolicyVersion,
                iam_actions.SetDefaultPolicyVersion,
            ],
            boundary,
        ),
    ]


SEALED = (
    dms.CreateEndpoint,
    dms.CreateReplicationTask,
    dms.ModifyEndpoint,
    iam_actions.AttachRolePolicy,
    iam_actions.CreatePolicy,
    iam_actions.CreatePolicyVersion,
    iam_actions.CreateRole,
    iam_actions.PassRole,
    iam_actions.UpdateAssumeRolePolicy,
    kms.CreateGrant,
    kms.PutKeyPolicy,
    Action("lambda", "AddPermission"),
    Action("lambda", "CreateFunction"),
    Action("lambda", "UpdateFunctionCode"),
    Action("lambda", "UpdateFunctionConfiguration"),
    rds.CreateDBSnapshot,
    rds.ModifyDBInstance,
    secretsmanager.GetSecretValue,
    secretsmanager.PutSecretValue,
    secretsmanager.RotateSecret,
    secretsmanager.TagResource,
    secretsmanager.UpdateSecret,
)
"""Actions by which a stack set could reach a secret or a row, though no role is wider than the boundary."""


def _secrets(stack: Stack) -> list[Any]:
    """Secrets as the layers read them: the database's by a function alone, those of DMS by DMS, too.

    A session of somebody who assumed a role has no lambda:SourceFunctionArn (Lambda developer guide, "Control function
    access with source function ARN"). DMS's sessions have no such mark, and a role that DMS may take, others may be
    given by its trust: docs/permissions.md says what that leaves open, and how to shut it.
    """
    by_function = ArnLike({"lambda:SourceFunctionArn": policies.in_every_region("lambda", "function:*")})
    names = [f"secret:{name}" for name in SECRETS]
    return [
        policies.allow(
            "SecretsByFunctions",
            [
                secretsmanager.DescribeSecret,
                secretsmanager.GetSecretValue,
                secretsmanager.ListSecretVersionIds,
                secretsmanager.PutSecretValue,
                secretsmanager.UpdateSecretVersionStage,
            ],
            policies.in_every_region("secretsmanager", *names),
            condition=Condition([StringEquals(_OWN_TAG), by_function]),
        ),
        policies.allow(
            "SecretsOfDms",
            [secretsmanager.GetSecretValue],
            policies.in_every_region("secretsmanager", *(name for name in names if "Database" not in name)),
            condition=Condition(StringEquals(_OWN_TAG)),
        ),
        _source_secrets(stack),
        *_migration_role(stack),
        policies.allow(
            "KeysThroughServices",
            [kms.Decrypt, kms.GenerateDataKey],
            # A secret of on-premises may be another account's, and so its key.
            [Sub("arn:${AWS::Partition}:kms:*:*:key/*")],
            # Lambda decrypts a function's environment in a session of the function's role.
            condition=Condition(StringLike({"kms:ViaService": ["lambda.*", "secretsmanager.*", "sns.*"]})),
        ),
        policies.allow("LookAtKeys", [kms.DescribeKey], [Sub("arn:${AWS::Partition}:kms:*:*:key/*")]),
    ]


def _source_secrets(stack: Stack) -> If:
    given = stack.parameter(
        parameters.string(
            "SourceSecretArns",
            "ARNs of the secrets that you bring (of the source, the migrator, the way back), with * for what differs "
            "between regions, joined by commas; within the boundary a role reads no other",
            pattern=rf"^$|^(,?arn:[a-z-]+:secretsmanager:[a-z0-9*-]+:{_accounts.ACCOUNT_ID}:secret:{_SECRET_NAME})+$",
            explanation="ARNs of secrets joined by commas without spaces, or empty",
            default="",
        )
    ).ref()
    has_given = stack.condition("HasSourceSecrets", Not(Equals(given, "")))
    stack.rule(
        "BoundaryKnowsTheSource",
        Not(Equals(given, "")),
        "PermissionsBoundary needs SourceSecretArns, the secrets that the phase's roles may read beside its own",
        when=Not(Equals(parameters.reference("PermissionsBoundary"), "")),
    )
    reading = Statement(
        Sid="SecretsOfTheSource", Effect=Allow, Action=[secretsmanager.GetSecretValue], Resource=Split(",", given)
    )
    return If(has_given, reading, NoValue)


def _migration_role(stack: Stack) -> list[If]:
    """The role of whoever carries the migration reads secrets as a person, where it is asked for (`access`)."""
    asked_for = stack.parameter(
        parameters.boolean("CreateMigrationRole", "Make the role that carries the migration and reads its secrets")
    ).ref()
    has_role = stack.condition("HasMigrationRole", Equals(asked_for, "true"))
    name = Sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/stackferry-migration-*-${{{naming.SUFFIX}}}")
    by_role = ArnLike({"aws:PrincipalArn": name})
    application = f"{naming.APPLICATION_SECRET}-${{{naming.SUFFIX}}}-*"
    statements = (
        policies.allow(
            "SecretsByTheMigrationRole",
            [
                secretsmanager.CancelRotateSecret,
                secretsmanager.DescribeSecret,
                secretsmanager.GetSecretValue,
                secretsmanager.RotateSecret,
            ],
            policies.in_every_region("secretsmanager", *(f"secret:{name}" for name in SECRETS)),
            condition=Condition([StringEquals(_OWN_TAG), by_role]),
        ),
        policies.allow(
            "ApplicationPasswords",
            [
                secretsmanager.CreateSecret,
                secretsmanager.DescribeSecret,
                secretsmanager.GetSecretValue,
                secretsmanager.PutSecretValue,
                secretsmanager.TagResource,
            ],
            policies.in_every_region("secretsmanager", f"secret:{application}"),
            condition=Condition(by_role),
        ),
        # `migrate-database rotate` has the password of DMS's user changed by its own function.
        policies.allow(
            "FunctionOfThatRotation",
            [Action("lambda", "InvokeFunction")],
            policies.in_every_region("lambda", "function:*-DmsRotation*"),
            condition=Condition(by_role),
        ),
        policies.allow(
            "Assessments",
            [iam_actions.PassRole],
            [Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*")],
            condition=Condition([StringEquals({"iam:PassedToService": "dms.amazonaws.com"}), by_role]),
        ),
    )
    return [If(has_role, statement, NoValue) for statement in statements]


def _work() -> list[Statement]:
    """Everything that opens neither a secret nor a row: the account's own things, without their names."""
    return [
        policies.allow(
            "Watch",
            [
                cloudwatch.GetMetricData,
                dms.DescribeApplicableIndividualAssessments,
                dms.DescribeCertificates,
                dms.DescribeConnections,
                dms.DescribeEndpoints,
                dms.DescribeReplicationInstances,
                dms.DescribeReplicationTaskAssessmentRuns,
                dms.DescribeReplicationTaskIndividualAssessments,
                dms.DescribeReplicationTasks,
                logs.DescribeLogGroups,
            ],
            ["*"],
        ),
        policies.allow("SeeAlarms", [cloudwatch.DescribeAlarms], policies.in_every_region("cloudwatch", "alarm:*")),
        policies.allow(
            "SeeDatabases",
            [rds.DescribeDBInstances, rds.DescribeDBSnapshots],
            policies.in_every_region("rds", "db:*", "snapshot:*"),
        ),
        policies.allow(
            "RunTasks",
            [
                dms.DescribeTableStatistics,
                dms.StartReplicationTask,
                dms.StartReplicationTaskAssessmentRun,
                dms.StopReplicationTask,
                dms.TestConnection,
            ],
            policies.in_every_region("dms", "endpoint:*", "rep:*", "task:*"),
            condition=Condition(StringEquals(_OWN_TAG)),
        ),
        policies.allow("Notify", [sns.Publish], policies.in_every_region("sns", "*")),
        policies.allow(
            "WriteLogs",
            [logs.CreateLogGroup, logs.CreateLogStream, logs.DescribeLogStreams, logs.PutLogEvents],
            policies.in_every_region("logs", "log-group:*"),
        ),
        # Enhanced monitoring (AWS managed policy reference, "AmazonRDSEnhancedMonitoringRole").
        policies.allow(
            "MonitorDatabases",
            [logs.GetLogEvents, logs.PutRetentionPolicy],
            policies.in_every_region("logs", "log-group:RDS*"),
        ),
        policies.allow("LiveInTheVpc", _functions.NETWORK_INTERFACES, ["*"]),
    ]
