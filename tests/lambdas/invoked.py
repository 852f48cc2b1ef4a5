"""A process that forks a child for each order on stdin, which calls the handler of an unpacked package.

A child sees the package and the installed libraries, as in Lambda; boto3 is imported once, and not by every child.

    {"package": "/...", "environment": {...}, "stdout": "/...", "stderr": "/..."}
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import boto3  # noqa: F401
from forking import serve

OURS = {os.getcwd(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}


class Context:
    """Lambda's context, as far as the functions use it."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def carry_out(order: dict[str, Any]) -> int:
    """Call the handler of an order; return what Python's exit code would be."""
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.path[:] = [order["package"], *(path for path in sys.path if path not in OURS)]
    with (
        Path(order["stdout"]).open("w") as out,
        Path(order["stderr"]).open("w") as err,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            importlib.import_module("index").handler({}, Context())
        except Exception:
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    serve(carry_out)
