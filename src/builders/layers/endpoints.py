"""The doors of the VPC to AWS: interface endpoints that have a caller, and S3's gateway endpoint.

A policy of an endpoint grants nothing by itself: it is the most that anybody may do through the endpoint, whatever
his own policies grant (AWS PrivateLink guide, "Control access to VPC endpoints using endpoint policies").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from awacs import cloudwatch, dms, kms, logs, s3, secretsmanager, sts
from awacs.aws import Action, Condition, PolicyDocument, Principal, Statement, StringEquals
from troposphere import AccountId, Equals, Join, Region, Split, Sub, ec2

from builders import parameters, policies
from builders.layers import network
from builders.stack import Scope, Stack, Value

SCOPE = Scope.PHASE

ANYTHING = ["*"]
"""Resources of actions without a resource level (Service Authorization Reference); the principals are narrowed."""


class Interface(Value):
    """An interface endpoint: its logical id, the service's name in the endpoint, and what may pass.

    Without `purpose` it is always there; with one, a parameter asks for it.
    """

    title: str
    service: str
    statements: tuple[Statement, ...]
    purpose: str = ""


def build(stack: Stack) -> None:
    """Make the interface endpoints in every private subnet, and route S3 from every private table to its gateway."""
    for interface in _interfaces():
        _interface(stack, interface)
    stack.add(
        ec2.VPCEndpoint(
            "S3Endpoint",
            VpcEndpointType="Gateway",
            ServiceName=_service_name("s3"),
            VpcId=stack.import_value(network.VPC_ID),
            RouteTableIds=Split(",", stack.import_value(network.PRIVATE_ROUTE_TABLE_IDS)),
            PolicyDocument=_s3_policy(),
        )
    )


def _interfaces() -> list[Interface]:
    return [
        Interface("SecretsManagerEndpoint", "secretsmanager", _secrets_manager()),
        Interface("DmsEndpoint", "dms", _dms()),
        Interface(
            "MonitoringEndpoint",
            "monitoring",
            (_own("PublishMetrics", [cloudwatch.PutMetricData], ANYTHING),),
            "functions in the VPC that publish metrics to CloudWatch themselves",
        ),
        Interface(
            "LogsEndpoint",
            "logs",
            (
                _own(
                    "WriteLogs",
                    [logs.CreateLogStream, logs.PutLogEvents],
                    [policies.arn("logs", "log-group:*")],
                ),
            ),
            "functions in the VPC that write to log groups other than their own",
        ),
        Interface(
            "KmsEndpoint",
            "kms",
            (_own("UseKeys", [kms.Decrypt, kms.GenerateDataKey], [policies.arn("kms", "key/*")]),),
            "functions in the VPC that encrypt or decrypt by themselves",
        ),
        Interface(
            "StsEndpoint",
            "sts",
            (_own("AssumeRoles", [sts.AssumeRole], [Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*")]),),
            "functions in the VPC that assume another role",
        ),
    ]


def _secrets_manager() -> tuple[Statement, ...]:
    """Permissions for the rotation function, which makes its passwords itself, and for DMS, which reads the secrets."""
    return (
        _own(
            "UseSecrets",
            [
                secretsmanager.DescribeSecret,
                secretsmanager.GetSecretValue,
                secretsmanager.ListSecretVersionIds,
                secretsmanager.PutSecretValue,
                secretsmanager.UpdateSecretVersionStage,
            ],
            [policies.arn("secretsmanager", "secret:*")],
        ),
    )


def _dms() -> tuple[Statement, ...]:
    """Permissions to see the state of the replication."""
    return (
        _own(
            "FindReplication",
            [
                dms.DescribeCertificates,
                dms.DescribeEndpoints,
                dms.DescribeReplicationTasks,
            ],
            ANYTHING,
        ),
        _own("ReadTableStatistics", [dms.DescribeTableStatistics], [policies.arn("dms", "task:*")]),
    )


def _own(sid: str, actions: Sequence[Action], resources: Sequence[Any]) -> Statement:
    """Principals of this account may do this."""
    return policies.allow(sid, actions, resources, principal=policies.account())


def _interface(stack: Stack, interface: Interface) -> None:
    attributes: dict[str, Any] = {}
    if interface.purpose:
        switch = stack.parameter(
            parameters.boolean(f"{interface.title}Enabled", f"Whether to pay for an endpoint for {interface.purpose}")
        )
        attributes["Condition"] = stack.condition(f"Has{interface.title}", Equals(switch.ref(), "true"))
    stack.add(
        ec2.VPCEndpoint(
            interface.title,
            VpcEndpointType="Interface",
            ServiceName=_service_name(interface.service),
            VpcId=stack.import_value(network.VPC_ID),
            SubnetIds=Split(",", stack.import_value(network.PRIVATE_SUBNET_IDS)),
            SecurityGroupIds=[stack.import_value(network.ENDPOINT_SECURITY_GROUP_ID)],
            # The SDKs then find the endpoint under the service's usual name.
            PrivateDnsEnabled=True,
            PolicyDocument=policies.document(*interface.statements),
            **attributes,
        )
    )


def _s3_policy() -> PolicyDocument:
    """Results that DMS's assessments write into a bucket of this account, and the answers of custom resources.

    At a gateway endpoint the account as principal would mean its root user alone, so conditions narrow "*" (AWS
    PrivateLink guide, "Control access to VPC endpoints using endpoint policies", principals for gateway endpoints).
    """
    anybody = Principal("*")
    return policies.document(
        policies.allow(
            "ResultsOfAssessments",
            [s3.PutObject],
            ANYTHING,
            principal=anybody,
            condition=Condition(StringEquals({"aws:PrincipalAccount": AccountId, "aws:ResourceAccount": AccountId})),
        ),
        # A custom resource answers by a URL that AWS signed as itself, for a bucket of its own: any condition on the
        # account would refuse it, and the stack would hang for an hour. The bucket has the region's name without its
        # hyphens (CloudFormation user guide, "Access CloudFormation using an interface endpoint").
        policies.allow(
            "AnswersOfCustomResources",
            [s3.PutObject],
            [
                Sub(
                    "arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-${RegionWithoutHyphens}/*",
                    RegionWithoutHyphens=Join("", Split("-", Region)),
                )
            ],
            principal=anybody,
        ),
    )


def _service_name(service: str) -> Sub:
    """A service's name as an endpoint calls it, such as com.amazonaws.eu-central-1.dms."""
    return Sub(f"com.amazonaws.${{AWS::Region}}.{service}")
