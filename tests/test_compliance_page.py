"""The page on PCI DSS names resources, parameters and tests that are there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
CODE = set(re.findall(r"(?<!`)`([^`\n]+)`", PAGE))
TEMPLATES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "templates").glob("*.json")
}
ROWS = re.findall(r"^\| (\d\S* .*)\|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(
    "name", sorted(each for each in CODE if each.startswith("tests/") and each != "tests/integration")
)
def test_a_test_that_is_named_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    assert f"\ndef {function}" in (ROOT / path).read_text(encoding="utf-8")


def test_every_resource_that_is_named_is_made() -> None:
    named = {tuple(each.split(".")) for each in CODE if each.partition(".")[0] in TEMPLATES and "." in each}
    assert named
    assert [each for each in sorted(named) if each[1] not in TEMPLATES[each[0]]["Resources"]] == []


def test_every_parameter_that_is_named_is_one() -> None:
    named = {each for each in CODE if re.fullmatch(r"([A-Z][a-z]+){2,}", each)}
    declared = {name for template in TEMPLATES.values() for name in template["Parameters"]}
    assert named
    assert sorted(named - declared) == []


def test_every_requirement_says_what_serves_it_and_what_is_left_to_do() -> None:
    for row in ROWS:
        _, resource, _, left = (cell.strip() for cell in row.split("|"))
        assert resource, row
        assert left, row


def test_a_resource_that_serves_a_requirement_is_shown_by_a_test() -> None:
    unshown = [
        row for row in ROWS if "nothing" not in row.split("|")[1] and "runbooks" not in row and "`tests/" not in row
    ]
    assert unshown == []
