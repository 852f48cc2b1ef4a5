"""The role of a phase's operators: they start, stop and watch its replication task, and nothing of another phase."""

from __future__ import annotations

from awacs import cloudwatch as alarm_actions, dms as dms_actions, rds as rds_actions
from awacs.aws import Condition, PolicyDocument, Principal, Statement, StringEquals
from troposphere import AccountId, Equals, If, Join, Not, NoValue, Split, iam

from builders import naming, parameters, policies
from builders.layers import _accounts
from builders.layers.database import INSTANCE_IDENTIFIER
from builders.stack import Scope, Stack

SCOPE = Scope.PHASE

OPERATOR_ROLE = "stackferry-operator-${AWS::Region}"
"""Assumed from another account by a person, who composes the role's ARN from this name and the suffix. Roles are
global, and a phase may live in two regions of an account."""

_WILDCARDS = {
    "DescribeReplication": "DMS describes tasks, instances and connections without a resource "
    "(Service Authorization Reference)"
}


def build(stack: Stack) -> None:
    """Make the role and its policy."""
    role = stack.add(
        iam.Role(
            "OperatorRole",
            RoleName=stack.name(OPERATOR_ROLE),
            Description="Runs the replication task of one phase; reads its alarms and snapshots, and no secret",
            AssumeRolePolicyDocument=_trust(stack),
        )
    )
    stack.add(
        iam.ManagedPolicy(
            "OperatorPolicy",
            Description="Starts, stops, resumes and watches the replication task of one phase",
            PolicyDocument=policies.document(*_run_task(), *_watch(stack)),
            Roles=[role.ref()],
            Metadata={"WildcardReasons": _WILDCARDS},
        )
    )
    stack.output("OperatorRoleArn", role.get_att("Arn"), "Role of the phase's operators")


def _trust(stack: Stack) -> PolicyDocument:
    """The listed accounts, or this one; the external id names the phase, so that a role is not taken for another's."""
    accounts = stack.parameter(
        _accounts.account_ids("OperatorAccountIds", "Accounts whose operators may assume the role; empty for this one")
    ).ref()
    has_accounts = stack.condition("HasOperatorAccounts", Not(Equals(accounts, "")))
    organization, has_organization = _accounts.declare_organization(
        stack, "Organization whose accounts read the packages, and that operators must belong to; empty for none"
    )
    return policies.trust(
        "Operators",
        Principal("AWS", If(has_accounts, Split(",", accounts), AccountId)),
        Condition(
            StringEquals(
                {
                    "sts:ExternalId": policies.migration_external_id(),
                    "aws:PrincipalOrgID": If(has_organization, organization, NoValue),
                }
            )
        ),
    )


def _run_task() -> list[Statement]:
    """Start (which resumes, too) and stop the phase's own task.

    DMS gives a task's ARN an end of its own, so the tag tells whose it is (DMS user guide, "Fine-grained access control
    using resource names and tags"). The role may not tag, or it could claim another's.
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
