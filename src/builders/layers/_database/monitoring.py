"""Monitoring of the database: exported logs, enhanced monitoring, CloudWatch Database Insights."""

from __future__ import annotations

from typing import Any

from awacs.aws import ArnEquals, Condition, PolicyDocument, StringEquals
from troposphere import AccountId, Equals, If, Join, Not, NoValue, Parameter, Sub, iam, logs

from builders import policies
from builders.layers._database import choices
from builders.layers._monitoring.watched import OUR_NAMESPACE
from builders.layers.foundation import KEY_ARN
from builders.stack import Stack

INSIGHTS_DAYS, ADVANCED_INSIGHTS_DAYS = 7, 465
"""The days that are free of charge, and the least that RDS takes in the advanced mode."""

LOG_GROUPS = {"PostgresqlLogs": "postgresql", "UpgradeLogs": "upgrade", "LoginLogs": "iam-db-auth-error"}
"""The logs that the instance exports (RDS user guide, "Publishing PostgreSQL logs to Amazon CloudWatch Logs" and
"Troubleshooting for IAM DB authentication")."""

CHANGES = "DatabaseChanges"
"""The metric of statements that change roles or definitions. Its full name ends in the suffix: a filter on plain text
has no dimensions that would tell one phase from another."""

_CHANGING = {
    "RoleChanges": '?",ROLE,GRANT" ?",ROLE,REVOKE" ?",ROLE,CREATE" ?",ROLE,DROP" ?",ROLE,ALTER DEFAULT"',
    "RoleAlterations": '"AUDIT: SESSION" ",ROLE,ALTER ROLE," '
    '-"SESSION,1,1,ROLE,ALTER ROLE,,,ALTER ROLE SESSION_USER PASSWORD <REDACTED>,<"',
    "DefinitionChanges": '"AUDIT: SESSION" ",DDL,"',
}
"""Patterns of pgaudit's lines: one term of those after a question mark, else all, and none that follows a minus
(CloudWatch Logs user guide, "Filter pattern syntax for metric filters").

What is left out is a rotation, whole and as the first statement of its session: it changes the password of whoever
sends it alone. A comment can hold the same words. But pgaudit quotes a statement with a comma, and blanks what follows
the word PASSWORD in an ALTER ROLE; so they never stand like this in the line of another password, attribute or right.
"""


def log_groups(stack: Stack, identifier: Sub, protection: Parameter) -> list[logs.LogGroup]:
    """The groups that RDS would make itself, unencrypted and for ever, if they were not there before it.

    They are deleted with the stack: RDS gives them their names, so groups that stayed would conflict with the
    next deployment of the same suffix. Where logs must outlive a mistake, DeletionProtection covers them too.
    """
    retention = stack.log_retention()
    groups = {
        log: stack.add(
            logs.LogGroup(
                title,
                LogGroupName=Join("", ["/aws/rds/instance/", identifier, f"/{log}"]),
                KmsKeyId=stack.import_value(KEY_ARN),
                RetentionInDays=retention.ref(),
                DeletionProtectionEnabled=protection.ref(),
                DeletionPolicy="Delete",
                UpdateReplacePolicy="Delete",
            )
        )
        for title, log in LOG_GROUPS.items()
    }
    _count_changes(stack, groups["postgresql"])
    return list(groups.values())


def _count_changes(stack: Stack, server_log: logs.LogGroup) -> None:
    """Count the statements that change roles or definitions; `monitoring` has the alarm."""
    for title, pattern in _CHANGING.items():
        stack.add(
            logs.MetricFilter(
                title,
                LogGroupName=server_log.ref(),
                FilterPattern=pattern,
                MetricTransformations=[
                    logs.MetricTransformation(
                        MetricNamespace=OUR_NAMESPACE, MetricName=stack.name(CHANGES), MetricValue="1"
                    )
                ],
            )
        )


def properties(stack: Stack, identifier: Sub) -> dict[str, Any]:
    """The properties that turn monitoring on, and the role that RDS writes measurements with."""
    interval = stack.parameter(choices.monitoring_interval())
    monitored = stack.condition("HasEnhancedMonitoring", Not(Equals(interval.ref(), "0")))
    role = stack.add(
        iam.Role(
            "MonitoringRole",
            Condition=monitored,
            AssumeRolePolicyDocument=_monitoring_trust(identifier),
            ManagedPolicyArns=[policies.managed_policy("service-role/AmazonRDSEnhancedMonitoringRole")],
        )
    )
    return {
        "MonitoringInterval": interval.ref(),
        # RDS refuses a role beside an interval of 0.
        "MonitoringRoleArn": If(monitored, role.get_att("Arn"), NoValue),
        **_insights(stack),
        "EnableCloudwatchLogsExports": list(LOG_GROUPS.values()),
    }


def _insights(stack: Stack) -> dict[str, Any]:
    """CloudWatch Database Insights; its properties kept the name that it had before, Performance Insights.

    Source: RDS user guide, "Turning on the Advanced mode of Database Insights for Amazon RDS".
    """
    mode = stack.parameter(choices.insights_mode())
    advanced = stack.condition("IsAdvancedInsights", Equals(mode.ref(), "advanced"))
    return {
        "DatabaseInsightsMode": mode.ref(),
        "EnablePerformanceInsights": True,
        "PerformanceInsightsKMSKeyId": stack.import_value(KEY_ARN),
        "PerformanceInsightsRetentionPeriod": If(advanced, ADVANCED_INSIGHTS_DAYS, INSIGHTS_DAYS),
    }


def _monitoring_trust(identifier: Sub) -> PolicyDocument:
    """Lets RDS write the measurements of this instance alone.

    Source: RDS user guide, "Setting up and enabling Enhanced Monitoring", confused deputy problem.
    """
    instance = Join("", [policies.arn("rds", "db:"), identifier])
    return policies.trust(
        "EnhancedMonitoring",
        policies.service("monitoring.rds.amazonaws.com"),
        Condition([StringEquals({"aws:SourceAccount": AccountId}), ArnEquals({"aws:SourceArn": instance})]),
    )
