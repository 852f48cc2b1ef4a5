"""What the database's settings keep out of its log, asked of a real PostgreSQL."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pg8000.native
import pytest

from builders.cloud.rds.postgres import Certificate, Server, choose
from builders.layers.database import SERVER_SETTINGS

CARD = "4111111111111111"
PASSWORD = "S3cretPassword"

MISTAKES = (
    f"INSERT INTO cards VALUES ('{CARD}')",
    f"ALTER ROLE nobody_of_that_name PASSWORD '{PASSWORD}'",
    f"ALTER ROLE owner PASWORD '{PASSWORD}'",
)
"""A collision with a row that is there, a role that is not, and a slip of the hand."""


@pytest.fixture
def log_of_mistakes() -> Callable[[Mapping[str, str]], str]:
    """Starts a PostgreSQL with some settings, makes every mistake in it, and returns its log."""

    def read(settings: Mapping[str, str]) -> str:
        # Not under pytest's own directory: nobody but its owner may enter that, and PostgreSQL runs as another user.
        server = Server(choose(), Path(tempfile.mkdtemp()), Certificate("", ""), dict(settings))
        server.initialise()
        server.tls = False  # talked to through its socket alone
        server.start()
        try:
            server.administer("CREATE TABLE cards (number text PRIMARY KEY)", f"INSERT INTO cards VALUES ('{CARD}')")
            server.administer(f"CREATE ROLE owner PASSWORD '{PASSWORD}'")
            for mistake in MISTAKES:
                with contextlib.suppress(pg8000.native.DatabaseError):
                    server.administer(mistake)
            return server.log.read_text()
        finally:
            server.remove()

    return read


def test_the_log_tells_of_mistakes_without_the_password_or_the_card_number(
    log_of_mistakes: Callable[[Mapping[str, str]], str],
) -> None:
    # Names with a dot are RDS's own; PostgreSQL does not have them.
    log = log_of_mistakes({name: value for name, value in SERVER_SETTINGS.items() if "." not in name})
    assert "violates unique constraint" in log
    assert [secret for secret in (CARD, PASSWORD) if secret in log] == []


def test_postgresql_left_to_itself_would_log_both(log_of_mistakes: Callable[[Mapping[str, str]], str]) -> None:
    log = log_of_mistakes({})
    assert [secret for secret in (CARD, PASSWORD) if secret in log] == [CARD, PASSWORD]
