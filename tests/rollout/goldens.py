"""Texts as a person will read them, and those that are committed beside the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders.page import Page

FOLDER = Path(__file__).parent / "golden"


def shown(add: Callable[..., None], *values: Any, width: int = 80) -> str:
    """The lines that a function adds to a page of so many columns."""
    page = Page(width)
    add(page, *values)
    return page.text().plain


def compare(request: pytest.FixtureRequest, name: str, text: str) -> None:
    """Compare a text with golden/<name>.txt.

    `pytest tests/layers/test_access.py tests/rollout/test_showing_*.py --update-golden` writes the file: the option is
    one of the layers' tests, and is unknown where those are not named.
    """
    path = FOLDER / f"{name}.txt"
    if request.config.getoption("--update-golden", default=False):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == f"{text}\n"
