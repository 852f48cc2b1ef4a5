"""Carries out orders that come on stdin, each in a forked child that may end itself at any point; and a quick end."""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

KILLED = 137
"""The status of a child that was ended at its point."""


@contextlib.contextmanager
def server(module: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module below tests that serves orders, as long as the context lasts."""
    root = Path(__file__).parents[1]
    path = os.pathsep.join(str(each) for each in (root / "src", root / "tests", root))
    with subprocess.Popen(
        [sys.executable, "-m", f"tests.{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=root,
    ) as process:
        yield process


def serve(carry_out: Callable[[dict[str, Any]], int]) -> None:
    """Fork a child for each order, a line of JSON; wait for it, and answer with its status."""
    gc.freeze()  # a child that collects garbage would copy every page
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            status = 1
            try:
                status = carry_out(order)
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def finish(code: int = 0) -> NoReturn:
    """Wait for threads, call what is registered, and end, as Python does at its end.

    Python would then take all modules apart, which takes longer than most commands do.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
