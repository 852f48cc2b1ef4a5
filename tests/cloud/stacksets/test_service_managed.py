"""Service-managed sets: organizational units, filters, trusted access, delegates, suspended accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import SERVICE, Fleet, aim, queue
from .organization import Organization

DONE = ("CURRENT", "SUCCEEDED")


def test_all_accounts_of_a_unit_and_of_those_below_get_the_stack_without_any_role(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    outer = organization.unit("phases")
    inner = organization.unit("dev", outer)
    accounts = [organization.admit(number(), unit) for unit in (outer, inner, organization.unit("other"))]
    managed.run("create_stack_instances", **aim([outer]))
    assert managed.states() == {(account, "us-east-1"): DONE for account in accounts[:2]}
    assert {each["OrganizationalUnitId"] for each in managed.instances().values()} == {outer}
    assert managed.stacks(accounts[1])[0]["StackStatus"] == "CREATE_COMPLETE"


def test_the_management_account_never_gets_the_stack(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    account = organization.admit(number())
    managed.run("create_stack_instances", **aim([organization.root]))
    assert list(managed.states()) == [(account, "us-east-1")]
    assert managed.stacks(organization.management) == []


@pytest.mark.parametrize(("kind", "expected"), [("INTERSECTION", [0]), ("DIFFERENCE", [1]), ("NONE", [0, 1])])
def test_an_account_filter_narrows_a_unit(
    managed: Fleet, organization: Organization, number: Callable[[], str], kind: str, expected: list[int]
) -> None:
    unit = organization.unit("phases")
    accounts = [organization.admit(number(), unit) for _ in range(2)]
    named = {"Accounts": accounts[:1]} if kind != "NONE" else {}
    managed.run("create_stack_instances", **aim([unit], AccountFilterType=kind, **named))
    assert [account for account, _ in managed.states()] == [accounts[each] for each in expected]


def test_a_union_updates_a_unit_and_more_accounts_but_creates_nothing(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    unit, other = organization.unit("phases"), organization.unit("other")
    organization.admit(number(), unit)
    account = organization.admit(number(), other)
    union = aim([unit], AccountFilterType="UNION", Accounts=[account])
    with pytest.raises(ClientError, match="UNION is not supported for CreateStackInstances"):
        managed.call("create_stack_instances", **union)
    managed.run("create_stack_instances", **aim([unit, other]))
    operation = managed.run("update_stack_instances", **union)["OperationId"]
    assert {each["LastOperationId"] for each in managed.instances().values()} == {operation}


def test_an_instance_is_reached_by_the_unit_that_made_it_and_by_no_other(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    outer, other = organization.unit("phases"), organization.unit("other")
    inner = organization.unit("dev", outer)
    account = organization.admit(number(), inner)
    managed.run("create_stack_instances", **aim([inner]))
    organization.api.move_account(AccountId=account, SourceParentId=inner, DestinationParentId=other)
    made = managed.instance(account)["LastOperationId"]
    for unit in (outer, other):
        only = aim([unit], AccountFilterType="INTERSECTION", Accounts=[account])
        managed.run("update_stack_instances", **only)
        assert managed.instance(account)["LastOperationId"] == made
    only = aim([inner], AccountFilterType="INTERSECTION", Accounts=[account])
    updated = managed.run("update_stack_instances", **only)["OperationId"]
    assert managed.instance(account)["LastOperationId"] == updated
    managed.run("delete_stack_instances", **only, RetainStacks=False)
    assert managed.states() == {}


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"Accounts": ["111111111111"]}, "can only have OrganizationalUnit as target"),
        ({"DeploymentTargets": {"Accounts": ["111111111111"]}}, "OrganizationalUnitIds are required"),
        ({"DeploymentTargets": {"OrganizationalUnitIds": ["ou-none-12345678"]}}, "ou-none-12345678 does not exist"),
    ],
)
def test_a_service_managed_set_goes_to_units_only(managed: Fleet, request_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ClientError, match=sentence):
        managed.call("create_stack_instances", Regions=["us-east-1"], **request_)


def test_a_self_managed_set_goes_to_no_unit(fleet: Fleet) -> None:
    fleet.make()
    with pytest.raises(ClientError, match="only valid for stack sets with SERVICE_MANAGED"):
        fleet.call("create_stack_instances", **aim(["ou-none-12345678"]))


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ({**queue(), "Transform": "AWS::Serverless-2016-10-31"}, "Transform is not supported in SERVICE_MANAGED"),
        (
            {"Resources": {"S": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "https://x/y"}}}},
            "Nested stack is not supported in SERVICE_MANAGED",
        ),
    ],
)
def test_transforms_and_nested_stacks_are_refused(managed: Fleet, template: dict[str, Any], sentence: str) -> None:
    managed.default["StackSetName"] = "other"
    with pytest.raises(ClientError, match=sentence):
        managed.make(template, PermissionModel="SERVICE_MANAGED", AutoDeployment={"Enabled": False})


def test_without_trusted_access_no_such_set_is_made(organization: Organization) -> None:
    fleet = Fleet(organization.cloud, organization.management)
    assert fleet.api.describe_organizations_access()["Status"] == "DISABLED"
    with pytest.raises(ClientError, match="You must enable organizations access"):
        fleet.make(PermissionModel="SERVICE_MANAGED", AutoDeployment={"Enabled": False})
    fleet.api.activate_organizations_access()
    assert fleet.api.describe_organizations_access()["Status"] == "ENABLED"


def test_without_an_organization_no_such_set_is_made(fleet: Fleet) -> None:
    with pytest.raises(ClientError, match="You must be the management account or delegated admin account"):
        fleet.make(PermissionModel="SERVICE_MANAGED", AutoDeployment={"Enabled": False})


def test_a_delegated_administrator_works_on_the_sets_of_the_management_account(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    account = organization.admit(number())
    organization.api.register_delegated_administrator(AccountId=account, ServicePrincipal=SERVICE)
    delegate = Fleet(organization.cloud, account, CallAs="DELEGATED_ADMIN")
    delegate.run("create_stack_instances", **aim([organization.root]))
    assert delegate.states() == managed.states() == {(account, "us-east-1"): DONE}


def test_a_delegated_administrator_who_forgets_call_as_finds_nothing(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    account = organization.admit(number())
    organization.api.register_delegated_administrator(AccountId=account, ServicePrincipal=SERVICE)
    with pytest.raises(ClientError, match="StackSetNotFoundException"):
        Fleet(organization.cloud, account).call("describe_stack_set")


def test_a_member_that_is_no_delegate_is_refused(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    member = Fleet(organization.cloud, organization.admit(number()), CallAs="DELEGATED_ADMIN")
    with pytest.raises(ClientError, match="Account used is not a delegated administrator"):
        member.call("describe_stack_set")


def test_a_suspended_account_is_skipped_and_is_no_failure(
    managed: Fleet, organization: Organization, number: Callable[[], str]
) -> None:
    unit = organization.unit("phases")
    accounts = [organization.admit(number(), unit) for _ in range(2)]
    organization.api.close_account(AccountId=accounts[0])
    operation = managed.run("create_stack_instances", **aim([unit]))
    assert operation["Status"] == "SUCCEEDED"
    assert list(managed.states().values()) == [("OUTDATED", "SKIPPED_SUSPENDED_ACCOUNT"), DONE]


def test_a_suspended_account_is_skipped_by_self_managed_sets_too(
    deployed: Fleet, member: str, organization: Organization
) -> None:
    organization.admit(member)
    organization.api.close_account(AccountId=member)
    deployed.run("update_stack_set", UsePreviousTemplate=True)
    assert deployed.states() == {(member, "us-east-1"): ("OUTDATED", "SKIPPED_SUSPENDED_ACCOUNT")}
