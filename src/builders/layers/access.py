"""The roles by which people work on a phase, and on no other.

Operators start, stop and watch the replication task, and read no secret. Whoever carries the migration, which takes
checking the source, loading definitions, comparing and the cut-over, does the same and logs in to both databases: that
role is made where somebody asks for it, and taken away after the cut-over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from awacs import cloudwatch as alarm_actions, dms as dms_actions, rds as rds_actions
from awacs.aws import Bool, Condition, PolicyDocument, Principal, Statement, StringEquals
from troposphere import AccountId, Equals, If, Join, Not, NoValue, Split, iam

from builders import naming, parameters, policies
from builders.layers import _accounts, _functions, _source
from builders.layers.database import INSTANCE_IDENTIFIER
from builders.layers.foundation import KEY_ARN
from builders.layers.secrets import DATABASE_SECRET_ARN
from builders.stack import Scope, Stack

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


@dataclass(frozen=True)
class _People:
    """Those who may assume a role: accounts and an organization as parameters, and the conditions for these."""

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
            Description="Runs the replication task of one phase, and reads the secrets of its two databases",
            PolicyDocument=policies.document(*_run_task(), *_watch(stack), *_read_secrets(stack)),
            Roles=[role.ref()],
            Metadata={"WildcardReasons": _WILDCARDS},
        )
    )
    stack.output("MigrationRoleArn", role.get_att("Arn"), "Role of whoever carries the migration", condition=has_role)


def _trust_with_second_factor() -> PolicyDocument:
    """People of this account who logged in with MFA; the console's Switch Role works, since it passes no external id.

    Source: re:Post, knowledge center, "iam-switch-role". A session of another role has no MFA of its own: who works
    through one lists this account in OperatorAccountIds, and says the external id.
    """
    return policies.trust(
        "Operators", Principal("AWS", AccountId), Condition(Bool({"aws:MultiFactorAuthPresent": "true"}))
    )


def _read_secrets(stack: Stack) -> list[Statement]:
    """The master user's secret and that of the source; DMS's own is for DMS alone."""
    source = stack.parameter(_source.secret_arn()).ref()
    key = stack.parameter(_source.secret_key_arn()).ref()
    has_key = stack.condition("HasSourceSecretKey", Not(Equals(key, "")))
    return _functions.reading_statements(
        [stack.import_value(DATABASE_SECRET_ARN), source], [stack.import_value(KEY_ARN), If(has_key, key, NoValue)]
    )


def _run_task() -> list[Statement]:
    """Start (which resumes and reloads, too) and stop the phase's own task, and test its connections before.

    DMS gives ARNs an end of its own, so the tag tells whose they are (DMS user guide, "Fine-grained access control
    using resource names and tags"). The role may not tag, or it could claim another's. A test is asked for on the
    endpoint and on the instance (Service Authorization Reference, "AWS Database Migration Service").
    """
    own_task = Condition(StringEquals({"dms:task-tag/Environment": parameters.reference(naming.SUFFIX)}))
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
            condition=own_task,
        ),
        policies.allow(
            "TestOwnConnections",
            [dms_actions.TestConnection],
            [policies.arn("dms", "endpoint:*"), policies.arn("dms", "rep:*")],
            condition=Condition(StringEquals({"aws:ResourceTag/Environment": parameters.reference(naming.SUFFIX)})),
        ),
    ]


def _watch(stack: Stack) -> list[Statement]:
    """Alarms and snapshots of this account and region: reading many at once cannot be confined to one phase's."""
    database = Join(":", [policies.arn("rds", "db"), stack.import_value(INSTANCE_IDENTIFIER)])
    return [
        policies.allow("ReadAlarms", [alarm_actions.DescribeAlarms], [policies.arn("cloudwatch", "alarm:*")]),
        policies.allow(
            "ReadSnapshots", [rds_actions.DescribeDBSnapshots], [database, policies.arn("rds", "snapshot:*")]
        ),
    ]
