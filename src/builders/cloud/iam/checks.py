"""Refusals of IAM: taken names, trust policies that trust nobody, policies that cannot mean anything.

Source: IAM API reference, CreateRole; IAM user guide, "Policies and permissions in IAM".
"""

from __future__ import annotations

import functools
import importlib.resources
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
_AWS_POLICY = re.compile(r"arn:aws[\w-]*:iam::aws:policy/(.+)")
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
    _check_managed_policies(properties)


def check_identity(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a user or a group with a taken name, or with policies that are not there."""
    for kind, store in (("User", iam.users), ("Group", iam.groups)):
        name = properties.get(f"{kind}Name")
        if name and physical_id is None and name in store:
            raise ValueError(f"{kind} with name {name} already exists. (Service: Iam, Status Code: 409)")
    for inline in properties.get("Policies") or []:
        _check_permissions(inline["PolicyDocument"])
    _check_managed_policies(properties)


def check_instance_profile(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a taken name, more than one role, and a role that is not there."""
    name, roles = properties.get("InstanceProfileName"), properties.get("Roles") or []
    if name and physical_id is None and name in iam.instance_profiles:
        raise ValueError(f"Instance Profile {name} already exists. (Service: Iam, Status Code: 409)")
    if len(roles) > 1:
        raise ValueError("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1 (Service: Iam, Status Code: "
                         "409)")  # fmt: skip
    for role in roles:
        if role not in iam.roles:
            raise ValueError(f"The role with name {role} cannot be found. (Service: Iam, Status Code: 404)")


def check_profile_of_instance(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a machine with an instance profile that is not there (EC2 API reference, RunInstances)."""
    name = properties.get("IamInstanceProfile")
    if name and name not in iam.instance_profiles:
        raise ValueError(
            f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name "
            "(Service: Ec2, Status Code: 400)"
        )


def policy_exists(arn: str) -> bool:
    """Return whether a managed policy is there: AWS's own by the list of its names, and the account's."""
    match = _AWS_POLICY.fullmatch(arn)
    return match[1] in _names_of_aws() or arn in iam.aws_managed_policies if match else arn in iam.policies


@functools.cache
def _names_of_aws() -> frozenset[str]:
    """Return the paths and names of AWS's managed policies (AWS Managed Policy Reference Guide; listed in 2026)."""
    return frozenset((importlib.resources.files("builders.cloud.iam") / "managed_policies.txt").read_text().split())


def _check_managed_policies(properties: Mapping[str, Json]) -> None:
    """Refuse policies that are not there, to be attached or as a boundary. Raises ValueError."""
    for arn in properties.get("ManagedPolicyArns") or []:
        if not policy_exists(arn):
            raise ValueError(f"Policy {arn} does not exist or is not attachable. (Service: Iam, Status Code: 404)")
    boundary = properties.get("PermissionsBoundary")
    if boundary and not policy_exists(boundary):
        raise ValueError(f"Scope ARN: {boundary} does not exist or is not attachable. (Service: Iam, Status Code: 404)")


def check_policy(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a permission policy that means nothing, or a managed one that is too large (IAM user guide, "IAM and AWS
    STS quotas": 6,144 characters without white space)."""
    document = properties["PolicyDocument"]
    name = properties.get("ManagedPolicyName")
    if name and physical_id is None and any(each["PolicyName"] == name for each in iam.policies.values()):
        raise ValueError(f"A policy called {name} already exists. Duplicate names are not allowed. (Service: Iam, "
                         "Status Code: 409)")  # fmt: skip
    for kind, store, sentence in (
        ("Roles", iam.roles, "The role with name {} cannot be found."),
        ("Users", iam.users, "The user with name {} cannot be found."),
        ("Groups", iam.groups, "The group with name {} cannot be found."),
    ):
        for each in properties.get(kind) or []:
            if each not in store:
                raise ValueError(f"{sentence.format(each)} (Service: Iam, Status Code: 404, Error Code: NoSuchEntity)")
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


def check_role_deletion(name: str, properties: Mapping[str, Json]) -> None:
    """Refuse to delete a role that has policies from outside its template (IAM API reference, DeleteRole)."""
    role = iam.roles.get(name)
    own = {str(each.get("PolicyName")) for each in properties.get("Policies") or []}
    if role and set(role["AttachedPolicies"]) - set(properties.get("ManagedPolicyArns") or []):
        raise ValueError("Cannot delete entity, must detach all policies first. (Service: Iam, Status Code: 409)")
    if role and set(role["InlinePolicies"]) - own:
        raise ValueError("Cannot delete entity, must delete policies first. (Service: Iam, Status Code: 409)")


def check_policy_deletion(arn: str, properties: Mapping[str, Json]) -> None:
    """Refuse to delete a managed policy that others than its template's have (IAM API reference, DeletePolicy)."""
    own = set(properties.get("Roles") or [])
    if any(arn in role["AttachedPolicies"] and name not in own for name, role in iam.roles.items()):
        raise ValueError("Cannot delete a policy attached to entities. (Service: Iam, Status Code: 409)")
