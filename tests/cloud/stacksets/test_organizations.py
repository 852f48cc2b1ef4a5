"""Organizations: who belongs where, who may look, what becomes of accounts."""

from __future__ import annotations

from collections.abc import Callable

import boto3
import pytest
from botocore.exceptions import ClientError

from builders.cloud.process import Cloud

from .conftest import SERVICE
from .organization import Organization


def test_an_account_without_an_organization_has_none_to_show(cloud: Cloud, number: Callable[[], str]) -> None:
    with pytest.raises(ClientError, match="AWSOrganizationsNotInUseException"):
        boto3.client("organizations", **cloud.client_arguments(number())).describe_organization()


def test_an_account_manages_one_organization_only(organization: Organization) -> None:
    with pytest.raises(ClientError, match="AlreadyInOrganizationException"):
        organization.api.create_organization()


def test_an_invited_account_joins_at_the_root_and_moves(organization: Organization, number: Callable[[], str]) -> None:
    account = organization.admit(number())
    assert organization.accounts(organization.root) == [organization.management, account]
    unit = organization.unit("phases")
    organization.api.move_account(AccountId=account, SourceParentId=organization.root, DestinationParentId=unit)
    assert organization.accounts(organization.root) == [organization.management]
    assert organization.accounts(unit) == [account]
    assert organization.api.list_parents(ChildId=account)["Parents"] == [{"Id": unit, "Type": "ORGANIZATIONAL_UNIT"}]


def test_a_created_account_lets_the_management_account_in(organization: Organization) -> None:
    status = organization.api.create_account(Email="dev@example.com", AccountName="dev")["CreateAccountStatus"]
    role = organization.of(status["AccountId"], "iam").get_role(RoleName="OrganizationAccountAccessRole")["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert status["State"] == "SUCCEEDED"
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{organization.management}:root"}


def test_a_member_sees_its_organization_and_no_more(organization: Organization, number: Callable[[], str]) -> None:
    member = organization.of(organization.admit(number()))
    assert member.describe_organization()["Organization"]["Id"] == organization.id
    with pytest.raises(ClientError, match="AccessDeniedException"):
        member.list_accounts()


def test_a_delegated_administrator_may_read(organization: Organization, number: Callable[[], str]) -> None:
    account = organization.admit(number())
    organization.api.register_delegated_administrator(AccountId=account, ServicePrincipal=SERVICE)
    delegate = organization.of(account)
    listed = delegate.list_delegated_administrators(ServicePrincipal=SERVICE)["DelegatedAdministrators"]
    assert [each["Id"] for each in listed] == [account]
    services = delegate.list_delegated_services_for_account(AccountId=account)["DelegatedServices"]
    assert [each["ServicePrincipal"] for each in services] == [SERVICE]
    with pytest.raises(ClientError, match="AccessDeniedException"):
        delegate.close_account(AccountId=account)


def test_a_deregistered_administrator_may_read_no_more(organization: Organization, number: Callable[[], str]) -> None:
    account = organization.admit(number())
    who = {"AccountId": account, "ServicePrincipal": SERVICE}
    organization.api.register_delegated_administrator(**who)
    organization.api.deregister_delegated_administrator(**who)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        organization.of(account).list_accounts()


def test_a_closed_account_is_suspended_and_stays_in_its_unit(
    organization: Organization, number: Callable[[], str]
) -> None:
    unit = organization.unit("phases")
    account = organization.admit(number(), unit)
    organization.api.close_account(AccountId=account)
    assert organization.api.describe_account(AccountId=account)["Account"]["Status"] == "SUSPENDED"
    assert organization.accounts(unit) == [account]


def test_a_removed_account_belongs_nowhere(organization: Organization, number: Callable[[], str]) -> None:
    account = organization.admit(number())
    organization.api.remove_account_from_organization(AccountId=account)
    assert organization.accounts(organization.root) == [organization.management]
    with pytest.raises(ClientError, match="AWSOrganizationsNotInUseException"):
        organization.of(account).describe_organization()


def test_every_account_has_a_state_the_management_account_too(
    organization: Organization, number: Callable[[], str]
) -> None:
    organization.admit(number())
    assert {each["State"] for each in organization.api.list_accounts()["Accounts"]} == {"ACTIVE"}
    described = organization.api.describe_account(AccountId=organization.management)["Account"]
    assert described["State"] == "ACTIVE"


def test_the_management_account_stays(organization: Organization) -> None:
    with pytest.raises(ClientError, match="MasterCannotLeaveOrganizationException"):
        organization.api.leave_organization()
    with pytest.raises(ClientError, match="ConstraintViolationException"):
        organization.api.close_account(AccountId=organization.management)


def test_accounts_come_in_pages_of_twenty(organization: Organization, number: Callable[[], str]) -> None:
    accounts = {organization.management, *(organization.admit(number()) for _ in range(21))}
    first = organization.api.list_accounts()
    assert len(first["Accounts"]) == 20
    paginator = organization.api.get_paginator("list_accounts")
    assert {each["Id"] for page in paginator.paginate() for each in page["Accounts"]} == accounts


def test_a_trusted_service_is_listed_until_it_is_no_more(organization: Organization) -> None:
    organization.api.enable_aws_service_access(ServicePrincipal=SERVICE)
    listed = organization.api.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
    assert [each["ServicePrincipal"] for each in listed] == [SERVICE]
    organization.api.disable_aws_service_access(ServicePrincipal=SERVICE)
    assert organization.api.list_aws_service_access_for_organization()["EnabledServicePrincipals"] == []
