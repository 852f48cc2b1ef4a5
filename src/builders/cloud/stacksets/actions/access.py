"""ActivateOrganizationsAccess, DeactivateOrganizationsAccess, DescribeOrganizationsAccess, and automatic targets."""

from __future__ import annotations

from ministack.core.responses import get_account_id

from builders.cloud.organizations import membership
from builders.cloud.stacksets import callers, paging
from builders.cloud.stacksets.refusals import Refused, impossible
from builders.cloud.stacksets.wire import Answer, Request


def activate(_request: Request) -> Answer:
    """Let StackSets act in the caller's organization."""
    membership.trust(_management(), callers.SERVICE, True)
    return {}


def deactivate(_request: Request) -> Answer:
    """Take that back."""
    membership.trust(_management(), callers.SERVICE, False)
    return {}


def describe(request: Request) -> Answer:
    """Show whether StackSets may act in the organization."""
    try:
        account = callers.administrator(request)
    except Refused as refused:
        raise impossible(str(refused)) from refused
    return {"Status": "ENABLED" if membership.trusts(account, callers.SERVICE) else "DISABLED"}


def _management() -> str:
    account = get_account_id()
    if membership.management_of(account) != account:
        raise impossible("You must be the management account of an organization to change its access")
    return str(account)


def list_targets(request: Request) -> Answer:
    """List the units that a set deploys to, and the regions there."""
    stack_set = callers.find(request)
    which = f"ListStackSetAutoDeploymentTargets {stack_set.id}"
    return paging.page(
        request,
        which,
        stack_set.units.items(),
        lambda each: each[0],
        lambda each: {"OrganizationalUnitId": each[0], "Regions": each[1]},
    )
