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
_DOCUMENTATION = [
    ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
"""RFC 5737 and RFC 3849."""
_WORD = re.compile(
    r"<[a-z][a-z0-9 _-]*>|\[?(?:change|replace|update|fill|insert)[-_ ]?(?:me|this|in)\]?"
    r"|(?:your|my)[-_ ][\w-]+[-_ ]here|todo|fixme|tbd|placeholder(?:[-_ ][\w-]+)?|dummy[-_ ](?:host|id|value)|x{4,}",
    re.IGNORECASE,
)
_ID = re.compile(
    r"(?:vpc|subnet|sg|rtb|acl|igw|nat|eni|eipalloc|vgw|tgw|tgw-attach|pcx|dxcon|dxvif|dxlag|dxgw|vpce|ami|i|vol|snap)"
    r"-(?P<rest>[0-9a-zA-Z]+)"
)
_SHORTEST = 3
_RUNS = ("0123456789abcdef0", "1234567890abcdef0", "12345678", "01234567", "abcdef01", "0a1b2c3d", "1a2b3c4d")


def placeholder_in(text: str) -> str | None:
    """Return the reason why the whole text is a placeholder, or None. Texts with words around it are left alone."""
    text = text.strip()
    if _WORD.fullmatch(text):
        return "a word that waits to be replaced"
    identifier = _ID.fullmatch(text)
    if identifier and _is_made_up(identifier["rest"].lower()):
        return "an id that nobody has"
    host = _HOST.fullmatch(text)
    if host and _RESERVED.search(host["host"]):
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
