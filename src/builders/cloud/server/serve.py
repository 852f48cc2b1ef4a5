"""The server's socket, directory and environment, before ministack is imported.

ministack reads its settings from the environment while it is imported, so the port is bound first, and app.py, which
imports ministack, comes last.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import importlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from builders.cfnlint_libraries import import_cfnlint
from builders.cloud.process import ANY_SECRET, LOG, TEMPORARY
from builders.cloud.rds.postgres import unprivileged_user
from builders.cloud.server.callers import Listener
from builders.errors import CloudError

HOST = "127.0.0.1"
DIRECTORY_PREFIX = "stackferry-cloud-"
GARBAGE_OBJECTS = 50_000
"""New objects after which Python searches for garbage that refers to itself."""


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
    os.umask(0o077)
    listener = _bind(port)
    with listener, served_directory(state_directory) as directory:
        _configure(listener.getsockname()[1], directory, log_level, authorize, keep)
        import_cfnlint()  # before all that imports cfn-lint, which takes three times as long by itself
        # Imported by name and only now: ministack reads the environment that `_configure` has set.
        serving = importlib.import_module("builders.cloud.server.app")
        # Searching for circles after each 700 new objects takes a fifth of the time that many stacks need.
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS)
        alone = asyncio.run(serving.run(listener, directory, stop_at_end_of_input))
    if alone and (directory / TEMPORARY).exists():
        shutil.rmtree(directory, ignore_errors=True)


def _bind(port: int) -> Listener:
    try:
        listener = Listener(HOST, port)
    except (OSError, OverflowError) as error:
        raise CloudError(f"port {port} on {HOST} cannot be used ({error}); choose another, or 0 for a free one") from (
            error
        )
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def served_directory(chosen: Path | None) -> Iterator[Path]:
    """Yield the directory of a server, which nobody else gets into: the chosen one, or a temporary one that goes.

    Raises `CloudError` where the chosen one cannot be used.
    """
    if chosen is not None:
        try:
            chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
            _keep_others_out(chosen)
            lock = (chosen / "lock").open("a")
        except OSError as error:
            raise CloudError(f"state directory {chosen} cannot be written ({error}); choose another") from error
        with lock:
            _take(lock, chosen)
            (chosen / "tmp").mkdir(exist_ok=True)
            yield chosen.resolve()
            shutil.rmtree(chosen / "tmp", ignore_errors=True)
        return
    _sweep_leftovers()
    directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
    try:
        (directory / "server.pid").write_text(str(os.getpid()))
        (directory / "tmp").mkdir()
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _take(lock: IO[str], directory: Path) -> None:
    """Lock a directory until our process ends, however it ends. Raises `CloudError` where another server has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CloudError(
            f"state directory {directory} is in use by another embedded cloud; stop that one, or choose another "
            "directory"
        ) from None


def _keep_others_out(directory: Path) -> None:
    """Take others' access to a directory that is empty or an earlier server's, and to all in it.

    Raises `CloudError` where it is another user's, who could read and replace everything in it, where it holds what
    another user put there, such as links, and where others have access to one that is used for something else too.
    """
    found = directory.stat()
    owner, mode = found.st_uid, stat.S_IMODE(found.st_mode)
    if owner != os.geteuid():
        raise CloudError(f"state directory {directory} belongs to another user (uid {owner}); choose one of your own")
    names = {each.name for each in directory.iterdir()} - {LOG, TEMPORARY}
    if mode & 0o067 and ((names and "ca.pem" not in names) or mode & stat.S_ISVTX):
        raise CloudError(
            f"others have access to state directory {directory} (mode {mode:04o}), and it holds more than a server's "
            "state; choose an empty one, or take their access with chmod 700"
        )
    directory.chmod(mode & 0o710)
    ours = {owner, unprivileged_user().pw_uid}
    for folder, folders, files in os.walk(directory):
        for each in (os.path.join(folder, name) for name in (*folders, *files)):
            found = os.lstat(each)
            if found.st_uid not in ours:
                raise CloudError(f"state directory {directory} holds {each} of another user; choose another directory")
            if not stat.S_ISLNK(found.st_mode) and found.st_uid == owner and found.st_mode & 0o077:
                os.chmod(each, found.st_mode & 0o700)


def _sweep_leftovers() -> None:
    """Remove our directories of servers that were killed with SIGKILL: they could not do it themselves."""
    for pid_file in Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*/server.pid"):
        with contextlib.suppress(OSError, ValueError):
            ours = pid_file.parent.lstat().st_uid == os.geteuid()
            if ours and not Path(f"/proc/{int(pid_file.read_text())}").exists():
                shutil.rmtree(pid_file.parent, ignore_errors=True)


def _configure(port: int, directory: Path, log_level: str, authorize: bool, keep: bool) -> None:
    """Set what ministack reads at import: this address only, no listeners beside it, files below `directory`.

    Credentials of ours go: ministack takes them for its administrator's, and hands them to functions.
    """
    temporary = directory / "tmp"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        os.environ.pop(name, None)
    os.environ.update(
        AUTH="true" if authorize else "false",
        GATEWAY_PORT=str(port),
        BIND_HOST=HOST,
        LOG_LEVEL=log_level,
        LAMBDA_EXECUTOR="local",
        AWS_SECRET_ACCESS_KEY=ANY_SECRET,
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
