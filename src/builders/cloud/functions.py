"""The Python that functions run on: the standard library, boto3, and nothing else that is installed here.

So a package that lacks a library fails here as on Lambda, whose Python runtimes bring boto3 and no more (Lambda
developer guide, "Working with .zip file archives for Python Lambda functions").
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path

from ministack.core import lambda_runtime

BROUGHT_BY_LAMBDA = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""boto3 and what it needs."""


def install(directory: Path) -> None:
    """Let ministack start functions with an interpreter below `directory` that finds these modules only."""
    runtime = directory / "lambda-runtime"
    runtime.mkdir(exist_ok=True)
    for name in BROUGHT_BY_LAMBDA:
        found = importlib.util.find_spec(name)
        if found and found.origin:
            source = Path(found.origin)
            _link(source.parent if source.name == "__init__.py" else source, runtime)
    interpreter = runtime / "python"
    # -S: without site-packages. PYTHONPATH is read all the same.
    command = f"PYTHONPATH={shlex.quote(str(runtime))} exec {shlex.quote(sys.executable)} -S"
    interpreter.write_text(f'#!/bin/sh\n{command} "$@"\n')
    interpreter.chmod(0o755)
    before = lambda_runtime._detect_runtime_binary

    def detect(runtime_name: str) -> tuple[str, str]:
        binary, script = before(runtime_name)
        return str(interpreter) if binary == sys.executable else binary, script

    lambda_runtime._detect_runtime_binary = detect


def _link(source: Path, runtime: Path) -> None:
    link = runtime / source.name
    link.unlink(missing_ok=True)
    link.symlink_to(source)
