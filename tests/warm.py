"""Python programs of tests without their start: a process that has imported the libraries forks for each of them.

Starting Python and importing cfn-lint, psycopg and an HTTP server takes three quarters of the start of an embedded
cloud, and the tests start fifty; importing boto3 and psycopg takes half of the time of most commands. `running` is
`builders.cloud.process.running` with a server that is forked so, `run` is `subprocess.run` for commands, and
warm_command.py is a command for a shell. Where the start itself is tested, and in the programs that programs start,
Python starts as it does for a person; but the clouds of a forked program are forked as well, and so are the programs
that `programs` names.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import inspect
import itertools
import os
import pickle
import re
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
import botocore_speed
import leftovers
from cryptography.hazmat.primitives.asymmetric import rsa
from forking import finish
from warm_command import ADDRESS, PROGRAMS, Order, answer, capture, order

from builders.cfnlint_libraries import import_cfnlint
from builders.cloud import process, workers

# Not ministack, which reads its settings from the environment while it is imported.
LIBRARIES = (
    *("asyncio", "asyncio.sslproto", "boto3", "botocore.session", "botocore.loaders", "cfnlint.jsonschema"),
    *("cfnlint.schema", "cryptography.x509", "cryptography.hazmat.primitives.serialization.pkcs12", "defusedxml"),
    *("hypercorn.protocol", "jsonata", "multiprocessing", "pg8000.native", "psycopg", "psycopg.types.json", "pytest"),
    *("regex", "uvicorn.lifespan.on", "uvicorn.protocols.http.httptools_impl", "yaml", "xml.etree.ElementTree"),
    *("builders.building.run",),
    *("builders.building.environment_check", "builders.building.packages", "builders.migration.cli"),
    *("builders.migration.report", "builders.migration.start", "builders.migration.status", "builders.rehearsal.cli"),
    *("builders.rollout.cli.change", "builders.rollout.cli.inspect", "builders.write_outputs"),
)
SERVER = ("ministack.app", "ministack.services.cloudformation.handlers", "builders.cloud.server.app")
"""What a cloud imports once it has set what ministack reads."""
MODELS = (
    *("cloudformation", "cloudwatch", "dms", "ec2", "events", "iam", "kms", "lambda", "logs", "organizations", "rds"),
    *("s3", "secretsmanager", "sns", "sqs", "sts"),
)
"""The services whose models of botocore are read ahead of the commands and clouds that need them."""

SCRIPTS = Path(sys.executable).parent


class Program(workers.Process):
    """A forked program."""

    def __init__(self, connection: socket.socket, stdin: int, stdout: int) -> None:
        self._answer = connection.makefile("rw")
        pid = int(self._answer.readline())
        super().__init__(pid, os.pidfd_open(pid), [stdin, stdout])
        print("go", file=self._answer, flush=True)  # it waits for this, so that its number is no other's

    @functools.cached_property
    def returncode(self) -> int:  # type: ignore[override]
        """Its exit code, which it says itself unless it is killed."""
        return int(self._answer.readline() or -signal.SIGKILL)

    def __del__(self) -> None:
        super().__del__()
        self._answer.close()


def _fork(
    command: Sequence[str], *, stderr: Any, cwd: Path | None = None, env: Mapping[str, str] | None = None, **_: Any
) -> Any:
    """Stand in for subprocess.Popen. `command` begins with Python, -m and a module; stdin and stdout are pipes."""
    stdin, our_stdin = os.pipe()
    our_stdout, stdout = os.pipe()
    text = order(command[2:], env or None, str(cwd or ""), awaits_end=False)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address())
        third = stdout if stderr is subprocess.STDOUT else stderr.fileno()
        socket.send_fds(connection, [text], [stdin, stdout, third])
        for descriptor in (stdin, stdout):
            os.close(descriptor)
        return Program(connection, our_stdin, our_stdout)


start: Any = _fork if workers.can_follow() else subprocess.Popen
running = functools.partial(process.running, start=start)


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    modules: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Stand in for subprocess.run, capturing text. `command` begins with Python and -m or -c, or with a script.

    The modules are those of the PYTHONPATH in `env`, unless another one is given.
    """
    kind = "".join(command[1:2])
    arguments = list(command[{"-m": 2, "-c": 1}.get(kind, 0) :])
    environment = os.environ if env is None else env
    address = _address(environment.get("PYTHONPATH", "") if modules is None else modules)
    return subprocess.CompletedProcess(list(command), *capture(address, order(arguments, environment, str(cwd or ""))))


def cache() -> Path:
    """Return the folder for what `build-templates` remembers: what one test has linted, others need not lint again.

    They need to call commands by the scripts in SCRIPTS, since sys.path is among the things that a lint depends on.
    """
    return Path(address()).with_name("cache")


def linted() -> dict[str, str]:
    """Return the variable by which `python -m builders.build --check` here finds what the first test of a run linted.

    It is for programs whose start is warm, see `programs`: a lint depends on sys.path.
    """
    folder = cache()
    variables = {"XDG_CACHE_HOME": str(folder)}
    with open(folder.with_name("linting"), "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not lock.tell():
            checked = run([sys.executable, "-m", "builders.build", "--check"], env={**os.environ, **variables})
            assert checked.returncode == 0, checked.stdout + checked.stderr
            lock.write("done")
    return variables


def programs(*modules: str) -> dict[str, str]:
    """Return the variables by which `python -m MODULE` goes without its start, for these modules.

    They need `aws_cli.variables` beside them, whose PYTHONPATH has what stands before the start of Python. A program
    that is killed has to start by itself: what is killed would be the process that waits for it.
    """
    return {PROGRAMS: " ".join(modules), ADDRESS: address()}


def address() -> str:
    """Return the address of the process that forks, which is started unless our parent has one."""
    return os.environ.get(ADDRESS) or _address(os.environ.get("PYTHONPATH", ""))


@functools.cache
def _address(path: str) -> str:
    """Return the address of a process with this PYTHONPATH."""
    if ADDRESS in os.environ and path == os.environ.get("PYTHONPATH", ""):
        return os.environ[ADDRESS]
    directory = tempfile.TemporaryDirectory(prefix="warm-python-")
    socket_path = f"{directory.name}/socket"
    server = subprocess.Popen(
        [sys.executable, __file__, socket_path],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the tests, which end it
    )
    assert server.stdout
    server.stdout.readline()
    atexit.register(directory.cleanup)
    atexit.register(server.communicate)  # the end of its input ends it
    return socket_path


def _serve(path: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("listening", flush=True)
        botocore_speed.apply()
        import_cfnlint()
        for library in LIBRARIES:
            importlib.import_module(library)
        _read_models()
        _find_keys()
        _read_server()
        gc.freeze()  # a child that collects garbage would copy every page
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:  # its end is that of the tests
            connection, _ = listener.accept()
            with connection:
                if not os.fork():
                    listener.close()
                    os._exit(_run(connection, path))


def _read_models() -> None:
    """Read the models of services into one loader of botocore for all sessions."""
    botocore.loaders.create_loader = botocore.session.create_loader = functools.cache(botocore.loaders.create_loader)
    loader = botocore.loaders.create_loader(None)
    for service in MODELS:
        loader.load_service_model(service, "service-2")
        loader.load_service_model(service, "endpoint-rule-set-1")
    loader.load_data("endpoints")


def _read_server() -> None:
    """Read the code of a cloud's server, and compile its regular expressions, ahead of the servers that import it: they
    do that by themselves, since ministack reads its settings meanwhile. A child finds out what they are."""
    setattr(re, "_MAXCACHE", 4096)  # noqa: B010 of another's module, and before the child finds fewer
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        for name in SERVER:
            importlib.import_module(name)
        loaders = {name: getattr(module, "__loader__", None) for name, module in sys.modules.items()}
        files = {name: each.path for name, each in loaders.items() if isinstance(each, SourceFileLoader)}
        with open(writing, "wb") as stream:
            pickle.dump((files, [key[1:] for key in getattr(re, "_cache")]), stream)  # noqa: B009 of another's module
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        files, expressions = pickle.load(stream)
    for pattern, flags in expressions:
        re.compile(pattern, flags)
    read = SourceFileLoader.get_code
    codes = {path: read(SourceFileLoader(name, path), name) for name, path in files.items() if name not in sys.modules}
    setattr(SourceFileLoader, "get_code", lambda self, name: codes.get(self.path) or read(self, name))  # noqa: B010


def _find_keys() -> None:
    """Find keys of RSA ahead of the servers that need some: to find one takes as long as a tenth of their start."""
    keys = itertools.cycle([rsa.generate_private_key(65537, 2048) for _ in range(4)])
    setattr(rsa, "generate_private_key", lambda public_exponent, key_size: next(keys))  # noqa: B010 of another's module


def _run(connection: socket.socket, path: str) -> int:
    """Run the program that a connection asks for; tell its exit code and return it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    ordered = Order(connection)
    os.chdir(ordered.directory)
    os.environ.clear()
    os.environ.update(ordered.environment | {ADDRESS: path})
    leftovers.bear_mark()
    inspect.unwrap(process.running).__kwdefaults__["start"] = start
    answer(connection)
    sys.argv = ordered.arguments
    is_script = os.sep in sys.argv[0]
    sys.path[0] = os.path.dirname(sys.argv[0]) if is_script else ordered.directory
    asker = connection.detach()
    code: Any = 0
    try:
        if sys.argv[0] == "-c":
            exec(sys.argv.pop(1), {"__name__": "__main__"})
        elif is_script:
            runpy.run_path(sys.argv[0], run_name="__main__")
        else:
            if not hasattr(sys.modules.get(sys.argv[0]), "__path__"):
                sys.modules.pop(sys.argv[0], None)  # runpy warns of a module that has been imported
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(BrokenPipeError):  # nobody asks any more
        os.write(asker, f"{code or 0}\n".encode())
    if ordered.awaits_end:  # the descriptor is closed at the very end, which the asker awaits
        finish(int(code or 0))
    return int(code or 0)


if __name__ == "__main__":
    _serve(sys.argv[1])
