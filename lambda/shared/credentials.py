"""The secret's value: what is read from it, and how its password is replaced."""

from __future__ import annotations

import json
import re
import secrets
import string
from dataclasses import dataclass, replace
from typing import Any

from function_errors import IdentityChanged, SecretInvalid

PASSWORD_LENGTH = 32
# DMS refuses ; . : + in an endpoint's password, RDS refuses / " @ and spaces for a master user; the quotes, the
# backslash and the percent sign trip shells, connection strings and AWS' own rotation function.
EXCLUDED_CHARACTERS = ";.:+/@\"'\\% "
_TYPES = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation)
_ALPHABETS = tuple("".join(sorted(set(kind) - set(EXCLUDED_CHARACTERS))) for kind in _TYPES)

_ENGINES = ("postgres", "aurora-postgresql")
_WHITESPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True)
class Credentials:
    """One version of the secret, as far as logging in needs it."""

    username: str
    host: str
    port: int
    dbname: str
    password: str

    def __repr__(self) -> str:
        """The names of the fields, for logs and tracebacks."""
        return "Credentials(username=..., host=..., port=..., dbname=..., password=...)"

    def withheld_from(self, text: str) -> str:
        """A server's message without what it repeats of the secret, which may be a password in the wrong field."""
        for field in ("password", "username", "host", "dbname"):
            value = getattr(self, field)
            # PostgreSQL cuts names at 63 bytes ("Identifiers and Key Words").
            for part in dict.fromkeys((value, value.encode()[:63].decode(errors="ignore"))):
                text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", f"<{field}>", text) if part else text
        return text

    @classmethod
    def parse(cls, text: str) -> Credentials:
        """Read a secret's text. Raises SecretInvalid. Without port and database they are 5432 and postgres."""
        fields = _object(text)
        engine = fields.get("engine", "postgres")
        if engine not in _ENGINES:
            raise SecretInvalid(f"the secret's engine is not one that this function knows: {', '.join(_ENGINES)}")
        return cls(
            username=_text(fields, "username"),
            host=_text(fields, "host"),
            port=_port(fields.get("port", 5432)),
            dbname=_text({"dbname": "postgres", **fields}, "dbname"),
            password=_text(fields, "password"),
        )

    def require_same_login(self, other: Credentials) -> None:
        """Raise IdentityChanged unless both name the same user on the same database.

        Otherwise whoever may write a version of the secret could send the login to a server of his choice.
        """
        for field in ("username", "host", "port", "dbname"):
            if getattr(self, field) != getattr(other, field):
                raise IdentityChanged(
                    f"the versions of the secret disagree on {field}; "
                    'they must be equal: see "A pending version that can never finish" in docs/rotation.md'
                )

    def with_password_of(self, text: str) -> Credentials:
        """Return this login with the password of an older version, which may name the place that the database had.

        Raises SecretInvalid, or IdentityChanged for the password of another user.
        """
        fields = _object(text)
        older = replace(self, username=_text(fields, "username"), password=_text(fields, "password"))
        older.require_same_login(self)
        return older


def field(text: str, name: str) -> Any:
    """A field of a secret's text as it stands there; None without it. Raises SecretInvalid."""
    return _object(text).get(name)


def generate_password() -> str:
    """A password of 32 characters with at least one of each type, about 200 bits.

    Made here and not by GetRandomPassword: os.urandom is as good a source, and it saves a call and a permission.
    """
    alphabet = "".join(_ALPHABETS)
    while True:  # Drawing again, unlike placing one of each by hand, keeps every allowed password equally likely.
        password = "".join(secrets.choice(alphabet) for _ in range(PASSWORD_LENGTH))
        if all(set(password) & set(kind) for kind in _ALPHABETS):
            return password


def replace_password(text: str, password: str) -> str:
    """The same text with another password; every other byte stays as it was, unknown keys included."""
    _object(text)
    start, end = _span_of(text, "password")
    return text[:start] + json.dumps(password) + text[end:]


def replace_port(text: str, port: int) -> str:
    """The same text with another port, a number; every other byte stays as it was."""
    _object(text)
    start, end = _span_of(text, "port")
    return text[:start] + json.dumps(port) + text[end:]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None  # Raised below, outside: a JSONDecodeError carries the whole secret in its `doc`.
    if not isinstance(value, dict):
        raise SecretInvalid("the secret's value is not a JSON object: it needs username, password and host")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise SecretInvalid(f"the secret lacks {name}: it must be a text that is not empty")
    if "\0" in value:
        raise SecretInvalid(f"the secret's {name} contains a NUL character: PostgreSQL has no such names")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise SecretInvalid(f"the secret's {name} contains half a surrogate pair: it cannot be sent as UTF-8")
    return value


def _port(value: object) -> int:
    digits = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if re.fullmatch(r"[0-9]{1,5}", digits) and 1 <= int(digits) <= 65535:
        return int(digits)
    raise SecretInvalid("the secret's port is not a number from 1 to 65535")


def _span_of(text: str, name: str) -> tuple[int, int]:
    """Return the span of a top-level key's value in a JSON object's text; of a repeated key the last, as JSON reads."""
    decoder = json.JSONDecoder()
    span: tuple[int, int] | None = None
    position = _after_whitespace(text, text.index("{") + 1)
    while text[position] != "}":
        key, position = decoder.raw_decode(text, position)
        start = _after_whitespace(text, _after_whitespace(text, position) + len(":"))
        _, position = decoder.raw_decode(text, start)
        if key == name:
            span = (start, position)
        position = _after_whitespace(text, position)
        if text[position] == ",":
            position = _after_whitespace(text, position + 1)
    if span is None:
        raise SecretInvalid(f"the secret lacks {name}")
    return span


def _after_whitespace(text: str, position: int) -> int:
    match = _WHITESPACE.match(text, position)
    return match.end() if match else position
