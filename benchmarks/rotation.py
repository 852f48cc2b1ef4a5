"""Measures the rotation function: python benchmarks/rotation.py [--python PYTHON]. Prints a Markdown table.

Package size; cold start (what importing each function costs beyond boto3, and the first client); one rotation of four
steps; memory. Imports are measured with PYTHON: name the functions' runtime, Python 3.13 with boto3, for their figures.
The other column is AWS' approach where it can be measured without its code: psycopg2 as the driver, with the logins
that its single-user function makes in a clean rotation (pending, then current; then pending in testSecret).
psycopg2-binary goes into a throwaway environment; without a package index that column is left out, and it says so.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Mapping
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
    parser = argparse.ArgumentParser(description="Measures the rotation function against psycopg2.")
    parser.add_argument(
        "--python", default=sys.executable, help="an interpreter with boto3 that imports are measured with"
    )
    python = parser.parse_args().python
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        packages, theirs = _packages(directory), _psycopg2(directory)
        rows = [("package without our CA bundle, KB", _packaged(packages), _zipped(theirs) if theirs else None)]
        rows += _imports(python, packages, theirs if python == sys.executable else None)
        rows += _against_a_server(stack, directory, theirs)
    print(f"| {'':68} | ours | psycopg2 | ratio |\n|---|---|---|---|")
    for name, mine, others in rows:
        compared = f"{others:.1f} | {mine / others:.2f}" if others else "- | -"
        print(f"| {name:68} | {mine:.1f} | {compared} |")
    if not theirs:
        print("psycopg2-binary could not be installed: its column is empty")


def _psycopg2(directory: Path) -> Path | None:
    """A folder with psycopg2; None without a package index."""
    venv.create(directory / "python", with_pip=True)
    pip = [str(directory / "python" / "bin" / "pip"), "install", "--quiet", "--no-compile", "--only-binary", ":all:"]
    target = directory / "psycopg2"
    done = subprocess.run([*pip, "--target", target, "psycopg2-binary"], check=False, capture_output=True)
    return target if done.returncode == 0 else None


def _packages(directory: Path) -> dict[str, Path]:
    """The package of each function by name."""
    functions = package.functions(ROOT / "lambda")
    return {one.name: package.build(one, directory / "packages", directory / "wheels") for one in functions}


def _packaged(packages: Mapping[str, Path]) -> float:
    """KB of the package that is deployed, less its CA bundle."""
    path = packages[SOURCE.name]
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


def _imports(python: str, packages: Mapping[str, Path], theirs: Path | None) -> list[tuple[str, float, float | None]]:
    unpacked = {name: path.with_suffix("") for name, path in packages.items()}
    for name, path in packages.items():
        zipfile.ZipFile(path).extractall(unpacked[name])
    ours = unpacked.pop(SOURCE.name)
    start, end = "t = time.process_time()", "print((time.process_time() - t) * 1000)"
    index, psycopg2 = (f"import boto3; {start}; import {name}; {end}" for name in ("index", "psycopg2"))
    client = f"{start}; import boto3; {_CLIENT}; {end}"
    peak = "print(__import__('resource').getrusage(__import__('resource').RUSAGE_SELF).ru_maxrss / 1000)"
    memory = f"import boto3, {{}}; {_CLIENT}; {peak}"

    def compared(name: str, mine: str, other: str, bare: bool = False) -> tuple[str, float, float | None]:
        other_figure = _median(python, other, theirs, bare) if theirs else None
        return name, _median(python, mine, ours, bare), other_figure

    return [
        compared(f"import beyond boto3 without byte code, CPU ms: {SOURCE.name}", index, psycopg2, bare=True),
        *((f"the same: {name}", _median(python, index, path, bare=True), None) for name, path in unpacked.items()),
        compared(f"the same with byte code: {SOURCE.name}", index, psycopg2),
        compared("boto3 and the first client (both alike), CPU ms", client, client),
        compared("peak memory with the first client, MB", memory.format("index"), memory.format("psycopg2")),
    ]


def _median(python: str, code: str, folder: Path, bare: bool = False) -> float:
    """The median over fresh interpreters of what the code prints; `bare` leaves no byte code behind."""
    extra = os.environ.get("PYTHONPATH", "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), extra])}
    environment |= {"AWS_DEFAULT_REGION": "eu-central-1", "PYTHONDONTWRITEBYTECODE": "1" if bare else ""}
    command = [python, "-c", f"import time; {code}"]
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
