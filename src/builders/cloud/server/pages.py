"""Lists in pages, with tokens that belong to one list."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

Item = TypeVar("Item")


def cut(which: str, items: list[Item], token: str | None, size: int, refusal: Exception) -> tuple[list[Item], str]:
    """Return one page of a list, and the token of the next, empty where there is none; `which` names the list.

    Raises `refusal` for a token that the list did not give.
    """
    begin = 0
    if token:
        try:
            owner, _, offset = base64.urlsafe_b64decode(token).decode().rpartition(" ")
        except (binascii.Error, UnicodeDecodeError):
            raise refusal from None
        if owner != which or not offset.isdigit():
            raise refusal
        begin = int(offset)
    end = begin + size
    following = base64.urlsafe_b64encode(f"{which} {end}".encode()).decode() if end < len(items) else ""
    return items[begin:end], following


def owner(token: str) -> str:
    """Return the name of the list that gave a token, empty for none. Raises ValueError for what is no token of ours."""
    return base64.urlsafe_b64decode(token).decode().rpartition(" ")[0]
