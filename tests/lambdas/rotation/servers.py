"""Chooses the servers that a test runs on: the newest, where the version cannot change the outcome, or all of them."""

from __future__ import annotations

import pytest

from .postgres import available

NEWEST = available()[-1] if available() else None

on_newest_server = pytest.mark.parametrize("server", available()[-1:], ids=["newest"], indirect=True)
