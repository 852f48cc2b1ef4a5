"""Faults on request: calls that fail between a caller and AWS, and accounts that cannot be used.

    PUT /_stackferry/faults    a JSON list of faults; it replaces the one before
    GET /_stackferry/faults    the list, each fault with how often it struck

A fault: {"service": "cloudformation", "operation": "CreateStack", "account": "111111111111", "kind": "slow",
"count": 3, "seconds": 2}. Only `kind` is required; service, operation and account take `*` patterns; without
`count` a fault strikes until it is removed. A key that means nothing for the kind is refused. Kinds:

    throttle   400 ThrottlingException
    rate       the same for what is more than "calls_per_second" of one operation in an account and region
    error      500 InternalFailure; "status" gives another one
    conflict   409 ConditionalRequestConflict, as S3 answers a conditional write while another one is under way
    denied     403 AccessDenied
    suspended  403, as calls to a suspended account are answered
    expired    credentials of a session that has ended: ExpiredToken, of services with JSON ExpiredTokenException, of
               EC2 RequestExpired
    reset      the connection is closed without an answer
    hang       nothing is answered for `seconds` (default: an hour), then the connection is closed
    slow       the answer comes after `seconds`
    lost       the operation is carried out, and the connection closed without the answer

The kind `slow-stack` makes every resource of the account's stacks take `seconds` longer, `slow-attachment` lets the
attachment of a Direct Connect gateway to a transit gateway be available `seconds` after their association, and with
`lingering-interfaces` the network interfaces of a function in a VPC go `seconds` after the function, or when the fault
is removed. With `missing-zone` a zone lacks a service: {"kind": "missing-zone", "zone": "use1-az3", "service": "dms"},
where the service is the end of an endpoint service's name, or a class of database instances, and both take `*`
patterns.
Source of the sentences: the services' API references, "Common Errors"; EC2 API reference, "Error codes"; S3 API
reference, "Error responses".
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_actions, router
from ministack.core.responses import get_account_id

from builders.cloud.internals import server
from builders.cloud.patches import patch
from builders.resource_types import Json

PATH = "/_stackferry/faults"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Any, Any], Awaitable[None]]

_HOUR = 3600.0
_OF_CALLS = ("service", "operation", "account")
# The keys of each kind, beside its own name and how often it strikes.
_KINDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("throttle", "denied", "conflict", "suspended", "expired", "reset", "lost"), _OF_CALLS),
    "error": (*_OF_CALLS, "status"),
    **dict.fromkeys(("hang", "slow"), (*_OF_CALLS, "seconds")),
    "rate": (*_OF_CALLS, "calls_per_second"),
    **dict.fromkeys(("slow-stack", "slow-attachment", "lingering-interfaces"), ("account", "seconds")),
    "missing-zone": ("account", "service", "zone"),
}
_OF_REQUESTS = tuple(kind for kind, keys in _KINDS.items() if "operation" in keys)
_RATE_EXCEEDED = (400, "ThrottlingException", "Rate exceeded")
_ANSWERS = {
    "throttle": _RATE_EXCEEDED,
    "rate": _RATE_EXCEEDED,
    "error": (500, "InternalFailure", "The request processing has failed because of an unknown error."),
    "conflict": (
        409,
        "ConditionalRequestConflict",
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    ),
    "denied": (403, "AccessDenied", "Access denied by a fault on request"),
    "suspended": (403, "AccessDenied", "Your account is suspended"),
    # ministack gives code, status and sentence the form of the service.
    "expired": (403, "ExpiredTokenException", "The security token included in the request is expired"),
}
# What throttling is called where it is not ThrottlingException: {service: (status, code, sentence)}.
_THROTTLED = {
    "s3": (503, "SlowDown", "Please reduce your request rate."),
    "ec2": (503, "RequestLimitExceeded", "Request limit exceeded."),
    **dict.fromkeys(("cloudformation", "rds", "iam", "sts", "sns"), (400, "Throttling", "Rate exceeded")),
}

_faults: list[dict[str, Json]] = []
_allowances: dict[tuple[int, str, str, str, str], tuple[float, float]] = {}
"""Calls that an account, region, service and operation may still make by each fault of kind `rate`, and when that was
counted."""
_lock = threading.Lock()


@patch(
    "ministack.services.cloudformation.stacks._runs_on_worker_thread",
    why="a slow stack is provisioned on the event loop, and everything else is slow with it",
)
def _runs_on_worker_thread(original: Any, kind: str) -> bool:
    return original(kind) or _strike("slow-stack", count=False) is not None


def delay_resource() -> None:
    """Take the time that a fault of kind `slow-stack` asks for; called before each resource of a stack."""
    fault = _strike("slow-stack")
    if fault:
        time.sleep(float(fault.get("seconds", 1)))


def attachment_seconds() -> float:
    """Return how long a new attachment of a Direct Connect gateway is pending."""
    fault = _strike("slow-attachment")
    return float(fault.get("seconds", 1)) if fault else 0.0


def interface_seconds() -> float:
    """Return how long the network interfaces of a function that is deleted linger."""
    fault = _strike("lingering-interfaces")
    return float(fault.get("seconds", 1)) if fault else 0.0


def interfaces_linger() -> bool:
    """Return whether a fault is there by which interfaces linger, however often it may strike yet."""
    account = get_account_id()
    with _lock:
        return any(
            each["kind"] == "lingering-interfaces" and fnmatch.fnmatchcase(account, str(each.get("account", "*")))
            for each in _faults
        )


def zones_with(service: str, zones: Mapping[str, str]) -> list[str]:
    """Return the names of the zones that have a service; `zones` are their ids by name."""
    lacking = {name for name, zone in zones.items() if _strike("missing-zone", count=False, service=service, zone=zone)}
    return [name for name in zones if name not in lacking]


def put(body: bytes) -> tuple[int, bytes]:
    """Replace the list of faults. Return the HTTP status and what to answer: the list, or why it cannot be."""
    try:
        new = [{"struck": 0, **fault} for fault in json.loads(body or b"[]")]
    except (ValueError, TypeError) as error:
        return 400, json.dumps({"error": f"expected a JSON list of faults: {error}"}).encode()
    for fault in new:
        if mistake := _mistake(fault):
            return 400, json.dumps({"error": mistake}).encode()
    with _lock:
        _faults[:] = new
        _allowances.clear()
    return 200, shown()


def _mistake(fault: Mapping[str, Json]) -> str:
    kind, rate = str(fault.get("kind")), fault.get("calls_per_second")
    if kind not in _KINDS:
        return f"kind {kind!r} is none of {', '.join(_KINDS)}"
    allowed = ("kind", "count", "struck", *_KINDS[kind])
    unknown = [key for key in fault if key not in allowed]
    if unknown:
        return f"{unknown[0]!r} is not a key of a fault of kind {kind}; it takes {', '.join(allowed)}"
    for key in ("count", "seconds", "status"):
        if not isinstance(fault.get(key, 0), int | float):
            return f"{key} is {fault[key]!r}; give a number"
    if kind == "rate" and not (isinstance(rate, int | float) and rate > 0):
        return f"calls_per_second is {rate!r}; give a number above 0"
    return ""


def shown() -> bytes:
    """Return the faults and how often each struck, as JSON."""
    return json.dumps(_faults).encode()


def in_front_of(application: Application) -> Application:
    """Return an ASGI application that lets faults strike before `application` answers, or instead."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _faults or scope["path"].startswith("/_"):
            await application(scope, receive, send)
            return
        body = await read(receive)
        request = _Request(scope, body)
        fault = _strike(
            *_OF_REQUESTS,
            region=request.region,
            service=request.service,
            operation=request.operation,
            account=request.account,
        )
        kind, seconds = (fault["kind"], float(fault.get("seconds", 1))) if fault else ("", 0.0)
        if fault and kind in _ANSWERS:
            await _refuse(request, fault, send)
        elif kind == "hang":
            await asyncio.sleep(float(fault.get("seconds", _HOUR)) if fault else 0)
            _cut(scope["client"])
        elif kind == "reset":
            _cut(scope["client"])
        elif kind == "lost":
            await application(scope, again(body), _into_nothing)
            _cut(scope["client"])
        else:
            await asyncio.sleep(seconds if kind == "slow" else 0)
            await application(scope, again(body), send)

    return answer


class _Request:
    """The service, operation and account of a request, as ministack's own router and IAM see it."""

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode(), keep_blank_values=True)
        method, path = scope["method"], scope["path"]
        routing = server.parameters(method, path, self.headers, body, query)
        self.service = router.detect_service(method, path, self.headers, routing)
        self.action = iam_actions.extract_iam_action(self.service, method, path, self.headers, body, routing) or ""
        self.operation = self.action.partition(":")[2]
        self.account = server.account_of(router.extract_access_key_id(self.headers, query) or "")
        self.region = router.extract_region(self.headers, query)


def _strike(*kinds: str, count: bool = True, region: str = "", **request: str) -> dict[str, Json] | None:
    """Return the first fault of these kinds that matches a request, and count it."""
    request.setdefault("account", get_account_id())
    with _lock:
        for number, fault in enumerate(_faults):
            matches = all(fnmatch.fnmatchcase(value, str(fault.get(name, "*"))) for name, value in request.items())
            if fault["kind"] in kinds and matches and fault["struck"] < fault.get("count", fault["struck"] + 1):
                if fault["kind"] == "rate" and _allowed(number, fault["calls_per_second"], region, request):
                    continue
                fault["struck"] += count
                return fault
    return None


def _allowed(number: int, rate: float, region: str, request: Mapping[str, str]) -> bool:
    """Take one call from an allowance, which fills up again at the rate, up to a second's calls."""
    key = (number, request["account"], region, request["service"], request["operation"])
    now = time.monotonic()
    left, counted = _allowances.get(key, (max(rate, 1.0), now))
    left = min(max(rate, 1.0), left + (now - counted) * rate)
    _allowances[key] = (left - 1 if left >= 1 else left), now
    return left >= 1


async def _refuse(request: _Request, fault: Mapping[str, Json], send: Send) -> None:
    status, code, sentence = _ANSWERS[fault["kind"]]
    if fault["kind"] in ("throttle", "rate"):
        status, code, sentence = _THROTTLED.get(request.service, (status, code, sentence))
    answered, headers, body = iam_actions.access_denied_response(
        request.service, request.action, "", "fault", error_code=code, message=sentence, headers=request.headers
    )
    if fault["kind"] == "expired":
        status = answered
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": int(fault.get("status", status)), "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def read(receive: Receive) -> bytes:
    """Return the whole body of a request."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def again(body: bytes) -> Receive:
    """Return what a request's body that was read is read from once more."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.sleep(_HOUR)
        return {"type": "http.disconnect"}

    return receive


async def _into_nothing(_message: dict[str, Any]) -> None:
    """Drop an answer."""


def _cut(client: tuple[str, int]) -> None:
    """Reset the connection of a client: the server keeps its sockets to itself, so it is found by its far end."""
    for number in map(int, os.listdir("/dev/fd")):
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with socket.socket(fileno=os.dup(number)) as copy:
                if copy.getpeername()[:2] == tuple(client):
                    copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    copy.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
