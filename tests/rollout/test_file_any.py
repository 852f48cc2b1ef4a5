"""Whatever bytes a rollout file holds, reading it gives the file or an error that a person understands."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st

from builders.errors import RolloutFileError
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.schema import RolloutFile
from tools.rollout_schema import rollout_schema

ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

ACCOUNTS = ["111111111111", "222222222222", "333333333333"]
WORDS = st.sampled_from(
    [*ACCOUNTS, "us-east-1", "eu-west-1", "10m", "25%", "0", "rest", "ou-ab12-cdef3456", "SERVICE_MANAGED", "", "x"]
)
SCALARS = WORDS | st.integers(-3, 200) | st.booleans() | st.none() | st.floats() | st.text(max_size=5) | st.dates()
SCHEMA = rollout_schema()
KNOWN = {key for model in [SCHEMA, *SCHEMA["$defs"].values()] for key in model["properties"]}
KEYS = st.sampled_from([*sorted(KNOWN), "dev", "111111111111", "111111111111/us-east-1", "us-east-1"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | SCALARS, inner, max_size=6),
    max_leaves=40,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rollout.yaml"


def read(file: Path, content: bytes) -> RolloutFile | str:
    """The file, or the message of its error. Any other exception goes through."""
    file.write_bytes(content)
    try:
        return load_rollout_file(file)
    except RolloutFileError as error:
        return str(error)


def is_understood(answer: RolloutFile | str, file: Path) -> bool:
    """A file, or sentences that each begin with the file and hold nothing of pydantic's or Python's own."""
    if isinstance(answer, RolloutFile):
        return True
    lines = answer.splitlines()
    return lines[0].startswith(str(file)) and not any(word in answer for word in ("pydantic", "Traceback", "builders."))


@ANY
@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_file_or_an_error(file: Path, content: bytes) -> None:
    assert is_understood(read(file, content), file)


@ANY
@given(content=st.text(alphabet="ab:-[]{}&*!<>|\"'#%@, \n\t~?\\0123u", max_size=80))
def test_any_text_of_yaml_s_own_characters_is_a_file_or_an_error(file: Path, content: str) -> None:
    assert is_understood(read(file, content.encode()), file)


@ANY
@given(content=VALUES)
def test_any_data_is_a_file_or_an_error(file: Path, content: object) -> None:
    assert is_understood(read(file, yaml.safe_dump(content).encode("utf-8", "surrogatepass")), file)


@ANY
@given(changes=st.dictionaries(KEYS, VALUES, max_size=3), inside=st.booleans(), sort=st.booleans())
def test_a_good_file_with_anything_in_it_is_a_file_or_an_error(
    file: Path, changes: dict[str, object], inside: bool, sort: bool
) -> None:
    phase: dict[str, object] = {
        "environment": "environments/dev.json",
        "targets": {"accounts": ACCOUNTS},
        "regions": ["us-east-1"],
    }
    whole: dict[str, object] = {"tooling": {"account": ACCOUNTS[0], "parameters": "x"}, "phases": {"dev": phase}}
    (phase if inside else whole).update(changes)
    assert is_understood(read(file, yaml.safe_dump(whole, sort_keys=sort).encode("utf-8", "surrogatepass")), file)
