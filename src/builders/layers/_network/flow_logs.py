"""Flow logs of the VPC, accepted and refused traffic alike, in an encrypted log group."""

from __future__ import annotations

from awacs import logs as logs_actions
from awacs.aws import ArnLike, Condition, StringEquals
from troposphere import AccountId, ImportValue, ec2, iam, logs

from builders import policies
from builders.stack import Stack


def build(stack: Stack, vpc: ec2.VPC, key_arn: ImportValue) -> None:
    """Record the VPC's traffic, kept for LogRetentionDays and beyond the stack."""
    retention = stack.log_retention()
    group = stack.add(
        logs.LogGroup(
            "FlowLogGroup",
            KmsKeyId=key_arn,
            RetentionInDays=retention.ref(),
            # PCI DSS 10.5.1 wants the record of a network that is gone, too. One that was never made has none.
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
        )
    )
    role = stack.add(
        iam.Role(
            "FlowLogRole",
            AssumeRolePolicyDocument=policies.trust(
                "FlowLogs",
                policies.service("vpc-flow-logs.amazonaws.com"),
                # VPC user guide, "IAM role for publishing flow logs to CloudWatch Logs", on confused deputies.
                Condition(
                    [
                        StringEquals({"aws:SourceAccount": AccountId}),
                        ArnLike({"aws:SourceArn": policies.arn("ec2", "vpc-flow-log/*")}),
                    ]
                ),
            ),
        )
    )
    write = stack.add(
        iam.ManagedPolicy(
            "FlowLogPolicy",
            PolicyDocument=_write_to(group),
            Roles=[role.ref()],
            Metadata={"WildcardReasons": {"FindTheGroup": "DescribeLogGroups has no resource level"}},
        )
    )
    stack.add(
        ec2.FlowLog(
            "FlowLog",
            DependsOn=write.title,
            ResourceId=vpc.ref(),
            ResourceType="VPC",
            TrafficType="ALL",
            LogGroupName=group.ref(),
            DeliverLogsPermissionArn=role.get_att("Arn"),
        )
    )


def _write_to(group: logs.LogGroup) -> object:
    """The actions that the same page lists, without CreateLogGroup: the group is there."""
    return policies.document(
        policies.allow(
            "WriteStreams",
            [logs_actions.CreateLogStream, logs_actions.PutLogEvents, logs_actions.DescribeLogStreams],
            [group.get_att("Arn")],
        ),
        policies.allow("FindTheGroup", [logs_actions.DescribeLogGroups], ["*"]),
    )
