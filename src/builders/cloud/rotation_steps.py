"""One rotation: the function is called step by step, in the background, one rotation of a secret at a time."""

from __future__ import annotations

import collections
import json
import logging
import threading
import time
import uuid
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, now_iso, request_scope
from ministack.services import eventbridge, lambda_svc, secretsmanager

from builders.cloud import keeping, secrets
from builders.cloud.schemas import Json
from builders.cloud.secrets import Secret

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
    keeping.touched.set()


def install() -> None:
    """Let rotations outlive the server: one that was under way begins again, as Secrets Manager tries again."""
    keeping.keep("rotations", {"under way": _under_way}, take_up=_take_up)


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
