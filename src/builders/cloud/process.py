"""The embedded cloud as a child process, for tests and the demo.

with running() as cloud:
    client = boto3.client("ec2", **cloud.client_arguments("111111111111", "us-east-1"))
    subprocess.run(["aws", "ec2", "describe-vpcs"], env={**os.environ, **cloud.environment("111111111111")})
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builders.errors import CloudError

READY = "ready "
"""The beginning of the server's one line on stdout; the endpoint URL follows."""

CA_PATH = "/_stackferry/ca.pem"
"""The page with the certificate authority of the databases."""

SECRET_FILE = "run-secret"  # noqa: S105 its name
"""The file of the state directory with the secret of a run that checks signatures; there is none where it does not."""

ANY_SECRET = "embedded-cloud"  # noqa: S105 documented
"""The secret access key where signatures are not checked, except those of presigned URLs of S3."""

TEMPORARY = "temporary"
"""A file of this name marks a state directory that the server removes when we are killed and cannot."""

LOG = "server.log"
"""The file of the state directory with what the server writes to stderr."""

STARTUP_SECONDS = 30.0
STOP_SECONDS = 5.0


def derived_secret(run_secret: str, name: str) -> str:
    """Return the secret access key that belongs to a name, such as an account's number, in a run with this secret."""
    return hmac.new(run_secret.encode(), name.encode(), hashlib.sha256).hexdigest()


def secret_access_key(state_directory: Path, account: str) -> str:
    """Return the secret of an account's root user (access key id: its 12 digits) in the run on a state directory.

    Raises `OSError` where the directory belongs to another user.
    """
    try:
        return derived_secret((state_directory / SECRET_FILE).read_text(), account)
    except FileNotFoundError:
        return ANY_SECRET


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
        found: list[dict[str, str | float]] = json.loads(self.ask("/_stackferry/faults"))
        self.ask("/_stackferry/faults", json.dumps(faults).encode(), method="PUT")
        return found

    def ask(self, path: str, body: bytes | None = None, *, method: str = "", **headers: str) -> bytes:
        """Return the answer to a request that AWS does not have, as the owner of the server (method: GET, or POST)."""
        url, secret = f"{self.endpoint_url}{path}", self.state_directory / SECRET_FILE
        if secret.exists():
            headers["Authorization"] = f"Bearer {secret.read_text()}"
        request = urllib.request.Request(url, body, headers, method=method or None)  # noqa: S310 our own server
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            found: bytes = answer.read()
        return found

    def secret_access_key(self, account: str) -> str:
        """Return the secret of an account's root user, whose access key id is the account's number."""
        return secret_access_key(self.state_directory, account)

    def environment(self, account: str = "000000000000", region: str = "us-east-1") -> dict[str, str]:
        """Return the variables that point the AWS CLI and the SDKs here, as `account` (12 digits) in `region`.

        Both spellings of the region and an empty configuration keep a user's own profile out of it.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key(account),
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
            "aws_secret_access_key": self.secret_access_key(account),
            "region_name": region,
        }


@contextlib.contextmanager
def running(
    port: int = 0,
    state_directory: Path | None = None,
    *,
    authorize: bool = False,
    keep: bool = False,
    start: Callable[..., subprocess.Popen[str]] = subprocess.Popen,
) -> Iterator[Cloud]:
    """Start a server (port 0: a free one), wait until it answers, yield it, and stop it at the end.

    Without `state_directory` its files live in a temporary directory that goes with it. With `authorize` every request
    is checked against IAM, as `--auth` says; with `keep` the state directory is taken up and kept, as `--keep` says.
    `start` is given what subprocess.Popen is given.
    Raises `CloudError` with the server's own last words when it does not come up.
    """
    with contextlib.ExitStack() as cleanup:
        if state_directory is None:
            prefix = "stackferry-cloud-"  # short: the socket of a database below it has 107 bytes for its whole path
            state_directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
            (state_directory / TEMPORARY).touch()
        state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        child = _start(start, port, state_directory, ["--auth"] * authorize + ["--keep"] * keep)
        cleanup.callback(_stop, child)
        endpoint_url = _wait_until_ready(child, state_directory / LOG)
        yield Cloud(endpoint_url, child.pid, state_directory)


def _start(
    start: Callable[..., subprocess.Popen[str]], port: int, state_directory: Path, options: list[str]
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "builders.cloud", "--port", str(port), "--state-dir", str(state_directory)]
    with open(state_directory / LOG, "w", opener=_for_us_alone) as log:
        return start(
            [*command, *options, "--stop-at-end-of-input"],  # which comes by itself when we are killed
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C in the caller's terminal reaches the caller, who stops the child
        )


def _for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


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
        raise CloudError(f"the embedded cloud did not start: {words[-1].removeprefix('builders.cloud: ')}")
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
