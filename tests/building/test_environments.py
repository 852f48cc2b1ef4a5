"""A parameter file is a JSON list of "Key=Value" strings, read as the AWS CLI reads it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from builders import environments
from builders.environments import Entry
from builders.errors import ParameterFileError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dev.json"


def found(path: Path) -> list[tuple[str, int | None, str]]:
    return [(finding.rule, finding.line, finding.message) for finding in environments.read(path).findings]


def test_every_entry_has_its_key_its_value_and_its_line(path: Path) -> None:
    path.write_text('[\n  "A=1",\n\n  "B=2", "C="\n]\n', encoding="utf-8")
    file = environments.read(path)
    assert file.entries == {"A": Entry("A", "1", 2), "B": Entry("B", "2", 4), "C": Entry("C", "", 4)}
    assert file.findings == []


def test_the_values_are_those_that_the_aws_cli_passes_on(path: Path) -> None:
    path.write_text(r'["Url=a=b", " Spaced = x ", "Escaped=\"\u00e9\n"]', encoding="utf-8")
    assert environments.read(path).values == {"Url": "a=b", " Spaced ": " x ", "Escaped": '"é\n'}


def test_an_empty_list_is_a_file_without_parameters(path: Path) -> None:
    path.write_text("[ ]", encoding="utf-8")
    assert environments.read(path).values == {}


def test_a_key_that_is_given_twice_is_found_and_the_last_counts(path: Path) -> None:
    path.write_text('["A=1",\n"A=2"]', encoding="utf-8")
    message = "A is on line 1 too; the AWS CLI takes the last, keep one"
    assert found(path) == [("duplicate-parameter", 2, message)]
    assert environments.read(path).values == {"A": "2"}


@pytest.mark.parametrize("item", ['"A"', '"=1"', "1", "null", '{"A": "1"}', '["A=1"]', '""'])
def test_an_item_that_is_no_key_and_value_is_found_and_the_others_count(path: Path, item: str) -> None:
    path.write_text(f'["B=1",\n{item},\n"C=2"]', encoding="utf-8")
    message = 'item 2 is no "Key=Value" string; write "Key=Value" in double quotes'
    assert found(path) == [("parameter-file", 2, message)]
    assert environments.read(path).values == {"B": "1", "C": "2"}


def test_an_item_without_a_key_is_not_repeated_since_it_may_be_a_password(path: Path) -> None:
    path.write_text('["correct horse battery staple"]', encoding="utf-8")
    assert "horse" not in str(found(path))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"A": "1"}', "is a JSON object, not a list"),
        (b'"A=1"', "is a JSON string, not a list"),
        (b"true", "is a JSON truth value, not a list"),
        (b"null", "is a JSON null, not a list"),
        (b"1.5", "is a JSON number, not a list"),
        (b'["A=1",]', "is not JSON: "),
        (b"", "is not JSON: Expecting value in line 1"),
        (b"A=1\n", "is not JSON: Expecting value in line 1"),
        (b"[" * 100_000, "is nested too deeply"),
        (b'["A=\xff"]', "is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_what_is_no_list_is_refused(path: Path, content: bytes, what: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ParameterFileError, match=f"^{re.escape(f'{path} {what}')}"):
        environments.read(path)


def test_the_form_that_a_file_must_have_is_shown(path: Path) -> None:
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ParameterFileError, match=r'it must be a list of strings such as \["VpcCidr=10.20.0.0/16"\]$'):
        environments.read(path)


def test_a_file_that_cannot_be_read_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ParameterFileError, match=r"dev.json cannot be read: Is a directory"):
        environments.read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary() | st.text().map(str.encode) | JSON.map(json.dumps).map(str.encode))
def test_no_content_is_an_error_of_another_kind(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with suppress(ParameterFileError):
        assert environments.read(path).path == path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.dictionaries(st.text(min_size=1).filter(lambda key: "=" not in key), st.text(), max_size=5))
def test_every_key_and_value_is_read_as_it_was_written(path: Path, pairs: dict[str, str]) -> None:
    path.write_text(json.dumps([f"{key}={value}" for key, value in pairs.items()]), encoding="utf-8")
    assert environments.read(path).values == pairs
