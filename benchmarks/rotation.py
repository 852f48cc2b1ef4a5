"""Measures the rotation function: python benchmarks/rotation.py. Prints a Markdown table.

Package size; cold start (what importing costs beyond boto3, and the first client); one rotation of four steps; memory.
The other column is AWS' approach where it can be measured without its code: psycopg2 as the driver, with the logins
that its single-user function makes in a clean rotation (pending, then current; then pending in testSecret).
psycopg2-binary goes into a throwaway environment; without a package index that column is left out, and it says so.
"""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import tempfile
import venv
import zipfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "lambda" / "secret_rotation"
SHARED = ROOT / "lambda" / "shared"
sys.path.insert(0, str(ROOT / "tests"))

from lambdas.rotation.certificates import Authority  # noqa: E402
from lambdas.rotation.function import Function  # noqa: E402
from lambdas.rotation.postgres import PostgresServer, available  # noqa: E402
from lambdas.rotation.rig import STEPS, Rig  # noqa: E402
from lambdas.rotation.secrets_manager import SecretsManager  # noqa: E402
from lambdas.rotation.wire import Wire  # noqa: E402

from builders import package  # noqa: E402

REPETITIONS = 11
_CLIENT = "boto3.client('secretsmanager', region_name='eu-central-1')"
_LOGINS = """
import psycopg2, sys, time
port, user, good, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
def login(password):
    try:
        psycopg2.connect(host="localhost", port=port, user=user, password=password, dbname="postgres",
                         sslmode="verify-full", sslrootcert=ca).close()
    except psycopg2.OperationalError:
        pass
def rotation():
    started = time.perf_counter()
    for password in ("wrong", good, good):
        login(password)
    return time.perf_counter() - started
print(sorted(rotation() for _ in range(11))[5])
"""
_OUR_LOGINS = """
import sys, time
import database, credentials, deadline
port, user, good = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def login():
    with database.Database(deadline.Deadline(30)).login(
        credentials.Credentials(user, "localhost", port, "postgres", good)):
        pass
def rotation():
    started = time.perf_counter()
    for _ in range(3):
        login()
    return time.perf_counter() - started
print(sorted(rotation() for _ in range(11))[5])
"""


def main() -> None:
    """Measure everything and print the table."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours, theirs = _install(directory)
        rows = [("package without our CA bundle, KB", _packaged(directory), _zipped(theirs) if theirs else None)]
        rows += _imports(ours, theirs)
        rows += _against_a_server(stack, directory, theirs)
    print(f"| {'':44} | ours | psycopg2 | ratio |\n|---|---|---|---|")
    for name, mine, others in rows:
        compared = f"{others:.1f} | {mine / others:.2f}" if others else "- | -"
        print(f"| {name:44} | {mine:.1f} | {compared} |")
    if not theirs:
        print("psycopg2-binary could not be installed: its column is empty")


def _install(directory: Path) -> tuple[Path, Path | None]:
    """Folders with our dependencies, and with psycopg2."""
    venv.create(directory / "python", with_pip=True)
    pip = [str(directory / "python" / "bin" / "pip"), "install", "--quiet", "--no-compile", "--only-binary", ":all:"]
    ours, theirs = directory / "ours", directory / "theirs"
    subprocess.run([*pip, "--no-deps", "--target", ours, "-r", SOURCE / "requirements.txt"], check=True)
    done = subprocess.run([*pip, "--target", theirs, "psycopg2-binary"], check=False, capture_output=True)
    return ours, theirs if done.returncode == 0 else None


def _packaged(directory: Path) -> float:
    """KB of the package that is deployed, less its CA bundle."""
    (function,) = (one for one in package.functions(ROOT / "lambda") if one.folder == SOURCE)
    path = package.build(function, directory / "packages", directory / "wheels")
    bundle = zipfile.ZipFile(path).getinfo("transport/rds-ca.pem")
    return (path.stat().st_size - bundle.compress_size) / 1000


def _zipped(folder: Path) -> float:
    """KB of a zip of what pip installed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not {"__pycache__", "bin"} & set(path.parts):
                archive.write(path, path.relative_to(folder))
    return len(buffer.getvalue()) / 1000


def _imports(ours: Path, theirs: Path | None) -> list[tuple[str, float, float | None]]:
    import_mine = "import boto3; t = time.perf_counter(); import index"
    import_other = "import boto3; t = time.perf_counter(); import psycopg2"
    _python(import_mine, ours, SOURCE, SHARED, bare=True)  # Warms the file cache.
    bare_mine = _python(import_mine, ours, SOURCE, SHARED, bare=True)
    bare_other = _python(import_other, theirs, bare=True) if theirs else None
    mine = _python(import_mine, ours, SOURCE, SHARED)
    others = _python(import_other, theirs) if theirs else None
    client = _python(f"t = time.perf_counter(); import boto3; {_CLIENT}")
    memory = "print(__import__('resource').getrusage(__import__('resource').RUSAGE_SELF).ru_maxrss / 1000)"
    my_memory = _python(f"import boto3, index; {_CLIENT}; {memory}", ours, SOURCE, SHARED, timed=False)
    other_memory = _python(f"import boto3, psycopg2; {_CLIENT}; {memory}", theirs, timed=False) if theirs else None
    return [
        ("the same, package without byte code, ms", bare_mine * 1000, bare_other * 1000 if bare_other else None),
        ("import of code and driver beyond boto3, ms", mine * 1000, others * 1000 if others else None),
        ("boto3 and the first client (both alike), ms", client * 1000, client * 1000 if theirs else None),
        ("peak memory after import and first client, MB", my_memory, other_memory),
    ]


def _python(code: str, *path: Path, timed: bool = True, bare: bool = False) -> float:
    """The median over fresh interpreters of what the code prints, or of the seconds since it set t.

    `bare` runs before anything has left byte code behind, and leaves none.
    """
    end = "; print(time.perf_counter() - t)" if timed else ""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(folder) for folder in path)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1" if bare else ""
    command = [sys.executable, "-c", f"import time; {code}{end}"]
    runs = (subprocess.run(command, env=environment, check=True, capture_output=True) for _ in range(REPETITIONS))
    return statistics.median(float(run.stdout) for run in runs)


def _against_a_server(stack: ExitStack, directory: Path, theirs: Path | None) -> list[tuple[str, float, float | None]]:
    authority = Authority.make(directory, "trusted")
    server, secrets_manager = PostgresServer(available()[-1], authority), SecretsManager()
    stack.callback(server.stop)
    stack.callback(secrets_manager.stop)
    wire = Wire(server.port, secrets_manager.port)
    stack.callback(wire.close)
    url = f"http://127.0.0.1:{secrets_manager.port}"
    function = Function({"AWS_ENDPOINT_URL": url, "CA_BUNDLE": str(authority.file)})
    stack.callback(function.stop)
    trial = Rig(server, secrets_manager, function, wire, authority.file).trial(port=server.port)
    times = []
    for _ in range(REPETITIONS):
        token = trial.begin()
        events = [{"Step": step, "SecretId": trial.arn, "ClientRequestToken": token} for step in STEPS]
        times.append(sum(function.invoke(event).seconds for event in events))
    login = [str(server.port), trial.username, str(trial.password("AWSCURRENT"))]
    return [
        ("one warm rotation, four steps, ms", statistics.median(times) * 1000, None),
        (
            f"three logins on PostgreSQL {server.major}, TLS verified, ms",
            _script(_OUR_LOGINS, login, os.pathsep.join([str(SOURCE), str(SHARED)]), CA_BUNDLE=str(authority.file))
            * 1000,
            _script(_LOGINS, [*login, str(authority.file)], str(theirs)) * 1000 if theirs else None,
        ),
    ]


def _script(code: str, arguments: list[str], path: str, **settings: str) -> float:
    environment = {**os.environ, "PYTHONPATH": path, **settings}
    command = [sys.executable, "-c", code, *arguments]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)


if __name__ == "__main__":
    main()
