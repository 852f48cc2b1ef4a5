"""An administrator and members, with the roles of self-managed sets, in accounts that no other test uses."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from builders.cloud.process import Cloud

from ..conftest import Account, Template
from .organization import Organization

ADMINISTRATION = "AWSCloudFormationStackSetAdministrationRole"
EXECUTION = "AWSCloudFormationStackSetExecutionRole"
ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
SERVICE = "member.org.stacksets.cloudformation.amazonaws.com"
ACTIVE = ("QUEUED", "RUNNING", "STOPPING")

Key = tuple[str, str]

_numbers = itertools.count(600_000_000_001)


def trusting(principal: dict[str, Any]) -> str:
    """A trust policy."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allowing(*actions: str, resource: str = "*") -> str:
    """A permissions policy."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def queue(name: Any = "payments") -> Template:
    """A template with one queue, whose name a parameter gives."""
    return {
        "Parameters": {"QueueName": {"Type": "String", "Default": name}},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "QueueName"}}}},
    }


class Fleet:
    """Stack sets as their administrator sees them, and the members' accounts as they do."""

    def __init__(self, cloud: Cloud, administrator: str, **default: Any) -> None:
        self.cloud = cloud
        self._accounts: dict[Key, Account] = {}
        self.administrator = self.account(administrator)
        self.api = self.administrator.client("cloudformation")
        self.default = {"StackSetName": "payments", **default}
        """The arguments of every call of the API."""
        self.lag = 0.0
        """Seconds by which the list of operations is behind."""

    def call(self, operation: str, **request: Any) -> Any:
        return getattr(self.api, operation)(**self.default, **request)

    def make(self, template: Template | None = None, **more: Any) -> str:
        body = json.dumps(template or queue())
        return str(self.call("create_stack_set", TemplateBody=body, **more)["StackSetId"])

    def run(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call an operation that runs in the background, wait for its end, and return its description."""
        return self.over(self.call(operation, **request)["OperationId"])

    def over(self, operation_id: str) -> dict[str, Any]:
        while (operation := self.operation(operation_id))["Status"] in ACTIVE:
            time.sleep(0.02)
        return operation

    def finish(self, operation_id: str) -> dict[str, Any]:
        """Let stacks take no time any more, wait for an operation's end, and return its description."""
        self.drive(StackSeconds=0)
        return self.over(operation_id)

    def operation(self, operation_id: str) -> dict[str, Any]:
        return dict(self.call("describe_stack_set_operation", OperationId=operation_id)["StackSetOperation"])

    def deploy(self, accounts: list[str], *regions: str, **more: Any) -> dict[str, Any]:
        return self.run("create_stack_instances", Accounts=accounts, Regions=list(regions or ("us-east-1",)), **more)

    def instances(self, **filters: Any) -> dict[Key, dict[str, Any]]:
        summaries = self.call("list_stack_instances", **filters)["Summaries"]
        return {(each["Account"], each["Region"]): each for each in summaries}

    def states(self) -> dict[Key, tuple[str, str]]:
        """The status and the detailed status of every instance."""
        return {
            key: (each["Status"], each["StackInstanceStatus"]["DetailedStatus"])
            for key, each in self.instances().items()
        }

    def instance(self, account: str, region: str = "us-east-1") -> dict[str, Any]:
        where = {"StackInstanceAccount": account, "StackInstanceRegion": region}
        return dict(self.call("describe_stack_instance", **where)["StackInstance"])

    def overrides(self, account: str) -> dict[str, str]:
        given = self.instance(account)["ParameterOverrides"]
        return {each["ParameterKey"]: each["ParameterValue"] for each in given}

    def stacks(self, account: str, region: str = "us-east-1") -> list[dict[str, Any]]:
        """The stacks of a member, as the member sees them."""
        return list(self.account(account, region).client("cloudformation").describe_stacks()["Stacks"])

    def member(self, account: str, service: str = "cloudformation") -> Any:
        return self.account(account).client(service)

    def account(self, number: str, region: str = "us-east-1") -> Account:
        """An account as its owner sees it, with the clients that were made for it before."""
        if (number, region) not in self._accounts:
            self._accounts[number, region] = Account(self.cloud, number, region)
        return self._accounts[number, region]

    def drive(self, **decided: Any) -> None:
        """Decide how long things take (builders/cloud/stacksets/model.py)."""
        body = json.dumps({"Administrator": self.administrator.number, **decided}).encode()
        headers = {"X-Amz-Target": "StackferryStackSets.Drive", "Content-Type": "application/x-amz-json-1.1"}
        self.cloud.ask("/", body, **headers)

    def operations(self, name: str = "") -> list[dict[str, Any]]:
        """The operations of a set, the newest first, as they are now, however far the list of them is behind."""
        self.drive(OperationsLagSeconds=0)
        try:
            answer = self.api.list_stack_set_operations(StackSetName=name or self.default["StackSetName"])
        finally:
            self.drive(OperationsLagSeconds=self.lag)
        return list(answer["Summaries"])

    def administrate(self) -> None:
        """Make the role by which StackSets act."""
        iam = self.administrator.client("iam")
        trust = trusting({"Service": "cloudformation.amazonaws.com"})
        iam.create_role(RoleName=ADMINISTRATION, AssumeRolePolicyDocument=trust)
        policy = allowing("sts:AssumeRole", resource=f"arn:aws:iam::*:role/{EXECUTION}")
        iam.put_role_policy(RoleName=ADMINISTRATION, PolicyName="assume", PolicyDocument=policy)

    def enroll(self, account: str) -> None:
        """Let StackSets act in a member account."""
        iam = self.member(account, "iam")
        iam.create_role(RoleName=EXECUTION, AssumeRolePolicyDocument=trusting({"AWS": self.administrator.number}))
        iam.attach_role_policy(RoleName=EXECUTION, PolicyArn=ADMINISTRATOR_ACCESS)

    def shut_out(self, account: str) -> None:
        """Take that back: every operation fails there."""
        iam = self.member(account, "iam")
        iam.detach_role_policy(RoleName=EXECUTION, PolicyArn=ADMINISTRATOR_ACCESS)
        iam.delete_role(RoleName=EXECUTION)


@pytest.fixture
def number() -> Callable[[], str]:
    """Draws account numbers, each once."""
    return lambda: str(next(_numbers))


@pytest.fixture
def fleet(cloud: Cloud, number: Callable[[], str]) -> Fleet:
    """An administrator with his role and no set; results are seen at once."""
    fleet = Fleet(cloud, number())
    fleet.administrate()
    fleet.drive(ResultsLagSeconds=0)
    return fleet


@pytest.fixture
def members(fleet: Fleet, number: Callable[[], str]) -> list[str]:
    """Five accounts that let StackSets act."""
    found = [number() for _ in range(5)]
    for each in found:
        fleet.enroll(each)
    return found


@pytest.fixture
def member(members: list[str]) -> str:
    return members[0]


@pytest.fixture
def deployed(fleet: Fleet, member: str) -> Fleet:
    """The fleet with a set that has one instance, CURRENT."""
    fleet.make()
    fleet.deploy([member])
    return fleet


@pytest.fixture
def organization(cloud: Cloud, number: Callable[[], str]) -> Organization:
    """An organization with no member but its management account."""
    return Organization(cloud, number())


@pytest.fixture
def managed(organization: Organization) -> Fleet:
    """The management account, with trusted access and a service-managed set without automatic deployment."""
    fleet = Fleet(organization.cloud, organization.management)
    fleet.api.activate_organizations_access()
    fleet.drive(ResultsLagSeconds=0)
    fleet.make(PermissionModel="SERVICE_MANAGED", AutoDeployment={"Enabled": False})
    return fleet


def aim(units: list[str], **more: Any) -> dict[str, Any]:
    """A request to all accounts of units in one region."""
    return {"DeploymentTargets": {"OrganizationalUnitIds": units, **more}, "Regions": ["us-east-1"]}
