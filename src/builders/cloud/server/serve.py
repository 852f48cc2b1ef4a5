"""The server's socket, directory and environment, before ministack is imported.

ministack reads its settings from the environment while it is imported, so the port is bound first, and app.py, which
imports ministack, comes last.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from builders.cloud.process import TEMPORARY
from builders.errors import CloudError

HOST = "127.0.0.1"
DIRECTORY_PREFIX = "stackferry-cloud-"


def serve(
    port: int,
    state_directory: Path | None,
    log_level: str,
    stop_at_end_of_input: bool = False,
    authorize: bool = False,
    keep: bool = False,
) -> None:
    """Serve on 127.0.0.1 until SIGTERM or Ctrl-C.

    With `authorize` every request is checked against IAM; an account's number as access key id is its root user.
    With `keep` the state directory holds what the next server on it takes up.

    With `stop_at_end_of_input` also until the caller, who holds the other end of stdin, is gone. Then nobody else is
    left to remove a state directory that the caller marked as temporary, and the server does it.

    Raises `CloudError` when the port is taken or the directory cannot be used.
    """
    listener = _bind(port)
    with listener, _directory(state_directory) as directory:
        _configure(listener.getsockname()[1], directory, log_level, authorize, keep)
        # Imported by name and only now: ministack reads the environment that `_configure` has set.
        serving = importlib.import_module("builders.cloud.server.app")
        alone = asyncio.run(serving.run(listener, directory, stop_at_end_of_input))
    if alone and (directory / TEMPORARY).exists():
        shutil.rmtree(directory, ignore_errors=True)


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


def _configure(port: int, directory: Path, log_level: str, authorize: bool, keep: bool) -> None:
    """Set what ministack reads at import: this address only, no listeners beside it, files below `directory`."""
    temporary = directory / "tmp"
    os.environ.update(
        AUTH="true" if authorize else "false",
        GATEWAY_PORT=str(port),
        BIND_HOST=HOST,
        LOG_LEVEL=log_level,
        LAMBDA_EXECUTOR="local",
        AWS_ENDPOINT_URL=f"http://{HOST}:{port}",
        CA_BUNDLE=str(directory / "ca.pem"),  # functions check the databases' certificates with it
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        PERSIST_STATE="1" if keep else "0",
        STATE_DIR=str(directory / "state"),
        DOCKER_HOST="unix:///nonexistent",  # nothing here may start a container
        TMPDIR=str(temporary),
    )
    tempfile.tempdir = str(temporary)
