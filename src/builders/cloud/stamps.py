"""Random ids and timestamps, of which each stack takes a dozen: one read of random bytes gives many ids, and the text
of a second serves all that happens in it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from builders.cloud.patches import patch_value

_IDS_AT_ONCE = 256
_ID_BYTES = 16

_ids: list[str] = []
os.register_at_fork(after_in_child=_ids.clear)
_second: tuple[int, str] = (0, "")
"""The last second since the epoch of which there is a text, and that."""


def new_id() -> str:
    """Return a random UUID, version 4 (RFC 9562)."""
    try:
        return _ids.pop()
    except IndexError:
        first, *others = _made()
        _ids.extend(others)
        return first


def _made() -> Iterator[str]:
    digits = os.urandom(_IDS_AT_ONCE * _ID_BYTES).hex()
    for at in range(0, len(digits), 2 * _ID_BYTES):
        each = digits[at : at + 2 * _ID_BYTES]
        variant = "89ab"[int(each[16], 16) % 4]
        yield f"{each[:8]}-{each[8:12]}-4{each[13:16]}-{variant}{each[17:20]}-{each[20:]}"


def now_iso() -> str:
    """Return the time (UTC) as AWS writes it: 2026-01-31T12:00:00.000Z."""
    global _second  # noqa: PLW0603 one tuple, which threads replace as a whole
    second, rest = divmod(time.time_ns(), 1_000_000_000)
    known, text = _second
    if known != second:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _second = second, text
    return f"{text}.{rest // 1_000_000:03d}Z"


@patch_value(
    "ministack.core.responses.new_uuid", why="the system is asked for random bytes for each of hundred thousand ids"
)
def _new_uuid(_original: Any) -> Callable[[], str]:
    return new_id


@patch_value(
    "ministack.core.responses.now_iso", why="the day and the second are written anew for each of hundred thousand times"
)
def _now_iso(_original: Any) -> Callable[[], str]:
    return now_iso
