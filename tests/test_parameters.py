"""Values that the shared makers of parameters let through."""

from __future__ import annotations

import re

import pytest

from builders import parameters


@pytest.mark.parametrize(("shortest", "longest"), [(0, 32), (8, 32), (16, 22), (24, 24), (9, 10)])
def test_a_range_takes_just_the_prefix_lengths_within_its_bounds(shortest: int, longest: int) -> None:
    pattern = parameters.cidr("Range", "a range", prefix_lengths=(shortest, longest)).AllowedPattern
    taken = [length for length in range(100) if re.match(pattern, f"10.0.0.0/{length}")]
    assert taken == list(range(shortest, longest + 1))


@pytest.mark.parametrize("text", ["", "10.0.0.0", "10.0.0.256/16", "10.0.0.0/", "10.0.0.0/016", "010.0.0.0/16", "a/16"])
def test_a_range_that_aws_would_not_read_is_refused(text: str) -> None:
    assert not re.match(parameters.cidr("Range", "a range").AllowedPattern, text)


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [("", True), ("192.168.0.10", True), ("255.255.255.255", True), ("192.168.0", False), ("192.168.0.10/32", False)],
)
def test_an_address_is_empty_or_whole(text: str, is_taken: bool) -> None:
    assert bool(re.match(parameters.address("Address", "an address").AllowedPattern, text)) is is_taken
