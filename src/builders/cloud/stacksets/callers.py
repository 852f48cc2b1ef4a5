"""The owner of the sets that a request means (CallAs), and the set that it names.

Source: CloudFormation API reference, ListStackSets (CallAs); user guide, "Register a delegated administrator".
"""

from __future__ import annotations

from collections.abc import Iterator

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region

from builders.cloud.cloudformation.wire import Request, invalid, no_set
from builders.cloud.internals import entries
from builders.cloud.organizations import membership
from builders.cloud.stacksets import permissions
from builders.cloud.stacksets.model import StackSet

SERVICE = "member.org.stacksets.cloudformation.amazonaws.com"
"""The name that Organizations knows StackSets by."""

LIST_DELEGATED = "organizations:ListDelegatedAdministrators"

_sets: AccountRegionScopedDict = AccountRegionScopedDict()
"""StackSetId to StackSet, by the account and region that it was made in. Deleted sets stay, by their id."""


def administrator(request: Request) -> str:
    """Return the account whose sets the request means: the caller's, or the management account's.

    A delegated administrator who forgets CallAs looks into his own account, and does not find the set. StackSets ask
    with the caller's permissions whether he is one, so that without ListDelegatedAdministrators he is none (user guide,
    "Register a delegated administrator").
    """
    caller = str(get_account_id())
    if request.get("CallAs", "SELF") == "SELF":
        return caller
    if not (membership.delegated(caller, SERVICE) and permissions.caller_may(LIST_DELEGATED)):
        raise invalid("Account used is not a delegated administrator")
    return str(membership.management_of(caller))


def require_organization(request: Request) -> None:
    """Refuse service-managed sets to others than the organization's administrators, and without trusted access.

    Sentences: aws-security-reference-architecture-examples #164, and guides that quote the second.
    """
    account = administrator(request)
    if membership.management_of(account) != account:
        raise invalid(
            "You must be the management account or delegated admin account of an organization before operating a "
            "SERVICE_MANAGED stack set"
        )
    if not trusted(account):
        raise invalid("You must enable organizations access to operate a service managed stack set")


def add(stack_set: StackSet) -> None:
    """Keep a new set."""
    _sets.set_scoped(stack_set.account, stack_set.region, stack_set.id, stack_set)


def every() -> list[StackSet]:
    """Return all sets of all accounts."""
    return list(entries(_sets).values())


def visible(request: Request) -> Iterator[StackSet]:
    """Yield the sets that the request may see; a delegated administrator sees the service-managed ones."""
    delegated = request.get("CallAs", "SELF") != "SELF"
    for each in owned(administrator(request), get_region()):
        if each.service_managed or not delegated:
            yield each


def owned(account: str, region: str | None = None) -> Iterator[StackSet]:
    """Yield an account's sets, deleted ones too; without a region those of all regions."""
    for (owner, made_in, _), stack_set in list(entries(_sets).items()):
        if owner == account and made_in == (region or made_in):
            yield stack_set


def find(request: Request, deleted: bool = False) -> StackSet:
    """Return the set that a request names by name, id or ARN; a deleted one only by its id, and only if asked."""
    name = request["StackSetName"]
    identifier = name.rpartition("stackset/")[2]
    for each in visible(request):
        if (each.status == "ACTIVE" and identifier == each.name) or (
            identifier == each.id and (deleted or each.status == "ACTIVE")
        ):
            if each.service_managed:
                require_organization(request)
            return each
    raise no_set(name)


def trusted(management: str) -> bool:
    """Tell whether StackSets may act in an organization."""
    return membership.trusts(management, SERVICE)
