"""What IAM, KMS, Lambda and Logs refuse: taken names, policies that cannot mean anything, keys nobody could manage.

Sources: IAM API reference, CreateRole; KMS API reference, PutKeyPolicy; Lambda API reference, CreateFunction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudwatch_logs, iam, kms, lambda_svc

from builders.policy_documents import as_list, covers, principals, trusts_service
from builders.resource_types import Json

LARGEST_MANAGED_POLICY = 6144
_VERSIONS = ("2012-10-17", "2008-10-17")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.amazonaws\.com(\.cn)?")
_ARN = re.compile(r"arn:aws[\w-]*:(iam|sts)::(\d{12}):(root|(role|user|assumed-role|federated-user)/[\w+=,.@/-]+)")


def check_role(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a taken name, a trust policy that trusts nobody who exists, a managed policy that is not there."""
    name = properties.get("RoleName")
    if name and physical_id is None and name in iam._roles:
        raise ValueError(f"Role with name {name} already exists. (Service: Iam, Status Code: 409)")
    for statement in _statements(properties["AssumeRolePolicyDocument"]):
        if "Resource" in statement or "NotResource" in statement:
            raise _malformed("Has prohibited field Resource")
        if "Principal" not in statement:
            raise _malformed("Missing required field Principal")
        actions = as_list(statement.get("Action"))
        if not actions or not all(action == "*" or action.lower().startswith("sts:") for action in actions):
            raise _malformed("AssumeRole policy may only specify STS AssumeRole actions.")
        for kind, principal in principals(statement):
            if not _exists(kind, principal):
                raise _malformed(f'Invalid principal in policy: "{kind.upper()}":"{principal}"')
    for inline in properties.get("Policies") or []:
        check_permissions(inline["PolicyDocument"])
    for arn in properties.get("ManagedPolicyArns") or []:
        if ":iam::aws:policy/" not in arn and arn not in iam._policies:
            raise ValueError(f"Policy {arn} does not exist or is not attachable. (Service: Iam, Status Code: 404)")


def check_policy(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a permission policy that means nothing, or a managed one that is too large (IAM user guide, "IAM and AWS
    STS quotas": 6,144 characters without white space)."""
    document = properties["PolicyDocument"]
    check_permissions(document)
    text = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    if "PolicyName" not in properties and len(re.sub(r"\s", "", text)) > LARGEST_MANAGED_POLICY:
        raise ValueError(
            f"Cannot exceed quota for PolicySize: {LARGEST_MANAGED_POLICY} (Service: Iam, Status Code: 409)"
        )


def check_permissions(document: Json) -> None:
    """Refuse a document that grants nothing to anything, or names a principal. Raises ValueError."""
    for statement in _statements(document):
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


def check_key(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a key policy with principals that do not exist, or one that nobody of the account could change again."""
    if "KeyPolicy" not in properties:
        return
    statements = list(_statements(properties["KeyPolicy"]))
    for statement in statements:
        for kind, principal in principals(statement):
            if not _exists(kind, principal):
                raise ValueError(
                    "Policy contains a statement with one or more invalid principals. (Service: Kms, Status Code: 400)"
                )
    if properties.get("BypassPolicyLockoutSafetyCheck") is True:
        return
    allowed = any(_lets_administer(statement, "Allow") for statement in statements)
    denied = any(_lets_administer(statement, "Deny") for statement in statements)
    if denied or not allowed:
        raise ValueError(
            "The new key policy will not allow you to update the key policy in the future. "
            "(Service: Kms, Status Code: 400)"
        )


def check_function(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a role that does not exist or that Lambda may not assume."""
    arn = str(properties["Role"])
    role = iam._roles.get(arn.rsplit("/", 1)[-1])
    if not role or role["Arn"] != arn or not trusts_service(role["AssumeRolePolicyDocument"], "lambda.amazonaws.com"):
        raise ValueError(
            "The role defined for the function cannot be assumed by Lambda. (Service: Lambda, Status Code: 400)"
        )


def check_permission(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a permission on a function that does not exist."""
    function, _, name = lambda_svc._get_func_record_for_ref(str(properties["FunctionName"]))
    if function is None:
        arn = f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{name or properties['FunctionName']}"
        raise ValueError(f"Function not found: {arn} (Service: Lambda, Status Code: 404)")


def check_log_group(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a taken name and a key that does not exist."""
    name, key = properties.get("LogGroupName"), properties.get("KmsKeyId")
    if name and physical_id is None and name in cloudwatch_logs._log_groups:
        identifier = json.dumps({"/properties/LogGroupName": name}, separators=(",", ":"))
        raise ValueError(f"Resource of type 'AWS::Logs::LogGroup' with identifier '{identifier}' already exists.")
    if key and kms._resolve_key(key) is None:
        raise ValueError(
            "The specified KMS key does not exist or is not allowed to be used with LogGroup "
            f"'arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{name}'"
        )


def _statements(document: Json) -> Iterator[Mapping[str, Json]]:
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


def _exists(kind: str, principal: str) -> bool:
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
        stores = {"role": iam._roles, "user": iam._users}
        return arn[4] not in stores or arn[3].rsplit("/", 1)[-1] in stores[arn[4]]


def _lets_administer(statement: Mapping[str, Json], effect: str) -> bool:
    """Return whether a statement lets (or forbids) the account's administrators put a new key policy."""
    if statement.get("Effect") != effect or statement.get("Condition"):
        return False
    account = get_account_id()
    ours = ("*", account, f"arn:aws:iam::{account}:root")
    named = any(kind == "AWS" and principal in ours for kind, principal in principals(statement))
    return named and covers(statement, "kms:PutKeyPolicy")
