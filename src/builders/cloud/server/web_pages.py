"""Refuses requests of web pages and of other users: whoever can call the server runs code as the person who started it.

A page in a browser on this machine reaches 127.0.0.1. Its requests carry an Origin (WHATWG Fetch standard, "Origin
header") or Sec-Fetch-Site (W3C, "Fetch Metadata Request Headers"), which programs do not send; where its name was bound
anew to 127.0.0.1 (DNS rebinding), they look like requests of the same origin, but bear the page's name as Host.
callers.py tells which connections are those of other users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from builders.cloud.server.callers import Listener
from builders.cloud.server.faults import Application, Receive, Scope, Send

_OURS = r"(127\.0\.0\.1|([a-z0-9._-]+\.)?localhost)"
"""The names that the server hands out with its port. RFC 6761, 6.3: names below localhost are this machine."""
_AWS = r"[a-z0-9-]+\.[a-z]{2}(-[a-z]+)+-[0-9]\.amazonaws\.com"
"""Names of interface endpoints, by which functions in a VPC reach it: a service's in a region, which AWS alone can
bind to an address, and under which nobody else's pages stand."""


def kept_out(application: Application, listener: Listener) -> Application:
    """Return an ASGI application that answers programs of its own user only, and without headers of CORS."""
    host = re.compile(f"{_OURS}:{listener.getsockname()[1]}|{_AWS}".encode(), re.IGNORECASE)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await application(scope, receive, send)
        elif reason := _refusal(scope, host, listener):
            await _refuse(f"{reason}: this server answers programs of the user who runs it only\n", send)
        else:
            await application(scope, receive, _without_cors(send))

    return answer


def _refusal(scope: Scope, host: re.Pattern[bytes], listener: Listener) -> str:
    """Return the reason to refuse a request; empty where a program of our user made it."""
    if tuple(scope["client"]) in listener.strangers:
        return "the request comes from another user of this machine"
    headers = [(name.lower(), value) for name, value in scope["headers"]]
    if any(name == b"origin" for name, _ in headers):
        return "the request has an Origin"
    if any(name == b"sec-fetch-site" and value.strip().lower() != b"none" for name, value in headers):
        return "the request comes from another page (Sec-Fetch-Site)"
    hosts = [value.strip() for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not host.fullmatch(hosts[0]):
        return "Host is not one of this server's names with its port"
    if not scope["raw_path"].startswith(b"/"):
        return "the request's target is not a path"  # a whole URL would be another Host
    return ""


async def _refuse(line: str, send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": line.encode()})


def _without_cors(send: Send) -> Send:
    async def sent(message: Any) -> None:
        if message["type"].endswith(".start") and "headers" in message:
            message = {**message, "headers": list(_kept(message["headers"]))}
        await send(message)

    return sent


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    return ((name, value) for name, value in headers if not bytes(name).lower().startswith(b"access-control-"))
