"""Trusted services and delegated administrators, and the pages of the List operations.

Source: Organizations API reference, the operations of these names; pages have at most 20 items.
"""

from __future__ import annotations

import time

from ministack.core.responses import get_account_id

from builders.cloud.organizations import membership
from builders.cloud.organizations.membership import Denied
from builders.cloud.server import pages
from builders.resource_types import Json

Payload = dict[str, Json]


def enable(payload: Payload) -> Payload:
    """Let a service act in the organization."""
    membership.trust(get_account_id(), payload["ServicePrincipal"], True, time.time())
    return {}


def disable(payload: Payload) -> Payload:
    """Take that back."""
    membership.trust(get_account_id(), payload["ServicePrincipal"], False)
    return {}


def list_services(_payload: Payload) -> Payload:
    """List the services that may act in the organization."""
    services = membership.trusted_services(get_account_id())
    found = [{"ServicePrincipal": name, "DateEnabled": since} for name, since in sorted(services.items())]
    return {"EnabledServicePrincipals": found}


def register(payload: Payload) -> Payload:
    """Let a member administer a service for the organization."""
    number, management = payload["AccountId"], get_account_id()
    if membership.record(management, number) is None:
        raise Denied("AccountNotFoundException", f"You specified an account that doesn't exist: {number}.")
    if number == management:
        raise Denied("ConstraintViolationException", "You cannot register the management account as a delegate.")
    registered = membership.delegates(management).setdefault(payload["ServicePrincipal"], {})
    if number in registered:
        raise Denied("AccountAlreadyRegisteredException", "The account is already a delegated administrator.")
    registered[number] = time.time()
    return {}


def deregister(payload: Payload) -> Payload:
    """Take that back."""
    registered = membership.delegates(get_account_id()).get(payload["ServicePrincipal"], {})
    if registered.pop(payload["AccountId"], None) is None:
        raise Denied("AccountNotRegisteredException", "The account is not a delegated administrator of the service.")
    return {}


def list_administrators(payload: Payload) -> Payload:
    """List the members that administer a service, or any."""
    management, only = get_account_id(), payload.get("ServicePrincipal")
    since: dict[str, float] = {}
    for service, accounts in membership.delegates(management).items():
        if service == (only or service):
            since |= accounts
    found = []
    for number, moment in sorted(since.items()):
        member = membership.record(management, number) or {}
        shown = {name: value for name, value in member.items() if not name.startswith("_")}
        found.append({**shown, "DelegationEnabledDate": moment})
    return {"DelegatedAdministrators": found}


def list_delegated_services(payload: Payload) -> Payload:
    """List the services that a member administers."""
    found = [
        {"ServicePrincipal": service, "DelegationEnabledDate": accounts[payload["AccountId"]]}
        for service, accounts in sorted(membership.delegates(get_account_id()).items())
        if payload["AccountId"] in accounts
    ]
    return {"DelegatedServices": found}


LARGEST = 20


def page(operation: str, answer: dict[str, Json], payload: dict[str, Json]) -> dict[str, Json]:
    """Cut the one list of an answer to a page, and add the token of the next. What has no list stays as it is."""
    lists = [name for name, value in answer.items() if isinstance(value, list)]
    if not operation.startswith("List") or len(lists) != 1:
        return answer
    size = min(int(payload.get("MaxResults") or LARGEST), LARGEST)
    refusal = Denied("InvalidInputException", "You specified an invalid value for nextToken.")
    items, token = pages.cut(operation, answer[lists[0]], payload.get("NextToken"), size, refusal)
    return {**answer, lists[0]: items, **({"NextToken": token} if token else {})}
