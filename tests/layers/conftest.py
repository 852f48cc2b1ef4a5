"""Fixtures for the tests of layers: a layer's template as plain data, and its golden copy beside the tests.

After an intended change: `pytest tests/layers --update-golden`, and read the difference before committing it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from builders import catalog

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden templates anew")


@pytest.fixture(scope="session")
def template() -> Callable[[str], dict[str, Any]]:
    """Builds a layer's template by its name; every call gives a copy that the test may change."""

    @cache
    def written(layer: str) -> str:
        return json.dumps(catalog.load(layer).build().to_dict())

    def read(layer: str) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(written(layer))
        return parsed

    return read


@pytest.fixture
def assert_golden(template: Callable[[str], dict[str, Any]], request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Compares a layer's template with tests/layers/golden/<layer>.json, which --update-golden writes."""

    def check(layer: str) -> None:
        built, path = template(layer), GOLDEN / f"{layer}.json"
        # The option is unknown when pytest was started from above this directory: the goldens are then only read.
        if request.config.getoption("--update-golden", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(built, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        assert json.loads(path.read_text(encoding="utf-8")) == built

    return check
