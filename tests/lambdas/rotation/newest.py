"""For tests whose outcome cannot depend on the version of PostgreSQL: they run on the newest one only."""

from __future__ import annotations

import pytest

from .postgres import available

on_newest_server = pytest.mark.parametrize("server", available()[-1:], ids=["newest"], indirect=True)
