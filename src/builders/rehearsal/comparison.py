"""Both sides of a migration compared row for row, by digests that each server makes of its own rows.

While the application writes, no moment is the same on both sides. So a row that differs is looked at again, until the
target has what the source had at an earlier look, or the time is up. Once nobody writes, whole tables are compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from builders.errors import DeployError

PAUSE_SECONDS = 0.25

# Both servers write values as text, which depends on these settings and on nothing else of a session.
_SAME_TEXT = (
    "-c TimeZone=UTC -c DateStyle=ISO,YMD -c IntervalStyle=iso_8601 -c extra_float_digits=1 -c bytea_output=hex"
)

# Partitions and other tables with rows of their own; what DMS itself keeps is no row of the application's.
_TABLES = """
SELECT nspname, relname, coalesce(
    (SELECT array_agg(attname::text ORDER BY array_position(indkey::int2[], attnum)) FROM pg_catalog.pg_index
     JOIN pg_catalog.pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey::int2[])
     WHERE indrelid = pg_class.oid AND indisprimary), '{}')
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = ANY(%s) AND relkind = 'r' AND relname NOT LIKE 'awsdms\\_%%'
ORDER BY nspname, relname
"""

# A sum needs no order, in which the servers may differ. Sixty bits of a row each.
_WHOLE = "SELECT count(*), coalesce(sum(('x' || left(md5((t.*)::text), 15))::bit(60)::bigint), 0) FROM {} AS t"

Digests = dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table of the source, and the columns of its primary key."""

    schema: str
    name: str
    key: tuple[str, ...]

    def __str__(self) -> str:
        """Return the name as people write it."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> sql.Identifier:
        """The name as SQL has it."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class Whole:
    """A whole table on both sides: rows and digests."""

    table: Table
    source: tuple[int, str]
    target: tuple[int, str]

    @property
    def agrees(self) -> bool:
        """The same number of rows, with the same digest."""
        return self.source == self.target


@dataclass(frozen=True)
class RowByRow:
    """A table whose rows were compared while it was written to: how many, and how many were looked at again."""

    table: Table
    rows: int
    again: int
    differing: Sequence[str]
    """The keys of rows that still differed when the time was up."""


class Comparison:
    """Sessions on both sides."""

    def __init__(self, source: psycopg.Connection[Any], target: psycopg.Connection[Any], schemas: Sequence[str]):
        self._source, self._target = source, target
        found = source.execute(_TABLES, (list(schemas),)).fetchall()
        self.tables = [Table(schema, name, tuple(key)) for schema, name, key in found]

    def counts(self) -> tuple[int, int]:
        """The rows of all tables in the source, and in the target."""
        source, target = (
            sum(self._count(side, table) for table in self.tables) for side in (self._source, self._target)
        )
        return source, target

    def whole(self) -> list[Whole]:
        """Compare whole tables as they are."""
        return [
            Whole(table, self._whole(self._source, table), self._whole(self._target, table)) for table in self.tables
        ]

    def until_equal(self, seconds: float) -> list[Whole]:
        """Compare whole tables again until all agree, or the time is up. Nobody may write meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.whole()
            if all(each.agrees for each in found) or time.monotonic() > deadline:
                return found
            time.sleep(PAUSE_SECONDS)

    def row_by_row(self, seconds: float) -> list[RowByRow]:
        """Compare the rows of tables that have a key, those that differ again until they agree, or the time is up."""
        return [self._rows_of(table, seconds) for table in self.tables if table.key]

    def _rows_of(self, table: Table, seconds: float) -> RowByRow:
        source, target = self._digests(self._source, table), self._digests(self._target, table)
        rows = len(source.keys() | target.keys())
        seen = {key: {source.get(key)} for key in source.keys() | target.keys() if source.get(key) != target.get(key)}
        again, deadline = len(seen), time.monotonic() + seconds
        while seen and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)
            now = self._digests(self._target, table, list(seen))
            # The target may be ahead of the look before, but not of the source.
            source = self._digests(self._source, table, list(seen))
            for key in list(seen):
                seen[key].add(source.get(key))
                if now.get(key) in seen[key]:
                    del seen[key]
        return RowByRow(table, rows, again, sorted(seen))

    @staticmethod
    def _digests(side: psycopg.Connection[Any], table: Table, keys: Sequence[str] | None = None) -> Digests:
        """{key: digest} of a table, or of some of its rows."""
        key = sql.SQL("ROW({})::text").format(
            sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in table.key)
        )
        query = sql.SQL("SELECT {}, md5((t.*)::text) FROM {} AS t").format(key, table.sql)
        if keys is None:
            return dict(side.execute(query).fetchall())
        return dict(side.execute(query + sql.SQL(" WHERE {} = ANY(%s)").format(key), (list(keys),)).fetchall())

    @staticmethod
    def _count(side: psycopg.Connection[Any], table: Table) -> int:
        row = side.execute(sql.SQL("SELECT count(*) FROM {}").format(table.sql)).fetchone()
        return int(row[0]) if row else 0

    @staticmethod
    def _whole(side: psycopg.Connection[Any], table: Table) -> tuple[int, str]:
        row = side.execute(sql.SQL(_WHOLE).format(table.sql)).fetchone()
        assert row is not None
        return int(row[0]), f"{int(row[1]) % 2**64:016x}"


@contextmanager
def comparison(source_url: str, target_url: str, schemas: Sequence[str]) -> Iterator[Comparison]:
    """Connect to both sides. Raises `DeployError` where one refuses, also within the context."""
    try:
        with (
            psycopg.connect(source_url, autocommit=True, options=_SAME_TEXT) as source,
            psycopg.connect(target_url, autocommit=True, options=_SAME_TEXT) as target,
        ):
            yield Comparison(source, target, schemas)
    except psycopg.Error as error:
        raise DeployError(f"the comparison ended: {str(error).strip()}") from error


def lost(target_url: str, expected: Mapping[int, tuple[str, int] | None]) -> list[int]:
    """Return the payments of the sample that the target does not hold as the application was told."""
    query = "SELECT id, status, revision FROM payments.payments WHERE id = ANY(%s)"
    with psycopg.connect(target_url) as target:
        found = {row[0]: (row[1], row[2]) for row in target.execute(query, (list(expected),))}
    return [payment for payment, state in expected.items() if found.get(payment) != state]
