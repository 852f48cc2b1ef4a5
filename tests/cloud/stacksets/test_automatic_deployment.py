"""Automatic deployment: accounts that come into a target's units get stacks, those that go lose them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from .conftest import ACTIVE, Fleet, aim
from .organization import Organization

AUTOMATIC = {"Enabled": True, "RetainStacksOnAccountRemoval": False}


def settled(fleet: Fleet) -> set[str]:
    """The accounts that have an instance once nothing runs any more."""
    while any(each["Status"] in ACTIVE for each in fleet.call("list_stack_set_operations")["Summaries"]):
        time.sleep(0.02)
    return {account for account, _ in fleet.instances()}


@pytest.fixture
def automatic(managed: Fleet, organization: Organization) -> tuple[Fleet, str]:
    """A set with automatic deployment to a unit that has no account yet, and that unit."""
    managed.run("update_stack_set", UsePreviousTemplate=True, AutoDeployment=AUTOMATIC)
    unit = organization.unit("phases")
    managed.run("create_stack_instances", **aim([unit]))
    return managed, unit


def test_an_account_that_comes_into_a_unit_gets_the_stack(
    automatic: tuple[Fleet, str], organization: Organization, number: Callable[[], str]
) -> None:
    fleet, unit = automatic
    account = organization.admit(number(), unit)
    assert settled(fleet) == {account}
    assert fleet.states() == {(account, "us-east-1"): ("CURRENT", "SUCCEEDED")}
    targets = fleet.call("list_stack_set_auto_deployment_targets")["Summaries"]
    assert targets == [{"OrganizationalUnitId": unit, "Regions": ["us-east-1"]}]


@pytest.mark.parametrize("way", ["moves", "leaves"])
def test_an_account_that_goes_loses_the_stack(
    automatic: tuple[Fleet, str], organization: Organization, number: Callable[[], str], way: str
) -> None:
    fleet, unit = automatic
    account = organization.admit(number(), unit)
    settled(fleet)
    if way == "moves":
        destination = {"SourceParentId": unit, "DestinationParentId": organization.root}
        organization.api.move_account(AccountId=account, **destination)
    else:
        organization.of(account).leave_organization()
    assert settled(fleet) == set()
    assert fleet.stacks(account) == []


def test_an_account_that_goes_keeps_the_stack_where_the_set_says_so(
    automatic: tuple[Fleet, str], organization: Organization, number: Callable[[], str]
) -> None:
    fleet, unit = automatic
    retaining = {"Enabled": True, "RetainStacksOnAccountRemoval": True}
    fleet.run("update_stack_set", UsePreviousTemplate=True, AutoDeployment=retaining)
    account = organization.admit(number(), unit)
    settled(fleet)
    organization.api.move_account(AccountId=account, SourceParentId=unit, DestinationParentId=organization.root)
    assert settled(fleet) == set()
    assert fleet.stacks(account)[0]["StackStatus"] == "CREATE_COMPLETE"


def test_a_refused_request_makes_no_unit_a_target(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    unit = organization.unit("phases")
    organization.admit(number(), unit)
    managed.drive(StackSeconds=60)
    managed.call("create_stack_instances", **aim([unit]))
    with pytest.raises(ClientError, match="OperationInProgressException"):
        managed.call("create_stack_instances", **aim([organization.unit("other")]))
    managed.drive(StackSeconds=0)
    settled(managed)
    targets = managed.call("list_stack_set_auto_deployment_targets")["Summaries"]
    assert [each["OrganizationalUnitId"] for each in targets] == [unit]


def test_a_unit_whose_instances_are_deleted_is_a_target_no_more(
    automatic: tuple[Fleet, str], organization: Organization, number: Callable[[], str]
) -> None:
    fleet, unit = automatic
    fleet.run("delete_stack_instances", **aim([unit]), RetainStacks=False)
    organization.admit(number(), unit)
    assert settled(fleet) == set()


def test_without_automatic_deployment_a_new_account_gets_nothing(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    unit = organization.unit("phases")
    managed.run("create_stack_instances", **aim([unit]))
    organization.admit(number(), unit)
    assert settled(managed) == set()
