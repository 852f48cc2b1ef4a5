"""Condition keys of a request that ministack's evaluator does not know, of calls and of resources in templates.

Sources: Service Authorization Reference, "AWS Identity and Access Management (IAM)" and "AWS Key Management Service";
IAM user guide, "AWS global condition context keys"; Lambda developer guide, "Control function access with source
function ARN".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import get_account_id

from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.internals import entries, iam, sts, tagging
from builders.cloud.patches import patch, patch_value
from builders.policy_documents import as_list
from builders.resource_types import Json

Context = dict[str, Json]
Properties = Mapping[str, Json]

_BOUNDARY, _POLICY = "iam:permissionsboundary", "iam:policyarn"
_SETTING_A_BOUNDARY = ("iam:CreateRole", "iam:CreateUser", "iam:PutRolePermissionsBoundary")
_FUNCTION = "lambda:sourcefunctionarn"


@patch(
    "ministack.core.iam_actions.request_tag_context",
    why="iam:PermissionsBoundary, iam:PolicyARN and kms:BypassPolicyLockoutSafetyCheck are unknown",
)
def _request_context(original: Any, service: str, action: str, body: bytes, parameters: dict[str, Json]) -> Context:
    context: Context = original(service, action, body, parameters)
    if service == "iam":
        return context | _of_iam(action, parameters)
    if action == "kms:PutKeyPolicy":
        given = json.loads(body or b"{}").get("BypassPolicyLockoutSafetyCheck")
        # Without the parameter there is no key (AWS KMS developer guide, "AWS KMS condition keys").
        return context if given is None else context | {"kms:bypasspolicylockoutsafetycheck": str(given).lower()}
    return context


@patch(
    "ministack.core.iam_actions.extract_resource_arn",
    why="what CreatePolicy makes and SimulatePrincipalPolicy asks about is unknown",
)
def _resource_arn(original: Any, service: str, *request: Any) -> str:
    arn = str(original(service, *request))
    *_, query, _region, account = request
    if service != "iam" or arn != "*":
        return arn
    name, path, asked = (iam.query_parameter(query, key) for key in ("PolicyName", "Path", "PolicySourceArn"))
    if not name:
        return asked or arn
    return f"arn:aws:iam::{account}:policy{path or '/'}{name}"


def _of_iam(action: str, parameters: Mapping[str, Json]) -> Context:
    given = {name: value[0] if isinstance(value, list) else value for name, value in parameters.items()}
    role = iam.roles.get(given.get("RoleName")) or {}
    setting = action in _SETTING_A_BOUNDARY
    boundary = given.get("PermissionsBoundary") if setting else role.get("PermissionsBoundary")
    return {_BOUNDARY: boundary or None, _POLICY: given.get("PolicyArn")}


@patch(
    "ministack.core.iam_evaluator._names_condition_key",
    why="tags of the resource are not looked up where a boundary alone asks for them",
)
def _names_condition_key(original: Any, policies: Any, prefix: str) -> bool:
    return prefix == "aws:resourcetag/" or bool(original(policies, prefix))


@patch("ministack.core.iam_evaluator._resolve_condition_key", why="aws:PrincipalArn of a session is the session's ARN")
def _condition_key(original: Any, key: str, context: Any) -> Json:
    found = original(key, context)
    if key.lower() == "aws:principalarn" and ":assumed-role/" in str(found):
        account, name = found.split(":")[4], found.split("/")[1]
        role = iam.roles.get_scoped(account, None, name)
        return role["Arn"] if role else f"arn:aws:iam::{account}:role/{name}"
    return found


@patch(
    "ministack.core.lambda_runtime.execution_credentials", why="the session of a function does not know the function"
)
def _execution_credentials(original: Any, config: Mapping[str, Json]) -> dict[str, str]:
    credentials: dict[str, str] = original(config)
    if session := sts.sessions.get(credentials["AWS_ACCESS_KEY_ID"]):
        session["SourceFunctionArn"] = config["FunctionArn"]
    return credentials


@patch("ministack.core.iam_evaluator._principal_keys", why="lambda:SourceFunctionArn is unknown")
def _principal_keys(original: Any, credential: Any) -> Context:
    keys: Context = original(credential)
    session = sts.sessions.get(credential.access_key_id) or {}
    return keys | ({_FUNCTION: session["SourceFunctionArn"]} if "SourceFunctionArn" in session else {})


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::IAM::Role]",
    why="a role of a template has no permissions boundary",
)
def _roles_with_boundaries(inner: Handlers) -> Handlers:
    def bound(made: Made, properties: Properties) -> Made:
        iam.roles[made[0]]["PermissionsBoundary"] = properties.get("PermissionsBoundary")
        return made

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        return bound(inner["create"](logical_id, properties, stack), properties)

    def update(physical_id: str, old: Properties, new: Properties, stack: str, *more: Any) -> Made:
        return bound(inner["update"](physical_id, old, new, stack, *more), new)

    def delete(physical_id: str, properties: Properties, *more: Any) -> None:
        role = iam.roles.get(physical_id)
        inner["delete"](physical_id, properties, *more)
        _forget(role)

    return {**inner, "create": create, "update": update, "delete": delete}


@patch(
    "ministack.services.iam._IAM_HANDLERS[DeleteRole]",
    why="a trust that names a role lets in the next one of that name, too",
)
def _delete_role(original: Any, parameters: Mapping[str, Json]) -> Json:
    name = parameters.get("RoleName") or ""
    role = iam.roles.get(name[0] if isinstance(name, list) else name)
    answer = original(parameters)
    if answer[0] < 400:
        _forget(role)
    return answer


def _forget(role: Mapping[str, Json] | None) -> None:
    """Put the unique id of a role that is gone in place of its ARN into the trusts of all accounts (IAM user guide,
    "AWS JSON policy elements: Principal", on role principals)."""
    if role is None:
        return
    named = json.dumps(role["Arn"])
    for other in entries(iam.roles).values():
        trust = other["AssumeRolePolicyDocument"]
        if named not in (text := trust if isinstance(trust, str) else json.dumps(trust)):
            continue
        document = json.loads(text)
        for statement in as_list(document["Statement"]):
            principal = statement.get("Principal")
            if isinstance(principal, dict) and role["Arn"] in as_list(principal.get("AWS")):
                kept = [each for each in as_list(principal["AWS"]) if each != role["Arn"]]
                principal["AWS"] = [*kept, role["RoleId"]]
        other["AssumeRolePolicyDocument"] = json.dumps(document) if isinstance(trust, str) else document


_OF_PROPERTIES = {
    "AWS::IAM::ManagedPolicy": {"PolicyDocument": "iam:CreatePolicyVersion"},
    "AWS::IAM::Role": {"AssumeRolePolicyDocument": "iam:UpdateAssumeRolePolicy"},
    "AWS::KMS::Key": {"KeyPolicy": "kms:PutKeyPolicy"},
    "AWS::Lambda::Function": {"Code": "lambda:UpdateFunctionCode"},
}
"""Actions by which an update changes a property."""


def needed_by_properties(name: str, verb: str, arguments: tuple[Any, ...]) -> list[str]:
    """Return the actions that an update needs for some of the properties that it changes."""
    if verb != "update":
        return []
    _, old, new = arguments[:3]
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    found = [action for key, action in _OF_PROPERTIES.get(name, {}).items() if key in changed]
    if name == "AWS::IAM::Role" and "PermissionsBoundary" in changed:
        found.append(f"iam:{'Put' if new.get('PermissionsBoundary') else 'Delete'}RolePermissionsBoundary")
    return found


def of_resource(name: str, verb: str, arguments: tuple[Any, ...]) -> Context:
    """Return the condition keys of what CloudFormation does with a resource; `arguments` are those of its handler."""
    if verb == "delete":
        old = new = arguments[1]
    else:
        new = arguments[2] if verb == "update" else arguments[1]
        old = arguments[1] if verb == "update" else {}
    context: Context = {f"aws:requesttag/{key}".lower(): value for key, value in _tags(new).items()}
    there = _tags(old) or tagging.resource_tags(str(new.get("SecretId") or "")) or {}
    service = name.split("::")[1].lower()
    for key, value in there.items():
        context |= {f"aws:resourcetag/{key}".lower(): value, f"{service}:resourcetag/{key}".lower(): value}
    boundary = new.get("PermissionsBoundary") or (old.get("PermissionsBoundary") if verb == "update" else None)
    return context | {_BOUNDARY: boundary, "kms:bypasspolicylockoutsafetycheck": "false"}


def _tags(properties: Properties) -> dict[str, str]:
    tags = properties.get("Tags") or {}
    return dict(tags) if isinstance(tags, dict) else {each["Key"]: each["Value"] for each in tags}


def limits(principal: str) -> tuple[Any, ...]:
    """Return the boundary of a role or user, as limits of ministack's evaluator."""
    account = principal.split(":")[4] or get_account_id()
    if ":user/" in principal:
        return tuple(iam.permissions_boundary(iam.users, principal.rsplit("/", 1)[-1], account))
    return tuple(iam.permissions_boundary(iam.roles, principal.split("/")[1], account))
