"""SCRAM-SHA-256 verifiers, so that the clear password never travels to the server.

A server that receives `SCRAM-SHA-256$...` in ALTER ROLE stores it as it stands (PostgreSQL, "ALTER ROLE"; RFC 5802
and RFC 7677 for the keys). Whatever logs statements then logs the verifier, which logs nobody in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stringprep
import unicodedata

# PostgreSQL's own default (scram_iterations). The passwords made here carry 200 bits, so more would only slow logins.
ITERATIONS = 4096
SALT_BYTES = 16

_PROHIBITED = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """The text that PostgreSQL keeps in pg_authid.rolpassword for this password."""
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode("ascii") for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def prepared(password: str) -> bytes:
    """The password as PostgreSQL hashes it: SASLprep (RFC 4013), or the raw bytes where SASLprep forbids it.

    PostgreSQL differs from the RFC, and both sides must agree (src/common/saslprep.c): plain ASCII passes untouched,
    control characters included; U+200B counts as a space although the RFC also maps it to nothing; prohibited and
    two-way characters are looked for before the normalization.
    """
    if password.isascii():
        return password.encode("ascii")
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if stringprep.in_table_c12(character) or not stringprep.in_table_b1(character)
    )
    if not mapped or _is_prohibited(mapped):
        return password.encode("utf-8")
    return unicodedata.normalize("NFKC", mapped).encode("utf-8")


def _is_prohibited(mapped: str) -> bool:
    if any(in_table(character) for character in mapped for in_table in _PROHIBITED):
        return True
    right_to_left = [stringprep.in_table_d1(character) for character in mapped]
    if not any(right_to_left):
        return False
    mixed = any(stringprep.in_table_d2(character) for character in mapped)
    return mixed or not right_to_left[0] or not right_to_left[-1]
