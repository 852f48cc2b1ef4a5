"""Accounts: their regions, quotas and organization.

Source: AWS Organizations API reference, Account Management API reference, Service Quotas API reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from builders.aws.calls import Session


def enabled_regions(session: Session) -> frozenset[str]:
    """The regions that an account has switched on; one page holds them all (Account Management API reference)."""
    enabled = ["ENABLED", "ENABLED_BY_DEFAULT"]
    found = session.pages("account", "ListRegions", RegionOptStatusContains=enabled, MaxResults=50)
    return frozenset(each["RegionName"] for each in found)


# By their names: the codes have changed before, and differ between partitions.
STACK_SETS = "Stack sets per administrator account"
INSTANCES = "Stack instances per stack set"
STACKS = "Stack count"

DEFAULTS = {STACK_SETS: 1_000, INSTANCES: 100_000, STACKS: 2_000}
"""AWS General Reference, "AWS CloudFormation endpoints and quotas"."""


def quotas(session: Session) -> dict[str, int]:
    """CloudFormation's quotas of an account and region, by name; the defaults where AWS gives none."""
    found = session.pages("service-quotas", "ListServiceQuotas", ServiceCode="cloudformation", MaxResults=100)
    given = {each["QuotaName"]: int(each["Value"]) for each in found if "Value" in each}
    return {name: given.get(name, default) for name, default in DEFAULTS.items()}


STACKSETS = "member.org.stacksets.cloudformation.amazonaws.com"
"""The service principal of service-managed StackSets (CloudFormation user guide, "Register a delegated
administrator")."""

PAGE = {"MaxResults": 20}
"""The most that the lists of Organizations take (AWS Organizations API reference)."""


class Organizations:
    """The organization of the administrator, who is its management account or a delegated administrator."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._accounts: dict[str, tuple[str, ...]] = {}

    def states(self) -> dict[str, str]:
        """Every account with its Account.State: ACTIVE, SUSPENDED, PENDING_CLOSURE ..."""
        return {each["Id"]: _state(each) for each in self._pages("ListAccounts", **PAGE)}

    def management(self) -> str:
        """The management account. Raises `Refused` with AWSOrganizationsNotInUseException outside of one."""
        answer = self._session.ask("organizations", "DescribeOrganization")
        return str(answer["Organization"]["MasterAccountId"])

    def delegated_administrators(self) -> frozenset[str]:
        """The delegated administrators of StackSets. Raises `AccessDenied` without the permission to ask."""
        found = self._pages("ListDelegatedAdministrators", ServicePrincipal=STACKSETS, **PAGE)
        return frozenset(each["Id"] for each in found)

    def trusted_access(self, call_as: str) -> str:
        """The access of StackSets to the organization: ENABLED, DISABLED or DISABLED_PERMANENTLY."""
        answer = self._session.ask("cloudformation", "DescribeOrganizationsAccess", CallAs=call_as)
        return str(answer["Status"])

    def accounts(self, unit: str) -> tuple[str, ...]:
        """Active accounts of a unit (or root) and of all units below it, sorted, without the management account; those
        of a unit are asked for once.

        Nothing can be deployed to a suspended account, and StackSets never deploys to the management account.
        """
        if unit not in self._accounts:
            management = self.management()
            self._accounts[unit] = tuple(sorted({*self._below(unit)} - {management}))
        return self._accounts[unit]

    def _below(self, unit: str) -> Iterator[str]:
        for each in self._pages("ListAccountsForParent", ParentId=unit):
            if _state(each) == "ACTIVE":
                yield each["Id"]
        for each in self._pages("ListOrganizationalUnitsForParent", ParentId=unit):
            yield from self._below(each["Id"])

    def _pages(self, operation: str, **request: Any) -> Iterator[Mapping[str, str]]:
        return self._session.pages("organizations", operation, **request)


def _state(account: Mapping[str, str]) -> str:
    """State has taken the place of Status, which AWS retired in 2026 (Organizations API reference, Account)."""
    return account["State"]
