"""Secrets that the database's settings keep out of its log, tried on a real PostgreSQL."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

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


ROTATION = f"ALTER ROLE SESSION_USER PASSWORD '{PASSWORD}'"
ROTATED = "AUDIT: SESSION,1,1,ROLE,ALTER ROLE,,,ALTER ROLE SESSION_USER PASSWORD <REDACTED>,<not logged>"
"""How a rotation changes the password, and what pgaudit writes of it."""

SESSIONS = (
    (ROTATION,),
    (f"ALTER ROLE owner PASSWORD '{PASSWORD}'", "GRANT SELECT ON cards TO owner", "ALTER TABLE cards ADD bank text"),
    ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO owner",),
    (f"{ROTATION}; ALTER ROLE owner CREATEROLE",),
    (f"ALTER ROLE owner CREATEDB; {ROTATION}",),
    (f"GRANT INSERT ON cards TO owner -- {ROTATED}",),
    (f"ALTER ROLE owner LOGIN /* {ROTATED} */",),
)
"""Statements that change roles and definitions, by session; the last four look like a rotation's in part."""


@contextlib.contextmanager
def running(settings: Mapping[str, str]) -> Iterator[Server]:
    """A PostgreSQL with some settings, with a table of cards and its owner."""
    # Not under pytest's own directory: nobody but its owner may enter that, and PostgreSQL runs as another user.
    server = Server(choose(), Path(tempfile.mkdtemp()), Certificate("", ""), dict(settings))
    server.initialise()
    server.tls = False  # talked to through its socket alone
    server.start()
    try:
        server.administer("CREATE TABLE cards (number text PRIMARY KEY)", f"INSERT INTO cards VALUES ('{CARD}')")
        server.administer(f"CREATE ROLE owner PASSWORD '{PASSWORD}'")
        yield server
    finally:
        server.remove()


def log_of_mistakes(settings: Mapping[str, str]) -> str:
    with running(settings) as server:
        for mistake in MISTAKES:
            with contextlib.suppress(pg8000.native.DatabaseError):
                server.administer(mistake)
        return server.log.read_text()


def of_postgresql(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings without RDS's own, which PostgreSQL does not have."""
    return {name: value for name, value in settings.items() if not name.startswith("rds.")}


def test_the_log_tells_of_mistakes_without_the_password_or_the_card_number() -> None:
    log = log_of_mistakes(of_postgresql(SERVER_SETTINGS))
    assert "violates unique constraint" in log
    assert [secret for secret in (CARD, PASSWORD) if secret in log] == []


def test_postgresql_left_to_itself_would_log_both() -> None:
    log = log_of_mistakes({})
    assert [secret for secret in (CARD, PASSWORD) if secret in log] == [CARD, PASSWORD]


def test_a_server_without_a_library_starts_and_names_what_it_lacks() -> None:
    with running({"shared_preload_libraries": "pg_stat_statements,no_such_library", "no_such_library.on": "1"}) as one:
        assert one.lacking == ["no_such_library"]


# What pgaudit writes. Debian's package postgresql-15-pgaudit has it; other servers skip the first of these tests, and
# the lines that it gave stand below for the second.

AUDITED = {
    ROTATED: False,
    "AUDIT: SESSION,1,1,ROLE,ALTER ROLE,,,ALTER ROLE owner PASSWORD <REDACTED>,<not logged>": True,
    "AUDIT: SESSION,2,1,ROLE,GRANT,,,GRANT SELECT ON cards TO owner,<not logged>": True,
    "AUDIT: SESSION,3,1,DDL,ALTER TABLE,,,ALTER TABLE cards ADD bank text,<not logged>": True,
    f"AUDIT: SESSION,1,1,ROLE,ALTER DEFAULT PRIVILEGES,,,{SESSIONS[2][0]},<not logged>": True,
    ROTATED.replace("1,1", "2,1"): True,
    ROTATED.replace("ALTER ROLE S", "ALTER ROLE owner CREATEDB; ALTER ROLE S"): True,
    f'AUDIT: SESSION,1,1,ROLE,GRANT,,,"{SESSIONS[5][0]}",<not logged>': True,
    f'AUDIT: SESSION,1,1,ROLE,ALTER ROLE,,,"{SESSIONS[6][0].partition(",<")[0]}",<not logged>': True,
}
"""Each line of the log, and whether it counts as a change: a rotation's does not."""


def test_pgaudit_logs_changes_of_roles_and_definitions_without_passwords() -> None:
    with running(of_postgresql(SERVER_SETTINGS)) as server:
        if "pgaudit" in server.lacking:
            pytest.skip("the PostgreSQL of this machine has no pgaudit")
        for statements in SESSIONS:
            server.administer(*statements)
        server.administer(f"SELECT '{CARD}'")
        log = server.log.read_text()
    assert [line for line in AUDITED if line not in log] == []
    assert [secret for secret in (CARD, PASSWORD) if secret in log] == []


def test_a_change_is_counted_and_a_rotation_is_not(template: Callable[[str], dict[str, Any]]) -> None:
    filters = [each for each in template("database")["Resources"].values() if each["Type"] == "AWS::Logs::MetricFilter"]
    patterns = [each["Properties"]["FilterPattern"] for each in filters]
    assert {line: any(matches(pattern, line) for pattern in patterns) for line in AUDITED} == AUDITED


def matches(pattern: str, line: str) -> bool:
    """A pattern of quoted terms: all of them in the line, none that a minus stands before, one of those after a "?"."""
    terms = re.findall(r'([-?]?)"([^"]*)"', pattern)
    assert " ".join(f'{sign}"{term}"' for sign, term in terms) == pattern
    if any(sign == "?" for sign, _ in terms):
        assert all(sign == "?" for sign, _ in terms)  # beside other terms CloudWatch does not look at these
        return any(term in line for _, term in terms)
    return all((term in line) is not (sign == "-") for sign, term in terms)
