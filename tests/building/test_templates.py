"""A template has one text, and a file that says anything else is stale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, strategies as st

from builders import catalog
from builders.building.templates import Format, first_difference, orphaned, stale_finding, text_of
from builders.findings import Finding

TEMPLATE: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Metadata": {"Stackferry": {"Scope": "PHASE", "Needs": []}},
    "Parameters": {"EnvironmentSuffix": {"Type": "String"}},
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
}
OF_A_PERSON = json.dumps({section: content for section, content in TEMPLATE.items() if section != "Metadata"})


def test_a_json_template_has_sorted_keys_a_reference_on_one_line_and_a_newline_at_its_end() -> None:
    tag = {"Value": {"Ref": "Cost"}, "Key": "é"}
    assert text_of({"b": [1, tag], "a": {}, "c": {"d": "e" * 120}}, Format.JSON) == (
        '{\n "a":{},\n "b":[1,{"Key":"\\u00e9","Value":{"Ref":"Cost"}}],\n'
        f' "c":{{\n  "d":"{"e" * 120}"\n }}\n}}\n'
    )


def test_a_yaml_template_says_what_the_json_template_says() -> None:
    assert yaml.safe_load(text_of(TEMPLATE, Format.YAML)) == json.loads(text_of(TEMPLATE, Format.JSON))


@pytest.mark.parametrize("text", ["2012-10-17", "012345678901", "0o17", "1e3", "yes", "12:30:00", "null", "1_000"])
def test_a_text_stays_a_text_for_readers_of_yaml_1_1_and_1_2(text: str) -> None:
    assert text_of({"a": text}, Format.YAML) == f"a: '{text}'\n"


def test_a_value_that_is_used_twice_is_written_twice_in_yaml() -> None:
    shared = {"Ref": "Topic"}
    assert text_of({"a": shared, "b": shared}, Format.YAML) == "a:\n  Ref: Topic\nb:\n  Ref: Topic\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "topics.json"


def message(finding: Finding | None) -> str:
    assert finding is not None
    assert finding.rule == "stale-template"
    return finding.message


def advised(path: Path, what: str) -> str:
    return f"topics: {path} {what}; run build-templates and commit what it writes"


@pytest.mark.parametrize("form", Format)
def test_a_file_that_says_what_the_layer_makes_is_fresh(tmp_path: Path, form: Format) -> None:
    path = tmp_path / f"topics.{form.value}"
    path.write_text(text_of(TEMPLATE, form), encoding="utf-8")
    assert stale_finding(path, TEMPLATE, form) is None


def test_a_missing_file_is_stale(path: Path) -> None:
    assert message(stale_finding(path, TEMPLATE, Format.JSON)) == advised(path, "is missing")


def test_a_stale_file_is_reported_with_the_layer_and_the_first_difference(path: Path) -> None:
    path.write_text(text_of(TEMPLATE | {"Resources": {}}, Format.JSON), encoding="utf-8")
    difference = 'differs first at $.Resources.Topic: the file has nothing, the layer makes {"Type": "AWS::SNS::Topic"}'
    assert message(stale_finding(path, TEMPLATE, Format.JSON)) == advised(path, difference)


@pytest.mark.parametrize(
    "relaid",
    [
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: json.dumps(json.loads(text)),
        lambda text: json.dumps(dict(reversed(json.loads(text).items())), indent=1) + "\n",
    ],
    ids=["no newline at the end", "line ends of Windows", "one line", "other order of keys"],
)
def test_a_file_in_another_layout_is_stale(path: Path, relaid: Callable[[str], str]) -> None:
    path.write_bytes(relaid(text_of(TEMPLATE, Format.JSON)).encode())
    assert message(stale_finding(path, TEMPLATE, Format.JSON)) == advised(path, "says the same in another layout")


@pytest.mark.parametrize(
    ("form", "content", "what"),
    [
        (Format.JSON, b'{"a": ', "is not JSON (Expecting value: line 1 column 7 (char 6))"),
        (Format.JSON, b"\xff", "is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_template_is_stale(path: Path, form: Format, content: bytes, what: str) -> None:
    path.write_bytes(content)
    assert message(stale_finding(path, TEMPLATE, form)) == advised(path, what)


def test_a_file_that_cannot_be_read_is_stale(path: Path) -> None:
    path.mkdir()
    assert message(stale_finding(path, TEMPLATE, Format.JSON)) == advised(path, "cannot be read (Is a directory)")


def test_a_yaml_file_that_is_no_yaml_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "topics.yaml"
    path.write_text("a: [", encoding="utf-8")
    assert message(stale_finding(path, TEMPLATE, Format.YAML)).startswith(f"topics: {path} is not YAML (")


def test_templates_of_layers_that_are_gone_are_left_over(tmp_path: Path) -> None:
    for name in ("topics.json", "gone.json"):
        (tmp_path / name).write_text(text_of(TEMPLATE, Format.JSON), encoding="utf-8")
    assert orphaned(tmp_path, ["topics"], Format.JSON) == [tmp_path / "gone.json"]


@pytest.mark.parametrize(
    "content", ['{"name": "a package"}', "[]", "{", '{"Metadata": {}}', '{"Metadata": 1}', OF_A_PERSON]
)
def test_a_file_that_build_templates_did_not_make_is_not_left_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "package.json").write_text(content, encoding="utf-8")
    assert orphaned(tmp_path, [], Format.JSON) == []


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ({"a": 1}, {"a": 2}, "$.a: the file has 1, the layer makes 2"),
        ({"a": 1}, {"a": True}, "$.a: the file has 1, the layer makes true"),
        ({"a": 1}, {"a": "1"}, '$.a: the file has 1, the layer makes "1"'),
        ({"a": 1}, {}, "$.a: the file has 1, the layer makes nothing"),
        ({}, {"a": None}, "$.a: the file has nothing, the layer makes null"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "$.a[1]: the file has 2, the layer makes 3"),
        ({"a": [1]}, {"a": [1, 3]}, "$.a[1]: the file has nothing, the layer makes 3"),
        ({"a": {"b": 1}}, {"a": [1]}, '$.a: the file has {"b": 1}, the layer makes [1]'),
        ({"Fn::Sub": "a"}, {"Fn::Sub": "b"}, '$["Fn::Sub"]: the file has "a", the layer makes "b"'),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, "$.a: the file has 1, the layer makes 2"),
        ([], {}, "$: the file has [], the layer makes {}"),
    ],
)
def test_the_first_difference_is_reported(found: Any, expected: Any, difference: str) -> None:
    assert first_difference(found, expected) == difference


@pytest.mark.parametrize("data", [{"a": [1, {"b": None}]}, [], "text", {"a": 1.0}])
def test_equal_data_has_no_difference(data: Any) -> None:
    assert first_difference(data, data) is None


def test_a_long_value_is_cut() -> None:
    difference = first_difference({"a": "x" * 1000}, {"a": "y"})
    assert difference == f'$.a: the file has "{"x" * 119}..., the layer makes "y"'


@pytest.mark.parametrize("name", catalog.layer_names())
def test_a_value_stands_on_one_line_where_it_fits_and_is_four_levels_deep_at_most(name: str) -> None:
    template = catalog.load(name).build().to_dict()
    assert text_of(template, Format.JSON) == plainly(template) + "\n"


@given(
    st.recursive(
        st.sampled_from(["", "é", '"', "x" * 60, 7, -1.5, True, None]),
        lambda values: (
            st.lists(values, max_size=3)
            | st.dictionaries(st.text(max_size=9), values, max_size=3)
            | values.map(lambda value: [[value]])
        ),
        max_leaves=25,
    )
)
def test_any_value_stands_on_one_line_where_it_fits_and_is_four_levels_deep_at_most(value: Any) -> None:
    assert text_of({"a": value}, Format.JSON) == plainly({"a": value}) + "\n"


def plainly(node: Any, depth: int = 0) -> str:
    """The layout as it is defined; it writes every value once for each level above it."""
    line = json.dumps(node, separators=(",", ":"), sort_keys=True)
    if not isinstance(node, dict | list) or (depth + len(line) <= 120 and levels(node) <= 4):
        return line
    if isinstance(node, dict):
        opening, closing = "{}"
        parts = [f"{json.dumps(key)}:{plainly(node[key], depth + 1)}" for key in sorted(node)]
    else:
        opening, closing = "[]"
        parts = [plainly(part, depth + 1) for part in node]
    inner = ",\n".join(" " * (depth + 1) + part for part in parts)
    return f"{opening}\n{inner}\n{' ' * depth}{closing}"


def levels(node: Any) -> int:
    if not isinstance(node, dict | list):
        return 0
    return 1 + max(map(levels, node.values() if isinstance(node, dict) else node), default=0)
