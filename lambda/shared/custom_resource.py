"""A custom resource's answer to CloudFormation: there is always one, in time, whatever became of the work.

Without an answer the stack waits until its time limit (CloudFormation user guide, "Custom resource response objects").
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import function_log
from deadline import Deadline, LambdaContext, run_within
from function_errors import FunctionError, OutOfTime
from function_log import Told

log = function_log.logger("custom_resource")

ANSWER_BYTES = 4096
"""The most that an answer may have, braces and all (same page)."""

ANSWER_SECONDS = 20.0
"""Kept back from the work, so that an answer that is lost can be sent again."""

_PUT_SECONDS = 5.0
_PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)
_NOT_MADE = "not-made-"
_IDS = ("RequestType", "ResponseURL", "StackId", "RequestId", "LogicalResourceId")
_REASON_BYTES = 512
"""Bytes of the answer that the reason has at least; CloudFormation's own ids leave more than a thousand."""

_S3 = re.compile(
    r"https://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\.)?s3(-fips)?([.-](dualstack\.)?[a-z]{2,4}(-[a-z]+)+-[0-9]+)?"
    r"\.amazonaws\.(com|com\.cn|eu)(:443)?/[!-~]*"
)
"""URLs of S3: a bucket's host or its path, of a region or of us-east-1, over IPv4 or both, FIPS; the domains of the
partitions aws, aws-us-gov, aws-cn and aws-eusc (S3 API reference, "Making requests using the REST API"; AWS General
Reference, "Amazon Simple Storage Service endpoints and quotas")."""

Event = Mapping[str, Any]
Work = Callable[[Event, Deadline], str]
"""The work for one kind of request; it returns a sentence for the log."""


_rollbacks: list[dict[str, Any]] = []
"""Rollbacks of updates that have just failed, as CloudFormation will send them; only this sandbox of Lambda knows."""


class ResourceFailed(Told):
    """The work cannot be done. The message becomes the stack's: what failed, where, and what to do; never a secret."""


class AnswerNotDelivered(Told):
    """CloudFormation did not get the answer. Lambda then runs the whole event again."""


def answer(event: Event, context: LambdaContext, works: Mapping[str, Work]) -> None:
    """Do the work for the event's RequestType and tell CloudFormation how it ended.

    `works` has one for each of Create, Update and Delete; what one that fails leaves behind is for the next to put
    right. Raises AnswerNotDelivered when nobody takes the answer, and ResourceFailed, before any work, for an event
    that is not CloudFormation's.
    """
    _require_caller(event, works)
    deadline = Deadline(context.get_remaining_time_in_millis() / 1000 - ANSWER_SECONDS)
    identifier, failure = _identifier(event), ""
    try:
        done = run_within(deadline, lambda: _do(event, works, deadline))
        log.info("%s of %s: %s", event["RequestType"], identifier, done)
    except OutOfTime:
        failure = f"{event['RequestType']} did not end in the function's time: something did not answer; see its log"
    except (ResourceFailed, FunctionError) as error:
        failure = str(error).strip() or type(error).__name__
    except Exception as error:
        failure = _where(error)
    if failure:
        log.error("%s of %s failed: %s", event["RequestType"], identifier, failure)
        if event["RequestType"] == "Create":
            identifier = _NOT_MADE + identifier
        if event["RequestType"] == "Update":
            _rollbacks.append(_change(event, "ResourceProperties", "OldResourceProperties"))
    _send(event["ResponseURL"], _body(event, identifier, failure), context)


def _do(event: Event, works: Mapping[str, Work], deadline: Deadline) -> str:
    """Do the work, unless there is none.

    CloudFormation also deletes a resource whose creation failed. And it takes back an update that failed by one with
    the old properties: where these fail as well, the stack would be left in UPDATE_ROLLBACK_FAILED.
    """
    if event["RequestType"] == "Delete" and _identifier(event).startswith(_NOT_MADE):
        return "it was never made"
    is_rollback = _change(event, "OldResourceProperties", "ResourceProperties") in _rollbacks
    _rollbacks.clear()
    if event["RequestType"] == "Update" and is_rollback:
        return "the failed update is rolled back, and nothing is done"
    return works[event["RequestType"]](event, deadline)


def _change(event: Event, old: str, new: str) -> dict[str, Any]:
    """The identity of an update: the resource, the properties that it comes from, and those that it changes to."""
    return {"of": (event["StackId"], event["LogicalResourceId"]), "old": event.get(old), "new": event.get(new)}


def _require_caller(event: Event, works: Mapping[str, Work]) -> None:
    """Raise unless the event is one that CloudFormation can have sent, and that can be answered."""
    whose = "only CloudFormation calls this function"
    given = event if isinstance(event, Mapping) else {}
    missing = [name for name in _IDS if not (isinstance(given.get(name), str) and given[name])]
    if missing:
        raise ResourceFailed(f"the event lacks {', '.join(sorted(missing))}: {whose}")
    if event["RequestType"] not in works:
        raise ResourceFailed(f"the event's RequestType is not one of {', '.join(works)}: {whose}")
    if not _is_place_for_answers(event["ResponseURL"]):
        raise ResourceFailed(f"the event's ResponseURL is not one of S3 over https, and gets no answer: {whose}")
    if len(_json(event, _NOT_MADE + _identifier(event), "")) > ANSWER_BYTES - _REASON_BYTES:
        raise ResourceFailed(f"the event's ids leave no room in an answer of {ANSWER_BYTES:,} bytes: {whose}")


def _is_place_for_answers(url: str) -> bool:
    """Tell whether a URL is S3's; of AWS_ENDPOINT_URL too, where somebody gave the function that in place of AWS."""
    if _S3.fullmatch(url):
        return True
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if not endpoint or not re.fullmatch("[!-~]+", url):
        return False
    try:
        return urllib.parse.urlsplit(url)[:2] == urllib.parse.urlsplit(endpoint)[:2]
    except ValueError:
        return False


def _identifier(event: Event) -> str:
    """The same in every answer, or CloudFormation takes the resource for replaced: what it was, or the stack's id."""
    given = event.get("PhysicalResourceId")
    return str(given) if given else f"{event['LogicalResourceId']}-{event['StackId'].rsplit('/', 1)[-1]}"


def _where(error: Exception) -> str:
    """An unforeseen error by type and line; not by its text, which may quote what it stumbled over."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(last.filename)}, line {last.lineno}: please report it"


def _body(event: Event, identifier: str, failure: str) -> bytes:
    """The answer within its limit: the reason gives way."""
    reason = " ".join(function_log.printable(failure).split())
    while True:
        body = _json(event, identifier, reason)
        excess = len(body) - ANSWER_BYTES
        if excess <= 0:
            return body
        # A character takes one to twelve bytes here; at least one goes, beside the three dots.
        reason = reason[: -(excess // 12 + 4)] + "..."


def _json(event: Event, identifier: str, reason: str) -> bytes:
    """The answer: with a reason it is a failure."""
    fields = {
        "Status": "FAILED" if reason else "SUCCESS",
        "PhysicalResourceId": identifier,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "NoEcho": True,
    }
    return json.dumps({**fields, "Reason": reason} if reason else fields).encode()


def _send(url: str, body: bytes, context: LambdaContext) -> None:
    pauses = iter(_PAUSES_SECONDS)
    while True:
        left = context.get_remaining_time_in_millis() / 1000
        try:
            _put(url, body, max(0.1, min(_PUT_SECONDS, left)))
            return
        except urllib.error.HTTPError as error:
            error.close()
            problem = f"HTTP {error.code}"
            if error.code < 500:  # the URL is no longer good, and will not be better
                raise AnswerNotDelivered(
                    f"CloudFormation's URL refused the answer with {problem}: it has expired, or the policy of the S3 "
                    "gateway endpoint does not allow its bucket"
                ) from None
        except (OSError, http.client.HTTPException) as error:  # the latter for an answer that is no HTTP
            problem = f"{type(error).__name__}: {error}"
        pause = next(pauses, _PAUSES_SECONDS[-1])
        if left <= pause + _PUT_SECONDS:
            raise AnswerNotDelivered(
                f"no answer could be sent ({problem}): check the S3 gateway endpoint, its policy, and S3PrefixListId"
            )
        log.warning("the answer was not taken (%s), and is sent again", problem)
        time.sleep(pause)


def _put(url: str, body: bytes, seconds: float) -> None:
    """AWS signed the URL for an upload without a content type; urllib would add one."""
    request = urllib.request.Request(url, body, {"Content-Type": ""}, method="PUT")  # noqa: S310 of S3, over https
    with _direct.open(request, timeout=seconds) as response:
        response.read()


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
