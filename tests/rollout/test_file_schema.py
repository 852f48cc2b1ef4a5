"""The JSON schema that editors hold rollout.yaml against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tools import written_files
from tools.rollout_schema import SCHEMA, desired_files, rollout_schema


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(Path("rollout.yaml").read_text(encoding="utf-8"))
    return content


def test_the_committed_schema_is_the_one_of_the_models() -> None:
    assert written_files.check("tools.rollout_schema", desired_files()) == []


def test_the_example_names_the_schema_for_editors() -> None:
    first = Path("rollout.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA}"


def test_the_example_is_what_the_schema_asks_for(example: dict[str, Any]) -> None:
    assert list(jsonschema.Draft202012Validator(rollout_schema()).iter_errors(example)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("regions", "us-east-1"),
        ("leaveout", []),
        ("waves", [{"name": "a", "bake": 10}]),
        ("targets", {"accounts": [1]}),
    ],
)
def test_the_schema_refuses_what_reading_refuses(example: dict[str, Any], key: str, value: object) -> None:
    wrong = {**example, "phases": {"dev": {**example["phases"]["dev"], key: value}}}
    (found,) = jsonschema.Draft202012Validator(rollout_schema()).iter_errors(wrong)
    assert list(found.absolute_path)[:2] == ["phases", "dev"]


def test_every_key_is_described() -> None:
    made = rollout_schema()
    models = [made, *made["$defs"].values()]
    silent = [key for model in models for key, of_key in model["properties"].items() if "description" not in of_key]
    assert silent == []
