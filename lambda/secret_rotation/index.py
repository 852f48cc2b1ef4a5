"""Rotates the password of a PostgreSQL role that is kept in Secrets Manager (single user).

Environment: CA_BUNDLE, a file with certificate authorities instead of the RDS roots that are shipped;
REPLICATION_TASK, the ARN or identifier of the DMS task that logs in with this secret, empty for any other secret.
Region and endpoints come from the variables that boto3 itself reads.
"""

from __future__ import annotations

import functools
import os
import traceback
from typing import Any

import boto3
import function_log
import metrics
import steps
from botocore.config import Config
from database import Database
from deadline import Deadline, LambdaContext, run_within
from function_errors import FunctionError
from recovery import recover
from replication_guard import ReplicationGuard
from rotation_errors import EventError, UnexpectedError
from secret_store import SecretStore

log = function_log.logger("rotation")

_ROTATION = {
    "createSecret": steps.create_secret,
    "setSecret": steps.set_secret,
    "testSecret": steps.test_secret,
    "finishSecret": steps.finish_secret,
}
_BY_HAND_OR_SCHEDULE = ("recover", "reportAge")
# One silent call ends after 2 * (2 + 4) s, and a step makes at most six.
_TIMEOUTS = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2})


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Run the step that the event names; raises FunctionError, one of the tree in rotation_errors.

    Secrets Manager sends Step, SecretId and ClientRequestToken. Two more steps need no token: `recover`, started by a
    person, and `reportAge`, started by a daily schedule.
    """
    step, secret_id, token = _read(event)
    deadline = Deadline.before_timeout(context)
    failure: FunctionError | None = None
    try:
        run_within(deadline, lambda: _run(step, secret_id, token, deadline))
    except FunctionError as error:
        failure = error
    except Exception as error:
        failure = UnexpectedError(_where(error))
    if step in _ROTATION and (failure or step == "finishSecret"):
        metrics.report_outcome(secret_id, failed=failure is not None)
    if failure:
        log.error("%s of %s stopped: %s: %s", step, secret_id, type(failure).__name__, failure)
        raise failure
    log.info("%s of %s done", step, secret_id)


def _run(step: str, secret_id: str, token: str, deadline: Deadline) -> None:
    store = SecretStore(_client("secretsmanager"), secret_id, deadline)
    if step == "reportAge":
        metrics.report_age(store, secret_id)
        return
    guard = ReplicationGuard(lambda: _client("dms"), os.environ.get("REPLICATION_TASK", ""), deadline)
    tools = steps.Tools(store, Database(deadline), guard)
    if step == "recover":
        recover(tools)
    else:
        _ROTATION[step](tools, token)


def _read(event: dict[str, Any]) -> tuple[str, str, str]:
    step = event.get("Step") if isinstance(event, dict) else None
    if not isinstance(step, str) or step not in (*_ROTATION, *_BY_HAND_OR_SCHEDULE):
        raise EventError(f"unknown Step: it must be one of {', '.join([*_ROTATION, *_BY_HAND_OR_SCHEDULE])}")
    for field in ("SecretId", "ClientRequestToken") if step in _ROTATION else ("SecretId",):
        if not isinstance(event.get(field), str) or not event[field]:
            raise EventError(f"the event lacks {field}: Secrets Manager sends it with every step")
    return step, event["SecretId"], str(event.get("ClientRequestToken", ""))


@functools.cache
def _client(service: str) -> Any:
    return boto3.client(service, config=_TIMEOUTS)


def _where(error: Exception) -> str:
    """An unforeseen error by type and place; not by its text, which may quote what it stumbled over."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(last.filename)}, line {last.lineno}: please report it"
