"""The real AWS CLI without its start: a process that has imported it forks for each command.

Starting Python and importing the CLI takes longer than most commands do, and a test that deploys a phase runs a
hundred. `warm` gives an `AwsCli` whose commands run so; `make demo` and test_demo.py start the CLI as a person does.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builders.deploy import AwsCli


def warm(cli: AwsCli) -> AwsCli:
    """The same CLI, for the same account, run by the warm process."""
    return dataclasses.replace(cli, execute=_execute)


def _execute(command: Sequence[str], *, env: Mapping[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
    """Stand in for subprocess.run. `command` begins with Python, -m and awscli."""
    server = _server()
    assert server.stdin
    assert server.stdout
    order = {"arguments": command[3:], "environment": dict(env), "directory": os.getcwd()}
    server.stdin.write(json.dumps(order) + "\n")
    server.stdin.flush()
    answer = json.loads(server.stdout.readline())
    return subprocess.CompletedProcess(list(command), answer["code"], answer["stdout"], answer["stderr"])


@functools.cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate)  # the end of its input ends it
    return server


def _serve() -> None:
    from awscli.clidriver import create_clidriver

    driver = create_clidriver()
    _load(driver)
    for line in sys.stdin:
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            child = os.fork()
            if not child:
                os.dup2(stdout.fileno(), 1)
                os.dup2(stderr.fileno(), 2)
                _run(driver, **json.loads(line))
            _, status = os.waitpid(child, 0)
            said = {name: _read(file) for name, file in (("stdout", stdout), ("stderr", stderr))}
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), **said}), flush=True)


def _load(driver: Any) -> None:
    """Let the driver load what all commands need, without a connection."""
    output = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        driver.main(["cloudformation", "describe-stacks", "--generate-cli-skeleton"])
        sys.stdout.flush()
    os.dup2(output, 1)
    os.close(output)


def _run(driver: Any, arguments: list[str], environment: dict[str, str], directory: str) -> None:
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    try:
        code = driver.main(arguments)
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _read(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode())


if __name__ == "__main__":
    _serve()
