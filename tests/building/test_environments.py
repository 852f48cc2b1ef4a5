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
    message = 'item 2 is not a "Key=Value" string; write "Key=Value" in double quotes'
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
        ('["A=1"]'.encode("utf-16"), "is not UTF-8 text; save it as UTF-8"),
        ('["A=1"]'.encode("utf-8-sig"), "begins with a byte order mark; save it as UTF-8 without one"),
        (b"[" + b"1" * 5_000 + b"]", "has a number that is too long"),
        (b"[NaN, -Infinity, 1e999, 1e3] x", "is not JSON: Extra data"),
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


def test_the_lines_of_the_items_are_counted_in_one_pass() -> None:
    """By the characters that are looked at, since time depends on the machine."""

    class Counting(str):
        looked_at = 0

        def count(self, sub: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
            Counting.looked_at += (len(self) if end is None else end) - start
            return super().count(sub, start, end)

    text = Counting("[" + ",\n".join(f'"K{number}=v"' for number in range(500)) + "]")
    assert environments.item_lines(text) == list(range(1, 501))
    assert Counting.looked_at <= len(text)


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


def test_values_are_put_into_a_file_and_every_other_byte_stays(path: Path) -> None:
    path.write_text('[\n  "A=1",   "Rules={\\"A=2\\"}",\n\n  "B=\\u00e9"\n]\n', encoding="utf-8")

    assert environments.put(path, {"A": r'x"\1', "B": "é", "C": "new"}) == ["A", "C"]

    text = path.read_text(encoding="utf-8")
    assert text == '[\n  "A=x\\"\\\\1",   "Rules={\\"A=2\\"}",\n\n  "B=\\u00e9",\n "C=new"\n]\n'
    assert environments.read(path).values == {"A": r'x"\1', "Rules": '{"A=2"}', "B": "é", "C": "new"}


def test_the_line_ends_of_a_file_stay(path: Path) -> None:
    path.write_bytes(b'[\r\n "A=1",\r\n "B=2"\r\n]\r\n')
    environments.put(path, {"A": "9", "C": "new"})
    assert path.read_bytes() == b'[\r\n "A=9",\r\n "B=2",\r\n "C=new"\r\n]\r\n'


def test_a_link_to_a_file_that_several_share_stays_one(path: Path) -> None:
    shared = path.with_name("shared.json")
    shared.write_text('["A=1"]', encoding="utf-8")
    path.symlink_to(shared)
    environments.put(path, {"A": "2"})
    assert (path.is_symlink(), environments.read(shared).values) == (True, {"A": "2"})


def test_values_that_are_there_change_nothing_and_an_empty_list_takes_the_first(path: Path) -> None:
    path.write_text("[]", encoding="utf-8")
    assert environments.put(path, {"A": "1"}) == ["A"]
    before = path.stat().st_ino
    assert environments.put(path, {"A": "1"}) == []
    assert (path.stat().st_ino, environments.read(path).values) == (before, {"A": "1"})
