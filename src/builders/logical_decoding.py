"""Parses the text of PostgreSQL's plug-in test_decoding, by which DMS and `migrate-database` read a database's changes.

    BEGIN 742
    table public."order": INSERT: id[integer]:1 note[text]:'it''s' tags[text[]]:null
    table public."order": UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 note[text]:unchanged-toast-datum
    table public."order": DELETE: (no-tuple-data)
    table public."order", public.line: TRUNCATE: restart_seqs cascade
    COMMIT 742 (at 2026-01-31 10:00:00.123456+00)

Source: PostgreSQL manual, "test_decoding"; the text's grammar is that of contrib/test_decoding in PostgreSQL 15 to 18,
held against a server by tests/test_logical_decoding.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Unchanged(Enum):
    """The value of a column that an UPDATE did not touch and that lies outside of the row (TOAST)."""

    TOAST = "unchanged-toast-datum"


UNCHANGED: Final = Unchanged.TOAST
Value = str | None | Unchanged
Row = Mapping[str, Value]
Name = tuple[str, str]
"""Schema and table."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction begins."""

    transaction: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction is over; `at` is when it was, as the server writes it, where it was asked to."""

    transaction: int
    at: str = ""


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row."""

    table: Name
    row: Row


@dataclass(frozen=True, slots=True)
class Update:
    """A changed row; `old` is its replica identity before, where that has changed or is FULL."""

    table: Name
    row: Row
    old: Row | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """A row that is gone, by its replica identity; None where the table has none."""

    table: Name
    old: Row | None


@dataclass(frozen=True, slots=True)
class Truncate:
    """Emptied tables."""

    tables: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is not a change of a row: from pg_logical_emit_message, or a prepared transaction."""

    text: str


Change = Insert | Update | Delete | Truncate
Event = Begin | Commit | Change | Message

_IDENTIFIER = r'"(?:[^"]|"")*"|[^\s".:,\[\]]+'
_TABLE = re.compile(rf"({_IDENTIFIER})\.({_IDENTIFIER})")
_COLUMN = re.compile(
    rf" ({_IDENTIFIER})"  # its name
    r'\[((?:"(?:[^"]|"")*"|[^"\[\]]|\[\])*)\]:'  # its type, which may end in [] and have a quoted name
    r"(?:'([^']*(?:''[^']*)*)'|B'([01]*)'|([^'\s]+))",  # its value: quoted, bits, or a bare word
)
_BEGIN, _COMMIT = re.compile(r"BEGIN(?: (\d+))?$"), re.compile(r"COMMIT(?: (\d+))?(?: \(at (.*)\))?$")
_NO_DATA = " (no-tuple-data)"
_OLD, _NEW = " old-key:", " new-tuple:"


class Malformed(ValueError):
    """The text is none that test_decoding writes."""


def parse(text: str) -> Event:
    """Parse one line of the plug-in; "line" as it is called, though values may hold line breaks.

    Raises `Malformed`.
    """
    if text.startswith("table "):
        return _change(text)
    if match := _BEGIN.match(text):
        return Begin(int(match[1] or 0))
    if match := _COMMIT.match(text):
        return Commit(int(match[1] or 0), match[2] or "")
    if text.startswith(("message:", "PREPARE TRANSACTION ", "COMMIT PREPARED ", "ROLLBACK PREPARED ")):
        return Message(text)
    raise Malformed(f"not a line of test_decoding: {text[:80]!r}")


def _change(text: str) -> Change:
    tables, position = _tables(text)
    table = tables[0]
    if text.startswith(": INSERT:", position):
        row, _ = _row(text, position + 9)
        return Insert(table, row or {})
    if text.startswith(": UPDATE:", position):
        return _update(table, text, position + 9)
    if text.startswith(": DELETE:", position):
        old, _ = _row(text, position + 9)
        return Delete(table, old)
    if text.startswith(": TRUNCATE:", position):
        return Truncate(tuple(tables))
    raise Malformed(f"an unknown change: {text[:80]!r}")


def _tables(text: str) -> tuple[list[Name], int]:
    """The tables that a line is about, and where what happened to them begins."""
    position, found = len("table "), []
    while match := _TABLE.match(text, position):
        found.append((_unquoted(match[1]), _unquoted(match[2])))
        position = match.end()
        if not text.startswith(", ", position):
            return found, position
        position += 2
    raise Malformed(f"no name of a table: {text[:80]!r}")


def _update(table: Name, text: str, position: int) -> Update:
    old: Row | None = None
    if text.startswith(_OLD, position):
        old, position = _row(text, position + len(_OLD), ends_with=_NEW)
        position += len(_NEW)
    row, _ = _row(text, position)
    return Update(table, row or {}, old)


def _row(text: str, position: int, ends_with: str = "") -> tuple[dict[str, Value] | None, int]:
    """The columns from a position on, up to the end or to `ends_with`; and where they end."""
    if text.startswith(_NO_DATA, position):
        return None, position + len(_NO_DATA)
    row: dict[str, Value] = {}
    match = _COLUMN.match
    while found := match(text, position):
        name, _, quoted, bits, bare = found.groups()
        if quoted is not None:
            value: Value = quoted.replace("''", "'") if "'" in quoted else quoted
        elif bits is not None:
            value = bits
        elif bare == "null":
            value = None
        else:
            value = UNCHANGED if bare == UNCHANGED.value else bare
        row[_unquoted(name) if name[0] == '"' else name] = value
        position = found.end()
    if not (text.startswith(ends_with, position) if ends_with else position == len(text)):
        raise Malformed(f"no column at {position}: {text[position : position + 80]!r}")
    return row, position


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name[0] == '"' else name
