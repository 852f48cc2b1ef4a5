"""The intrinsic functions that need nothing but their arguments."""

from __future__ import annotations

import ipaddress
import re
from itertools import islice
from typing import Any

from builders.errors import EvaluationError

_ONE_TOKEN = re.compile(r"^\$\{[^}]+\}$")


def join(delimiter: str, items: list[Any]) -> str:
    """Fn::Join."""
    return delimiter.join(map(str, items))


def split(delimiter: str, text: str) -> list[str]:
    """Fn::Split."""
    return text.split(delimiter)


def select(index: Any, items: list[Any]) -> Any:
    """Fn::Select; of a list that only AWS knows, the name of the item."""
    position = int(index)
    if len(items) == 1 and position > 0 and isinstance(items[0], str) and _ONE_TOKEN.match(items[0]):
        return f"{items[0][:-1]}[{position}]}}"
    if not 0 <= position < len(items):
        raise EvaluationError(f"Fn::Select: no item {position} in a list of {len(items)}; items are counted from 0")
    return items[position]


def cidr(block: str, count: Any, host_bits: Any = 8) -> list[str]:
    """Fn::Cidr: the first `count` ranges of `host_bits` bits for hosts in `block`."""
    try:
        subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(host_bits))
    except ValueError as error:
        raise EvaluationError(
            f"Fn::Cidr cannot divide {block} into ranges of {host_bits} host bits: {error}"
        ) from error
    ranges = [str(subnet) for subnet in islice(subnets, int(count))]
    if len(ranges) < int(count):
        raise EvaluationError(f"Fn::Cidr finds {len(ranges)} ranges of {host_bits} host bits in {block}, not {count}")
    return ranges


def equal(left: Any, right: Any) -> bool:
    """Fn::Equals, which compares texts."""
    return bool(left == right or str(left) == str(right))


def contains(items: list[str], value: str) -> bool:
    """Fn::Contains, for Rules."""
    return value in items


def each_member_in(members: list[str], allowed: Any) -> bool:
    """Fn::EachMemberIn and Fn::EachMemberEquals, for Rules."""
    choices = allowed if isinstance(allowed, list) else [allowed]
    return all(member in choices for member in members)
