"""Rows as both servers see them: digests that each server makes of its own rows, so that no row leaves it.

A row's digest is 64 bits of its text, which both servers write alike under the settings of our sessions. Digests are
summed, since a sum needs no order and, unlike an exclusive or, counts a row that is there twice. Two different rows
have the same digest once in 2**64 (1 in 18 million million million), and so do two different sets of rows the same
sum: the key is in the row's text, so values that only changed places do not cancel out. The digest is no signature: it
finds what a transport loses, and not what somebody constructs on purpose.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from psycopg import sql

from builders.errors import MigrationError
from builders.migration.databases import Database, sqlstate
from builders.migration.definitions import BASE_TYPES, Table

Key = tuple[str, ...]
"""The values of a row's primary key, as PostgreSQL writes them."""

HASH, FALLBACK_HASH, UTF8_HASH = "hashtextextended", "md5", "md5 of UTF-8"
KEYS_A_STATEMENT = 5_000

_SHORTEST_FLOATS = 120_000
"""Since PostgreSQL 12 a float is written so that it is read back exactly (release notes of 12)."""

# Texts of every length class of the hash, beyond ASCII too.
_PROBE = """SELECT array_agg(hashtextextended(text COLLATE "C", 0) ORDER BY length(text))
            FROM (SELECT repeat('stück 1 ', n) AS text FROM generate_series(0, 20) AS n) AS texts"""

# Hashes are made of a text's bytes in the encoding of its database. SQL_ASCII has no conversion, and no need of one:
# what the target has taken over from there is UTF-8.
_ENCODING = """SELECT replace(pg_encoding_to_char(encoding), 'SQL_ASCII', 'UTF8')
               FROM pg_database WHERE datname = current_database()"""

# Types whose order is one and the same on every server: no collation decides it.
_ORDERED = frozenset(
    {"int2", "int4", "int8", "oid", "numeric", "float4", "float8", "bool", "date", "time", "timestamp", "timestamptz",
     "uuid", "bytea"}
)  # fmt: skip

PLAIN_TYPE = """
CASE WHEN coalesce(e.typtype, b.typtype) NOT IN ('c', 'd', 'm', 'r') OR coalesce(e.oid, b.oid)::int8 < 16384
  THEN format_type(b.oid, greatest(a.atttypmod, d.typmod)) END
"""
"""The type of a column `a` that a text is cast to without code of the application, or NULL: a cast to a domain, or to
what may have one inside, calls its CHECKs. So it is that below a domain."""

WITH_TYPES = """
JOIN base_types d ON d.type = a.atttypid JOIN pg_type b ON b.oid = d.base
LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'
"""

_KEYS = f"""
WITH RECURSIVE {BASE_TYPES}
SELECT i.indrelid::int8, a.attname::text, {PLAIN_TYPE}, b.typname::text,
  (SELECT n.nspname::text FROM pg_opclass c
   JOIN pg_amop o ON o.amopfamily = c.opcfamily AND o.amopstrategy = 3
     AND o.amoplefttype = c.opcintype AND o.amoprighttype = c.opcintype
   JOIN pg_operator p ON p.oid = o.amopopr JOIN pg_namespace n ON n.oid = p.oprnamespace
   WHERE c.oid = i.indclass[k.position - 1]),
  coalesce((SELECT abs(s.correlation) FROM pg_stats s WHERE s.schemaname = ns.nspname AND s.tablename = r.relname
            AND s.attname = a.attname AND NOT s.inherited), 1)::float8
FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid JOIN pg_namespace ns ON ns.oid = r.relnamespace
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum {WITH_TYPES}
WHERE i.indisprimary AND k.position <= i.indnkeyatts AND i.indrelid = ANY (%s)
ORDER BY i.indrelid, k.position
"""

# What is not there, and a plan or a key of an earlier type (PostgreSQL manual, "PostgreSQL Error Codes").
_ALTERED = frozenset({"42703", "42P01", "42883", "0A000", "22P02", "42804"})

# Rows that a policy hides are an error, and not a table that seems to agree. A view in the place of a table would call
# the application's code (PostgreSQL, CVE-2024-7348).
_SETTINGS = """
SELECT count(set_config(name, {}, false)) FROM pg_settings JOIN (VALUES ('row_security', 'off'),
  ('restrict_nonsystem_relation_kind', 'view, foreign-table')) AS s (name, wanted) USING (name)
"""


@dataclass(frozen=True)
class KeyColumn:
    """A column of a primary key. `base` is the name of its type, below a domain."""

    name: str
    type: str | None
    """The type that a text is cast to (`PLAIN_TYPE`); None where it is compared as text."""
    base: str
    equality: str
    """The schema of its operator =, which is an extension's where its type is."""
    correlation: float
    """Correlation of the order of the rows on disk with this column: 0 is none, 1 is the same order."""


class Digest(NamedTuple):
    """A number of rows, and the sum of their digests."""

    rows: int = 0
    sum: int = 0

    def __str__(self) -> str:
        """Return the 64 bits that reports show."""
        return f"{self.sum % 2**64:016x}"

    def __add__(self, other: object) -> Digest:
        """Add the rows of another part of the table."""
        assert isinstance(other, Digest)
        return Digest(self.rows + other.rows, self.sum + other.sum)


@dataclass(frozen=True)
class Range:
    """The rows of a table after one key, up to and with another; None is the table's begin or end."""

    after: Key | None = None
    upto: Key | None = None


@dataclass(frozen=True)
class Buckets:
    """The rows of a table whose key's hash ends in some numbers; `count` is a power of two."""

    count: int
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Pages:
    """The rows of a table on some pages of 8 KiB of one server, where they lie now; `end` None is the table's end."""

    begin: int
    end: int | None


Part = Range | Buckets | Pages
WHOLE = Range()
_NO_SEED = sql.Literal(0)


@dataclass(frozen=True)
class Rows:
    """A table as it is compared: the columns that both sides have, its key, and the hash of its rows."""

    table: Table
    columns: tuple[str, ...]
    key: tuple[KeyColumn, ...]
    hash: str = HASH
    floats_as_bits: bool = False

    @property
    def has_ordered_key(self) -> bool:
        """Return whether both servers order the key alike."""
        return bool(self.key) and all(column.type and column.base in _ORDERED for column in self.key)

    def text(self, names: Iterable[str]) -> sql.Composed:
        """Some columns of a row `t` as one text."""
        values = sql.SQL(", ").join(map(self._value, names))
        return sql.SQL("ROW({})::text").format(values)

    @property
    def digest(self) -> sql.Composed:
        """The digest of a row `t` as a bigint."""
        return self._hashed(self.text(self.columns))

    def bucket(self, count: int) -> sql.Composed:
        """The bucket of a row `t`, by the hash of its key."""
        hashed: sql.Composable = _NO_SEED
        for column in self.key:
            # The hash of one column is the seed of the next.
            hashed = self._hashed(_written(column), hashed)
        return sql.SQL("({} & {})").format(hashed, sql.Literal(count - 1))

    def key_texts(self) -> sql.Composed:
        """The key of a row `t` as columns of text, as PostgreSQL writes them."""
        return sql.SQL(", ").join(map(_written, self.key))

    def column_digests(self) -> sql.Composed:
        """The digest of each column of a row `t`, as an array."""
        return sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(self._hashed(self.text([name])) for name in self.columns))

    def condition(self, part: Part) -> sql.Composable:
        """The condition that a row `t` is in a part of the table."""
        if isinstance(part, Buckets):
            numbers = sql.SQL(", ").join(map(sql.Literal, part.numbers))
            return sql.SQL("{} IN ({})").format(self.bucket(part.count), numbers)
        if isinstance(part, Pages):
            begin = sql.SQL("t.ctid >= {}::tid").format(sql.Literal(f"({part.begin},0)"))
            if part.end is None:
                return begin
            return sql.SQL("{} AND t.ctid < {}::tid").format(begin, sql.Literal(f"({part.end},0)"))
        own = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column.name)) for column in self.key)
        bounds = [
            sql.SQL("ROW({}) {} ROW({})").format(own, sql.SQL(operator), self._typed(bound))
            for operator, bound in ((">", part.after), ("<=", part.upto))
            if bound is not None
        ]
        return sql.SQL(" AND ").join(bounds) if bounds else sql.SQL("true")

    def order(self) -> sql.Composed:
        """The columns of the key of a row `t`, to order by."""
        return sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column.name)) for column in self.key)

    def _typed(self, key: Key) -> sql.Composed:
        return sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(value), _catalog(column.type or ""))
            for value, column in zip(key, self.key, strict=True)
        )

    def _value(self, name: str) -> sql.Composed:
        value = sql.SQL("t.{}").format(sql.Identifier(name))
        kind = next(column.type for column in self.table.columns if column.name == name)
        if kind == "bytea":  # half as long as its hexadecimal text, which a gigabyte would not hold
            return sql.SQL("md5({})").format(value)
        if self.floats_as_bits and kind in ("real", "double precision"):
            return sql.SQL("float8send({}::float8)").format(value)
        return value

    def _hashed(self, text: sql.Composable, seed: sql.Composable = _NO_SEED) -> sql.Composed:
        if self.hash == HASH:
            return sql.SQL('hashtextextended({} COLLATE "C", {})').format(text, seed)
        text = text if seed is _NO_SEED else sql.SQL("({} || {})").format(seed, text)
        if self.hash == UTF8_HASH:
            text = sql.SQL("convert_to({}, 'UTF8')").format(text)
        return sql.SQL("('x' || left(md5({}), 16))::bit(64)::bigint").format(text)


def _written(column: KeyColumn) -> sql.Composed:
    """A column of a row `t` as its type's output function writes it; a cast to text may be the application's code."""
    return sql.SQL("format('%s', t.{})").format(sql.Identifier(column.name))


def _catalog(text: str) -> sql.SQL:
    """Return text from the catalog, such as the name of a type, as SQL."""
    return sql.SQL(text)


def prepare(database: Database) -> None:
    """Give a session what it needs to read rows."""
    database.run(_SETTINGS.format("wanted"))


def restore(database: Database) -> None:
    """Take from a session what others than readers of rows must not have, such as who refreshes a view."""
    database.run(_SETTINGS.format("reset_val"))


def was_altered(error: MigrationError) -> bool:
    """Return whether a statement failed since a table or a column is not what it was when it was looked up."""
    return sqlstate(error) in _ALTERED


def choose_hash(source: Database, target: Database) -> str:
    """The quickest hash that both servers compute alike; PostgreSQL promises this for md5 alone, of the same bytes."""
    if source.value(_ENCODING) != target.value(_ENCODING):
        return UTF8_HASH
    return HASH if source.value(_PROBE) == target.value(_PROBE) else FALLBACK_HASH


def readable(
    source: Database, target: Database, pairs: Sequence[tuple[Table, Table]], left_out: Mapping[str, Collection[str]]
) -> list[Rows]:
    """Tables of the source, beside those of the target, as they are compared.

    Columns that both sides compute are theirs to compute; columns that the task's mapping leaves out, by table, and
    that the target lacks are no difference of a row.
    """
    found: dict[int, list[KeyColumn]] = {}
    for oid, *column in source.run(_KEYS, ([table.oid for table, _ in pairs],)):
        found.setdefault(oid, []).append(KeyColumn(*column))
    chosen, as_bits = choose_hash(source, target), min(source.version, target.version) < _SHORTEST_FLOATS
    made = []
    for table, other in pairs:
        there = {column.name: column for column in other.columns}
        columns = tuple(
            column.name
            for column in table.columns
            if column.name in there
            and not (column.generated and there[column.name].generated)
            and column.name not in left_out.get(str(table), ())
        )
        key = tuple(found.get(table.oid, ()))
        # A key that is left out or that the target has not names no row of the target.
        usable = key if {column.name for column in key} <= set(columns) and key_names(key) == other.key else ()
        made.append(Rows(table, columns, usable, chosen, as_bits))
    return made


def key_names(key: Sequence[KeyColumn]) -> tuple[str, ...]:
    """The names of a key's columns."""
    return tuple(column.name for column in key)


def digest(database: Database, rows: Rows, part: Part = WHOLE) -> Digest:
    """The rows of a part of a table, counted and summed. Raises `MigrationError`."""
    statement = sql.SQL("SELECT count(*), coalesce(sum({}), 0) FROM ONLY {} AS t WHERE {}").format(
        rows.digest, rows.table.sql, rows.condition(part)
    )
    ((count, total),) = database.run(statement)
    return Digest(count, int(total))


def bucket_digests(database: Database, rows: Rows, part: Part, buckets: int) -> dict[int, Digest]:
    """The rows of a part of a table by the hash of their key, each bucket counted and summed."""
    statement = sql.SQL("SELECT {}, count(*), sum({}) FROM ONLY {} AS t WHERE {} GROUP BY 1").format(
        rows.bucket(buckets), rows.digest, rows.table.sql, rows.condition(part)
    )
    # The planner takes the buckets for as many as there are keys, and would sort all rows.
    database.run("SET enable_sort = off")
    try:
        return {bucket: Digest(count, int(total)) for bucket, count, total in database.run(statement)}
    finally:
        with contextlib.suppress(MigrationError):  # a canceled statement's error is the one that is told
            database.run("RESET enable_sort")


def key_at(database: Database, rows: Rows, part: Range, number: int) -> Key | None:
    """The key of the row with a number, from 0, in a range; None where there are not so many."""
    statement = sql.SQL("SELECT {} FROM ONLY {} AS t WHERE {} ORDER BY {} OFFSET {} LIMIT 1").format(
        rows.key_texts(), rows.table.sql, rows.condition(part), rows.order(), sql.Literal(number)
    )
    found = database.run(statement)
    return found[0] if found else None


def digests_by_key(database: Database, rows: Rows, part: Part) -> dict[Key, int]:
    """The digest of each row in a part of a table, by its key."""
    statement = sql.SQL("SELECT {}, {} FROM ONLY {} AS t WHERE {}").format(
        rows.key_texts(), rows.digest, rows.table.sql, rows.condition(part)
    )
    return {row[:-1]: row[-1] for row in database.run(statement)}


def digests_of_keys(database: Database, rows: Rows, keys: Collection[Key]) -> dict[Key, int]:
    """The digest of each row that is there of some keys."""
    return dict(_of_keys(database, rows, keys, rows.digest))


def columns_of_keys(database: Database, rows: Rows, keys: Collection[Key]) -> dict[Key, list[int]]:
    """The digests of all columns of each row that is there of some keys."""
    return dict(_of_keys(database, rows, keys, rows.column_digests()))


def matching(rows: Rows, keys: Sequence[Key]) -> sql.Composed:
    """Return the FROM item of the rows `t` that have some keys, with the keys' numbers from 1 as `k.number`."""
    names = [sql.Identifier(f"k{index}") for index in range(len(rows.key))]
    arrays = [sql.SQL("{}::text[]").format(sql.Literal([key[index] for key in keys])) for index in range(len(rows.key))]
    equal = [
        sql.SQL("t.{} OPERATOR({}.=) k.{}::{}").format(
            sql.Identifier(column.name), sql.Identifier(column.equality), name, _catalog(column.type)
        ) if column.type else sql.SQL('{} COLLATE "C" = k.{}').format(_written(column), name)
        for column, name in zip(rows.key, names, strict=True)
    ]  # fmt: skip
    return sql.SQL("unnest({}) WITH ORDINALITY AS k ({}, number) {} ON {}").format(
        sql.SQL(", ").join(arrays), sql.SQL(", ").join(names), sql.SQL("JOIN ONLY {} AS t").format(rows.table.sql),
        sql.SQL(" AND ").join(equal),
    )  # fmt: skip


def batches(keys: Collection[Key], size: int = KEYS_A_STATEMENT) -> Iterator[list[Key]]:
    """Keys in as many as one statement takes."""
    ordered = list(keys)
    for begin in range(0, len(ordered), size):
        yield ordered[begin : begin + size]


def _of_keys(database: Database, rows: Rows, keys: Collection[Key], value: sql.Composable) -> Iterator[tuple[Key, Any]]:
    if not rows.key:
        raise MigrationError(f"{rows.table} has no primary key, by which a row could be found")
    for batch in batches(keys):
        statement = sql.SQL("SELECT k.number, {} FROM {}").format(value, matching(rows, batch))
        for number, found in database.run(statement):
            yield batch[number - 1], found


Kind = Literal["missing", "extra", "differs", "altered"]


@dataclass(frozen=True, order=True)
class Difference:
    """A row, or a whole table where `key` is None, that the target has not as the source has it."""

    table: str
    kind: Kind
    key: Key | None = None
    columns: tuple[str, ...] = ()
    """Columns that differ, where that was looked up."""

    def shown(self, *, hide_keys: bool = False) -> str:
        """The sentence of reports, without any value but the key's."""
        where = self.table if self.key is None else f"{self.table} ({'…' if hide_keys else ', '.join(self.key)})"
        columns = f" in {', '.join(self.columns)}" if self.columns else ""
        return f"{where} {_SAID[self.kind]}{columns}"


_SAID = {
    "missing": "is missing in the target",
    "extra": "is in the target alone",
    "differs": "differs",
    "altered": "was altered while it was compared",
}


def between(table: str, source: Mapping[Key, int], target: Mapping[Key, int]) -> dict[Key, Difference]:
    """The rows of two sides that are not the same, by their keys."""
    found = {}
    for key in {key for key, _digest in source.items() ^ target.items()}:
        kind: Kind = "missing" if key not in target else "extra" if key not in source else "differs"
        found[key] = Difference(table, kind, key)
    return found
