"""DMS under the evaluator of IAM: actions, resources and tags are those that a policy names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from dms_task import DeployedTask, deploy

from builders.cloud.process import Cloud

ACCOUNT = "630000000001"


@pytest.fixture(scope="module")
def replication(strict_cloud: Cloud) -> DeployedTask:
    """A task that is tagged Environment = dev."""
    return deploy(strict_cloud, ACCOUNT)


@pytest.fixture
def as_role(strict_cloud: Cloud, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A client of DMS in a role that may do what one statement allows."""

    def client(*actions: str, resource: str = "*", **conditions: Any) -> Any:
        arguments = strict_cloud.client_arguments(ACCOUNT)
        iam, name = boto3.client("iam", **arguments), f"role-{abs(hash(request.node.name))}"
        trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        statement = {"Effect": "Allow", "Action": actions, "Resource": resource, **conditions}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy)
        sts = boto3.client("sts", **arguments)
        session = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return boto3.client(
            "dms",
            endpoint_url=strict_cloud.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=session["AccessKeyId"],
            aws_secret_access_key=session["SecretAccessKey"],
            aws_session_token=session["SessionToken"],
        )

    return client


def tagged(environment: str) -> dict[str, Any]:
    """A condition on the tag of the task."""
    return {"Condition": {"StringEquals": {"dms:task-tag/Environment": environment}}}


def test_a_role_does_what_it_may_and_nothing_else(as_role: Callable[..., Any], replication: DeployedTask) -> None:
    dms = as_role("dms:DescribeReplicationTasks")
    (task,) = dms.describe_replication_tasks()["ReplicationTasks"]
    assert task["ReplicationTaskArn"] == replication.arn
    with pytest.raises(ClientError, match="not authorized to perform: dms:DescribeEndpoints"):
        dms.describe_endpoints()


def test_a_policy_may_name_the_task(as_role: Callable[..., Any], replication: DeployedTask) -> None:
    dms = as_role("dms:DescribeTableStatistics", resource=replication.arn)
    assert dms.describe_table_statistics(ReplicationTaskArn=replication.arn)["TableStatistics"] == []
    with pytest.raises(ClientError, match="not authorized to perform: dms:DescribeTableStatistics"):
        dms.describe_table_statistics(ReplicationTaskArn=f"{replication.arn}-of-another")


def test_a_policy_may_ask_for_the_tag_of_the_task(as_role: Callable[..., Any], replication: DeployedTask) -> None:
    dms = as_role("dms:DescribeTableStatistics", **tagged("dev"))
    assert dms.describe_table_statistics(ReplicationTaskArn=replication.arn)["TableStatistics"] == []


def test_a_task_with_another_tag_is_not_ones_own(as_role: Callable[..., Any], replication: DeployedTask) -> None:
    dms = as_role("dms:DescribeTableStatistics", **tagged("prod"))
    with pytest.raises(ClientError, match="not authorized to perform: dms:DescribeTableStatistics"):
        dms.describe_table_statistics(ReplicationTaskArn=replication.arn)


def test_a_policy_may_name_the_endpoint_whose_connection_is_tested(
    as_role: Callable[..., Any], replication: DeployedTask
) -> None:
    task = replication.described()
    dms = as_role("dms:TestConnection", resource=task["SourceEndpointArn"])
    instance = task["ReplicationInstanceArn"]
    dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=task["SourceEndpointArn"])
    with pytest.raises(ClientError, match="not authorized to perform: dms:TestConnection"):
        dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=task["TargetEndpointArn"])
