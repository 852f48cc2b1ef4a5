"""Which properties differ between two versions of a resource, and where a property mentions another resource."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# The end of the text instead of the brace: what Fn::Split leaves of a mention.
_MENTION = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.([\w.]+))?(?:\[\d+\])*(?:\}|$)")


class Mention(NamedTuple):
    """A property at a dotted path (`*` for the items of a list) that holds another resource's Ref or attribute."""

    path: str
    target: str
    attribute: str
    """Empty for Ref."""


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same to CloudFormation, which takes "5" for 5 and "true" for true.

    Python would take 0 for false as well, wherever it stands within.
    """
    if left is right:
        return True
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if _is_scalar(left) and _is_scalar(right):
        return text(left) == text(right)
    return bool(left == right)


def differing(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths of the values that differ, in the order of the alphabet; a list differs as a whole."""
    if same(left, right):
        return
    if not (isinstance(left, Mapping) and isinstance(right, Mapping)):
        yield path
        return
    for key in sorted(left.keys() | right.keys()):
        # What one side lacks differs as a whole, not leaf by leaf.
        yield from differing(left.get(key), right.get(key), f"{path}.{key}" if path else key)


def mentions(value: Any, path: str = "") -> Iterator[Mention]:
    """Yield every mention of a resource in an evaluated value."""
    if isinstance(value, str):
        if "${" in value:
            for match in _MENTION.finditer(value):
                yield Mention(path, match[1], match[2] or "")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from mentions(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from mentions(item, f"{path}.*")


def mentions_any(value: Any, targets: frozenset[str]) -> bool:
    """Whether an evaluated value mentions one of the resources."""
    return any(each.target in targets for each in mentions(value))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def text(value: Any) -> str:
    """A scalar as CloudFormation compares it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
