"""The intrinsic functions that need nothing but their arguments, and where a template calls one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from builders.errors import EvaluationError

DYNAMIC_REFERENCE = "{{resolve:"
_ONE_TOKEN = re.compile(r"^\$\{[^}]+\}$")


_MOST_RANGES = 256
"""CloudFormation user guide, "Fn::Cidr": count."""


def only_aws_knows(value: Any) -> bool:
    """Return whether a value has a part that AWS alone fills in: `${Vpc}` of builders.evaluate, or a dynamic reference
    (CloudFormation user guide, "Get values stored in other services using dynamic references").
    """
    return "${" in str(value) or DYNAMIC_REFERENCE in str(value)


def arguments(node: Any, function: str) -> Iterator[Any]:
    """Yield the argument of each call of a function in a part of a template, such as those of Fn::ImportValue."""
    if isinstance(node, dict):
        if function in node:
            yield node[function]
        node = [*node.values()]
    for part in node if isinstance(node, list) else ():
        yield from arguments(part, function)


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
    if not 1 <= int(count) <= _MOST_RANGES:
        raise EvaluationError(f"Fn::Cidr makes 1 to {_MOST_RANGES} ranges, not {count}")
    try:
        ranges = _subnets(ipaddress.ip_network(block), 32 - int(host_bits), int(count))
    except ValueError as error:
        raise EvaluationError(
            f"Fn::Cidr cannot divide {block} into ranges of {host_bits} host bits: {error}"
        ) from error
    if len(ranges) < int(count):
        raise EvaluationError(f"Fn::Cidr finds {len(ranges)} ranges of {host_bits} host bits in {block}, not {count}")
    return list(ranges)


@lru_cache(maxsize=64)
def _subnets(block: ipaddress.IPv4Network | ipaddress.IPv6Network, prefix: int, count: int) -> tuple[str, ...]:
    """The first ranges: a template asks for the same ones once for each of its subnets."""
    return tuple(str(subnet) for subnet in islice(block.subnets(new_prefix=prefix), count))


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
