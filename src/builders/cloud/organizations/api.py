"""The operations of AWS Organizations, who may call each, and the way that requests take to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, request_scope

from builders.cloud.internals import organizations
from builders.cloud.organizations import delegation, membership
from builders.cloud.organizations.membership import Denied
from builders.cloud.patches import patch
from builders.cloud.server import state
from builders.resource_types import Json

Payload = dict[str, Json]

_CONTENT_TYPE = "application/x-amz-json-1.1"

# What an account calls for itself, in its own name.
_OF_ANYBODY: Mapping[str, Callable[[Payload], Payload]] = {
    "CreateOrganization": membership.create_organization,
    "AcceptHandshake": membership.accept,
    "LeaveOrganization": membership.leave,
}

# What the management account calls.
_OF_MANAGEMENT: Mapping[str, Callable[[Payload], Payload]] = {
    "DeleteOrganization": membership.delete_organization,
    "CreateAccount": membership.create_account,
    "InviteAccountToOrganization": membership.invite,
    "RemoveAccountFromOrganization": membership.remove,
    "MoveAccount": membership.move,
    "CloseAccount": membership.close,
    "EnableAWSServiceAccess": delegation.enable,
    "DisableAWSServiceAccess": delegation.disable,
    "ListAWSServiceAccessForOrganization": delegation.list_services,
    "RegisterDelegatedAdministrator": delegation.register,
    "DeregisterDelegatedAdministrator": delegation.deregister,
    "ListDelegatedAdministrators": delegation.list_administrators,
    "ListDelegatedServicesForAccount": delegation.list_delegated_services,
}


def install() -> None:
    """Keep what the server must know after a restart."""
    state.keep("organizations", {"handshakes": membership._handshakes, **membership.stores()})


@patch("ministack.core.iam_evaluator._principal_org_id", why="the organization of a member is unknown")
def _principal_org_id(_original: Any, account: str) -> str | None:
    return membership.organization_id_of(account)


@patch("ministack.app.SERVICE_HANDLERS[organizations]", why="every account is alone in its organization")
async def _handle(
    _original: Any, _method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Mapping[str, Json]
) -> Any:
    operation = headers.get("x-amz-target", "").partition(".")[2]
    try:
        return json_response(_answer(operation, json.loads(body or b"{}")), content_type=_CONTENT_TYPE)
    except Denied as denied:
        return error_response_json(denied.name, str(denied), 400, message_key="Message", content_type=_CONTENT_TYPE)


def _answer(operation: str, payload: Payload) -> Payload:
    if operation in _OF_ANYBODY:
        return _OF_ANYBODY[operation](payload)
    caller = get_account_id()
    management = membership.management_of(caller)
    if management is None:
        raise Denied("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    if caller != management and not _member_may(operation, caller, management):
        raise Denied("AccessDeniedException", "You don't have permissions to access this resource.")
    with request_scope(management, get_region()):
        own = _OF_MANAGEMENT.get(operation)
        answer = own(payload) if own else _of_ministack(operation, payload)
    return delegation.page(operation, answer, payload)


def _member_may(operation: str, caller: str, management: str) -> bool:
    """Any member may look at the organization; a delegated administrator may read all of it."""
    delegate = any(caller in accounts for accounts in membership.delegates(management).values())
    return operation == "DescribeOrganization" or (delegate and operation.startswith(("Describe", "List")))


def _of_ministack(operation: str, payload: Payload) -> Payload:
    action = organizations.actions.get(operation)
    if action is None:
        raise Denied("UnsupportedAPIEndpointException", f"{operation} is not offered by the embedded cloud.")
    status, _, body = action(payload)
    answer: Payload = json.loads(body)
    if status >= 400:
        raise Denied(answer["__type"].rpartition("#")[2], answer.get("message") or answer.get("Message") or "")
    return answer
