"""Functions are forked from one process, and know nothing of it and of each other."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from warm import running

from builders.cloud.process import Cloud

from .conftest import Account, until

TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
WHO = """
import os

def handler(event, context):
    return [os.getpid(), os.getppid()]
"""

SIX = importlib.metadata.distribution("six").read_text("../six.py") or ""
"""A module that comes with boto3."""

Outcome = tuple[Any, str]
"""What a function returns, and the error that Lambda tells."""


class Functions:
    """Functions of one account, each of some files."""

    def __init__(self, account: Account) -> None:
        self._lambda = account.client("lambda")
        document = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
        role = account.client("iam").create_role(RoleName="functions", AssumeRolePolicyDocument=document)
        self._role = role["Role"]["Arn"]

    def make(self, name: str, source: str, files: dict[str, str] | None = None, **settings: Any) -> None:
        """Make a function of `index.py` and other files."""
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            for file, text in {"index.py": source, **(files or {})}.items():
                archive.writestr(file, text)
        given = {"Runtime": "python3.13", "Handler": "index.handler", "Timeout": 30, **settings}
        self._lambda.create_function(FunctionName=name, Role=self._role, Code={"ZipFile": package.getvalue()}, **given)

    def call(self, name: str, event: Any = None) -> Outcome:
        """Call one, and return what came of it."""
        answer = self._lambda.invoke(FunctionName=name, Payload=json.dumps(event))
        found = json.load(answer["Payload"])
        return (None, found["errorMessage"]) if "FunctionError" in answer else (found, "")


@pytest.fixture
def functions(account: Account) -> Functions:
    return Functions(account)


@pytest.fixture
def own() -> Iterator[Cloud]:
    """A server of the test's own, that it may kill."""
    with running() as cloud:
        yield cloud


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def is_gone(pid: int) -> Callable[[], bool]:
    return lambda: not alive(pid)


def test_one_process_forks_all_functions(functions: Functions, cloud: Cloud) -> None:
    functions.make("a", WHO)
    functions.make("b", WHO)
    (first, parent), (second, other) = functions.call("a")[0], functions.call("b")[0]
    assert first != second
    assert parent == other != cloud.pid
    assert Path(f"/proc/{parent}/cmdline").read_text().split("\0")[2].endswith("cloud/forker.py")
    assert functions.call("a")[0] == [first, parent]  # it is there still


def test_a_function_leaves_nothing_to_the_next_one(functions: Functions) -> None:
    functions.make(
        "spoiler",
        """
import builtins, json, os, random, socket, sys
import boto3, botocore.handlers

def handler(event, context):
    os.environ["SPOILT"] = "yes"
    os.environ.pop("AWS_REGION")
    os.chdir("/")
    os.umask(0o22)
    sys.modules["boto3"] = sys.modules["json"] = None
    sys.path[:] = []
    builtins.print = socket.getaddrinfo = None
    botocore.handlers.BUILTIN_HANDLERS.clear()
    os.close(2)
    return random.random()
""",
    )
    functions.make(
        "next",
        """
import builtins, json, os, random, socket, sys
import boto3, botocore.handlers

def handler(event, context):
    print("I am heard")
    return {
        "spoilt": os.environ.get("SPOILT"), "region": os.environ["AWS_REGION"],
        "at home": os.path.samefile(os.getcwd(), os.path.dirname(__file__)), "umask": os.umask(0o77),
        "modules": [sys.modules["boto3"] is boto3, sys.modules["json"] is json], "handlers": len(
            botocore.handlers.BUILTIN_HANDLERS) > 100, "called": boto3.client("sts").get_caller_identity()["Account"],
        "random": random.random(), "others": [name for name in sys.modules if name.startswith("spoil")],
    }
""",
    )
    spoilt, _ = functions.call("spoiler")
    found, error = functions.call("next")
    assert error == ""
    assert found.pop("random") != spoilt
    assert found.pop("called").isdecimal()
    assert found == {
        **{"spoilt": None, "region": "us-east-1", "at home": True, "umask": 0o77},
        **{"modules": [True, True], "handlers": True, "others": []},
    }


def test_a_process_is_as_one_that_python_has_started(functions: Functions) -> None:
    functions.make(
        "fresh",
        """
import os, signal, sys

def handler(event, context):
    main = sys.modules["__main__"].__file__
    return {
        "main": [sys.argv == [main], sys.orig_argv[1:] == ["-S", main], os.path.dirname(main) == sys.path[1]],
        "names": [each.name for each in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
        "lines": [each.line_buffering for each in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
        "errors": [each.errors for each in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
        "descriptors": sorted(int(each) for each in os.listdir("/proc/self/fd"))[:-1],
        "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "site": "site" in sys.modules, "ours": [name for name in sys.modules if "builders" in name],
        "zone": __import__("time").tzname[0],
    }
""",
        Environment={"Variables": {"TZ": "Asia/Tokyo"}},
    )
    found, _ = functions.call("fresh")
    errors = found.pop("errors")
    assert errors == [errors[0], errors[0], "backslashreplace"]
    assert found == {
        **{"main": [True, True, True], "names": ["<stdin>", "<stdout>", "<stderr>"]},
        **{"lines": [False, False, not os.environ.get("PYTHONUNBUFFERED")]},
        **{"descriptors": [0, 1, 2], "interrupt": True, "site": False, "ours": [], "zone": "JST"},
    }


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ("os._exit(3)", "Worker process died"),
        ("sys.exit(3)", "Worker process died"),
        ("os.kill(os.getpid(), 9)", "Worker process died"),
        ("while True: pass", "Task timed out after 2.00 seconds"),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    while True: pass", "Task timed out after 2.00 seconds"),
    ],
)
def test_a_function_that_ends_or_never_ends_hurts_nobody(functions: Functions, ending: str, error: str) -> None:
    source = (
        "import os, signal, sys\n\ndef handler(event, context):\n"
        f"    if not event:\n        return os.getpid()\n    {ending}\n"
    )
    functions.make("a", source, Timeout=2)
    functions.make("b", WHO)
    pid, _ = functions.call("a")
    (before, parent), _ = functions.call("b")
    assert functions.call("a", "end")[1] == error
    until(is_gone(pid))
    assert functions.call("a")[0] not in (None, pid)
    assert functions.call("b")[0] == [before, parent]


def test_a_killed_server_leaves_no_function_behind(own: Cloud) -> None:
    functions = Functions(Account(own, "111111111111"))
    functions.make("idle", WHO)
    functions.make("busy", f"{WHO}\nimport threading\n\ndef work():\n    while True: pass\n\n"
                   "threading.Thread(target=work).start()\n")  # fmt: skip
    (idle, parent), (busy, _) = functions.call("idle")[0], functions.call("busy")[0]
    assert all(map(alive, (idle, busy, parent)))
    os.kill(own.pid, signal.SIGKILL)
    for each in (idle, busy, parent):
        until(is_gone(each))


def test_a_stopped_server_leaves_no_function_behind() -> None:
    with running() as cloud:
        functions = Functions(Account(cloud, "111111111111"))
        functions.make("a", WHO)
        found = functions.call("a")[0]
        assert all(map(alive, found))
    assert not any(map(alive, found))


def test_functions_go_on_where_the_process_that_forks_is_killed(own: Cloud) -> None:
    functions = Functions(Account(own, "111111111111"))
    functions.make("a", WHO)
    functions.make("b", WHO)
    (pid, parent), _ = functions.call("a")
    os.kill(parent, signal.SIGKILL)
    until(is_gone(parent))
    assert functions.call("a")[0][0] == pid
    assert functions.call("b")[0][1] not in (parent, own.pid)


NAMED = """
import os, getpass, six

def handler(event, context):
    return [hasattr(six, "OURS"), hasattr(getpass, "OURS"), os.getppid(), os.environ.get("PYTHONWARNINGS")]
"""


@pytest.mark.parametrize(
    ("files", "variables", "is_forked"),
    [
        ({}, {}, True),
        ({"six.py": SIX}, {}, True),
        ({"six.py": "OURS = True\n"}, {}, False),
        ({"getpass.py": "OURS = True\n"}, {}, False),
        ({"getpass/__init__.py": "OURS = True\n"}, {}, False),
        ({"certifi.py": "def where():\n    return None\n"}, {}, False),
        ({}, {"PYTHONWARNINGS": "ignore"}, False),
        ({}, {"HOME": "/nowhere"}, False),
    ],
    ids=["plain", "same", "module", "standard", "package", "missing", "PYTHON", "HOME"],
)
def test_what_a_fork_would_get_wrong_has_a_python_of_its_own(
    functions: Functions, cloud: Cloud, files: dict[str, str], variables: dict[str, str], is_forked: bool
) -> None:
    functions.make("a", NAMED, files, Environment={"Variables": variables})
    (own_six, own_getpass, parent, warnings), _ = functions.call("a")
    assert own_six is files.get("six.py", "").startswith("OURS")
    assert own_getpass is any(name.startswith("getpass") for name in files)
    assert warnings == variables.get("PYTHONWARNINGS")
    assert (parent != cloud.pid) is is_forked


def test_functions_that_start_at_once_are_forked_one_after_the_other(functions: Functions) -> None:
    functions.make("a", f"import time\n{WHO}".replace("return", "time.sleep(0.5); return"))
    answers: list[Any] = []

    def call() -> None:
        answers.append(functions.call("a")[0])

    threads = [threading.Thread(target=call) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len({pid for pid, _ in answers}) > 1
    assert len({parent for _, parent in answers}) == 1
