"""Lists in pages, with tokens that belong to one list."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

Item = TypeVar("Item")


class InvalidToken(Exception):
    """A token that this list did not give; each service has its own sentence for it."""


def cut(which: str, items: list[Item], token: str | None, size: int) -> tuple[list[Item], str | None]:
    """Return one page of a list, and the token of the next; `which` names the list. Raises `InvalidToken`."""
    begin = _offset(which, token) if token else 0
    end = begin + size
    following = base64.urlsafe_b64encode(f"{which} {end}".encode()).decode() if end < len(items) else None
    return items[begin:end], following


def _offset(which: str, token: str) -> int:
    try:
        owner, _, offset = base64.urlsafe_b64decode(token).decode().rpartition(" ")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidToken(token) from error
    if owner != which or not offset.isdigit():
        raise InvalidToken(token)
    return int(offset)
