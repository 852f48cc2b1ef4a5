"""Which processes a test has left behind, whoever their parent is: they inherited its mark."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

PATIENCE_SECONDS = 60
"""Servers end at once, an AWS CLI or a rollout under way when it finds nobody to talk to, after a few retries."""


def marked(path: Path) -> Mapping[str, str]:
    """The environment of whatever is started, with a mark that no other test has."""
    return os.environ | {"STACKFERRY_TEST": str(path)}


def started_by(path: Path) -> set[int]:
    """The processes that bear a mark."""
    mark = f"STACKFERRY_TEST={path}".encode()
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:  # gone meanwhile
            continue
    return found


def gone_in_time(path: Path) -> bool:
    """True where all of them end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if not started_by(path):
            return True
        time.sleep(0.1)
    return False
