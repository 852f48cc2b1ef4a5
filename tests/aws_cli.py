"""The real AWS CLI without its start: a process that has imported it forks for each command.

Starting Python and importing the CLI takes longer than most commands do, and a test that deploys a phase runs a
hundred. `warm` gives an `AwsCli` whose commands run so, `variables` what a program needs that starts `python -m awscli`
itself. test_demo_ended.py ends programs while a CLI is at work that they have started as a person would.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import botocore_speed
from warm_command import OF_AWS_CLI, Order, answer, capture, order

from builders.deploy import AwsCli

SHADOW = Path(__file__).with_name("warm_cli")
"""Has what stands before the start of Python."""

ADDRESS, COLD = OF_AWS_CLI
"""The variables that name the server's socket, and a part of the command that a CLI of its own is to run; workers of
pytest-xdist find the socket of their parent."""

LOADED = ("cloudformation", "s3", "secretsmanager")
"""The services whose commands start quickly."""


def warm(cli: AwsCli) -> AwsCli:
    """The same CLI, for the same account, run by the warm process."""
    return dataclasses.replace(cli, execute=_execute)


def variables(cold: str = "") -> dict[str, str]:
    """Variables by which a process, and those that it starts, run the CLI so; not a command whose line has `cold`."""
    path = os.pathsep.join(filter(None, [str(SHADOW), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, ADDRESS: address(), COLD: cold}


def _execute(command: Sequence[str], *, env: Mapping[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
    """Stand in for subprocess.run. `command` begins with Python, -m and awscli."""
    return subprocess.CompletedProcess(list(command), *capture(address(), order(command[3:], env)))


@functools.cache
def address() -> str:
    """Return the address of the server, which is started unless our parent has one."""
    if ADDRESS in os.environ:
        return os.environ[ADDRESS]
    directory = tempfile.TemporaryDirectory(prefix="aws-cli-")
    path = f"{directory.name}/socket"
    nobodys = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    server = subprocess.Popen(
        [sys.executable, __file__, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the tests, which end it
        env={**nobodys, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull},
    )
    assert server.stdout
    server.stdout.readline()
    atexit.register(directory.cleanup)
    atexit.register(server.communicate)  # the end of its input ends it
    return path


def _serve(path: str) -> None:
    from awscli.clidriver import create_clidriver

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    botocore_speed.apply("awscli.botocore")
    driver = create_clidriver()
    _load(driver)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:  # its end is that of the tests
            connection, _ = listener.accept()
            with connection:
                if not os.fork():
                    _answer(driver, connection)


def _load(driver: Any) -> None:
    """Let the driver load what all commands need, without a connection: two thirds of what most commands take.

    The clients leave the services' models and the list of endpoints in the driver's session.
    """
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "us-east-1"}
    for service in LOADED:
        driver.session.create_client(service, **keys)
    output = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        driver.main(["cloudformation", "describe-stacks", "--generate-cli-skeleton"])
        sys.stdout.flush()
    os.dup2(output, 1)
    os.close(output)
    gc.freeze()  # a child that collects garbage would copy every page


def _answer(driver: Any, connection: socket.socket) -> None:
    """Run the command that a connection asks for, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ordered = Order(connection)
    answer(connection)
    os.chdir(ordered.directory)
    models = os.environ["AWS_DATA_PATH"]  # set by the CLI when it is imported
    os.environ.clear()
    os.environ.update({"AWS_DATA_PATH": models, **ordered.environment})
    if "AWS_PROFILE" in os.environ:  # the driver's session has read its configuration, which has no profile
        from awscli.clidriver import create_clidriver

        models = driver.session.get_component("data_loader")
        driver = create_clidriver()
        driver.session.register_component("data_loader", models)
    try:
        code = driver.main(ordered.arguments)
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(f"{code or 0}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
