"""Names with wildcards in a table mapping of DMS (DMS user guide, "Wildcards in table mapping")."""

from __future__ import annotations

import functools
import re


@functools.lru_cache(maxsize=1000)
def pattern(text: str) -> re.Pattern[str]:
    """Return a name with wildcards as a regular expression: % any characters, _ one, [_] itself, [ab] and [a-d]."""
    parts = re.findall(r"\[[^\]]+\]|.", text, flags=re.DOTALL)
    return re.compile("".join(_part(part) for part in parts), flags=re.DOTALL)


def _part(part: str) -> str:
    if part == "%":
        return ".*"
    if part == "_":
        return "."
    if len(part) > 1:
        return "[" + re.sub(r"([\\\[\]^&~|])", r"\\\1", part[1:-1]) + "]"
    return re.escape(part)


def exactly(name: str) -> str:
    """Return a name for a mapping, in which an underscore would match any character."""
    return name.replace("_", "[_]")
