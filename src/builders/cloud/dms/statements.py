"""The SQL by which one change reaches the target, as DMS writes it.

A table without a primary key gets its INSERTs only; of a changed key nothing is carried; large values of a table in
full LOB mode are NULL in the INSERT and follow in an UPDATE (DMS user guide, "Using a PostgreSQL database as an AWS DMS
source", "Limitations"; re:Post, "How do I resolve the null value in column violates not-null constraint error").
"""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from psycopg import sql

from builders.cloud.dms.tables import Column, Table
from builders.logical_decoding import UNCHANGED, Change, Delete, Insert, Row, Update, Value

_EXACT = decimal.Context(prec=60, rounding=decimal.ROUND_HALF_UP)
_MILLIONTH = decimal.Decimal("0.000001")
FOREVER = {"infinity": "9999-12-31 23:59:59", "-infinity": "4713-01-01 00:00:00 BC"}
"""The values that infinite timestamps become ("Migrating from PostgreSQL to PostgreSQL using AWS DMS")."""


class Kind(Enum):
    """The kind of a statement; LOB is the UPDATE that brings the large values after their row."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    LOB = "lob"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, its values, and the change that it is part of."""

    kind: Kind
    table: Table
    query: bytes
    values: tuple[str | None, ...]
    truncated: bool = False


class Ignored(Exception):
    """DMS does nothing for this change; the message says why."""


class Writer:
    """Writes the statements of changes; each form of statement is written once."""

    def __init__(self) -> None:
        self._queries: dict[tuple[object, ...], bytes] = {}

    def statements(self, table: Table, change: Change) -> list[Statement]:
        """Return the statements of one change. Raises `Ignored`."""
        if isinstance(change, Insert):
            return list(self._insert(table, change.row))
        if not table.key:
            raise Ignored(f"Table '{table}' has no primary key: an UPDATE or a DELETE is ignored")
        if isinstance(change, Update):
            return list(self._update(table, change))
        assert isinstance(change, Delete)
        key = _key(table, change.old or {})
        return [Statement(Kind.DELETE, table, self._query(Kind.DELETE, table, ()), key)]

    def _insert(self, table: Table, row: Row) -> Iterator[Statement]:
        late = [column for column in table.lobs if table.full_lob and row.get(column.name) is not None]
        values, truncated = [], False
        columns = [column for column in table.columns if row.get(column.name) is not UNCHANGED]
        for column in columns:
            value, cut_off = carried(column, row.get(column.name))
            values.append(None if column.lob and table.full_lob else value)
            truncated = truncated or cut_off
        yield Statement(Kind.INSERT, table, self._query(Kind.INSERT, table, columns), tuple(values), truncated)
        if late:
            yield self._change(Kind.LOB, table, row, late)

    def _update(self, table: Table, change: Update) -> Iterator[Statement]:
        key, old = _key(table, change.row), change.old or {}
        if any(old.get(column.name, value) != value for column, value in zip(table.key, key, strict=True)):
            raise Ignored(f"Table '{table}': the change of a primary key is ignored")
        given = [
            column
            for column in table.columns
            if not column.key and change.row.get(column.name, UNCHANGED) is not UNCHANGED
        ]
        late = [column for column in given if column.lob and table.full_lob]
        first = [column for column in given if column not in late] if late else given
        if first or not late:
            yield self._change(Kind.UPDATE, table, change.row, first or table.key)
        if late:
            yield self._change(Kind.LOB if first else Kind.UPDATE, table, change.row, late)

    def _change(self, kind: Kind, table: Table, row: Row, columns: Sequence[Column]) -> Statement:
        values = [carried(column, row.get(column.name)) for column in columns]
        query = self._query(kind, table, columns)
        whole = (*(value for value, _ in values), *_key(table, row))
        return Statement(kind, table, query, whole, any(cut_off for _, cut_off in values))

    def _query(self, kind: Kind, table: Table, columns: Sequence[Column]) -> bytes:
        form = (kind, table.name, *(column.name for column in columns))
        if form not in self._queries:
            self._queries[form] = _written(kind, table, columns).as_bytes(None)
        return self._queries[form]

    def insert_or_update(self, table: Table, row: Row) -> list[Statement]:
        """Return the statements that bring a whole row, of which the target may have another form."""
        return list(self._update(table, Update(table.name, row)))

    def insert(self, table: Table, row: Row) -> list[Statement]:
        """Return the statements of a new row."""
        return list(self._insert(table, row))


def _written(kind: Kind, table: Table, columns: Sequence[Column]) -> sql.Composed:
    names = [_identifier(column.target) for column in columns]
    into = _identifier(*table.target)
    if kind is Kind.INSERT:
        return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            into, sql.SQL(", ").join(names), sql.SQL(", ").join([sql.Placeholder()] * len(names))
        )
    where = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(_identifier(column.target)) for column in table.key)
    if kind is Kind.DELETE:
        return sql.SQL("DELETE FROM {} WHERE {}").format(into, where)
    assigned = sql.SQL(", ").join(sql.SQL("{} = %s").format(name) for name in names)
    return sql.SQL("UPDATE {} SET {} WHERE {}").format(into, assigned, where)


def _identifier(*names: str) -> sql.Identifier:
    """A name in a statement with values, in which a per cent sign is written twice."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


def _key(table: Table, row: Row) -> tuple[str, ...]:
    """The values of the primary key. Raises `Ignored` where the source did not send them."""
    values = [row.get(column.name) for column in table.key]
    if not all(isinstance(value, str) for value in values):
        raise Ignored(f"Table '{table}': a change without the values of the primary key is ignored")
    return tuple(str(value) for value in values)


def carried(column: Column, value: Value) -> tuple[str | None, bool]:
    """Return a value as DMS carries it, and whether that cut it off."""
    if value is None or value is UNCHANGED:
        return None, False
    assert isinstance(value, str)
    if column.as_numeric and value not in ("NaN", "Infinity", "-Infinity"):
        return f"{decimal.Decimal(value).quantize(_MILLIONTH, context=_EXACT):f}", False
    if value in FOREVER and column.type.startswith("timestamp"):
        return FOREVER[value], False
    limit = column.limit
    if limit is None:
        return value, False
    if column.type == "bytea":
        limit = 2 + 2 * limit
    return value[:limit], len(value) > limit
