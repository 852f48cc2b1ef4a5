"""The first difference between two pieces of data is told with its path and both values."""

from __future__ import annotations

from typing import Any

import pytest

from builders.building.templates import first_difference


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
def test_the_first_difference_is_told(found: Any, expected: Any, difference: str) -> None:
    assert first_difference(found, expected) == difference


@pytest.mark.parametrize("data", [{"a": [1, {"b": None}]}, [], "text", {"a": 1.0}])
def test_equal_data_has_no_difference(data: Any) -> None:
    assert first_difference(data, data) is None


def test_a_long_value_is_cut() -> None:
    difference = first_difference({"a": "x" * 1000}, {"a": "y"})
    assert difference == f'$.a: the file has "{"x" * 119}..., the layer makes "y"'
