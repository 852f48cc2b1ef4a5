"""The members of each organization, over the records that ministack keeps for each management account.

Source: Organizations API reference, the operations of these names.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services.organizations import FULL_ACCESS_POLICY_ID

from builders import naming
from builders.cloud.internals import entries, iam, organizations
from builders.resource_types import Json

_management: dict[str, str] = {}
"""Each account that is in an organization, and the account that manages it."""
_trusted: dict[str, dict[str, float]] = {}
"""Each management account's trusted services, and since when (seconds since the epoch)."""
_delegates: dict[str, dict[str, dict[str, float]]] = {}
"""Each management account's delegated administrators, by service, and since when."""

Listener = Callable[[str, str, list[str], list[str]], None]
"""Takes the management account, an account, and the units above it (nearest first, root last) before and after."""
listeners: list[Listener] = []
"""Called for every account that joins, moves or leaves."""


class Denied(Exception):
    """An error of the API; `name` is what SDKs raise it under."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def stores() -> dict[str, dict[str, Json]]:
    """Return what is remembered here, by name, to be kept over a restart."""
    return {"management": _management, "trusted": _trusted, "delegates": _delegates}


def management_of(account: str) -> str | None:
    """Return the management account of an account's organization; None outside of any."""
    return _management.get(account)


def organization_id_of(account: str) -> str | None:
    """Return the id of an account's organization (the condition key aws:PrincipalOrgID)."""
    found = organizations.organizations.get_scoped(_management.get(account), None, "self")
    return found["Id"] if found else None


def join(account: str, management: str) -> None:
    """An account belongs to an organization from now on."""
    _management[account] = management
    _notify(account, management, [])


def remove_member(account: str) -> None:
    """An account belongs to none any more."""
    management = _management[account]
    before = units_above(management, account)
    organizations.accounts.pop_scoped(management, None, account, None)
    for accounts in _delegates.get(management, {}).values():
        accounts.pop(account, None)
    del _management[account]
    for listener in listeners:
        listener(management, account, before, [])


def moved(account: str, management: str, before: list[str]) -> None:
    """Tell the listeners that an account was moved; `before` are the units that were above it."""
    _notify(account, management, before)


def _notify(account: str, management: str, before: list[str]) -> None:
    after = [] if suspended(account) else units_above(management, account)
    for listener in listeners:
        listener(management, account, before, after)


def record(management: str, account: str) -> dict[str, Json] | None:
    """Return what ministack keeps about a member."""
    found: dict[str, Json] | None = organizations.accounts.get_scoped(management, None, account)
    return found


def suspended(account: str) -> bool:
    """Return whether an account is closed."""
    management = _management.get(account)
    found = record(management, account) if management else None
    return bool(found) and found is not None and found["Status"] == "SUSPENDED"


def units_above(management: str, child: str) -> list[str]:
    """Return the units above an account or unit, nearest first, the root last."""
    node = record(management, child) or organizations.units.get_scoped(management, None, child)
    above = []
    while node is not None:
        above.append(node["_ParentId"])
        node = organizations.units.get_scoped(management, None, node["_ParentId"])
    return above


def accounts_below(management: str, unit: str) -> list[str] | None:
    """Return the members in a unit or root and in all units below it; None when there is no such unit."""
    found = organizations.units.get_scoped(management, None, unit) or organizations.roots.get_scoped(
        management, None, unit
    )
    if found is None:
        return None
    members = (account for (owner, account) in list(entries(organizations.accounts)) if owner == management)
    return [account for account in members if unit in units_above(management, account)]


def trusts(management: str, service: str) -> bool:
    """Return whether a service may act in the organization."""
    return service in _trusted.get(management, {})


def trust(management: str, service: str, allowed: bool, since: float = 0.0) -> None:
    """Let a service act in the organization, or no longer."""
    services = _trusted.setdefault(management, {})
    if allowed:
        services.setdefault(service, since)
    else:
        services.pop(service, None)


def trusted_services(management: str) -> dict[str, float]:
    """Return the services that may act in the organization, and since when."""
    return _trusted.get(management, {})


def delegates(management: str) -> dict[str, dict[str, float]]:
    """Return the delegated administrators by service, to look at and to change."""
    return _delegates.setdefault(management, {})


def delegated(account: str, service: str) -> bool:
    """Return whether an account administers a service for its organization."""
    return account in _delegates.get(_management.get(account, ""), {}).get(service, {})


Payload = dict[str, Json]

_handshakes: dict[str, Payload] = {}


def create_organization(_payload: Payload) -> Payload:
    """The caller manages an organization from now on."""
    caller = get_account_id()
    if management_of(caller):
        raise Denied("AlreadyInOrganizationException", "The AWS account is already a member of an organization.")
    organizations.make_organization()
    organizations.accounts[caller]["State"] = "ACTIVE"  # which takes the place of Status (Account, API reference)
    join(caller, caller)
    return {"Organization": dict(organizations.organizations["self"])}


def delete_organization(_payload: Payload) -> Payload:
    """The caller's organization ends; it must be empty."""
    caller = get_account_id()
    if len(organizations.accounts) > 1 or len(organizations.units):
        raise Denied("OrganizationNotEmptyException", "To delete an organization you must first remove all members.")
    remove_member(caller)
    for store in (organizations.organizations, organizations.roots, organizations.policies, organizations.attachments):
        for key in list(store):
            del store[key]
    return {}


def create_account(payload: Payload) -> Payload:
    """An account with a number that nobody chose, and a role in it that the management account may assume."""
    number = f"{secrets.randbelow(900_000_000_000) + 100_000_000_000}"
    management = get_account_id()
    _add(number, management, payload["Email"], payload["AccountName"], "CREATED")
    name = payload.get("RoleName", naming.ORGANIZATION_ROLE)
    with request_scope(number, get_region()):
        allowed = {"AWS": f"arn:aws:iam::{management}:root"}
        statement = {"Effect": "Allow", "Principal": allowed, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.create_role({"RoleName": [name], "AssumeRolePolicyDocument": [trust]})
        administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
        iam.attach_role_policy({"RoleName": [name], "PolicyArn": [administrator]})
    stamp = int(time.time())
    status = {
        "Id": f"car-{secrets.token_hex(16)}",
        "AccountName": payload["AccountName"],
        "State": "SUCCEEDED",
        "RequestedTimestamp": stamp,
        "CompletedTimestamp": stamp,
        "AccountId": number,
    }
    organizations.create_statuses[status["Id"]] = status
    return {"CreateAccountStatus": status}


def invite(payload: Payload) -> Payload:
    """Ask an account, by its number, to join; it answers with AcceptHandshake."""
    target = payload["Target"]
    if target["Type"] != "ACCOUNT":
        raise Denied("InvalidInputException", "The embedded cloud invites accounts by number only: Type=ACCOUNT.")
    if management_of(target["Id"]):
        raise Denied("DuplicateHandshakeException", "The AWS account is already a member of an organization.")
    handshake: Payload = {
        "Id": f"h-{secrets.token_hex(8)}",
        "Parties": [{"Id": get_account_id(), "Type": "ORGANIZATION"}, target],
        "State": "OPEN",
        "Action": "INVITE",
        "RequestedTimestamp": int(time.time()),
    }
    _handshakes[handshake["Id"]] = handshake
    return {"Handshake": handshake}


def accept(payload: Payload) -> Payload:
    """The caller, who was invited, joins at the root."""
    handshake, caller = _handshakes.get(payload["HandshakeId"]), get_account_id()
    if handshake is None or handshake["Parties"][1]["Id"] != caller:
        raise Denied("HandshakeNotFoundException", f"We can't find a handshake with the ID {payload['HandshakeId']}.")
    if handshake["State"] != "OPEN":
        raise Denied("InvalidHandshakeTransitionException", f"The handshake is {handshake['State']}.")
    handshake["State"] = "ACCEPTED"
    management = handshake["Parties"][0]["Id"]
    with request_scope(management, get_region()):
        _add(caller, management, f"{caller}@accounts.invalid", f"Account {caller}", "INVITED")
    return {"Handshake": handshake}


def _add(number: str, management: str, email: str, name: str, how: str) -> None:
    organization = organizations.organizations["self"]["Id"]
    organizations.accounts[number] = {
        "Id": number,
        "Arn": f"arn:aws:organizations::{management}:account/{organization}/{number}",
        "Email": email,
        "Name": name,
        "Status": "ACTIVE",
        "State": "ACTIVE",
        "JoinedMethod": how,
        "JoinedTimestamp": int(time.time()),
        "_ParentId": next(iter(organizations.roots)),
    }
    organizations.attachments[FULL_ACCESS_POLICY_ID] += [number]
    join(number, management)


def _member(number: str) -> Payload:
    found = record(get_account_id(), number)
    if found is None:
        raise Denied("AccountNotFoundException", f"You specified an account that doesn't exist: {number}.")
    return found


def leave(_payload: Payload) -> Payload:
    """The caller leaves."""
    caller = get_account_id()
    if management_of(caller) == caller:
        raise Denied("MasterCannotLeaveOrganizationException", "The management account can't leave its organization.")
    remove_member(caller)
    return {}


def remove(payload: Payload) -> Payload:
    """A member is out."""
    _member(payload["AccountId"])
    if payload["AccountId"] == get_account_id():
        raise Denied("MasterCannotLeaveOrganizationException", "The management account can't leave its organization.")
    remove_member(payload["AccountId"])
    return {}


def move(payload: Payload) -> Payload:
    """A member goes from one unit to another."""
    number, management = payload["AccountId"], get_account_id()
    member = _member(number)
    for side in ("Source", "Destination"):
        if accounts_below(management, payload[f"{side}ParentId"]) is None:
            raise Denied(f"{side}ParentNotFoundException", f"We can't find {payload[f'{side}ParentId']}.")
    if member["_ParentId"] == payload["DestinationParentId"]:
        raise Denied("DuplicateAccountException", "That account is already present in the specified destination.")
    if member["_ParentId"] != payload["SourceParentId"]:
        raise Denied("AccountNotFoundException", f"Account {number} is not in {payload['SourceParentId']}.")
    before = units_above(management, number)
    member["_ParentId"] = payload["DestinationParentId"]
    moved(number, management, before)
    return {}


def close(payload: Payload) -> Payload:
    """A member is suspended; it stays in its unit."""
    number, management = payload["AccountId"], get_account_id()
    member = _member(number)
    if number == management:
        raise Denied("ConstraintViolationException", "You cannot close the management account.")
    if member["Status"] == "SUSPENDED":
        raise Denied("AccountAlreadyClosedException", f"Account {number} is already closed.")
    member["Status"] = member["State"] = "SUSPENDED"
    return {}
