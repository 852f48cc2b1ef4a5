"""One rotation: the function is called step by step, in the background, one rotation of a secret at a time.

RotateSecret, CancelRotateSecret and AWS::SecretsManager::RotationSchedule, which really call the function.

Source: Secrets Manager API reference, RotateSecret; user guide, "Rotation by Lambda function". Not as on AWS: a failed
rotation is not tried again by itself, and no rotation starts because its day has come.
"""

from __future__ import annotations

import collections
import fnmatch
import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, now_iso, request_scope
from ministack.services import eventbridge, lambda_svc, secretsmanager

from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.secretsmanager import secrets
from builders.cloud.secretsmanager.secrets import Response, Secret
from builders.cloud.server import state
from builders.resource_types import Json

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
DAY_SECONDS = 86_400

logger = logging.getLogger("rotation")

history: collections.deque[dict[str, Json]] = collections.deque(maxlen=500)
"""What became of the last rotations, newest last: "secret", "token", "outcome"; of a failure "step", "error" too."""

_running: dict[str, threading.Lock] = {}
_under_way: Any = AccountRegionScopedDict()
"""{(secret ARN, token): whether all four steps are called}: the rotations that are not over."""


def begin(secret: Secret, token: str, whole: bool = True) -> None:
    """Call the function in the background: for all steps, or for testSecret alone."""
    _under_way[secret["ARN"], token] = whole
    spawn_background(_begin, secret, token, whole, thread_name="rotation")


def _begin(secret: Secret, token: str, whole: bool) -> None:
    (run if whole else test_only)(secret, token)
    _under_way.pop((secret["ARN"], token), None)
    state.touched.set()


def install_steps() -> None:
    """Let rotations outlive the server: one that was under way begins again, as Secrets Manager tries again."""
    state.keep("rotations", {"under way": _under_way}, take_up=_take_up)


def _take_up() -> None:
    for (account, region, (arn, token)), whole in list(_under_way._data.items()):
        with request_scope(account, region):
            _, secret = secretsmanager._resolve(arn)
            if secret:
                begin(secret, token, whole)


def stage(secret: Secret, token: str) -> None:
    """Attach AWSPENDING to the version of this rotation, which has no value until the function puts one."""
    if token not in secret["Versions"]:
        empty: dict[str, Json] = {
            "SecretString": None,
            "SecretBinary": None,
            "CreatedDate": int(time.time()),
            "Stages": [],
        }
        secret["Versions"][token] = empty
    secrets.move_stage(secret, "AWSPENDING", token)


def run(secret: Secret, token: str) -> None:
    """Call the function for all four steps; the first that fails ends the rotation and leaves AWSPENDING."""
    with _running.setdefault(secret["ARN"], threading.Lock()):
        for step in STEPS:
            failure = _call(secret, token, step)
            if failure:
                _record(secret, token, step, failure)
                return
        current, _ = secretsmanager._find_stage_version(secret, "AWSCURRENT")
        if current != token:
            _record(secret, token, "finishSecret", "the function did not move AWSCURRENT to the new version")
            return
        secret["LastRotatedDate"] = int(time.time())
        days = (secret.get("RotationRules") or {}).get("AutomaticallyAfterDays")
        secret["NextRotationDate"] = int(time.time()) + int(days) * DAY_SECONDS if days else None
        _record(secret, token, None, None)


def test_only(secret: Secret, token: str) -> None:
    """Call testSecret on an AWSPENDING version that is taken away afterwards (RotateImmediately false)."""
    with _running.setdefault(secret["ARN"], threading.Lock()):
        pending, _ = secretsmanager._find_stage_version(secret, "AWSPENDING")
        if pending is None:
            stage(secret, token)
        failure = _call(secret, pending or token, "testSecret")
        if pending is None:
            secret["Versions"].pop(token, None)
        _record(secret, token, "testSecret" if failure else None, failure)


def _call(secret: Secret, token: str, step: str) -> str | None:
    """Call the function for one step. Return what went wrong, or None."""
    function, _, _ = lambda_svc._get_func_record_for_ref(secret["RotationLambdaARN"])
    if function is None:
        return f"Function not found: {secret['RotationLambdaARN']}"
    event = {"Step": step, "SecretId": secret["ARN"], "ClientRequestToken": token}
    result = lambda_svc._execute_function_with_config_scope(function, event)
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
    eventbridge._dispatch_event(
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
    install_steps()


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
        begin(secret, token, whole=False)
        return secrets.json_answer({"ARN": secret["ARN"], "Name": secret["Name"]})
    pending, version = secretsmanager._find_stage_version(secret, "AWSPENDING")
    if pending and pending != token and "AWSCURRENT" not in version["Stages"]:
        begin(secret, pending)
        return secrets.error(
            "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted."
        )
    stage(secret, token)
    begin(secret, token)
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
