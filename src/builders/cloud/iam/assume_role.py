"""Who may assume a role: the one whom the role's trust policy lets in, whether or not the server checks IAM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_region
from ministack.services import iam, sts

from builders.policy_documents import principals, statements
from builders.resource_types import Json

HOUR = 3600


def roles_assumed_by_those_they_trust() -> None:
    """ministack gives out credentials of any role, and of roles that are not there, unless AUTH=true; and then its
    refusal of a role that is not there names no user.

    AWS asks the trust policy always, and does not tell a role that is not there from one that does not trust (STS API
    reference, AssumeRole; IAM user guide, "Troubleshoot IAM roles"). What the caller's own policies allow is asked
    with `--auth` only. Other than on AWS, an account's root user may assume roles: here he is its administrator.
    """
    before = app.SERVICE_HANDLERS["sts"]

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Json]) -> Any:
        request = _parameters(headers, body, query)
        if request.get("Action") == "AssumeRole":
            caller = sts._caller_identity(headers, query)
            _, malformed = sts._assumed_role_arn(request.get("RoleArn", ""), request.get("RoleSessionName", ""))
            if isinstance(caller, dict) and not malformed:
                role = _role(request["RoleArn"])
                if role is None or not _trusted(role, caller, request):
                    return sts._error(403, "AccessDenied", _sentence(caller["userArn"], request["RoleArn"]), ns="sts")
                if refusal := _too_long(role, caller, request):
                    return sts._error(400, "ValidationError", refusal, ns="sts")
        return await before(method, path, headers, body, query)

    def denied(service: str, action: str, principal: str, request_id: str, **more: Any) -> Any:
        if action == "sts:AssumeRole" and not more.get("error_code"):
            more["message"] = _sentence(principal, more["resource_arn"])
        return denied_before(service, action, principal, request_id, **more)

    app.SERVICE_HANDLERS["sts"] = handle
    denied_before = iam_actions.access_denied_response
    iam_actions.access_denied_response = denied


def _sentence(caller: str, role: str) -> str:
    """The caller's own policies and the role's are refused alike."""
    return f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role}"


def _parameters(headers: Mapping[str, str], body: bytes, query: Mapping[str, Json]) -> dict[str, str]:
    """Return the request's plain members, from the query or either form of body."""
    if target := headers.get("x-amz-target"):
        return {**json.loads(body or b"{}"), "Action": target.rpartition(".")[2]}
    given = {**query, **parse_qs(body.decode("utf-8", "replace"))}
    return {name: value[0] if isinstance(value, list) else value for name, value in given.items()}


def _role(arn: str) -> dict[str, Json] | None:
    role: dict[str, Json] | None = iam._roles.get_scoped(arn.split(":")[4], None, arn.rpartition("/")[2])
    return role if role and role["Arn"] == arn else None


def _too_long(role: Mapping[str, Json], caller: Mapping[str, Json], request: Mapping[str, str]) -> str:
    """Return why a session cannot last so long (STS API reference, AssumeRole, DurationSeconds); empty when it can."""
    seconds = int(request.get("DurationSeconds") or HOUR)
    if caller["principalType"] == "AssumedRole" and seconds > HOUR:
        return "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
    if seconds > int(role.get("MaxSessionDuration") or HOUR):
        return "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    return ""


def _trusted(role: Mapping[str, Json], caller: Mapping[str, Json], request: Mapping[str, str]) -> bool:
    credential = iam_evaluator.resolve_credential(caller["accessKey"], caller["accountId"])
    known = isinstance(credential, iam_evaluator.ResolvedCredential)
    context = iam_evaluator.EvalContext(
        principal_arn=caller["userArn"],
        principal_type=caller["principalType"],
        principal_account=caller["accountId"],
        action="sts:AssumeRole",
        resource_arn=role["Arn"],
        region=get_region(),
        service_context={
            "sts:externalid": request.get("ExternalId"),
            "sts:rolesessionname": request.get("RoleSessionName"),
        },
        principal_keys=iam_evaluator._principal_keys(credential) if known else {},
    )
    trust = _for_callers(role["AssumeRolePolicyDocument"])
    return bool(iam_evaluator.evaluate_trust_policy(trust, caller["userArn"], context))


def _for_callers(document: Json) -> dict[str, Json]:
    """Return a trust policy without its services: ministack's evaluator takes anybody for any service."""
    callers = [(each, [name for kind, name in principals(each) if kind == "AWS"]) for each in statements(document)]
    return {"Statement": [{**each, "Principal": {"AWS": named}} for each, named in callers if named]}
