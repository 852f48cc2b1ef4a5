"""Lists and counts as messages have them."""

from __future__ import annotations

import pytest

from builders.text import counted_noun, name_list


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (list(range(2_000)), "0, 1, 2 and 1,997 more"),
    ],
)
def test_names_beyond_the_first_are_counted(names: list[object], expected: str) -> None:
    assert name_list(names, 3) == expected


@pytest.mark.parametrize(
    ("count", "noun", "expected"),
    [(1, "account", "1 account"), (0, "account", "0 accounts"), (2_988, "policy", "2,988 policies")],
)
def test_a_count_takes_the_form_of_its_noun(count: int, noun: str, expected: str) -> None:
    assert counted_noun(count, noun) == expected
