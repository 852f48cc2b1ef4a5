"""Accounts come and go. Source: Organizations API reference, the operations of these names."""

from __future__ import annotations

import json
import secrets
import time

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import iam, organizations

from builders.cloud.organizations import membership
from builders.cloud.organizations.membership import Denied
from builders.cloud.schemas import Json

Payload = dict[str, Json]

_handshakes: dict[str, Payload] = {}


def create_organization(_payload: Payload) -> Payload:
    """The caller manages an organization from now on."""
    caller = get_account_id()
    if membership.management_of(caller):
        raise Denied("AlreadyInOrganizationException", "The AWS account is already a member of an organization.")
    organizations._ensure_org()
    membership.join(caller, caller)
    return {"Organization": dict(organizations._orgs["self"])}


def delete_organization(_payload: Payload) -> Payload:
    """The caller's organization ends; it must be empty."""
    caller = get_account_id()
    if len(organizations._accounts) > 1 or len(organizations._ous):
        raise Denied("OrganizationNotEmptyException", "To delete an organization you must first remove all members.")
    membership.leave(caller)
    for store in (organizations._orgs, organizations._roots, organizations._policies, organizations._attachments):
        for key in list(store):
            del store[key]
    return {}


def create_account(payload: Payload) -> Payload:
    """An account with a number that nobody chose, and a role in it that the management account may assume."""
    number = f"{secrets.randbelow(900_000_000_000) + 100_000_000_000}"
    management = get_account_id()
    _add(number, management, payload["Email"], payload["AccountName"], "CREATED")
    name = payload.get("RoleName", "OrganizationAccountAccessRole")
    with request_scope(number, get_region()):
        allowed = {"AWS": f"arn:aws:iam::{management}:root"}
        statement = {"Effect": "Allow", "Principal": allowed, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam._create_role({"RoleName": [name], "AssumeRolePolicyDocument": [trust]})
        administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
        iam._attach_role_policy({"RoleName": [name], "PolicyArn": [administrator]})
    stamp = int(time.time())
    status = {
        "Id": f"car-{secrets.token_hex(16)}",
        "AccountName": payload["AccountName"],
        "State": "SUCCEEDED",
        "RequestedTimestamp": stamp,
        "CompletedTimestamp": stamp,
        "AccountId": number,
    }
    organizations._create_statuses[status["Id"]] = status
    return {"CreateAccountStatus": status}


def invite(payload: Payload) -> Payload:
    """Ask an account, by its number, to join; it answers with AcceptHandshake."""
    target = payload["Target"]
    if target["Type"] != "ACCOUNT":
        raise Denied("InvalidInputException", "The embedded cloud invites accounts by number only: Type=ACCOUNT.")
    if membership.management_of(target["Id"]):
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
    organization = organizations._orgs["self"]["Id"]
    organizations._accounts[number] = {
        "Id": number,
        "Arn": f"arn:aws:organizations::{management}:account/{organization}/{number}",
        "Email": email,
        "Name": name,
        "Status": "ACTIVE",
        "State": "ACTIVE",
        "JoinedMethod": how,
        "JoinedTimestamp": int(time.time()),
        "_ParentId": next(iter(organizations._roots)),
    }
    organizations._attachments[organizations.FULL_ACCESS_POLICY_ID] += [number]
    membership.join(number, management)


def _member(number: str) -> Payload:
    found = membership.record(get_account_id(), number)
    if found is None:
        raise Denied("AccountNotFoundException", f"You specified an account that doesn't exist: {number}.")
    return found


def leave(_payload: Payload) -> Payload:
    """The caller leaves."""
    caller = get_account_id()
    if membership.management_of(caller) == caller:
        raise Denied("MasterCannotLeaveOrganizationException", "The management account can't leave its organization.")
    membership.leave(caller)
    return {}


def remove(payload: Payload) -> Payload:
    """A member is out."""
    _member(payload["AccountId"])
    if payload["AccountId"] == get_account_id():
        raise Denied("MasterCannotLeaveOrganizationException", "The management account can't leave its organization.")
    membership.leave(payload["AccountId"])
    return {}


def move(payload: Payload) -> Payload:
    """A member goes from one unit to another."""
    number, management = payload["AccountId"], get_account_id()
    member = _member(number)
    for side in ("Source", "Destination"):
        if membership.accounts_below(management, payload[f"{side}ParentId"]) is None:
            raise Denied(f"{side}ParentNotFoundException", f"We can't find {payload[f'{side}ParentId']}.")
    if member["_ParentId"] == payload["DestinationParentId"]:
        raise Denied("DuplicateAccountException", "That account is already present in the specified destination.")
    if member["_ParentId"] != payload["SourceParentId"]:
        raise Denied("AccountNotFoundException", f"Account {number} is not in {payload['SourceParentId']}.")
    before = membership.units_above(management, number)
    member["_ParentId"] = payload["DestinationParentId"]
    membership.moved(number, management, before)
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
