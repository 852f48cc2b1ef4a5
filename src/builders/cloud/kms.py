"""KMS: key policies that KMS refuses, what a caller must be allowed to do with the key of a secret (`--auth`), and the
topics whose key lets no message of a service through.

Sources: KMS API reference, PutKeyPolicy; Secrets Manager user guide, "Secret encryption and decryption in AWS Secrets
Manager - Permissions for the KMS key".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from ministack.core.iam_evaluator import AuthError, EvalResult
from ministack.core.responses import error_response_json, get_account_id, json_response

from builders.cloud.iam import checks
from builders.cloud.internals import kms, secretsmanager, sns
from builders.cloud.patches import patch
from builders.cloud.server import pages
from builders.policy_documents import allows, covers, principals, statements
from builders.resource_types import Json

_USES_OF_KEY = {
    "secretsmanager:GetSecretValue": ("kms:Decrypt",),
    "secretsmanager:PutSecretValue": ("kms:GenerateDataKey", "kms:Decrypt"),
}


_ON_A_PAGE = 100
"""Keys and aliases where no Limit is given (KMS API reference, ListKeys; there it is a default, not the most)."""
_NO_MARKER = "what is past a Limit cannot be asked for: no NextMarker is given"


@patch("ministack.services.kms._list_keys", why=_NO_MARKER)
def _list_keys(original: Any, data: Mapping[str, Json]) -> Json:
    return _page("Keys", original({**data, "Limit": sys.maxsize}), data)


@patch("ministack.services.kms._list_aliases", why=_NO_MARKER)
def _list_aliases(original: Any, data: Mapping[str, Json]) -> Json:
    return _page("Aliases", original(data), data)


def _page(name: str, answer: Json, data: Mapping[str, Json]) -> Json:
    status, _, body = answer
    if status >= 400:
        return answer
    try:
        shown, token = pages.cut(f"kms {name}", json.loads(body)[name], data.get("Marker"),
                                 int(data.get("Limit") or _ON_A_PAGE), ValueError("marker"))  # fmt: skip
    except ValueError:
        return error_response_json("InvalidMarkerException", "Invalid marker.", 400)
    return json_response({name: shown, "Truncated": bool(token), **({"NextMarker": token} if token else {})})


def check_key(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a key policy with principals that do not exist, or one that nobody of the account could change again."""
    if "KeyPolicy" not in properties:
        return
    statements = list(checks.read_statements(properties["KeyPolicy"]))
    for statement in statements:
        for kind, principal in principals(statement):
            if not checks.exists(kind, principal):
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


def _lets_administer(statement: Mapping[str, Json], effect: str) -> bool:
    """Return whether a statement lets (or forbids) the account's administrators put a new key policy."""
    if statement.get("Effect") != effect or statement.get("Condition"):
        return False
    account = get_account_id()
    root = ("*", account, f"arn:aws:iam::{account}:root")
    named = any(kind == "AWS" and principal in root for kind, principal in principals(statement))
    return named and covers(statement, "kms:PutKeyPolicy")


@patch(
    "ministack.core.iam_evaluator.enforce",
    why="a secret with a customer's key is read and written without permission to use the key",
)
def _enforce(
    original: Any,
    access_key: str,
    action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: Any = None,
) -> Any:
    denied = original(access_key, action, service, region, resource_arn, service_context)
    if denied or action not in _USES_OF_KEY:
        return denied
    key, context = _key_of_secret(resource_arn, region)
    for key_action in _USES_OF_KEY[action] if key else ():
        denied = original(access_key, key_action, "kms", region, resource_arn=key, service_context=context)
        if isinstance(denied, EvalResult):
            # Secrets Manager hides which action of KMS was denied (re:Post, "Access to KMS is not allowed").
            return AuthError("AccessDeniedException", "Access to KMS is not allowed")
    return None


_OF_A_TOPIC = ("kms:GenerateDataKey", "kms:Decrypt")
_KEY_OF_SNS = "alias/aws/sns"
"""The key that AWS manages for SNS; its policy lets in callers of the account, and no service."""


def lets_publish(topic: str, service: str) -> bool:
    """Return whether a service may use the key of a topic, which it needs to publish there (SNS developer guide, "Key
    management", "Enable compatibility between event sources from AWS services and encrypted topics")."""
    named = str((sns.topics.get(topic) or {"attributes": {}})["attributes"].get("KmsMasterKeyId") or "")
    if named.endswith(_KEY_OF_SNS):
        return False
    key = kms.find_key(named) if named else None
    if key is None:
        return True
    let_in = [
        each
        for each in statements(key.get("Policy") or "{}")
        if {("Service", service), ("AWS", "*")} & set(principals(each))
        # A service has no identity in the account that kms:ViaService could hold for.
        and "kms:viaservice" not in str(each.get("Condition")).lower()
    ]
    return all(any(allows(each, action) for each in let_in) for action in _OF_A_TOPIC)


_DROPPED = "messages reach a topic whose key the service may not use"


@patch("ministack.services.cloudwatch._dispatch_alarm_actions", why=_DROPPED)
def _act(original: Any, alarm: Mapping[str, Json], *change: Any) -> None:
    heard = {
        name: [arn for arn in arns if lets_publish(arn, "cloudwatch.amazonaws.com")]
        for name, arns in alarm.items()
        if name in ("AlarmActions", "OKActions", "InsufficientDataActions")
    }
    original({**alarm, **heard}, *change)


@patch("ministack.services.eventbridge._dispatch_to_sns", why=_DROPPED)
def _send_to_topic(original: Any, topic: str, payload: Json) -> None:
    if lets_publish(topic, "events.amazonaws.com"):
        original(topic, payload)


def _key_of_secret(secret_id: str, region: str) -> tuple[str, Mapping[str, Json]]:
    """Return the ARN of the customer's key of a secret, and the condition keys of its use; "" where it has none."""
    _, secret = secretsmanager.find(secret_id)
    key = kms.find_key(secret["KmsKeyId"]) if secret and secret.get("KmsKeyId") else None
    if secret is None or key is None:
        return "", {}
    return key["Arn"], {
        "kms:ViaService": f"secretsmanager.{region}.amazonaws.com",
        "kms:CallerAccount": get_account_id(),
        "kms:EncryptionContext:SecretARN": secret["ARN"],
    }
