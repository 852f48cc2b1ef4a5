"""The organization itself: its accounts and their states, and whether StackSets may act in it."""

from __future__ import annotations

from builders.rollout.client.calls import Calls
from builders.rollout.client.sessions import Where

STACKSETS = "member.org.stacksets.cloudformation.amazonaws.com"
"""The service principal of service-managed StackSets (CloudFormation user guide, "Register a delegated
administrator")."""

PAGE = {"MaxResults": 20}
"""The most that the lists of Organizations take (AWS Organizations API reference)."""


def states(calls: Calls) -> dict[str, str]:
    """Every account of the caller's organization with its Account.State: ACTIVE, SUSPENDED, PENDING_CLOSURE ..."""
    found = calls.pages(Where(calls.access.region), "organizations", "ListAccounts", "Accounts", **PAGE)
    # Status is on its way out (AWS Organizations API reference, Account).
    return {each["Id"]: each.get("State") or each["Status"] for each in found}


def management(calls: Calls) -> str:
    """The management account. Raises `Refused` with AWSOrganizationsNotInUseException outside of an organization."""
    answer = calls.ask(Where(calls.access.region), "organizations", "DescribeOrganization")
    return str(answer["Organization"]["MasterAccountId"])


def delegated(calls: Calls) -> frozenset[str]:
    """The delegated administrators of StackSets. Raises `AccessDenied` without the permission to ask."""
    request = {"ServicePrincipal": STACKSETS, **PAGE}
    where = Where(calls.access.region)
    found = calls.pages(where, "organizations", "ListDelegatedAdministrators", "DelegatedAdministrators", **request)
    return frozenset(each["Id"] for each in found)


def trusted_access(calls: Calls, call_as: str) -> str:
    """Whether StackSets may act in the organization: ENABLED, DISABLED or DISABLED_PERMANENTLY."""
    where = Where(calls.access.region)
    return str(calls.ask(where, "cloudformation", "DescribeOrganizationsAccess", CallAs=call_as)["Status"])
