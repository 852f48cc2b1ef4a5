"""RotateSecret, CancelRotateSecret and AWS::SecretsManager::RotationSchedule, which really call the function.

Source: Secrets Manager API reference, RotateSecret; user guide, "Rotation by Lambda function". Not as on AWS: a failed
rotation is not tried again by itself, and no rotation starts because its day has come.
"""

from __future__ import annotations

import fnmatch
import json
import uuid
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import lambda_svc, secretsmanager

from builders.cloud import rotation_steps, secrets
from builders.cloud.records import Handlers, Made
from builders.cloud.schemas import Json
from builders.cloud.secrets import Response, Secret

TYPE = "AWS::SecretsManager::RotationSchedule"
PRINCIPAL = "secretsmanager.amazonaws.com"


def install() -> None:
    """Put these in the place of ministack's stub, and add CancelRotateSecret, which it lacks."""
    handle_before = secretsmanager.handle_request
    secretsmanager._rotate_secret = rotate

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Response:
        if headers.get("x-amz-target", "").endswith(".CancelRotateSecret"):
            return cancel(json.loads(body or b"{}"))
        response: Response = await handle_before(method, path, headers, body, query)
        return response

    secretsmanager.handle_request = handle
    rotation_steps.install()


def rotate(data: Mapping[str, Json]) -> Response:
    """RotateSecret: check, stage AWSPENDING, answer; the function is called in the background."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if not secret:
        return secrets.error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    if secret.get("DeletedDate"):
        return secrets.error(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )
    function = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
    refusal = _refuse_rules(data.get("RotationRules")) or _refuse_function(function, secret)
    if refusal:
        return refusal
    rules = data.get("RotationRules") or secret.get("RotationRules")
    secret.update(RotationLambdaARN=function, RotationRules=rules, RotationEnabled=True)
    token = data.get("ClientRequestToken") or str(uuid.uuid4())
    if data.get("RotateImmediately", True) is False:
        rotation_steps.begin(secret, token, whole=False)
        return secrets.json_answer({"ARN": secret["ARN"], "Name": secret["Name"]})
    pending, version = secretsmanager._find_stage_version(secret, "AWSPENDING")
    if pending and pending != token and "AWSCURRENT" not in version["Stages"]:
        rotation_steps.begin(secret, pending)
        return secrets.error(
            "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."
        )
    rotation_steps.stage(secret, token)
    rotation_steps.begin(secret, token)
    return secrets.json_answer({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})


def cancel(data: Mapping[str, Json]) -> Response:
    """CancelRotateSecret: turn rotation off; a pending version stays where it is."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if not secret:
        return secrets.error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    secret["RotationEnabled"] = False
    return secrets.json_answer({"ARN": secret["ARN"], "Name": secret["Name"]})


def schedule_handlers() -> Handlers:
    """Return the handlers of AWS::SecretsManager::RotationSchedule: it calls RotateSecret and does not wait."""

    def create(_logical_id: str, properties: Mapping[str, Json], _stack: str) -> Made:
        if "HostedRotationLambda" in properties:
            raise ValueError("HostedRotationLambda needs the transform AWS::SecretsManager-2020-07-23")
        status, _, body = rotate(
            {
                "SecretId": properties["SecretId"],
                "RotationLambdaARN": properties.get("RotationLambdaARN"),
                "RotationRules": properties.get("RotationRules"),
                "RotateImmediately": properties.get("RotateImmediatelyOnUpdate", True),
            }
        )
        answer = json.loads(body)
        if status >= 400:
            raise ValueError(f"{answer.get('message', answer)} (Service: SecretsManager, Status Code: {status})")
        return answer["ARN"], {"Id": answer["ARN"]}

    def update(_id: str, _old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        return create(logical_id, new, stack)

    def delete(physical_id: str, _properties: Mapping[str, Json]) -> None:
        cancel({"SecretId": physical_id})

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _refuse_rules(rules: Mapping[str, Json] | None) -> Response | None:
    if rules and "AutomaticallyAfterDays" in rules and "ScheduleExpression" in rules:
        return secrets.error(
            "InvalidParameterException",
            "You can't specify both AutomaticallyAfterDays and ScheduleExpression in RotationRules.",
        )
    return None


def _refuse_function(arn: str | None, secret: Secret) -> Response | None:
    """Refuse a function that is not named, not there, or that Secrets Manager may not call."""
    if not arn:
        return secrets.error(
            "InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."
        )
    function, _, _ = lambda_svc._get_func_record_for_ref(arn)
    if function is None:
        return secrets.error("ResourceNotFoundException", f"Function not found: {arn}")
    if not any(_permits(statement, secret) for statement in function["policy"]["Statement"]):
        return secrets.error(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants "
            f"access to the principal {PRINCIPAL}.",
        )
    return None


def _permits(statement: Mapping[str, Json], secret: Secret) -> bool:
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, dict) else principal
    actions = statement.get("Action")
    wanted = [actions] if isinstance(actions, str) else actions or []
    if statement.get("Effect") != "Allow" or service not in (PRINCIPAL, "*"):
        return False
    if not any(fnmatch.fnmatchcase("lambda:InvokeFunction", action) for action in wanted):
        return False
    facts = {"aws:sourceaccount": get_account_id(), "aws:sourcearn": secret["ARN"]}
    conditions = [
        (key.lower(), value) for block in statement.get("Condition", {}).values() for key, value in block.items()
    ]
    return all(fnmatch.fnmatchcase(facts.get(key, ""), str(value)) for key, value in conditions)
