"""Parts of botocore made quicker in the processes of the tests, which make a hundred thousand calls.

A fifth of a call goes into names of headers that are compared, and into addresses and components of the user agent that
are taken apart again and again. test_botocore_speed.py compares all of this with what botocore does by itself.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import Any

import urllib3.connectionpool
import urllib3.poolmanager


class Headers:
    """The methods of botocore's `HeadersDict`, by names in lower case: its own make an object for each look at one."""

    _dict: dict[str, tuple[str, Any]]

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a header, whose name stays as it was first written."""
        lower = name.lower()
        self._dict[lower] = (self._dict[lower][0] if lower in self._dict else name, value)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a header. Raises `KeyError`."""
        return self._dict[name.lower()][1]

    def __delitem__(self, name: str) -> None:
        """Remove a header. Raises `KeyError`."""
        del self._dict[name.lower()]

    def __contains__(self, name: str) -> bool:
        """Return whether a header is set."""
        return name.lower() in self._dict

    def __iter__(self) -> Iterator[str]:
        """Return the names as they were first written."""
        return (name for name, _ in self._dict.values())


def apply(copy: str = "botocore") -> None:
    """Speed up botocore, or the copy that the AWS CLI has, for all clients of this process."""
    names = ("auth", "awsrequest", "useragent")
    auth, awsrequest, useragent = (importlib.import_module(f"{copy}.{name}") for name in names)
    for owner, name in (
        (auth, "_host_from_url"),
        (useragent, "sanitize_user_agent_string_component"),
        (useragent.UserAgentComponent, "to_string"),
        (urllib3.connectionpool, "parse_url"),
        (urllib3.poolmanager, "parse_url"),
    ):
        setattr(owner, name, functools.lru_cache(maxsize=1024)(getattr(owner, name)))
    for name, method in vars(Headers).items():
        if callable(method):
            setattr(awsrequest.HeadersDict, name, method)
