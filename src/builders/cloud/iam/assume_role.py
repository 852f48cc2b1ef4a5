"""AssumeRole: the trust policy of the role decides, whether or not the server checks IAM.

Sources: STS API reference, AssumeRole; IAM user guide, "Troubleshoot IAM roles": a role that does not exist is refused
like one that does not trust. What the caller's own policies allow counts with `--auth` only. Other than on AWS, an
account's root user may assume roles: here it is the account's administrator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_evaluator
from ministack.core.responses import get_region

from builders.cloud.internals import iam, sts
from builders.cloud.patches import patch
from builders.cloud.stacksets import permissions
from builders.policy_documents import principals, statements
from builders.resource_types import Json

HOUR = 3600


@patch(
    "ministack.app.SERVICE_HANDLERS[sts]",
    why="AssumeRole gives out credentials of any role, and of roles that do not exist, unless AUTH=true",
)
async def _handle(
    original: Any, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Json]
) -> Any:
    request = _parameters(headers, body, query)
    if request.get("Action") == "AssumeRole":
        caller = sts.caller_identity(headers, query)
        if refusal := _bad_name(request):
            return sts.error(400, "ValidationError", refusal, ns="sts")
        _, malformed = sts.assumed_role_arn(request.get("RoleArn", ""), request.get("RoleSessionName", ""))
        if isinstance(caller, dict) and not malformed:
            role = _role(request["RoleArn"])
            actions = ("sts:AssumeRole", *(["sts:SetSourceIdentity"] if request.get("SourceIdentity") else ()))
            for action in actions:
                if role is None or not _trusted(role, caller, request, action):
                    sentence = _sentence(caller["userArn"], request["RoleArn"], action)
                    return sts.error(403, "AccessDenied", sentence, ns="sts")
            assert role is not None
            if request.get("SourceIdentity") and not permissions.caller_may("sts:SetSourceIdentity", role["Arn"]):
                sentence = _sentence(caller["userArn"], role["Arn"], "sts:SetSourceIdentity")
                return sts.error(403, "AccessDenied", sentence, ns="sts")
            if refusal := _too_long(role, caller, request):
                return sts.error(400, "ValidationError", refusal, ns="sts")
    return await original(method, path, headers, body, query)


@patch(
    "ministack.core.iam_actions.access_denied_response",
    why="the refusal of a role that does not exist names no user under AUTH=true",
)
def _access_denied(original: Any, service: str, action: str, principal: str, request_id: str, **more: Any) -> Any:
    if action == "sts:AssumeRole" and not more.get("error_code"):
        more["message"] = _sentence(principal, more["resource_arn"])
    return original(service, action, principal, request_id, **more)


def _sentence(caller: str, role: str, action: str = "sts:AssumeRole") -> str:
    return f"User: {caller} is not authorized to perform: {action} on resource: {role}"


def _parameters(headers: Mapping[str, str], body: bytes, query: Mapping[str, Json]) -> dict[str, str]:
    """Return the request's plain members, from the query or either form of body."""
    if target := headers.get("x-amz-target"):
        return {**json.loads(body or b"{}"), "Action": target.rpartition(".")[2]}
    given = {**query, **parse_qs(body.decode("utf-8", "replace"))}
    return {name: value[0] if isinstance(value, list) else value for name, value in given.items()}


def _bad_name(request: Mapping[str, str]) -> str:
    """Return why a session cannot be called so, or its source (STS API reference, AssumeRole); empty when it can."""
    pattern = r"[\w+=,.@-]*"
    for key in ("RoleSessionName", "SourceIdentity"):
        if not re.fullmatch(pattern, request.get(key, ""), re.ASCII):
            return (
                f"1 validation error detected: Value '{request[key]}' at '{key[0].lower()}{key[1:]}' failed to satisfy "
                f"constraint: Member must satisfy regular expression pattern: {pattern}"
            )
    return ""


def _role(arn: str) -> dict[str, Json] | None:
    role: dict[str, Json] | None = iam.roles.get_scoped(arn.split(":")[4], None, arn.rpartition("/")[2])
    return role if role and role["Arn"] == arn else None


def _too_long(role: Mapping[str, Json], caller: Mapping[str, Json], request: Mapping[str, str]) -> str:
    """Return why a session cannot last so long (STS API reference, AssumeRole, DurationSeconds); empty when it can."""
    seconds = int(request.get("DurationSeconds") or HOUR)
    if caller["principalType"] == "AssumedRole" and seconds > HOUR:
        return "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
    if seconds > int(role.get("MaxSessionDuration") or HOUR):
        return "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    return ""


def _trusted(role: Mapping[str, Json], caller: Mapping[str, Json], request: Mapping[str, str], action: str) -> bool:
    credential = iam_evaluator.resolve_credential(caller["accessKey"], caller["accountId"])
    resolved = isinstance(credential, iam_evaluator.ResolvedCredential)
    context = iam_evaluator.EvalContext(
        principal_arn=caller["userArn"],
        principal_type=caller["principalType"],
        principal_account=caller["accountId"],
        action=action,
        resource_arn=role["Arn"],
        region=get_region(),
        service_context={
            "sts:externalid": request.get("ExternalId"),
            "sts:rolesessionname": request.get("RoleSessionName"),
            "sts:sourceidentity": request.get("SourceIdentity"),
        },
        principal_keys=iam.principal_keys(credential) if resolved else {},
    )
    trust = _for_callers(role["AssumeRolePolicyDocument"])
    return bool(iam_evaluator.evaluate_trust_policy(trust, caller["userArn"], context))


def _for_callers(document: Json) -> dict[str, Json]:
    """Return a trust policy without its services: ministack's evaluator takes anybody for any service."""
    callers = [(each, [name for kind, name in principals(each) if kind == "AWS"]) for each in statements(document)]
    return {"Statement": [{**each, "Principal": {"AWS": named}} for each, named in callers if named]}
