"""Chooses the servers that a test runs on: all of them, unless it is marked here."""

from __future__ import annotations

import pytest

from .postgres import available

NEWEST = available()[-1] if available() else None

on_newest_server = pytest.mark.parametrize("server", available()[-1:], ids=["newest"], indirect=True)
"""Where the version cannot change the outcome."""

others_in_harness = pytest.mark.sampled(when=lambda case: case["server"] is NEWEST)
"""Where it could, and a newest server in `make test` has what is typical: `make harness` tries the others."""
