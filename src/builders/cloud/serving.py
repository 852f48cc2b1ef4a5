"""One server's life: ready, the pages of our own beside AWS's API, stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from ministack.app import app

from builders.cloud import faults, install, keeping

CA_PATH = "/_stackferry/ca.pem"
"""Where the server gives out the certificate authority of its databases."""
STATUS_PATH = "/_stackferry/status.json"
"""Where the server tells what stands behind its databases, what became of rotations, and what it invented."""

Scope = dict[str, Any]
Application = Callable[[Scope, Callable[..., Any], Callable[..., Any]], Awaitable[None]]


async def run(listener: socket.socket, directory: Path, stop_at_end_of_input: bool) -> bool:
    """Serve on a bound socket until asked to stop; then end databases and functions.

    Return whether it was the end of stdin that asked, which comes when the caller is gone.
    """
    installed = install.everything(directory)
    stop, alone = asyncio.Event(), asyncio.Event()

    def listen_to_the_caller() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            alone.set()
            stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stop_at_end_of_input:
        loop.add_reader(sys.stdin.fileno(), listen_to_the_caller)
    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}"]  # hypercorn closes the one that it gets
    config.graceful_timeout = 1.0
    config.shutdown_timeout = 1.0
    config.loglevel = os.environ["LOG_LEVEL"]
    pages = {
        CA_PATH: (directory / "ca.pem").read_bytes,
        STATUS_PATH: lambda: json.dumps(installed.status(), indent=2).encode(),
    }
    saving = asyncio.create_task(keeping.save_while_serving(installed.databases))
    announcing = asyncio.create_task(_announce(*listener.getsockname()))
    try:
        own: Any = _with_own_pages(faults.in_front_of(app), pages)
        await hypercorn_serve(own, config, shutdown_trigger=stop.wait)
    finally:
        announcing.cancel()
        saving.cancel()
        keeping.save(installed.databases)
        await asyncio.to_thread(installed.close)
    return alone.is_set()


async def _announce(host: str, port: int) -> None:
    """Print the ready line once the server answers HTTP."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /_ministack/health HTTP/1.0\r\n\r\n")
            answer = await reader.read(12)
            writer.close()
            if answer.startswith(b"HTTP/"):
                print(f"ready http://{host}:{port}", flush=True)
                return
        await asyncio.sleep(0.02)


def _with_own_pages(app: Application, pages: dict[str, Callable[[], bytes]]) -> Application:
    async def serve_page(scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "http" or scope["path"] not in (*pages, faults.PATH):
            await app(scope, receive, send)
            keeping.touched.set()
            return
        status = 200
        if scope["path"] != faults.PATH:
            body = pages[scope["path"]]()
        elif scope["method"] == "GET":
            body = faults.shown()
        else:
            status, body = faults.put(await faults.read(receive))
        json_page = scope["path"] in (STATUS_PATH, faults.PATH)
        headers = [(b"content-type", b"application/json" if json_page else b"text/plain")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return serve_page
