"""Shared by all tests: one embedded cloud for those that talk to AWS, and temporary files in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.cloud.process import Cloud, running

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 2 * 1024**3


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Put temporary files into memory where there is room: each of many databases is a thousand small files."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    if shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # ask again


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """One embedded cloud a test process; tests keep out of each other's way by accounts."""
    with running() as cloud:
        yield cloud


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded as covered: what they print themselves is lost in the processes of xdist."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "covered":
                terminalreporter.write_line(str(value))
