"""Refusals of IAM: taken names, trust policies that trust nobody, policies that cannot mean anything.

Source: IAM API reference, CreateRole; IAM user guide, "Policies and permissions in IAM".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from ministack.core.responses import get_region, request_scope

from builders.cloud.internals import iam
from builders.policy_documents import as_list, principals
from builders.resource_types import Json

LARGEST_MANAGED_POLICY = 6144
_VERSIONS = ("2012-10-17", "2008-10-17")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.amazonaws\.com(\.cn)?")
_ARN = re.compile(r"arn:aws[\w-]*:(iam|sts)::(\d{12}):(root|(role|user|assumed-role|federated-user)/[\w+=,.@/-]+)")


def check_role(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a taken name, a trust policy that trusts nobody who exists, a managed policy that is not there."""
    name = properties.get("RoleName")
    if name and physical_id is None and name in iam.roles:
        raise ValueError(f"Role with name {name} already exists. (Service: Iam, Status Code: 409)")
    for statement in read_statements(properties["AssumeRolePolicyDocument"]):
        if "Resource" in statement or "NotResource" in statement:
            raise _malformed("Has prohibited field Resource")
        if "Principal" not in statement:
            raise _malformed("Missing required field Principal")
        actions = as_list(statement.get("Action"))
        if not actions or not all(action == "*" or action.lower().startswith("sts:") for action in actions):
            raise _malformed("AssumeRole policy may only specify STS AssumeRole actions.")
        for kind, principal in principals(statement):
            if not exists(kind, principal):
                raise _malformed(f'Invalid principal in policy: "{kind.upper()}":"{principal}"')
    for inline in properties.get("Policies") or []:
        _check_permissions(inline["PolicyDocument"])
    for arn in properties.get("ManagedPolicyArns") or []:
        if ":iam::aws:policy/" not in arn and arn not in iam.policies:
            raise ValueError(f"Policy {arn} does not exist or is not attachable. (Service: Iam, Status Code: 404)")


def check_policy(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a permission policy that means nothing, or a managed one that is too large (IAM user guide, "IAM and AWS
    STS quotas": 6,144 characters without white space)."""
    document = properties["PolicyDocument"]
    _check_permissions(document)
    text = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    if "PolicyName" not in properties and len(re.sub(r"\s", "", text)) > LARGEST_MANAGED_POLICY:
        raise ValueError(
            f"Cannot exceed quota for PolicySize: {LARGEST_MANAGED_POLICY} (Service: Iam, Status Code: 409)"
        )


def _check_permissions(document: Json) -> None:
    """Refuse a document that grants nothing to anything, or names a principal. Raises ValueError."""
    for statement in read_statements(document):
        actions = as_list(statement.get("Action", statement.get("NotAction")))
        resources = as_list(statement.get("Resource", statement.get("NotResource")))
        if "Principal" in statement or "NotPrincipal" in statement:
            raise _malformed("Policy document should not specify a principal.")
        if not actions:
            raise _malformed("Policy statement must contain actions.")
        if not resources:
            raise _malformed("Policy statement must contain resources.")
        if not all(action == "*" or re.fullmatch(r"[\w-]+:[\w*?-]+", action) for action in actions):
            raise _malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        for resource in resources:
            if not re.match(r"\*|arn:", resource):
                raise _malformed(f'Resource {resource} must be in ARN format or "*".')


def read_statements(document: Json) -> Iterator[Mapping[str, Json]]:
    """Yield the statements of a policy. Raises ValueError with IAM's sentence for what is no policy."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError as error:
            raise _malformed("Syntax errors in policy.") from error
    if not isinstance(document, dict) or document.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise _malformed("Syntax errors in policy.")
    statements = document.get("Statement")
    found = [statements] if isinstance(statements, dict) else statements
    if not isinstance(found, list) or not found:
        raise _malformed("Syntax errors in policy.")
    for statement in found:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            raise _malformed("Syntax errors in policy.")
        yield statement


def _malformed(reason: str) -> ValueError:
    return ValueError(f"{reason} (Service: Iam, Status Code: 400, Error Code: MalformedPolicyDocument)")


def exists(kind: str, principal: str) -> bool:
    """Return whether there is such a principal; a service only has to look like one."""
    if kind == "Service":
        return bool(_SERVICE.fullmatch(principal))
    if kind != "AWS":
        return kind in ("Federated", "CanonicalUser")
    if principal == "*" or re.fullmatch(r"\d{12}", principal):
        return True
    arn = _ARN.fullmatch(principal)
    if not arn:
        return False
    with request_scope(arn[2], get_region()):
        stores = {"role": iam.roles, "user": iam.users}
        return arn[4] not in stores or arn[3].rsplit("/", 1)[-1] in stores[arn[4]]
