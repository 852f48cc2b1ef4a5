"""The embedded cloud as a child process, for tests and the demo.

with running() as cloud:
    client = boto3.client("ec2", **cloud.client_arguments("111111111111", "us-east-1"))
    subprocess.run(["aws", "ec2", "describe-vpcs"], env={**os.environ, **cloud.environment("111111111111")})
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builders.errors import CloudError

READY = "ready "
"""The beginning of the server's one line on stdout; the endpoint URL follows."""

TEMPORARY = "temporary"
"""A file of this name marks a state directory that the server removes when we are killed and cannot."""

STARTUP_SECONDS = 30.0
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Cloud:
    """A running embedded cloud: its address, its process, and the directory that holds its files."""

    endpoint_url: str
    pid: int
    state_directory: Path

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        return int(self.endpoint_url.rsplit(":", 1)[1])

    @property
    def ca_file(self) -> Path:
        """The certificate authority (PEM) that signs the database servers' certificates."""
        return self.state_directory / "ca.pem"

    def set_faults(self, *faults: Mapping[str, str | float]) -> list[dict[str, str | float]]:
        """Let calls fail as faults.py describes, from now on; without arguments nothing fails any more.

        Return the faults that were there before; each tells under `struck` how often it did.
        """
        page = f"{self.endpoint_url}/_stackferry/faults"
        with urllib.request.urlopen(page) as before:  # noqa: S310 our own server
            found: list[dict[str, str | float]] = json.load(before)
        urllib.request.urlopen(urllib.request.Request(page, json.dumps(faults).encode(), method="PUT")).close()  # noqa: S310
        return found

    def environment(self, account: str = "000000000000", region: str = "us-east-1") -> dict[str, str]:
        """Return the variables that point the AWS CLI and the SDKs here, as `account` (12 digits) in `region`.

        Both spellings of the region and an empty configuration keep a user's own profile out of it.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "embedded-cloud",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }

    def client_arguments(self, account: str = "000000000000", region: str = "us-east-1") -> dict[str, str]:
        """Return keyword arguments for `boto3.client`, as `account` (12 digits) in `region`."""
        return {
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": account,
            "aws_secret_access_key": "embedded-cloud",
            "region_name": region,
        }


@contextlib.contextmanager
def running(
    port: int = 0, state_directory: Path | None = None, *, authorize: bool = False, keep: bool = False
) -> Iterator[Cloud]:
    """Start a server (port 0: a free one), wait until it answers, yield it, and stop it at the end.

    Without `state_directory` its files live in a temporary directory that goes with it. With `authorize` every request
    is checked against IAM, as `--auth` says; with `keep` the state directory is taken up and kept, as `--keep` says.
    Raises `CloudError` with the server's own last words when it does not come up.
    """
    with contextlib.ExitStack() as cleanup:
        if state_directory is None:
            prefix = "stackferry-cloud-"  # short: the socket of a database below it has 107 bytes for its whole path
            state_directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
            (state_directory / TEMPORARY).touch()
        state_directory.mkdir(parents=True, exist_ok=True)
        state_directory.chmod(0o711)  # PostgreSQL runs as another user when we are root
        child = _start(port, state_directory, ["--auth"] * authorize + ["--keep"] * keep)
        cleanup.callback(_stop, child)
        endpoint_url = _wait_until_ready(child, state_directory / "server.log")
        yield Cloud(endpoint_url, child.pid, state_directory)


def _start(port: int, state_directory: Path, options: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "builders.cloud", "--port", str(port), "--state-dir", str(state_directory)]
    with (state_directory / "server.log").open("w") as log:
        return subprocess.Popen(
            [*command, *options, "--stop-at-end-of-input"],  # which comes by itself when we are killed
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C in the caller's terminal reaches the caller, who stops the child
        )


def _wait_until_ready(child: subprocess.Popen[str], log: Path) -> str:
    lines: queue.Queue[str] = queue.Queue()
    stdout = child.stdout
    assert stdout is not None

    def forward() -> None:
        for line in stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=forward, daemon=True).start()
    try:
        line = lines.get(timeout=STARTUP_SECONDS)
    except queue.Empty:
        line = ""
    if not line.startswith(READY):
        words = log.read_text().strip().splitlines() or ["it said nothing"]
        raise CloudError(f"the embedded cloud did not start: {words[-1].removeprefix('error: ')}")
    return line.removeprefix(READY).strip()


def _stop(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
