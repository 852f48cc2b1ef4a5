"""Sets with service-managed permissions are aimed at units, narrowed to accounts, and every call says for whom."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from cloud.stacksets.conftest import SERVICE, Fleet
from cloud.stacksets.organization import Organization

from builders.aws.errors import Refused
from builders.cloud.process import Cloud
from builders.rollout.client import Client
from builders.rollout.model import Permissions, Target
from builders.rollout.plan.calls import Action

from .conftest import Administrator, Rollout, connect, spec


@pytest.fixture
def organization(cloud: Cloud, number: Callable[[], str]) -> Organization:
    """An organization whose StackSets have trusted access."""
    organization = Organization(cloud, number())
    organization.of(organization.management, "cloudformation").activate_organizations_access()
    Fleet(cloud, organization.management).drive(ResultsLagSeconds=0)
    return organization


@pytest.fixture
def unit(organization: Organization) -> str:
    return organization.unit("dev")


@pytest.fixture
def members(organization: Organization, unit: str, number: Callable[[], str]) -> list[str]:
    return [organization.admit(number(), unit) for _ in range(2)]


@pytest.fixture
def permissions(unit: str) -> Permissions:
    return Permissions(service_managed=True, units=(unit,))


@pytest.fixture
def client(organization: Organization, permissions: Permissions) -> Client:
    return connect(organization.cloud, organization.management, permissions)


def test_an_operation_reaches_only_the_accounts_that_its_step_names(
    client: Client, permissions: Permissions, members: list[str]
) -> None:
    rollout = Rollout(client, spec())
    rollout.submit(rollout.step(Action.CREATE_SET), permissions=permissions)
    rollout.run(rollout.step(Action.CREATE, members[:1]), permissions=permissions)
    found = client.sets.read("network", rollout.spec.name)
    assert found is not None
    assert list(found.instances) == [Target(members[0], "us-east-1")]
    assert found.instances[Target(members[0], "us-east-1")].unit == permissions.units[0]
    assert found.permissions == permissions


def test_an_update_of_the_set_reaches_only_the_accounts_that_its_step_names(
    client: Client, permissions: Permissions, members: list[str]
) -> None:
    rollout = Rollout(client, spec())
    rollout.submit(rollout.step(Action.CREATE_SET), permissions=permissions)
    rollout.run(rollout.step(Action.CREATE, members), permissions=permissions)
    rollout.spec = spec(QueueName="refunds")
    operation = rollout.run(rollout.step(Action.UPDATE_SET, members[:1]), permissions=permissions)
    found = client.sets.instances(rollout.spec.name)
    touched = [target.account for target, each in found.items() if each.last_operation_id == operation.id]
    assert touched == members[:1]


def test_an_account_that_moved_is_updated_and_deleted_by_the_unit_that_made_its_instance(
    client: Client, permissions: Permissions, members: list[str], organization: Organization, unit: str
) -> None:
    rollout = Rollout(client, spec())
    rollout.submit(rollout.step(Action.CREATE_SET), permissions=permissions)
    rollout.run(rollout.step(Action.CREATE, members), permissions=permissions)
    other = organization.unit("elsewhere")
    organization.api.move_account(AccountId=members[0], SourceParentId=unit, DestinationParentId=other)
    renamed = dataclasses.replace(permissions, units=(other,))
    for action in (Action.UPDATE, Action.UPDATE_SET):
        operation = rollout.run(rollout.step(action, members), permissions=renamed)
        found = client.sets.instances(rollout.spec.name)
        assert {each.last_operation_id for each in found.values()} == {operation.id}
    rollout.run(rollout.step(Action.DELETE, members), permissions=renamed)
    assert client.sets.instances(rollout.spec.name) == {}


def test_more_units_than_a_call_takes_are_refused_before_it(
    client: Client, permissions: Permissions, organization: Organization, number: Callable[[], str]
) -> None:
    units = [organization.unit(f"unit-{position}") for position in range(51)]
    accounts = [organization.admit(number(), each) for each in units]
    Fleet(organization.cloud, organization.management).drive(Accounts={each: {"Failure": "no"} for each in accounts})
    rollout = Rollout(client, spec())
    rollout.submit(rollout.step(Action.CREATE_SET), permissions=permissions)
    for named in (units[:50], units[50:]):
        aimed = dataclasses.replace(permissions, units=tuple(named))
        rollout.run(rollout.step(Action.CREATE, accounts), permissions=aimed)
    with pytest.raises(Refused, match="were made in 51 organizational units, and a call takes 50"):
        rollout.submit(rollout.step(Action.UPDATE, accounts), permissions=permissions)


def test_a_new_set_deploys_nothing_by_itself(
    client: Client, permissions: Permissions, organization: Organization
) -> None:
    rollout = Rollout(client, spec())
    rollout.submit(rollout.step(Action.CREATE_SET), permissions=permissions)
    api = organization.of(organization.management, "cloudformation")
    found = api.describe_stack_set(StackSetName=rollout.spec.name)["StackSet"]
    assert found["AutoDeployment"]["Enabled"] is False


def test_a_delegated_administrator_does_all_of_it(
    organization: Organization, permissions: Permissions, members: list[str], number: Callable[[], str]
) -> None:
    delegate = organization.admit(number())
    organization.api.register_delegated_administrator(AccountId=delegate, ServicePrincipal=SERVICE)
    permissions = dataclasses.replace(permissions, call_as="DELEGATED_ADMIN")
    rollout = Rollout(connect(organization.cloud, delegate, permissions), spec())
    rollout.submit(rollout.step(Action.CREATE_SET), permissions=permissions)
    operation = rollout.run(rollout.step(Action.CREATE, members), permissions=permissions)
    sets, name = rollout.client.sets, rollout.spec.name
    targets = {Target(each, "us-east-1") for each in members}
    assert set(sets.instances(name)) == set(sets.results(name, operation.id)) == targets
    assert sets.overrides(name, Target(members[0], "us-east-1")) == {}
    assert (sets.names(), sets.active(name)) == ([name], ())
    rollout.run(rollout.step(Action.DELETE, members), permissions=permissions)
    rollout.submit(rollout.step(Action.DELETE_SET), permissions=permissions)
    assert sets.read("network", name) is None


def test_a_self_managed_set_is_never_asked_for_as_a_delegate(administrator: Administrator) -> None:
    rollout = Rollout(administrator.client(Permissions(call_as="DELEGATED_ADMIN")), spec())
    rollout.submit(rollout.step(Action.CREATE_SET))
    assert rollout.client.sets.names() == [rollout.spec.name]


def test_accounts_of_a_unit_are_those_of_all_units_below_that_can_be_deployed_to(
    client: Client, organization: Organization, unit: str, members: list[str], number: Callable[[], str]
) -> None:
    below = organization.admit(number(), organization.unit("below", unit))
    organization.admit(number(), organization.unit("beside"))
    suspended = organization.admit(number(), unit)
    organization.api.close_account(AccountId=suspended)
    assert client.organizations.accounts(unit) == tuple(sorted([*members, below]))
    assert organization.management not in client.organizations.accounts(organization.root)


def test_accounts_of_a_unit_are_asked_for_once(
    client: Client, organization: Organization, unit: str, members: list[str], number: Callable[[], str]
) -> None:
    assert client.organizations.accounts(unit) == tuple(sorted(members))
    organization.admit(number(), unit)
    assert client.organizations.accounts(unit) == tuple(sorted(members))


def test_more_accounts_than_a_page_holds_are_all_listed(
    client: Client, organization: Organization, unit: str, number: Callable[[], str]
) -> None:
    accounts = [organization.admit(number(), unit) for _ in range(21)]
    assert client.organizations.accounts(unit) == tuple(accounts)
