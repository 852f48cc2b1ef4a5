"""Chooses the servers that a test runs on: the newest, where the version cannot change the outcome, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from .postgres import available

Sampled = Callable[[str, bool], bool]
"""Is given a value, and whether the server is the newest."""

on_newest_server = pytest.mark.parametrize("server", available()[-1:], ids=["newest"], indirect=True)


def on_servers(name: str, values: Iterable[str], sampled: Sampled) -> pytest.MarkDecorator:
    """Each value on each server; `sampled` tells which cases --whole is not needed for."""
    every = list(values)
    cases = []
    for binaries in available():
        newest, version = binaries is available()[-1], f"PostgreSQL-{binaries.major}"
        for value in every:
            marks = () if sampled(value, newest) else pytest.mark.whole
            cases.append(pytest.param(binaries, value, marks=marks, id=f"{value}-{version}"))
    return pytest.mark.parametrize(("server", name), cases, indirect=["server"])
