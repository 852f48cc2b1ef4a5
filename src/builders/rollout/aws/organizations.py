"""The organization itself: its accounts and their states, and whether StackSets may act in it.

AWS Organizations: which accounts the units hold that a service-managed set is aimed at.
"""

from __future__ import annotations

from collections.abc import Iterator

from builders.rollout.aws.access import Session
from builders.rollout.aws.calls import ApiCalls

STACKSETS = "member.org.stacksets.cloudformation.amazonaws.com"
"""The service principal of service-managed StackSets (CloudFormation user guide, "Register a delegated
administrator")."""

PAGE = {"MaxResults": 20}
"""The most that the lists of Organizations take (AWS Organizations API reference)."""


def states(calls: ApiCalls) -> dict[str, str]:
    """Every account of the caller's organization with its Account.State: ACTIVE, SUSPENDED, PENDING_CLOSURE ..."""
    found = calls.pages(Session(calls.access.region), "organizations", "ListAccounts", "Accounts", **PAGE)
    # Status is on its way out (AWS Organizations API reference, Account).
    return {each["Id"]: each.get("State") or each["Status"] for each in found}


def management(calls: ApiCalls) -> str:
    """The management account. Raises `Refused` with AWSOrganizationsNotInUseException outside of an organization."""
    answer = calls.ask(Session(calls.access.region), "organizations", "DescribeOrganization")
    return str(answer["Organization"]["MasterAccountId"])


def delegated(calls: ApiCalls) -> frozenset[str]:
    """The delegated administrators of StackSets. Raises `AccessDenied` without the permission to ask."""
    request = {"ServicePrincipal": STACKSETS, **PAGE}
    where = Session(calls.access.region)
    found = calls.pages(where, "organizations", "ListDelegatedAdministrators", "DelegatedAdministrators", **request)
    return frozenset(each["Id"] for each in found)


def trusted_access(calls: ApiCalls, call_as: str) -> str:
    """Whether StackSets may act in the organization: ENABLED, DISABLED or DISABLED_PERMANENTLY."""
    where = Session(calls.access.region)
    return str(calls.ask(where, "cloudformation", "DescribeOrganizationsAccess", CallAs=call_as)["Status"])


class Organizations:
    """The organization of the administrator, who is its management account or a delegated administrator."""

    def __init__(self, calls: ApiCalls) -> None:
        self._calls = calls
        self._where = Session(calls.access.region)

    def accounts(self, unit: str) -> list[str]:
        """Active accounts of a unit (or root) and of all units below it, sorted, without the management account.

        Nobody can be deployed to who is suspended, and StackSets never deploys to the management account.
        """
        management = self._calls.ask(self._where, "organizations", "DescribeOrganization")["Organization"]
        return sorted(set(self._below(unit)) - {management["MasterAccountId"]})

    def _below(self, unit: str) -> Iterator[str]:
        for each in self._pages("ListAccountsForParent", "Accounts", unit):
            # Status is on its way out (AWS Organizations API reference, Account).
            if each.get("State", each.get("Status")) == "ACTIVE":
                yield each["Id"]
        for each in self._pages("ListOrganizationalUnitsForParent", "OrganizationalUnits", unit):
            yield from self._below(each["Id"])

    def _pages(self, operation: str, found: str, unit: str) -> Iterator[dict[str, str]]:
        return self._calls.pages(self._where, "organizations", operation, found, ParentId=unit)
