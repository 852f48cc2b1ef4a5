"""One account for each test, in the embedded cloud that all tests share."""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from warm import running

from builders.cloud.clients import account_client
from builders.cloud.process import Cloud

from .dms_rig import Pair, Site, site

Template = dict[str, Any]

_accounts = itertools.count(500_000_000_001)


class Refused(Exception):
    """A stack did not come about; the message holds the reasons that its events give."""


class Account:
    """An account of the embedded cloud as its owner sees it."""

    def __init__(self, cloud: Cloud, number: str, region: str = "us-east-1") -> None:
        self.cloud = cloud
        self.number = number
        self.region = region

    def client(self, service: str) -> Any:
        return account_client(self.cloud, service, self.number, self.region)

    def elsewhere(self, region: str) -> Account:
        return Account(self.cloud, self.number, region)

    def deploy(self, resources: Template, stack: str = "stack", **more: Any) -> dict[str, str]:
        """Create or update a stack and return its outputs. Raises `Refused` with the reasons of its events."""
        api = self.client("cloudformation")
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in more.pop("given", {}).items()]
        request = {
            "StackName": stack,
            "TemplateBody": json.dumps({"Resources": resources, **more.pop("sections", {})}),
            "Parameters": parameters,
            "Capabilities": more.pop("capabilities", ["CAPABILITY_NAMED_IAM"]),
        }
        before = self.status(stack)
        exists = before not in ("", "DELETE_COMPLETE")
        seen = {event["EventId"] for event in self.events(stack)} if exists else set()
        (api.update_stack if exists else api.create_stack)(**request, **more)
        status = self.settled(stack)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            events = [event for event in self.events(stack) if event["EventId"] not in seen]
            reasons = [event.get("ResourceStatusReason", "") for event in events if "FAILED" in event["ResourceStatus"]]
            if any("Call DescribeEvents" in reason for reason in reasons):
                reasons = self.validation_errors(StackName=stack)
            raise Refused(" | ".join(reasons))
        described = api.describe_stacks(StackName=stack)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def status(self, stack: str) -> str:
        api = self.client("cloudformation")
        try:
            return str(api.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
        except api.exceptions.ClientError:
            return ""

    def settled(self, stack: str) -> str:
        pause = 0.005
        while (status := self.status(stack)).endswith("_IN_PROGRESS"):
            time.sleep(pause)  # not at once again: the server, which answers, would have no time to deploy
            pause = min(2 * pause, 0.1)
        return status

    def events(self, stack: str) -> list[dict[str, Any]]:
        return list(self.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"])

    def validation_errors(self, **which: str) -> list[str]:
        """Findings of a validation before anything was made: each a path in the template and the reason."""
        found = self.client("cloudformation").describe_events(**which, Filters={"FailedEvents": True})
        errors = [each for each in found["OperationEvents"] if each["EventType"] == "VALIDATION_ERROR"]
        return [f"{each['ValidationPath']}: {each['ValidationStatusReason']}" for each in errors]

    def physical_id(self, logical_id: str, stack: str = "stack") -> str:
        api = self.client("cloudformation")
        answer = api.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])

    def delete(self, stack: str = "stack") -> str:
        self.client("cloudformation").delete_stack(StackName=stack)
        return self.settled(stack)


@pytest.fixture(scope="session")
def strict_cloud() -> Iterator[Cloud]:
    """A cloud that asks IAM about every request."""
    with running(authorize=True) as cloud:
        yield cloud


@pytest.fixture
def strict_account(strict_cloud: Cloud) -> Account:
    """An account of a cloud that asks IAM about every request."""
    return Account(strict_cloud, str(next(_accounts)))


@pytest.fixture
def account(cloud: Cloud) -> Iterator[Account]:
    """An account that no other test uses; its stacks are deleted at the end, so that no database stays behind."""
    account = Account(cloud, str(next(_accounts)))
    yield account
    empty(account)


@pytest.fixture(scope="module")
def deployed(cloud: Cloud) -> Iterator[Account]:
    """An account with a database that a module's tests may look at but not change."""
    account = Account(cloud, str(next(_accounts)))
    account.deploy(postgres_with_its_secret())
    yield account
    empty(account)


@pytest.fixture(scope="session")
def ground(cloud: Cloud) -> Iterator[Site]:
    """A source on-premises and a database of RDS, between which tests replicate."""
    account = Account(cloud, str(next(_accounts)))
    with site(cloud, account, postgres_with_its_secret()) as made:
        yield made
        empty(account)


@pytest.fixture
def pair(ground: Site) -> Iterator[Pair]:
    """An empty database on each side."""
    with ground.pair() as made:
        yield made


@pytest.fixture(scope="module")
def lasting(ground: Site) -> Iterator[Pair]:
    """A database on each side for the tests of a module, which look at one task's work."""
    with ground.pair() as made:
        yield made


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition that comes about soon, also on a busy machine, and return what it gives."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing happened for a minute"
        time.sleep(0.1)
    return found


def wait_until_saved(cloud: Cloud) -> None:
    """Wait until a server that keeps its state has written all that it was asked so far."""
    asked, current = time.time_ns(), cloud.state_directory / "state" / "current"
    urllib.request.urlopen(f"{cloud.endpoint_url}/_ministack/health").close()  # saved after what came before it
    until(lambda: current.exists() and int(current.resolve().name.removeprefix("saved-")) > asked)


def empty(account: Account) -> None:
    """Delete all stacks, importers first."""
    api = account.client("cloudformation")
    for _ in range(4):
        stacks = api.describe_stacks()["Stacks"]
        if not stacks:
            return
        for stack in stacks:
            try:
                account.delete(stack["StackName"])
            except api.exceptions.ClientError:
                continue  # imported by another stack, which goes first


@pytest.fixture
def vpc() -> Template:
    return vpc_in_two_zones()


def vpc_in_two_zones() -> Template:
    """A VPC with subnets in two zones, as resources of a template."""
    return {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        **{
            f"Subnet{letter.upper()}": {
                "Type": "AWS::EC2::Subnet",
                "Properties": {
                    "VpcId": {"Ref": "Vpc"},
                    "CidrBlock": f"10.0.{number}.0/24",
                    "AvailabilityZone": {"Fn::Sub": f"${{AWS::Region}}{letter}"},
                },
            }
            for number, letter in enumerate("ab")
        },
    }


@pytest.fixture
def lambda_role() -> Template:
    """A role that Lambda may assume."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    return {"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document}}}


@pytest.fixture
def database() -> Template:
    return postgres_with_its_secret()


def postgres_with_its_secret() -> Template:
    """A PostgreSQL instance with a generated password and TLS only, and what it stands on."""
    password = {"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:password}}"}
    return {
        **vpc_in_two_zones(),
        "Secret": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {
                "GenerateSecretString": {
                    "SecretStringTemplate": '{"username": "owner"}',
                    "GenerateStringKey": "password",
                    "ExcludeCharacters": "\"/@ '\\",
                }
            },
        },
        "Group": {
            "Type": "AWS::RDS::DBSubnetGroup",
            "Properties": {
                "DBSubnetGroupDescription": "both zones",
                "SubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}],
            },
        },
        "Settings": {
            "Type": "AWS::RDS::DBParameterGroup",
            "Properties": {
                "Family": "postgres17",
                "Description": "TLS only",
                "Parameters": {"rds.force_ssl": "1", "rds.logical_replication": "1", "log_connections": "1"},
            },
        },
        "Database": {
            "Type": "AWS::RDS::DBInstance",
            "Properties": {
                "Engine": "postgres",
                "EngineVersion": "17",
                "DBInstanceClass": "db.t4g.micro",
                "DBInstanceIdentifier": "Payments",
                "AllocatedStorage": "20",
                "DBName": "payments",
                "MasterUsername": {"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:username}}"},
                "MasterUserPassword": password,
                "DBSubnetGroupName": {"Ref": "Group"},
                "DBParameterGroupName": {"Ref": "Settings"},
                "StorageEncrypted": True,
                "PubliclyAccessible": False,
                "EnableCloudwatchLogsExports": ["postgresql", "upgrade"],
                "Tags": [{"Key": "Phase", "Value": "dev"}],
            },
        },
        "Attachment": {
            "Type": "AWS::SecretsManager::SecretTargetAttachment",
            "Properties": {
                "SecretId": {"Ref": "Secret"},
                "TargetId": {"Ref": "Database"},
                "TargetType": "AWS::RDS::DBInstance",
            },
        },
    }
