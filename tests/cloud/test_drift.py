"""Drift of resources that were changed by their service's own API, property by property."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from builders.cloud.process import Cloud

from .conftest import Account, Template, empty, postgres_with_its_secret

_accounts = itertools.count(790_000_000_001)
NOT_COMPARED = ("Attachment", "Bus")
SENTENCE = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
INLINE = "import cfnresponse\ndef handler(event, context):\n    return 1\n"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trusting(service: str) -> dict[str, Any]:
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def resources() -> Template:
    rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": {"Fn::GetAtt": "Bucket.Arn"}}
    administered = {"Effect": "Allow", "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}},
                    "Action": "kms:*", "Resource": "*"}  # fmt: skip
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "Closed": ("EC2::SecurityGroup", {
            "GroupDescription": "closed", "VpcId": {"Ref": "Vpc"},
            "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "127.0.0.1/32", "Description": "nothing"}]}),
        "FromOffice": ("EC2::SecurityGroupIngress", {
            "GroupId": {"Ref": "Closed"}, "CidrIp": "10.9.0.0/16", "Description": "office", **rule}),
        "Acl": ("EC2::NetworkAcl", {"VpcId": {"Ref": "Vpc"}}),
        "Entry": ("EC2::NetworkAclEntry", {
            "NetworkAclId": {"Ref": "Acl"}, "RuleNumber": 100, "Protocol": 6, "RuleAction": "allow",
            "CidrBlock": "10.0.0.0/8", "PortRange": {"From": 443, "To": 443}}),
        "Flows": ("EC2::FlowLog", {
            "ResourceId": {"Ref": "Vpc"}, "ResourceType": "VPC", "TrafficType": "ALL",
            "LogDestinationType": "s3", "LogDestination": {"Fn::GetAtt": "Bucket.Arn"}}),
        "Bucket": ("S3::Bucket", {
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]},
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": True},
            "VersioningConfiguration": {"Status": "Enabled"}}),
        "BucketPolicy": ("S3::BucketPolicy", {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": document(denied)}),
        "Role": ("IAM::Role", {
            "AssumeRolePolicyDocument": trusting("lambda.amazonaws.com"), "Description": "runs",
            "ManagedPolicyArns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
            "Policies": [{"PolicyName": "own", "PolicyDocument": document(SENTENCE)}]}),
        "Policy": ("IAM::ManagedPolicy", {"PolicyDocument": document(SENTENCE), "Roles": [{"Ref": "Role"}]}),
        "Log": ("Logs::LogGroup", {"RetentionInDays": 30}),
        "Alarm": ("CloudWatch::Alarm", {
            "Namespace": "AWS/RDS", "MetricName": "CPUUtilization", "Statistic": "Average", "Period": 60,
            "EvaluationPeriods": 3, "Threshold": 80, "ComparisonOperator": "GreaterThanThreshold",
            "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": {"Ref": "Database"}}]}),
        "Key": ("KMS::Key", {"EnableKeyRotation": True, "KeyPolicy": document(administered)}),
        "Topic": ("SNS::Topic", {"DisplayName": "news"}),
        "Function": ("Lambda::Function", {
            "Handler": "index.handler", "Runtime": "python3.13", "Role": {"Fn::GetAtt": "Role.Arn"}, "Timeout": 10,
            "Code": {"ZipFile": INLINE}}),
        "Invocation": ("Lambda::Permission", {
            "FunctionName": {"Ref": "Function"}, "Action": "lambda:InvokeFunction",
            "Principal": "secretsmanager.amazonaws.com"}),
        "Rotation": ("SecretsManager::RotationSchedule", {
            "SecretId": {"Ref": "Rotated"}, "RotationLambdaARN": {"Fn::GetAtt": "Function.Arn"},
            "RotateImmediatelyOnUpdate": False, "RotationRules": {"ScheduleExpression": "rate(30 days)"}}),
        "Rotated": ("SecretsManager::Secret", {"SecretString": "{}"}),
        "Rule": ("Events::Rule", {"ScheduleExpression": "rate(1 day)", "State": "ENABLED"}),
        "Bus": ("Events::EventBus", {"Name": "payments"}),
        "OnBus": ("Events::Rule", {
            "EventBusName": {"Ref": "Bus"}, "State": "ENABLED", "EventPattern": {"source": ["payments"]},
            "Targets": [{"Id": "function", "Arn": {"Fn::GetAtt": "Function.Arn"}}]}),
    }  # fmt: skip
    made = {name: {"Type": f"AWS::{kind}", "Properties": properties} for name, (kind, properties) in kinds.items()}
    made["Rotation"]["DependsOn"] = "Invocation"
    found = {**postgres_with_its_secret(), **made}
    found["Vpc"]["Properties"]["EnableDnsSupport"] = True
    return found


class Changed:
    """A stack, and how to change what it made."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.ids = {name: account.physical_id(name) for name in resources()}

    def api(self, service: str) -> Any:
        return self.account.client(service)

    def drift(self, logical_id: str) -> tuple[str, set[str]]:
        """The status of one resource, and the paths of what differs."""
        found = self.api("cloudformation").detect_stack_resource_drift(StackName="stack", LogicalResourceId=logical_id)
        drift = found["StackResourceDrift"]
        paths = {each["PropertyPath"] for each in drift.get("PropertyDifferences", [])}
        return drift["StackResourceDriftStatus"], paths


@pytest.fixture(scope="module")
def changed(cloud: Cloud) -> Iterator[Changed]:
    account = Account(cloud, str(next(_accounts)))
    account.deploy(resources())
    changed = Changed(account)
    api = account.client("cloudformation")
    api.detect_stack_drift(StackName="stack")
    drifts = api.describe_stack_resource_drifts(StackName="stack")["StackResourceDrifts"]
    assert {each["LogicalResourceId"]: each["StackResourceDriftStatus"] for each in drifts} == {
        name: "IN_SYNC" for name in resources() if name not in NOT_COMPARED
    }
    yield changed
    account.client("s3").delete_bucket_policy(Bucket=changed.ids["Bucket"])
    empty(account)


RULE = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}
OPEN = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
OFFICE = [{**RULE, "IpRanges": [{"CidrIp": "10.9.0.0/16"}]}]
CHANGES: dict[str, tuple[str, Callable[[Changed], Any], str, set[str]]] = {
    "a rule of egress is added": (
        "Closed",
        lambda it: it.api("ec2").authorize_security_group_egress(GroupId=it.ids["Closed"], IpPermissions=OPEN),
        "MODIFIED",
        {"/SecurityGroupEgress/1"},
    ),
    "a rule of ingress is revoked": (
        "FromOffice",
        lambda it: it.api("ec2").revoke_security_group_ingress(GroupId=it.ids["Closed"], IpPermissions=OFFICE),
        "DELETED",
        set(),
    ),
    "an entry of a network ACL denies": (
        "Entry",
        lambda it: it.api("ec2").replace_network_acl_entry(
            NetworkAclId=it.ids["Acl"], RuleNumber=100, Protocol="6", RuleAction="deny", Egress=False,
            CidrBlock="10.0.0.0/8", PortRange={"From": 443, "To": 443}),
        "MODIFIED",
        {"/RuleAction"},
    ),
    "the flow log of a VPC is deleted": (
        "Flows", lambda it: it.api("ec2").delete_flow_logs(FlowLogIds=[it.ids["Flows"]]), "DELETED", set()
    ),
    "a VPC resolves no names": (
        "Vpc",
        lambda it: it.api("ec2").modify_vpc_attribute(VpcId=it.ids["Vpc"], EnableDnsSupport={"Value": False}),
        "MODIFIED",
        {"/EnableDnsSupport"},
    ),
    "a bucket has another encryption, no versioning and lets the public in": (
        "Bucket",
        lambda it: (
            it.api("s3").delete_bucket_encryption(Bucket=it.ids["Bucket"]),
            it.api("s3").put_bucket_versioning(
                Bucket=it.ids["Bucket"], VersioningConfiguration={"Status": "Suspended"}),
            it.api("s3").delete_public_access_block(Bucket=it.ids["Bucket"]),
        ),
        "MODIFIED",
        {
            "/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault/SSEAlgorithm",
            "/PublicAccessBlockConfiguration/BlockPublicAcls",
            "/PublicAccessBlockConfiguration/BlockPublicPolicy",
            "/VersioningConfiguration/Status",
        },
    ),
    "a bucket's policy is deleted": (
        "BucketPolicy", lambda it: it.api("s3").delete_bucket_policy(Bucket=it.ids["Bucket"]), "DELETED", set()
    ),
    "a role trusts somebody else and may do more": (
        "Role",
        lambda it: (
            it.api("iam").update_assume_role_policy(
                RoleName=it.ids["Role"], PolicyDocument=json.dumps(trusting("ec2.amazonaws.com"))),
            it.api("iam").attach_role_policy(
                RoleName=it.ids["Role"], PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
            it.api("iam").delete_role_policy(RoleName=it.ids["Role"], PolicyName="own"),
        ),
        "MODIFIED",
        {"/AssumeRolePolicyDocument/Statement/0/Principal/Service", "/ManagedPolicyArns/1", "/Policies/0"},
    ),
    "a policy has another default version": (
        "Policy",
        lambda it: it.api("iam").create_policy_version(
            PolicyArn=it.ids["Policy"], PolicyDocument=json.dumps(document({**SENTENCE, "Action": "s3:*"})),
            SetAsDefault=True),
        "MODIFIED",
        {"/PolicyDocument/Statement/0/Action"},
    ),
    "a log group keeps its lines for ever": (
        "Log",
        lambda it: it.api("logs").delete_retention_policy(logGroupName=it.ids["Log"]),
        "MODIFIED",
        {"/RetentionInDays"},
    ),
    "an alarm has another threshold": (
        "Alarm",
        lambda it: it.api("cloudwatch").put_metric_alarm(
            AlarmName=it.ids["Alarm"], Namespace="AWS/RDS", MetricName="CPUUtilization", Statistic="Average",
            Period=60, EvaluationPeriods=3, Threshold=99.5, ComparisonOperator="GreaterThanThreshold",
            Dimensions=[{"Name": "DBInstanceIdentifier", "Value": it.ids["Database"]}]),
        "MODIFIED",
        {"/Threshold"},
    ),
    "a key does not rotate": (
        "Key", lambda it: it.api("kms").disable_key_rotation(KeyId=it.ids["Key"]), "MODIFIED", {"/EnableKeyRotation"}
    ),
    "a database is modified": (
        "Database",
        lambda it: it.api("rds").modify_db_instance(
            DBInstanceIdentifier=it.ids["Database"], BackupRetentionPeriod=3, CopyTagsToSnapshot=False,
            PubliclyAccessible=True, ApplyImmediately=True),
        "MODIFIED",
        {"/PubliclyAccessible"},
    ),
    "a parameter of the server is changed": (
        "Settings",
        lambda it: it.api("rds").modify_db_parameter_group(
            DBParameterGroupName=it.ids["Settings"], Parameters=[
                {"ParameterName": "log_connections", "ParameterValue": "0", "ApplyMethod": "immediate"}]),
        "MODIFIED",
        {"/Parameters/log_connections"},
    ),
    "a rotation is cancelled": (
        "Rotation",
        lambda it: it.api("secretsmanager").cancel_rotate_secret(SecretId=it.ids["Rotated"]),
        "DELETED",
        set(),
    ),
    "a topic has another name to show": (
        "Topic",
        lambda it: it.api("sns").set_topic_attributes(
            TopicArn=it.ids["Topic"], AttributeName="DisplayName", AttributeValue="old"),
        "MODIFIED",
        {"/DisplayName"},
    ),
    "a permission of a function is gone": (
        "Invocation",
        lambda it: it.api("lambda").remove_permission(
            FunctionName=it.ids["Function"], StatementId=it.ids["Invocation"]),
        "DELETED",
        set(),
    ),
    "a rule of another bus loses its target": (
        "OnBus",
        lambda it: it.api("events").remove_targets(
            Rule=it.ids["OnBus"].rpartition("|")[2], EventBusName="payments", Ids=["function"]),
        "MODIFIED",
        {"/Targets/0"},
    ),
    "a rule of events is disabled": (
        "Rule", lambda it: it.api("events").disable_rule(Name=it.ids["Rule"]), "MODIFIED", {"/State"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_the_services_api_is_drift(changed: Changed, change: str) -> None:
    logical_id, make, status, paths = CHANGES[change]
    assert changed.drift(logical_id)[0] == "IN_SYNC"
    make(changed)
    assert changed.drift(logical_id) == (status, paths)
