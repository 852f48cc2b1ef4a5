"""Carries out orders that come on stdin, each in a forked child that may end itself at any point."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
