"""An administrator and members of the embedded cloud, with the roles that a rollout needs, and clients for them.

Each test has accounts of its own. What makes and enrols them is the fleet of the StackSets tests.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cloud.stacksets.conftest import ADMINISTRATOR_ACCESS, Fleet, trusting
from warm import running

from builders.aws import change_sets
from builders.aws.calls import Access, ApiCall, ApiCalls, CallObserver, Moment
from builders.aws.limiter import Limiter
from builders.cloud.process import Cloud
from builders.rollout.client import Client
from builders.rollout.lifecycle.bootstrap import StackOutcome, deploy_planned, plan_bootstrap
from builders.rollout.model import DesiredState, Operation, Permissions, Preferences, StackSetSpec, Target, Values
from builders.rollout.phase import PhaseConnection
from builders.rollout.plan.calls import Action, Call
from builders.template_bodies import DeployedStack, PlainStack

PHASE, SUFFIX = "dev", "dev"
PLAN_ROLE, DEPLOY_ROLE = "stackferry-plan-dev", "OrganizationAccountAccessRole"
REGION = "us-east-1"
TAGS = {"Environment": "dev"}

_numbers = itertools.count(700_000_000_001)


def template(*queues: str, **parameters: str) -> str:
    """A template of queues; the first is named by a parameter, whose default is given."""
    resources: dict[str, Any] = {each: {"Type": "AWS::SQS::Queue"} for each in queues}
    names = parameters or {"QueueName": "payments"}
    resources["Named"] = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": next(iter(names))}}}
    return json.dumps(
        {
            "Parameters": {name: {"Type": "String", "Default": value} for name, value in names.items()},
            "Resources": resources,
            "Outputs": {"Url": {"Value": {"Ref": "Named"}}},
        }
    )


def spec(name: str = "stackferry-network-dev", body: str = "", targets: Any = (), **values: str) -> StackSetSpec:
    """A set of queues, whose instances override nothing."""
    overrides: dict[Target, Values] = {target: {} for target in targets}
    return StackSetSpec("network", name, body or template(), values or {"QueueName": "payments"}, overrides)


def plain_stack(target: Target, body: str = "", values: Values | None = None, name: str = "routes") -> PlainStack:
    """A plain stack of queues."""
    values = {"QueueName": "payments"} if values is None else values
    return PlainStack("phase_routes", target, name, body or template(), values, TAGS)


def deploy_plain(client: Client, stack: PlainStack) -> DeployedStack:
    """Deploy a plain stack through the deploy role of its account."""
    return change_sets.deploy(client.deploying(stack.target), stack)


def connect(cloud: Cloud, account: str, permissions: Permissions, observe: CallObserver | None = None) -> Client:
    """A client with an account's own credentials."""
    access = Access(REGION, endpoint_url=cloud.endpoint_url, keys=(account, cloud.secret_access_key(account)))
    return Client(ApiCalls(access, observe), permissions, PHASE, SUFFIX, lambda _account: DEPLOY_ROLE)


def deploy_stacks(connection: PhaseConnection, **options: Any) -> list[StackOutcome]:
    """Plan a phase's plain stacks, and deploy them whatever they change."""
    return deploy_planned(connection.client, plan_bootstrap(connection).rounds, **options)


class Administrator:
    """The account that plans and rolls out, its members, and clients as it would connect them."""

    def __init__(self, cloud: Cloud, number: str) -> None:
        self.cloud = cloud
        self.number = number
        self.fleet = Fleet(cloud, number, StackSetName="stackferry-network-dev")
        self.fleet.administrate()
        self.fleet.lag = 0.3  # a new operation may be missing in the list of them, as on AWS
        self.fleet.drive(ResultsLagSeconds=0, OperationsLagSeconds=self.fleet.lag)

    def access(self, region: str = REGION, **more: Any) -> Access:
        keys = (self.number, self.cloud.secret_access_key(self.number))
        return Access(region, endpoint_url=self.cloud.endpoint_url, keys=keys, **more)

    def client(
        self,
        permissions: Permissions | None = None,
        observe: CallObserver | None = None,
        limiter: Limiter | None = None,
        **more: Any,
    ) -> Client:
        calls = ApiCalls(self.access(**more), observe, limiter)
        return Client(calls, permissions or Permissions(), PHASE, SUFFIX, lambda _account: DEPLOY_ROLE)

    def member(self, number: str) -> str:
        """Let StackSets, plans and deployments act in an account."""
        self.fleet.enroll(number)
        return self.deployable(number)

    def deployable(self, number: str) -> str:
        """Let plans and deployments of plain stacks act in an account, such as the network account."""
        self.lend(number, PLAN_ROLE, {"StringEquals": {"sts:ExternalId": f"migration-{PHASE}"}})
        self.lend(number, DEPLOY_ROLE)
        return number

    def lend(self, account: str, role: str, condition: Any = None) -> None:
        """Make a role that this administrator may assume."""
        trust = json.loads(trusting({"AWS": f"arn:aws:iam::{self.number}:root"}))
        if condition:
            trust["Statement"][0]["Condition"] = condition
        trust["Statement"].append({**trust["Statement"][0], "Action": "sts:SetSourceIdentity", "Condition": {}})
        iam = self.api("iam", account)
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
        iam.attach_role_policy(RoleName=role, PolicyArn=ADMINISTRATOR_ACCESS)

    def api(self, service: str, account: str = "", region: str = REGION) -> Any:
        """A client of boto3's own, as the owner of an account sees it."""
        return self.fleet.account(account or self.number, region).client(service)

    def bucket(self, region: str = REGION) -> str:
        """Make a bucket of this account."""
        name = f"artifacts-{self.number}-{region}"
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
        self.api("s3", region=region).create_bucket(Bucket=name, **where)
        return name


class Rollout:
    """One stack set, driven through a client by steps that are waited for."""

    def __init__(self, client: Client, spec: StackSetSpec) -> None:
        self.client = client
        self.spec = spec
        self._ids = itertools.count(1)

    def step(self, action: Action, accounts: Any = (), regions: Any = (REGION,), **more: Any) -> Call:
        return Call(action, "network", self.spec.name, tuple(accounts), tuple(regions), **more)

    def submit(self, step: Call, operation_id: str = "", **more: Any) -> str:
        operation_id = operation_id or f"operation-{next(self._ids)}"
        preferences = more.pop("preferences", Preferences(max_concurrent="100%"))
        desired = DesiredState(
            phase="dev",
            suffix="dev",
            sets={"network": self.spec},
            plain={},
            needs={},
            waves=(),
            regions=(),
            preferences=preferences,
            permissions=more.pop("permissions", Permissions()),
            tags=more.pop("tags", TAGS),
        )
        self.client.sets.submit(step, desired, operation_id, preferences)
        return operation_id

    def run(self, step: Call, **more: Any) -> Operation:
        """Submit a step, and wait for the end of its operation."""
        return self.over(self.submit(step, **more))

    def over(self, operation_id: str) -> Operation:
        while True:
            found = self.client.sets.operation(self.spec.name, operation_id)
            assert found is not None
            if not found.active:
                return found
            time.sleep(0.02)

    def roll_out(self, accounts: Any, regions: Any = (REGION,)) -> None:
        """Make the set and its instances."""
        self.submit(self.step(Action.CREATE_SET))
        operation = self.run(self.step(Action.CREATE, accounts, regions))
        assert operation.status == "SUCCEEDED"
        assert operation.failed == 0


class Watch:
    """Keeps the calls that a client made."""

    def __init__(self) -> None:
        self.calls: list[tuple[Moment, ApiCall]] = []

    def __call__(self, moment: Moment, call: ApiCall) -> None:
        self.calls.append((moment, call))


@pytest.fixture(scope="session")
def number() -> Callable[[], str]:
    """Draws account numbers, each once."""
    return lambda: str(next(_numbers))


@pytest.fixture
def administrator(cloud: Cloud, number: Callable[[], str]) -> Administrator:
    return Administrator(cloud, number())


@pytest.fixture
def member(administrator: Administrator, number: Callable[[], str]) -> str:
    return administrator.member(number())


@pytest.fixture
def members(administrator: Administrator, number: Callable[[], str]) -> list[str]:
    return [administrator.member(number()) for _ in range(3)]


@pytest.fixture
def client(administrator: Administrator) -> Client:
    return administrator.client()


@pytest.fixture
def rollout(client: Client) -> Rollout:
    return Rollout(client, spec())


@pytest.fixture
def rolled_out(rollout: Rollout, members: list[str]) -> Rollout:
    """A set with an instance in each of three members."""
    rollout.roll_out(members)
    return rollout


@pytest.fixture(scope="session")
def own_cloud() -> Iterator[Cloud]:
    """A second server: faults strike all who use it."""
    with running() as cloud:
        yield cloud


@pytest.fixture
def faulty(own_cloud: Cloud, number: Callable[[], str]) -> Iterator[Administrator]:
    """An administrator on a server whose faults are taken away at the end."""
    yield Administrator(own_cloud, number())
    own_cloud.set_faults()
