"""A server that was killed in the middle of its work loses nothing: the next one on its directory goes on with it."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from dms_task import DeployedTask, deploy as deploy_task
from warm import running

from builders.cloud.process import Cloud

from .conftest import Account, until, wait_until_saved
from .stacksets.conftest import SERVICE, Fleet, queue, trusting
from .stacksets.organization import Organization

ADMINISTRATOR = "730000000001"
MEMBERS = ["730000000002", "730000000003", "730000000004"]
OWNER = "730000000005"
MANAGEMENT = "730000000006"
ALARM = {"Namespace": "Ferry", "MetricName": "Lag", "Threshold": 60.0, "ComparisonOperator": "GreaterThanThreshold",
         "Period": 60, "EvaluationPeriods": 1, "Statistic": "Maximum"}  # fmt: skip
ROTATION = """
import os, time
import boto3

def handler(event, context):
    api = boto3.client("secretsmanager")
    secret, token = event["SecretId"], event["ClientRequestToken"]
    if event["Step"] == "createSecret":
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.02)
        api.put_secret_value(
            SecretId=secret, ClientRequestToken=token, SecretString="rotated", VersionStages=["AWSPENDING"]
        )
    if event["Step"] == "finishSecret":
        stages = api.describe_secret(SecretId=secret)["VersionIdsToStages"]
        (current,) = [version for version, labels in stages.items() if "AWSCURRENT" in labels]
        api.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
        )
"""


class Servers:
    """The first server with the work that it began, and the second one that takes it up."""

    def __init__(self, cloud: Cloud) -> None:
        self.before = cloud
        self.operation = self.queued = self.unit = ""
        self.seen: dict[str, Any] = {}
        self.session: dict[str, Any] = {}
        self.task_arn = ""
        self.after = cloud

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.after, ADMINISTRATOR, StackSetName="payments")

    def owner(self, service: str) -> Any:
        return Account(self.after, OWNER).client(service)


def begin_stack_sets(servers: Servers) -> None:
    """An operation over three members is killed when the first is done, and one that waits behind it."""
    fleet = Fleet(servers.before, ADMINISTRATOR)
    fleet.administrate()
    for member in MEMBERS:
        fleet.enroll(member)
    fleet.make(queue(), ManagedExecution={"Active": True})
    fleet.drive(StackSeconds=60, Accounts={MEMBERS[0]: {"StackSeconds": 0}}, ResultsLagSeconds=0)
    request = {"Accounts": MEMBERS, "Regions": ["us-east-1"], "OperationPreferences": {"MaxConcurrentCount": 1}}
    override = [{"ParameterKey": "QueueName", "ParameterValue": "overridden"}]
    servers.operation = fleet.call("create_stack_instances", **request, ParameterOverrides=override)["OperationId"]
    servers.queued = fleet.call("update_stack_set", TemplateBody=json.dumps(queue("changed")))["OperationId"]
    until(lambda: fleet.states()[MEMBERS[0], "us-east-1"][0] == "CURRENT")
    servers.seen["states"] = fleet.states()
    servers.seen["stack"] = fleet.instance(MEMBERS[0])["StackId"]


def begin_organization(servers: Servers) -> None:
    organization = Organization(servers.before, MANAGEMENT)
    servers.unit = organization.unit("phases")
    organization.admit("730000000007", servers.unit)
    organization.api.enable_aws_service_access(ServicePrincipal=SERVICE)
    organization.api.register_delegated_administrator(AccountId="730000000007", ServicePrincipal=SERVICE)


def begin_owner(servers: Servers) -> None:
    """A task that runs, an alarm that rings, a session."""
    task = deploy_task(servers.before, OWNER)
    task.start()
    task.drive(
        ReplicationTaskStats={"FullLoadProgressPercent": 40},
        TableStatistics=[{"SchemaName": "payments", "TableName": "orders", "FullLoadRows": 7}],
    )
    servers.task_arn = task.arn
    owner = Account(servers.before, OWNER)
    metrics = owner.client("cloudwatch")
    metrics.put_metric_alarm(AlarmName="late", **ALARM)
    metrics.put_metric_data(Namespace="Ferry", MetricData=[{"MetricName": "Lag", "Value": 90.0}])
    owner.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument=trusting({"AWS": OWNER}))
    role = f"arn:aws:iam::{OWNER}:role/reader"
    servers.session = owner.client("sts").assume_role(RoleArn=role, RoleSessionName="kept")["Credentials"]


def begin_slow_stack(servers: Servers) -> None:
    owner = Account(servers.before, OWNER)
    servers.before.set_faults(*slow_after_the_first_resource(OWNER))
    topics = {f"Topic{number}": {"Type": "AWS::SNS::Topic"} for number in range(3)}
    owner.client("cloudformation").create_stack(StackName="slow", TemplateBody=json.dumps({"Resources": topics}))
    until(lambda: owner.client("sns").list_topics()["Topics"])
    servers.seen["topic"] = owner.client("sns").list_topics()["Topics"][0]["TopicArn"]


def slow_after_the_first_resource(account: str) -> list[dict[str, str | float]]:
    """Faults by which the next stack of an account is not made to its end before a test kills the server."""
    at_once: dict[str, str | float] = {"kind": "slow-stack", "account": account, "seconds": 0, "count": 1}
    return [at_once, {"kind": "slow-stack", "account": account, "seconds": 60}]


def begin_rotation(servers: Servers, gate: Path) -> None:
    """A rotation whose function is at its first step, and stays there until there is a file."""
    owner = Account(servers.before, OWNER)
    trust = json.loads(trusting({"Service": "lambda.amazonaws.com"}))
    owner.deploy(
        {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}},
            "Secret": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {"Name": "rotated", "SecretString": "first"},
            },
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Runtime": "python3.12",
                    "Handler": "index.handler",
                    "Timeout": 600,
                    "Environment": {"Variables": {"GATE": str(gate)}},
                    "Code": {"ZipFile": ROTATION},
                },
            },
            "Permission": {
                "Type": "AWS::Lambda::Permission",
                "Properties": {
                    "FunctionName": {"Ref": "Function"},
                    "Action": "lambda:InvokeFunction",
                    "Principal": "secretsmanager.amazonaws.com",
                },
            },
            "Schedule": {
                "Type": "AWS::SecretsManager::RotationSchedule",
                "DependsOn": "Permission",
                "Properties": {
                    "SecretId": {"Ref": "Secret"},
                    "RotationLambdaARN": {"Fn::GetAtt": ["Function", "Arn"]},
                    "RotationRules": {"AutomaticallyAfterDays": 30},
                },
            },
        },
        "rotation",
    )
    servers.seen["value"] = owner.client("secretsmanager").get_secret_value(SecretId="rotated")["SecretString"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    gate = tmp_path_factory.mktemp("rotation") / "gate"
    with tempfile.TemporaryDirectory(prefix="stackferry-kept-") as name:
        Path(name).chmod(0o711)
        with running(state_directory=Path(name), keep=True) as cloud:
            servers = Servers(cloud)
            begin_organization(servers)
            begin_owner(servers)
            begin_rotation(servers, gate)
            begin_stack_sets(servers)
            begin_slow_stack(servers)
            wait_until_saved(cloud)
            os.kill(cloud.pid, signal.SIGKILL)
        with running(state_directory=Path(name), keep=True) as cloud:
            servers.after = cloud
            servers.fleet.drive(StackSeconds=0)
            gate.touch()
            yield servers


def test_the_operation_was_killed_in_its_middle(servers: Servers) -> None:
    assert sorted(servers.seen["states"].values()) == [
        ("CURRENT", "SUCCEEDED"),
        ("OUTDATED", "PENDING"),
        ("OUTDATED", "RUNNING"),
    ]


def test_a_stack_set_operation_goes_on_and_ends(servers: Servers) -> None:
    assert servers.fleet.over(servers.operation)["Status"] == "SUCCEEDED"
    results = servers.fleet.call("list_stack_set_operation_results", OperationId=servers.operation)["Summaries"]
    assert {each["Account"]: each["Status"] for each in results} == dict.fromkeys(MEMBERS, "SUCCEEDED")


def test_what_the_operation_had_done_is_not_done_again(servers: Servers) -> None:
    servers.fleet.over(servers.operation)
    assert servers.fleet.instance(MEMBERS[0])["StackId"] == servers.seen["stack"]
    for member in MEMBERS:
        assert len({stack["StackId"] for stack in servers.fleet.stacks(member)}) == 1
    assert servers.fleet.overrides(MEMBERS[0]) == {"QueueName": "overridden"}


def test_an_operation_that_was_queued_starts_behind_it(servers: Servers) -> None:
    servers.fleet.over(servers.operation)
    assert servers.fleet.over(servers.queued)["Status"] == "SUCCEEDED"
    body = servers.fleet.call("describe_stack_set")["StackSet"]["TemplateBody"]
    assert json.loads(body)["Parameters"]["QueueName"]["Default"] == "changed"


def test_a_request_that_comes_again_is_known(servers: Servers) -> None:
    servers.fleet.over(servers.operation)
    servers.fleet.over(servers.queued)
    again = servers.fleet.call(
        "update_stack_set", TemplateBody=json.dumps(queue("changed")), OperationId=servers.queued
    )
    assert again["OperationId"] == servers.queued


def test_an_organization_is_as_it_was(servers: Servers) -> None:
    api = Account(servers.after, MANAGEMENT).client("organizations")
    assert [each["Id"] for each in api.list_accounts_for_parent(ParentId=servers.unit)["Accounts"]] == ["730000000007"]
    trusted = api.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
    assert [each["ServicePrincipal"] for each in trusted] == [SERVICE]
    delegates = api.list_delegated_administrators()["DelegatedAdministrators"]
    assert [each["Id"] for each in delegates] == ["730000000007"]
    member = Account(servers.after, "730000000007").client("organizations")
    assert member.describe_organization()["Organization"]["MasterAccountId"] == MANAGEMENT


def test_a_task_runs_on_with_its_statistics(servers: Servers) -> None:
    task = DeployedTask(servers.after, OWNER, servers.task_arn)
    described = task.described()
    assert (described["Status"], described["ReplicationTaskStats"]["FullLoadProgressPercent"]) == ("running", 40)
    tables = task.dms.describe_table_statistics(ReplicationTaskArn=task.arn)["TableStatistics"]
    assert [(each["TableName"], each["FullLoadRows"]) for each in tables] == [("orders", 7)]
    connections = task.dms.describe_connections()["Connections"]
    assert [each["Status"] for each in connections] == ["successful", "successful"]


def test_a_metric_and_the_alarm_over_it_are_there(servers: Servers) -> None:
    api = servers.owner("cloudwatch")
    (alarm,) = api.describe_alarms()["MetricAlarms"]
    assert (alarm["AlarmName"], alarm["StateValue"]) == ("late", "ALARM")
    (metric,) = api.list_metrics(Namespace="Ferry")["Metrics"]
    assert metric["MetricName"] == "Lag"


def test_an_assumed_role_is_still_assumed(servers: Servers) -> None:
    sts = boto3.client(
        "sts",
        endpoint_url=servers.after.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=servers.session["AccessKeyId"],
        aws_secret_access_key=servers.session["SecretAccessKey"],
        aws_session_token=servers.session["SessionToken"],
    )
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::{OWNER}:assumed-role/reader/kept"


def test_a_stack_that_was_being_made_is_made_to_its_end(servers: Servers) -> None:
    assert Account(servers.after, OWNER).settled("slow") == "CREATE_COMPLETE"
    resources = servers.owner("cloudformation").describe_stack_resources(StackName="slow")["StackResources"]
    made = {each["PhysicalResourceId"] for each in resources}
    assert servers.seen["topic"] in made
    assert made == {each["TopicArn"] for each in servers.owner("sns").list_topics()["Topics"]}


def test_a_rotation_that_was_under_way_comes_to_its_end(servers: Servers) -> None:
    assert servers.seen["value"] == "first"
    api = servers.owner("secretsmanager")
    until(lambda: api.get_secret_value(SecretId="rotated")["SecretString"] == "rotated")


@pytest.fixture
def state_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stackferry-kept-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_a_member_stack_that_was_being_made_is_made_to_its_end(state_directory: Path) -> None:
    member = MEMBERS[0]
    queues = {name: {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}} for name in ("one", "two")}
    with running(state_directory=state_directory, keep=True) as cloud:
        fleet = Fleet(cloud, ADMINISTRATOR)
        fleet.administrate()
        fleet.enroll(member)
        fleet.make({"Resources": queues})
        cloud.set_faults(*slow_after_the_first_resource(member))
        request = {"Accounts": [member], "Regions": ["us-east-1"]}
        operation = fleet.call("create_stack_instances", **request)["OperationId"]
        until(lambda: fleet.member(member, "sqs").list_queues().get("QueueUrls"))
        (before,) = fleet.stacks(member)
        wait_until_saved(cloud)
        os.kill(cloud.pid, signal.SIGKILL)
    with running(state_directory=state_directory, keep=True) as cloud:
        fleet = Fleet(cloud, ADMINISTRATOR)
        assert fleet.over(operation)["Status"] == "SUCCEEDED"
        (after,) = fleet.stacks(member)
        assert (before["StackStatus"], after["StackStatus"]) == ("CREATE_IN_PROGRESS", "CREATE_COMPLETE")
        assert after["StackId"] == before["StackId"]
        assert fleet.states() == {(member, "us-east-1"): ("CURRENT", "SUCCEEDED")}
