"""One server's life: its directory, its socket, ready, stop.

ministack reads its settings from the environment while it is imported, so the port is bound first and ministack is
imported last, inside `_run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from builders.errors import CloudError

HOST = "127.0.0.1"
DIRECTORY_PREFIX = "stackferry-cloud-"
CA_PATH = "/_stackferry/ca.pem"
"""Where the server gives out the certificate authority of its databases."""
STATUS_PATH = "/_stackferry/status.json"
"""Where the server tells what stands behind its databases, what became of rotations, and what it invented."""

Scope = dict[str, Any]
Application = Callable[[Scope, Callable[..., Any], Callable[..., Any]], Awaitable[None]]


def serve(port: int, state_directory: Path | None, log_level: str) -> None:
    """Serve on 127.0.0.1 until SIGTERM or Ctrl-C.

    Raises `CloudError` when the port is taken or the directory cannot be used.
    """
    listener = _bind(port)
    with listener, _directory(state_directory) as directory:
        _configure(listener.getsockname()[1], directory, log_level)
        asyncio.run(_run(listener, directory))


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(100)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CloudError(f"port {port} on {HOST} cannot be used ({error}); choose another, or 0 for a free one") from (
            error
        )
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def _directory(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        try:
            chosen.mkdir(parents=True, exist_ok=True)
            (chosen / "tmp").mkdir(exist_ok=True)
        except OSError as error:
            raise CloudError(f"state directory {chosen} cannot be written ({error}); choose another") from error
        yield chosen.resolve()
        shutil.rmtree(chosen / "tmp", ignore_errors=True)
        return
    _sweep_leftovers()
    directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
    try:
        directory.chmod(0o711)  # PostgreSQL runs as another user when we are root
        (directory / "server.pid").write_text(str(os.getpid()))
        (directory / "tmp").mkdir()
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _sweep_leftovers() -> None:
    """Remove the directories of servers that were killed with SIGKILL: they could not do it themselves."""
    for pid_file in Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*/server.pid"):
        with contextlib.suppress(OSError, ValueError):
            if not Path(f"/proc/{int(pid_file.read_text())}").exists():
                shutil.rmtree(pid_file.parent, ignore_errors=True)


def _configure(port: int, directory: Path, log_level: str) -> None:
    """Set what ministack reads at import: this address only, no listeners beside it, files below `directory`."""
    temporary = directory / "tmp"
    os.environ.update(
        GATEWAY_PORT=str(port),
        BIND_HOST=HOST,
        LOG_LEVEL=log_level,
        LAMBDA_EXECUTOR="local",
        AWS_ENDPOINT_URL=f"http://{HOST}:{port}",
        CA_BUNDLE=str(directory / "ca.pem"),  # functions check the databases' certificates with it
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        PERSIST_STATE="0",
        DOCKER_HOST="unix:///nonexistent",  # nothing here may start a container
        TMPDIR=str(temporary),
    )
    tempfile.tempdir = str(temporary)


async def _run(listener: socket.socket, directory: Path) -> None:
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config
    from ministack.app import app

    from builders.cloud import install

    installed = install.everything(directory)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}"]  # hypercorn closes the one that it gets
    config.graceful_timeout = 1.0
    config.shutdown_timeout = 1.0
    config.loglevel = os.environ["LOG_LEVEL"]
    pages = {
        CA_PATH: (directory / "ca.pem").read_bytes,
        STATUS_PATH: lambda: json.dumps(installed.status(), indent=2).encode(),
    }
    announcing = asyncio.create_task(_announce(listener.getsockname()[1]))
    try:
        await hypercorn_serve(_with_own_pages(app, pages), config, shutdown_trigger=stop.wait)
    finally:
        announcing.cancel()
        await asyncio.to_thread(installed.close)


async def _announce(port: int) -> None:
    """Print the ready line once the server answers HTTP."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"GET /_ministack/health HTTP/1.0\r\n\r\n")
            answer = await reader.read(12)
            writer.close()
            if answer.startswith(b"HTTP/"):
                print(f"ready http://{HOST}:{port}", flush=True)
                return
        await asyncio.sleep(0.02)


def _with_own_pages(app: Application, pages: dict[str, Callable[[], bytes]]) -> Application:
    async def serve_page(scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "http" or scope["path"] not in pages:
            await app(scope, receive, send)
            return
        body = pages[scope["path"]]()
        headers = [(b"content-type", b"application/json" if scope["path"].endswith(".json") else b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return serve_page
