"""Texts in the position of a real host, address or id: reserved by standards, or typed to be replaced."""

from __future__ import annotations

import ipaddress
import re

_HOST = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:[^@/\s]+@)?(?P<host>(?:[a-z0-9*_-]+\.)+[a-z]{2,}|[0-9a-f:.]+)(?::\d+)?(?:/\S*)?",
    re.IGNORECASE,
)
_RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|invalid|test)$", re.IGNORECASE)
"""RFC 2606 and RFC 6761."""
_BACKWARDS = re.compile(r"(?:com|net|org|io)\.[^/]*$", re.IGNORECASE)
"""A package's name, which begins with the domain's end."""
_DOCUMENTATION = [
    ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
"""RFC 5737 and RFC 3849."""
_WORD = re.compile(
    r"<[a-z][a-z0-9 _-]*>|\[?(?:change|replace|update|fill|insert)[-_ ]?(?:me|this|in)\]?"
    r"|my[-_ ][\w-]+[-_ ]here|your[-_][\w.-]+|todo|fixme|tbd|placeholder(?:[-_ ][\w-]+)?|dummy[-_ ](?:host|id|value)"
    r"|x{4,}",
    re.IGNORECASE,
)
_ID = re.compile(
    r"(?:vpc|subnet|sg|rtb|acl|igw|nat|eni|eipalloc|vgw|tgw|tgw-attach|pcx|dxcon|dxvif|dxlag|dxgw|vpce|ami|i|vol|snap)"
    r"-(?P<rest>[0-9a-zA-Z]+)"
)
_SHORTEST = 3
_PLACE_OF_AN_ACCOUNT = re.compile(
    r"arn:[\w-]*:[\w-]+:[\w-]*:(?P<account>your[\w-]*|<[^>:]*>|(?:aws[-_]?)?account[-_]?(?:id|number)):", re.IGNORECASE
)
"""An ARN that says where the account's id belongs."""
_RUNS = (
    "0123456789abcdef0",
    "01234567890abcdef",
    "0abcdef1234567890",
    "1234567890abcdef0",
    "12345678",
    "01234567",
    "abcdef01",
    "0a1b2c3d",
    "1a2b3c4d",
)


def placeholder_in(text: str, *, is_identifier: bool = False) -> str | None:
    """Return the reason why the whole text is a placeholder, or None. Texts with words around it are left alone.

    `is_identifier` says that the text stands where two sides agree on a name, so that a name like a host is none.
    """
    text = text.strip()
    if _WORD.fullmatch(text):
        return "a word that waits to be replaced"
    arn = _PLACE_OF_AN_ACCOUNT.search(text)
    if arn:
        return f"which has {arn['account']!r} in an ARN, where an account's id belongs"
    identifier = _ID.fullmatch(text)
    if identifier and _is_made_up(identifier["rest"].lower()):
        return "an id that nobody has"
    host = _HOST.fullmatch(text)
    if host and _RESERVED.search(host["host"]) and not (is_identifier or _BACKWARDS.match(host["host"])):
        return "a name that is reserved for examples (RFC 2606)"
    if _is_documentation_address(text) or (host and _is_documentation_address(host["host"])):
        return "an address that is reserved for documentation (RFC 5737)"
    return None


def _is_made_up(rest: str) -> bool:
    return len(rest) > _SHORTEST and (len(set(rest)) == 1 or any(run.startswith(rest) for run in _RUNS))


def _is_documentation_address(text: str) -> bool:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return any(network.version == known.version and network.subnet_of(known) for known in _DOCUMENTATION)  # type: ignore[arg-type]
