"""Rotations that call their function: RotateSecret, CancelRotateSecret and AWS::SecretsManager::RotationSchedule.

The function is called step by step, in the background, one rotation of a secret at a time. Sources: Secrets Manager API
reference, RotateSecret; user guide, "Rotation by Lambda function". Not as on AWS: a failed rotation is not tried again
by itself, and no rotation starts because its day has come.
"""

from __future__ import annotations

import collections
import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, now_iso, request_scope

from builders.cloud import events
from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.internals import entries, eventbridge, lambda_, secretsmanager
from builders.cloud.patches import patch
from builders.cloud.secretsmanager.secrets import Response, Secret, error, json_answer, move_stage
from builders.cloud.server import state
from builders.policy_documents import allows
from builders.resource_types import Json

TYPE = "AWS::SecretsManager::RotationSchedule"
_PRINCIPAL = "secretsmanager.amazonaws.com"
_STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_DAY_SECONDS = 86_400

logger = logging.getLogger("rotation")

history: collections.deque[dict[str, Json]] = collections.deque(maxlen=500)
"""The last rotations, newest last: "secret", "token", "outcome"; of a failure "step" and "error" too."""

_running: dict[str, threading.Lock] = {}
under_way: Any = AccountRegionScopedDict()
"""{(secret ARN, token): whether all four steps are called}: the rotations that are not over, which are kept."""


@patch("ministack.services.secretsmanager._rotate_secret", why="RotateSecret does not call the function")
def _rotate(_original: Any, data: Mapping[str, Json]) -> Response:
    _, secret = secretsmanager.find(data.get("SecretId"))
    if not secret:
        return error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    if secret.get("DeletedDate"):
        return error(
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
        _begin(secret, token, whole=False)
        return json_answer({"ARN": secret["ARN"], "Name": secret["Name"]})
    pending, version = secretsmanager.find_version(secret, "AWSPENDING")
    if pending and pending != token and "AWSCURRENT" not in version["Stages"]:
        _begin(secret, pending)
        return error(
            "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."
        )
    _stage(secret, token)
    _begin(secret, token)
    return json_answer({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})


@patch("ministack.services.secretsmanager.handle_request", why="CancelRotateSecret is unknown")
async def _handle_request(original: Any, method: str, path: str, headers: Any, body: bytes, query: Any) -> Response:
    if headers.get("x-amz-target", "").endswith(".CancelRotateSecret"):
        return _cancel(json.loads(body or b"{}"))
    response: Response = await original(method, path, headers, body, query)
    return response


def _cancel(data: Mapping[str, Json]) -> Response:
    """Turn rotation off; a pending version stays where it is."""
    _, secret = secretsmanager.find(data.get("SecretId"))
    if not secret:
        return error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    secret["RotationEnabled"] = False
    return json_answer({"ARN": secret["ARN"], "Name": secret["Name"]})


def schedule_handlers() -> Handlers:
    """Return the handlers of AWS::SecretsManager::RotationSchedule: it calls RotateSecret and does not wait."""

    def create(_logical_id: str, properties: Mapping[str, Json], _stack: str) -> Made:
        if "HostedRotationLambda" in properties:
            raise ValueError(
                "HostedRotationLambda is not emulated: the embedded cloud has none of AWS's rotation functions. Name a "
                "function of the template by RotationLambdaARN"
            )
        status, _, body = secretsmanager.rotate(
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
        _cancel({"SecretId": physical_id})

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _refuse_rules(rules: Mapping[str, Json] | None) -> Response | None:
    if rules and "AutomaticallyAfterDays" in rules and "ScheduleExpression" in rules:
        return error(
            "InvalidParameterException",
            "You can't specify both AutomaticallyAfterDays and ScheduleExpression in RotationRules.",
        )
    schedule = str((rules or {}).get("ScheduleExpression") or "")
    if schedule and not events.is_schedule(schedule):
        return error("InvalidParameterException", f"Invalid ScheduleExpression: {schedule}")
    return None


def _refuse_function(arn: str | None, secret: Secret) -> Response | None:
    """Refuse a function that is not named, not there, or that Secrets Manager may not call."""
    if not arn:
        return error("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
    function, _, _ = lambda_.find_function(arn)
    # A function that is not there is refused like one that may not be called.
    if function is None or not any(_permits(statement, secret) for statement in function["policy"]["Statement"]):
        return error(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants "
            f"access to the principal {_PRINCIPAL}.",
        )
    return None


def _permits(statement: Mapping[str, Json], secret: Secret) -> bool:
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, dict) else principal
    if service not in (_PRINCIPAL, "*") or not allows(statement, "lambda:InvokeFunction"):
        return False
    context = {"aws:sourceaccount": get_account_id(), "aws:sourcearn": secret["ARN"]}
    conditions = [
        (key.lower(), value) for block in statement.get("Condition", {}).values() for key, value in block.items()
    ]
    return all(fnmatchcase(context.get(key, ""), str(value)) for key, value in conditions)


def _begin(secret: Secret, token: str, whole: bool = True) -> None:
    """Call the function in the background: for all steps, or for testSecret alone."""
    under_way[secret["ARN"], token] = whole
    spawn_background(_work, secret, token, whole, thread_name="rotation")


def _work(secret: Secret, token: str, whole: bool) -> None:
    (_call_all_steps if whole else _call_test)(secret, token)
    under_way.pop((secret["ARN"], token), None)
    state.touched.set()


def take_up() -> None:
    """Begin the rotations again that were under way, as Secrets Manager tries again."""
    for (account, region, (arn, token)), whole in list(entries(under_way).items()):
        with request_scope(account, region):
            _, secret = secretsmanager.find(arn)
            if secret:
                _begin(secret, token, whole)


def _stage(secret: Secret, token: str) -> None:
    """Attach AWSPENDING to the version of this rotation, which has no value until the function puts one."""
    if token not in secret["Versions"]:
        no_value: dict[str, Json] = {"SecretString": None, "SecretBinary": None}
        secret["Versions"][token] = {**no_value, "CreatedDate": int(time.time()), "Stages": []}
    move_stage(secret, "AWSPENDING", token)


def _call_all_steps(secret: Secret, token: str) -> None:
    """Call the function for all four steps; the first that fails ends the rotation and leaves AWSPENDING."""
    with _running.setdefault(secret["ARN"], threading.Lock()):
        for step in _STEPS:
            failure = _call(secret, token, step)
            if failure:
                _record(secret, token, step, failure)
                return
        current, _ = secretsmanager.find_version(secret, "AWSCURRENT")
        if current != token:
            _record(secret, token, "finishSecret", "the function did not move AWSCURRENT to the new version")
            return
        secret["LastRotatedDate"] = int(time.time())
        days = (secret.get("RotationRules") or {}).get("AutomaticallyAfterDays")
        secret["NextRotationDate"] = int(time.time()) + int(days) * _DAY_SECONDS if days else None
        _record(secret, token, None, None)


def _call_test(secret: Secret, token: str) -> None:
    """Call testSecret on an AWSPENDING version that is taken away afterwards (RotateImmediately false)."""
    with _running.setdefault(secret["ARN"], threading.Lock()):
        pending, _ = secretsmanager.find_version(secret, "AWSPENDING")
        if pending is None:
            _stage(secret, token)
        failure = _call(secret, pending or token, "testSecret")
        if pending is None:
            secret["Versions"].pop(token, None)
        _record(secret, token, "testSecret" if failure else None, failure)


def _call(secret: Secret, token: str, step: str) -> str | None:
    """Call the function for one step. Return what went wrong, or None."""
    function, _, _ = lambda_.find_function(secret["RotationLambdaARN"])
    if function is None:
        return f"Function not found: {secret['RotationLambdaARN']}"
    event = {"Step": step, "SecretId": secret["ARN"], "ClientRequestToken": token}
    result = lambda_.execute(function, event)
    if not (result.get("error") or result.get("throttle")):
        return None
    body = result.get("body")
    return f"{body.get('errorType')}: {body.get('errorMessage')}" if isinstance(body, dict) else str(body)


def _record(secret: Secret, token: str, step: str | None, failure: str | None) -> None:
    outcome = "failed" if failure else "succeeded"
    entry: dict[str, Json] = {"secret": secret["ARN"], "token": token, "outcome": outcome}
    if failure:
        entry |= {"step": step, "error": failure}
        logger.warning("rotation of %s failed in %s: %s", secret["Name"], step, failure)
    history.append(entry)
    # "Secrets Manager generates CloudTrail log entries for ... RotationSucceeded, RotationFailed" (user guide)
    detail = {"eventSource": "secretsmanager.amazonaws.com", "eventName": f"Rotation{outcome.capitalize()}"}
    eventbridge.dispatch(
        {
            "EventId": str(uuid.uuid4()),
            "Source": "aws.secretsmanager",
            "DetailType": "AWS Service Event via CloudTrail",
            "Detail": json.dumps(detail | {"additionalEventData": {"SecretId": secret["ARN"]}}),
            "EventBusName": "default",
            "Time": now_iso(),
            "Resources": [secret["ARN"]],
            "Account": get_account_id(),
            "Region": get_region(),
        }
    )
