"""All our templates on a server that checks every request against IAM, with exactly the roles that they make."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from warm import running

from .conftest import Account
from .dms_rig import Database
from .whole_phase import TOOLING, WholePhase, whole_phase

# Types whose services the embedded cloud does not offer, or whose API shows no tags: only their stack tells of them.
UNTOLD = ("AWS::DirectConnect::", "AWS::RAM::", "AWS::Route53Resolver::", "AWS::EC2::TransitGateway", "AWS::DMS::",
          "AWS::CloudWatch::Dashboard")  # fmt: skip


@pytest.fixture(scope="module")
def phase() -> Iterator[WholePhase]:
    with running(authorize=True) as cloud, whole_phase(cloud) as deployed:
        yield deployed


def listed(tags: Any) -> dict[str, str]:
    """Tags as one dictionary, in whichever form a service tells them."""
    if isinstance(tags, dict):
        return dict(tags)
    return {tag.get("Key", tag.get("TagKey")): tag.get("Value", tag.get("TagValue")) for tag in tags}


def rule_arn(account: Account, name: str) -> str:
    return str(account.client("events").describe_rule(Name=name)["Arn"])


def alarm(account: Account, name: str) -> dict[str, Any]:
    (found,) = account.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return dict(found)


def log_group(account: Account, name: str) -> dict[str, Any]:
    (found,) = account.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return dict(found)


def instance(account: Account, name: str) -> dict[str, Any]:
    (found,) = account.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return dict(found)


def function(account: Account, name: str) -> dict[str, Any]:
    return dict(account.client("lambda").get_function(FunctionName=name))


def topic(account: Account, arn: str) -> dict[str, str]:
    return dict(account.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"])


def secret(account: Account, arn: str) -> dict[str, Any]:
    return dict(account.client("secretsmanager").describe_secret(SecretId=arn))


def rds_tags(account: Account, kind: str, name: str) -> Any:
    arn = f"arn:aws:rds:{account.region}:{account.number}:{kind}:{name}"
    return account.client("rds").list_tags_for_resource(ResourceName=arn)["TagList"]


TAGS: dict[str, Callable[[Account, str], Any]] = {
    "AWS::CloudWatch::Alarm": lambda account, name: account.client("cloudwatch").list_tags_for_resource(
        ResourceARN=alarm(account, name)["AlarmArn"]
    )["Tags"],
    "AWS::Events::Rule": lambda account, name: account.client("events").list_tags_for_resource(
        ResourceARN=rule_arn(account, name)
    )["Tags"],
    "AWS::IAM::Role": lambda account, name: account.client("iam").get_role(RoleName=name)["Role"]["Tags"],
    "AWS::KMS::Key": lambda account, name: account.client("kms").list_resource_tags(KeyId=name)["Tags"],
    "AWS::Lambda::Function": lambda account, name: function(account, name)["Tags"],
    "AWS::Logs::LogGroup": lambda account, name: account.client("logs").list_tags_for_resource(
        resourceArn=log_group(account, name)["arn"].removesuffix(":*")
    )["tags"],
    "AWS::RDS::DBInstance": lambda account, name: instance(account, name)["TagList"],
    "AWS::RDS::DBParameterGroup": lambda account, name: rds_tags(account, "pg", name),
    "AWS::RDS::DBSubnetGroup": lambda account, name: rds_tags(account, "subgrp", name),
    "AWS::S3::Bucket": lambda account, name: account.client("s3").get_bucket_tagging(Bucket=name)["TagSet"],
    "AWS::SNS::Topic": lambda account, name: account.client("sns").list_tags_for_resource(ResourceArn=name)["Tags"],
    "AWS::SecretsManager::Secret": lambda account, name: secret(account, name)["Tags"],
}

KEYS: dict[str, Callable[[Account, str], Any]] = {
    "AWS::Lambda::Function": lambda account, name: function(account, name)["Configuration"].get("KMSKeyArn"),
    "AWS::Logs::LogGroup": lambda account, name: log_group(account, name).get("kmsKeyId"),
    "AWS::RDS::DBInstance": lambda account, name: instance(account, name).get("KmsKeyId"),
    "AWS::SNS::Topic": lambda account, name: topic(account, name).get("KmsMasterKeyId"),
    "AWS::SecretsManager::Secret": lambda account, name: secret(account, name).get("KmsKeyId"),
}


def described_tags(account: Account, kind: str, name: str) -> dict[str, str]:
    if kind.startswith("AWS::EC2::"):
        filters = [{"Name": "resource-id", "Values": [name]}]
        return listed(account.client("ec2").describe_tags(Filters=filters)["Tags"])
    return listed(TAGS[kind](account, name))


def test_every_tag_of_the_templates_is_shown_by_the_services(phase: WholePhase) -> None:
    missing = {
        f"{kind} {name}": sorted({tag["Key"] for tag in definition["Properties"]["Tags"]} - set(tags))
        for account, kind, name, definition in phase.resources()
        if "Tags" in definition.get("Properties", {}) and not kind.startswith(UNTOLD)
        for tags in [described_tags(account, kind, name)]
    }
    assert {what for what, keys in missing.items() if keys} == set()


NOT_COMPARED = (
    *("AWS::CloudFormation::WaitConditionHandle", "AWS::CloudWatch::Dashboard"),
    *("AWS::SecretsManager::SecretTargetAttachment", "Custom::Connectivity", "Custom::DatabaseUser"),
)


def test_nothing_has_drifted_and_almost_every_type_is_compared(phase: WholePhase) -> None:
    found: dict[str, set[str]] = {}
    for account in (phase.tooling, phase.network, phase.account):
        api = account.client("cloudformation")
        for stack in api.describe_stacks()["Stacks"]:
            api.detect_stack_drift(StackName=stack["StackName"])
            pages = api.get_paginator("list_stack_resources").paginate(StackName=stack["StackName"])
            for each in (entry for page in pages for entry in page["StackResourceSummaries"]):
                status = each["DriftInformation"]["StackResourceDriftStatus"]
                found.setdefault(status, set()).add(each["ResourceType"])
    assert found.keys() == {"IN_SYNC", "NOT_CHECKED"}
    assert found["NOT_CHECKED"] == set(NOT_COMPARED)


def test_every_key_of_the_templates_is_shown_by_the_services(phase: WholePhase) -> None:
    key = phase.stacks["foundation"]["KmsKeyArn"]
    keys = {
        f"{kind} {name}": KEYS[kind](account, name)
        for account, kind, name, definition in phase.resources()
        if kind in KEYS and {"KmsKeyId", "KmsKeyArn", "KmsMasterKeyId"} & set(definition["Properties"])
    }
    assert {kind.split()[0] for kind in keys} == set(KEYS)
    assert {what: value for what, value in keys.items() if value != key} == {}


def test_what_keeps_resources_private_is_shown_by_the_services(phase: WholePhase) -> None:
    seen: dict[str, list[Any]] = {}
    for account, kind, name, definition in phase.resources():
        if kind == "AWS::S3::Bucket":
            block = account.client("s3").get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
            seen.setdefault(kind, []).append(set(block.values()) == {True})
        elif kind == "AWS::EC2::Subnet":
            (subnet,) = account.client("ec2").describe_subnets(SubnetIds=[name])["Subnets"]
            seen.setdefault(kind, []).append(not subnet["MapPublicIpOnLaunch"])
        elif kind == "AWS::RDS::DBInstance":
            seen.setdefault(kind, []).append(not instance(account, name)["PubliclyAccessible"])
        elif kind == "AWS::DMS::ReplicationInstance":
            (replication,) = account.client("dms").describe_replication_instances()["ReplicationInstances"]
            seen.setdefault(kind, []).append(not replication["PubliclyAccessible"])
        elif kind == "AWS::Lambda::Function" and "VpcConfig" in definition["Properties"]:
            network = function(account, name)["Configuration"]["VpcConfig"]
            seen.setdefault(kind, []).append(network["VpcId"] == phase.stacks["network"]["VpcId"])
        elif kind == "AWS::EC2::VPCEndpoint":
            (endpoint,) = account.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[name])["VpcEndpoints"]
            statements = json.loads(endpoint["PolicyDocument"])["Statement"]
            seen.setdefault(kind, []).append(
                len(statements) == len(definition["Properties"]["PolicyDocument"]["Statement"])
            )
    assert {kind for kind, kept in seen.items() if all(kept)} == {
        "AWS::DMS::ReplicationInstance",
        "AWS::EC2::Subnet",
        "AWS::EC2::VPCEndpoint",
        "AWS::Lambda::Function",
        "AWS::RDS::DBInstance",
        "AWS::S3::Bucket",
    }


def assumed(phase: WholePhase, role: str, external_id: str, by: Account) -> Callable[[str], Any]:
    """Clients that speak as a role of the phase, assumed by another account's administrator or its own."""
    answer = by.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{phase.account.number}:role/{role}", RoleSessionName="test", ExternalId=external_id
    )["Credentials"]
    return lambda service: boto3.client(
        service,
        endpoint_url=phase.account.cloud.endpoint_url,
        region_name=phase.account.region,
        aws_access_key_id=answer["AccessKeyId"],
        aws_secret_access_key=answer["SecretAccessKey"],
        aws_session_token=answer["SessionToken"],
    )


def denied(call: Callable[[], Any]) -> str:
    """The sentence with which IAM refuses a call."""
    with pytest.raises(ClientError) as refused:
        call()
    assert refused.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
    return str(refused.value.response["Error"]["Message"])


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing happened for a minute"
        time.sleep(0.05)
    return found


def test_the_password_rotates_with_the_rights_of_the_functions_role_alone(phase: WholePhase) -> None:
    api, arn = phase.client("secretsmanager"), phase.stacks["secrets"]["SecretsManagerArn"]
    phase.wait_for_rotation()
    version = api.rotate_secret(SecretId=arn)["VersionId"]
    until(lambda: api.describe_secret(SecretId=arn)["VersionIdsToStages"].get(version) == ["AWSCURRENT"])


def test_a_changed_port_reaches_both_secrets_and_whoever_reads_them(phase: WholePhase) -> None:
    phase.wait_for_rotation()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    secrets = [phase.stacks["secrets"][name] for name in ("SecretsManagerArn", "DmsSecretArn")]

    def values() -> list[dict[str, Any]]:
        api = phase.client("secretsmanager")
        return [json.loads(api.get_secret_value(SecretId=each)["SecretString"]) for each in secrets]

    before = values()
    for layer in ("network", "database"):
        phase.redeploy(layer, DatabasePort=str(port))
    assert values() == before, "their attachments do not run again"
    phase.redeploy("database_users")
    assert values() == [each | {"port": port} for each in before]
    phase.redeploy("connectivity", ReleaseId="proves-the-way-to-the-new-port")


def test_the_status_function_runs_with_its_own_role(phase: WholePhase) -> None:
    (name,) = [name for _, kind, name, _ in phase.resources() if kind == "AWS::Lambda::Function" and "Status" in name]
    answer = phase.client("lambda").invoke(FunctionName=name, LogType="Tail")
    assert answer.get("FunctionError") is None, answer["Payload"].read()
    log = base64.b64decode(answer["LogResult"]).decode()
    assert '"ReplicationTaskStatus": 0' in log
    assert '"SlotWalStatus": 0' in log, "it has not asked the source"


def clients_of(phase: WholePhase, name: str, *actions: str) -> Callable[[str], Any]:
    """Clients that speak as a new role with these actions on everything."""
    trust = {"Effect": "Allow", "Principal": {"AWS": phase.account.number}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    iam = phase.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": [allowed]}))
    return assumed(phase, name, "any", phase.account)


def test_a_role_without_the_right_to_the_key_cannot_read_the_secret(phase: WholePhase) -> None:
    key = phase.client("kms").create_key()["KeyMetadata"]["Arn"]
    phase.client("secretsmanager").create_secret(Name="locked", KmsKeyId=key, SecretString="value")
    one = clients_of(phase, "without-the-key", "secretsmanager:GetSecretValue")("secretsmanager")
    assert denied(lambda: one.get_secret_value(SecretId="locked")) == "Access to KMS is not allowed"
    other = clients_of(phase, "with-the-key", "secretsmanager:GetSecretValue", "kms:Decrypt")("secretsmanager")
    assert other.get_secret_value(SecretId="locked")["SecretString"] == "value"


def test_the_operator_runs_the_task_of_his_phase_and_no_other(phase: WholePhase) -> None:
    target = with_rows_to_carry(phase)
    operator = assumed(phase, "stackferry-operator-us-east-1-dev", "migration-dev", phase.account)
    dms, arn = operator("dms"), phase.stacks["migration"]["ReplicationTaskArn"]
    task = dms.describe_replication_tasks()["ReplicationTasks"][0]
    for endpoint in (task["SourceEndpointArn"], task["TargetEndpointArn"]):
        dms.test_connection(ReplicationInstanceArn=task["ReplicationInstanceArn"], EndpointArn=endpoint)
    until(lambda: {each["Status"] for each in dms.describe_connections()["Connections"]} == {"successful"})
    dms.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    assert dms.describe_table_statistics(ReplicationTaskArn=arn)["ReplicationTaskArn"] == arn
    # Rows are carried with the roles and users that the templates make, and no other.
    until(lambda: target.rows("SELECT count(*) FROM public.carried", "payments") == [(3,)])
    other = arn.replace("ferry-task-dev", "ferry-task-prod")
    sentence = denied(lambda: dms.stop_replication_task(ReplicationTaskArn=other))
    assert "is not authorized to perform: dms:StopReplicationTask" in sentence
    assert "because no identity-based policy allows the dms:StopReplicationTask action" in sentence


def with_rows_to_carry(phase: WholePhase) -> Database:
    """A table on both sides, with rows in the source; return the target's server."""
    (found,) = phase.client("rds").describe_db_instances()["DBInstances"]
    target = Database(phase.account.cloud, found["Endpoint"]["Port"])
    table = "CREATE TABLE public.carried (id int PRIMARY KEY)"
    assert phase.source is not None
    phase.source.server.administer(
        table, "ALTER TABLE carried OWNER TO ferry_source", "INSERT INTO carried VALUES (1), (2), (3)",
        database="payments",
    )  # fmt: skip
    target.administer(table, "GRANT ALL ON carried TO ferry_dms", database="payments")
    return target


def test_the_operator_reads_no_secret(phase: WholePhase) -> None:
    client = assumed(phase, "stackferry-operator-us-east-1-dev", "migration-dev", phase.account)("secretsmanager")
    arn = phase.stacks["secrets"]["SecretsManagerArn"]
    sentence = denied(lambda: client.get_secret_value(SecretId=arn))
    assert sentence.startswith(
        f"User: arn:aws:sts::{phase.account.number}:assumed-role/stackferry-operator-us-east-1-dev/test is not "
        "authorized to perform: secretsmanager:GetSecretValue"
    )


def test_a_failed_task_reaches_the_topic_of_the_phase(phase: WholePhase) -> None:
    arn, topic_arn = phase.stacks["migration"]["ReplicationTaskArn"], phase.stacks["foundation"]["NotificationTopicArn"]
    queue_arn = f"arn:aws:sqs:us-east-1:{phase.account.number}:messages"
    takes = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
             "Resource": queue_arn}  # fmt: skip
    queue = phase.client("sqs").create_queue(
        QueueName="messages", Attributes={"Policy": json.dumps({"Statement": [takes]})}
    )["QueueUrl"]
    phase.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn)
    order = {"ReplicationTaskArn": arn, "Failure": {"StopReason": "FATAL_ERROR", "LastFailureMessage": "slot is gone"}}
    drive(phase, order)
    if phase.client("dms").describe_replication_tasks()["ReplicationTasks"][0]["Status"] in ("ready", "stopped"):
        phase.client("dms").start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")

    def arrived() -> bool:
        answer = phase.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        return any(f"DMS said of the replication task {arn}" in each["Body"] for each in answer.get("Messages", []))

    assert until(arrived)


def drive(phase: WholePhase, order: dict[str, Any]) -> None:
    """Decide about a task what a test may decide (builders/cloud/dms/tasks.py)."""
    phase.account.cloud.ask("/", json.dumps(order).encode(), **{"X-Amz-Target": "StackferryDms.Drive"})


def test_a_role_is_not_assumed_without_its_external_id(phase: WholePhase) -> None:
    assert "is not authorized to perform: sts:AssumeRole" in denied(
        lambda: assumed(phase, "stackferry-operator-us-east-1-dev", "migration-prod", phase.account)
    )


def test_the_plan_role_previews_the_stacks_of_stack_sets_and_changes_nothing(phase: WholePhase) -> None:
    template = json.dumps({"Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}})
    phase.client("cloudformation").create_stack(StackName="StackSet-stackferry-preview-1", TemplateBody=template)
    phase.account.settled("StackSet-stackferry-preview-1")
    tooling = Account(phase.account.cloud, TOOLING)
    plan = assumed(phase, "stackferry-plan-dev", "migration-dev", tooling)("cloudformation")
    changed = template.replace("Handle", "Other", 1)
    made = plan.create_change_set(
        StackName="StackSet-stackferry-preview-1", ChangeSetName="preview", TemplateBody=changed
    )
    until(lambda: plan.describe_change_set(ChangeSetName=made["Id"])["Status"] == "CREATE_COMPLETE")
    plan.delete_change_set(ChangeSetName=made["Id"])
    assert "cloudformation:UpdateStack" in denied(
        lambda: plan.update_stack(StackName="StackSet-stackferry-preview-1", TemplateBody=changed)
    )
    assert "cloudformation:CreateChangeSet" in denied(
        lambda: plan.create_change_set(StackName="database", ChangeSetName="preview", TemplateBody=changed)
    )


@pytest.mark.parametrize(
    ("actions", "status"),
    [(("cloudformation:*", "sns:CreateTopic"), "CREATE_COMPLETE"), (("cloudformation:*",), "ROLLBACK_COMPLETE")],
)
def test_a_deploy_does_what_its_caller_may_do_and_no_more(
    phase: WholePhase, actions: tuple[str, ...], status: str
) -> None:
    deployer = clients_of(phase, f"deployer-{len(actions)}", *actions)("cloudformation")
    name = f"deployed-with-{len(actions)}-rights"
    deployer.create_stack(StackName=name, TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}')
    assert phase.account.settled(name) == status
    if status != "CREATE_COMPLETE":
        reasons = " ".join(event.get("ResourceStatusReason", "") for event in phase.account.events(name))
        assert "assumed-role/deployer-1/test is not authorized to perform: sns:CreateTopic" in reasons
