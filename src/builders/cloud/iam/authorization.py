"""What ministack's IAM evaluator does not know of the requests that our functions and people make (`--auth`).

Source: Secrets Manager user guide, "Secret encryption and decryption in AWS Secrets Manager - Permissions for the KMS
key". DMS brings its own part (dms/authorization.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import kms, secretsmanager
from ministack.services.cloudformation import _change_sets

from builders.cloud.patches import replace
from builders.cloud.stacksets import permissions
from builders.resource_types import Json

_KEY_USE = {
    "secretsmanager:GetSecretValue": ("kms:Decrypt",),
    "secretsmanager:PutSecretValue": ("kms:GenerateDataKey", "kms:Decrypt"),
}
"""What a caller must be allowed to do with the key of a secret, beside the call itself."""


def install() -> None:
    """Put these in front of the evaluator, through which every request of an authenticated server goes."""
    before = iam_evaluator.enforce

    def enforce(
        access_key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        denied = before(access_key, action, service, region, resource_arn, service_context)
        if denied or action not in _KEY_USE:
            return denied
        for key_action, key_arn, keys in _uses_of_key(action, resource_arn, region):
            denied = before(access_key, key_action, "kms", region, resource_arn=key_arn, service_context=keys)
            if isinstance(denied, iam_evaluator.EvalResult):
                # Secrets Manager hides which action of KMS was denied (re:Post, "Access to KMS is not allowed").
                return iam_evaluator.AuthError("AccessDeniedException", "Access to KMS is not allowed")
        return None

    iam_evaluator.enforce = enforce
    iam_evaluator._request_origin = _Origin()
    resource_before = iam_actions.extract_resource_arn

    def resource_arn(service: str, method: str, path: str, headers: Any, body: bytes, query: Any, *place: str) -> str:
        found = str(resource_before(service, method, path, headers, body, query, *place))
        change_set = iam_actions._query_param(query, "ChangeSetName")
        return _stack_of(change_set) if service == "cloudformation" and found == "*" and change_set else found

    replace(iam_actions, "extract_resource_arn", resource_arn)


class _Origin:
    """Where a request came from: this machine, and over TLS, since the endpoint stands for one that has it."""

    def get(self) -> tuple[str, bool]:
        """Return (address, whether the transport is secure)."""
        return "127.0.0.1", True

    def set(self, _origin: tuple[str, bool]) -> None:
        """Forget what the request says."""


def _stack_of(change_set: str) -> str:
    """Return the ARN of the stack whose change set is named by its own ARN: IAM asks about the stack (Service
    Authorization Reference, "Actions defined by AWS CloudFormation")."""
    found = _change_sets.get(change_set)
    return str(found["StackId"]) if found else "*"


def _uses_of_key(action: str, secret_id: str, region: str) -> list[tuple[str, str, Mapping[str, Json]]]:
    """Return (action, key ARN, condition keys) of each use of the customer's key of a secret."""
    _, secret = secretsmanager._resolve(secret_id)
    key = kms._resolve_key(secret["KmsKeyId"]) if secret and secret.get("KmsKeyId") else None
    if secret is None or key is None:
        return []
    context = {
        "kms:ViaService": f"secretsmanager.{region}.amazonaws.com",
        "kms:CallerAccount": get_account_id(),
        "kms:EncryptionContext:SecretARN": secret["ARN"],
    }
    return [(each, key["Arn"], context) for each in _KEY_USE[action]]


def check_deployment(name: str, operation: str, resource: str) -> None:
    """Refuse what the caller may not do: CloudFormation acts with his permissions, not with its own.

    `operation` is create, update or delete. Asked for is the one action that plainly does it; which resources and
    conditions a policy names is not looked at. Raises ValueError with IAM's sentence.
    """
    principal = iam_evaluator.caller_arn()
    account = principal.split(":")[4]
    action = permissions.needed(name, operation)
    # In another account than the caller's a stack set acts, with a role of its own (stacksets/permissions.py).
    if not app.AUTH or principal.endswith(":root") or account != get_account_id() or action is None:
        return
    user = principal.split("/")[1] if ":assumed-role/" in principal else principal.rsplit("/", 1)[-1]
    gather = iam_evaluator._gather_user_policies if ":user/" in principal else iam_evaluator._gather_role_policies
    policies = [[_anywhere(statement) for statement in policy] for policy in gather(user, account)]
    asked = iam_evaluator.EvalContext(principal, "AssumedRole", account, action, "*", "")
    decision = iam_evaluator.evaluate(asked, policies).decision
    if decision != "Allow":
        sentence = iam_actions.identity_denial_message(action, principal, resource, decision == "Deny")
        raise ValueError(f"{sentence} (Service: {name.split('::')[1]}, Status Code: 403)")


def _anywhere(statement: Any) -> Any:
    """An Allow without its resources and conditions; a Deny as it is."""
    if statement.effect != "Allow":
        return statement
    return dataclasses.replace(statement, resources=["*"], not_resources=[], conditions={})
