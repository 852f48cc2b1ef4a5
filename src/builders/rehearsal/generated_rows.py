"""Rows for a schema that has none: made from the definitions alone, so that a dump of a schema can be rehearsed.

A value follows from its column's type and the number of its row: the same schema gets the same rows. Keys of other
tables are taken from the rows that these have got; a value that a check refuses is replaced by those that the check
itself names. A table that takes no row stays empty, and the reason is returned.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

_UNIQUE, _CHECK = "23505", "23514"
_TRIES_OF_A_ROW = 60
_TRIES_OF_A_TABLE = 20
"""Rows that may fail one after the other before a table is given up."""

# One row a column that needs a value: not generated, and without a default or an identity that gives one.
_TABLES = """
SELECT n.nspname, c.relname, c.oid::int8, jsonb_agg(jsonb_build_object(
    'name', a.attname, 'number', a.attnum, 'type', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull,
    'oid', a.atttypid::int8) ORDER BY a.attnum)
  FILTER (WHERE a.attnum IS NOT NULL)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = ''
  AND coalesce(to_jsonb(a)->>'attgenerated', '') = ''
  AND NOT EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum
                  AND pg_get_expr(d.adbin, d.adrelid) ~ '^(nextval|gen_random_uuid|uuid_generate)')
WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
GROUP BY 1, 2, 3 ORDER BY 1, 2
"""
_FOREIGN_KEYS = """
SELECT conrelid::int8, confrelid::int8, conkey::int[], ARRAY(
    SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS k (number, place)
    JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place)
FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
"""
# The bounds of partitions are checks of the columns that choose the partition.
_CHECKS = """
SELECT pg_get_constraintdef(oid), conkey::int[] FROM pg_constraint WHERE contype = 'c' AND conrelid = %(table)s
UNION ALL
SELECT pg_get_expr(part.relpartbound, part.oid), parent.partattrs::int2[]::int[]
FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid JOIN pg_partitioned_table parent ON partrelid = inhparent
WHERE inhparent = %(table)s
"""
_TYPES = """
WITH RECURSIVE base AS (
  SELECT oid, oid AS below FROM pg_type
  UNION ALL SELECT base.oid, t.typbasetype FROM base JOIN pg_type t ON t.oid = base.below WHERE t.typbasetype <> 0
)
SELECT base.oid::int8, b.typname, b.typtype::text, b.typcategory::text, nullif(b.typelem, 0)::int8,
  ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = b.oid ORDER BY enumsortorder),
  ARRAY(SELECT rngsubtype::int8 FROM pg_range WHERE rngtypid = b.oid),
  ARRAY(SELECT atttypid::int8 FROM pg_attribute WHERE attrelid = b.typrelid AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum),
  ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid = base.oid)
FROM base JOIN pg_type b ON b.oid = base.below WHERE b.typbasetype = 0
"""


@dataclass(frozen=True)
class Generated:
    """A table that rows were made for: how many it got, and why no more."""

    table: str
    rows: int
    reason: str = ""


@dataclass(frozen=True)
class _Type:
    """A type as its values need it: that below a domain, and the parts of what is composed."""

    name: str
    kind: str
    category: str
    element: int | None
    labels: Sequence[str]
    subtype: Sequence[int]
    members: Sequence[int]
    checks: Sequence[str]


@dataclass(frozen=True)
class _Column:
    name: str
    number: int
    type: str
    not_null: bool
    oid: int


@dataclass(frozen=True)
class _Reference:
    """A foreign key: the numbers of its columns, and the table and columns that it refers to."""

    target: int
    columns: Sequence[int]
    referenced: Sequence[str]


@dataclass(frozen=True)
class _Table:
    schema: str
    name: str
    oid: int
    columns: Sequence[_Column]
    references: Sequence[_Reference]

    @property
    def sql(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


def generate(session: psycopg.Connection[Any], schemas: Sequence[str], rows: int) -> list[Generated]:
    """Make `rows` rows in each table that is empty, referenced tables first; the session is a superuser's."""
    types = {oid: _Type(*more) for oid, *more in session.execute(_TYPES)}
    tables = _in_order(_read(session, schemas))
    by_oid = {table.oid: table for table in tables}
    with session.transaction():
        return [
            _Filling(session, table, types, by_oid).fill(rows)
            for table in tables
            if not session.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(table.sql)).fetchall()
        ]


def _read(session: psycopg.Connection[Any], schemas: Sequence[str]) -> list[_Table]:
    references: dict[int, list[_Reference]] = {}
    for table, target, columns, referenced in session.execute(_FOREIGN_KEYS):
        references.setdefault(table, []).append(_Reference(target, columns, referenced))
    return [
        _Table(schema, name, oid, [_Column(**column) for column in columns or []], references.get(oid, []))
        for schema, name, oid, columns in session.execute(_TABLES, (list(schemas),))
    ]


def _in_order(tables: Sequence[_Table]) -> list[_Table]:
    """Order tables behind those that they refer to; of a circle the first by name comes first."""
    ordered: list[_Table] = []
    left = list(tables)
    while left:
        waiting = {table.oid for table in left}
        ready = [t for t in left if not any(r.target in waiting - {t.oid} for r in t.references)] or left[:1]
        ordered += ready
        left = [table for table in left if table not in ready]
    return ordered


class _Filling:
    """One table, and how its rows are made."""

    def __init__(
        self,
        session: psycopg.Connection[Any],
        table: _Table,
        types: Mapping[int, _Type],
        tables: Mapping[int, _Table],
    ) -> None:
        self._session, self._table, self._types = session, table, types
        self._keys = [(each, self._referenced(each, tables)) for each in table.references]
        self._checks = session.execute(_CHECKS, {"table": table.oid}).fetchall()

    def fill(self, rows: int) -> Generated:
        name = f"{self._table.schema}.{self._table.name}"
        made, failed, reason = 0, 0, ""
        for number in itertools.count(1):
            if made == rows or failed == _TRIES_OF_A_TABLE:
                break
            said = self._insert(number)
            made, failed, reason = (made, failed + 1, said) if said else (made + 1, 0, reason)
        return Generated(name, made, reason if made < rows else "")

    def _insert(self, number: int) -> str:
        """Insert a row; return PostgreSQL's reason where it is refused, whatever is tried."""
        values = {column.number: self._value(column, number) for column in self._table.columns}
        said = ""
        for _, changes in zip(range(_TRIES_OF_A_ROW), self._variants(values, number), strict=False):
            refused = self._try({**values, **changes})
            if refused is None:
                return ""
            said = " ".join(str(refused.diag.message_primary or refused).split())
            if refused.sqlstate not in (_CHECK, _UNIQUE):
                break
        return said

    def _try(self, values: Mapping[int, str | None]) -> psycopg.Error | None:
        columns = self._table.columns
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
        casts = sql.SQL(", ").join(sql.SQL("%s::" + column.type) for column in columns)
        into = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(self._table.sql, names, casts)
        if not columns:
            into = sql.SQL("INSERT INTO {} DEFAULT VALUES").format(self._table.sql)
        try:
            with self._session.transaction():
                self._session.execute(into, [values[column.number] for column in columns])
        except psycopg.Error as error:
            return error
        return None

    def _variants(self, values: Mapping[int, str | None], number: int) -> Iterator[dict[int, str | None]]:
        """Yield changes of a row to be tried: none, then values that the checks name, then none of what may be NULL."""
        keys = self._of_references(number)
        yield keys
        named = {number: self._named_by_checks(number) for number in values if number not in keys}
        with_choice = {number: found for number, found in named.items() if found}
        rotated = [
            [found[(number + turn) % len(found)] for turn in range(len(found))] for found in with_choice.values()
        ]
        for chosen in itertools.product(*rotated) if rotated else ():
            yield keys | dict(zip(with_choice, chosen, strict=True))
        yield keys | {c.number: None for c in self._table.columns if not c.not_null and c.number not in keys}

    def _of_references(self, number: int) -> dict[int, str | None]:
        """Take the keys of other tables, one after the other; NULL where these have no rows yet."""
        found: dict[int, str | None] = {}
        for reference, keys in self._keys:
            key = keys[(number - 1) % len(keys)] if keys else [None] * len(reference.columns)
            found |= dict(zip(reference.columns, key, strict=True))
        return {
            number: value for number, value in found.items() if any(number == c.number for c in self._table.columns)
        }

    def _referenced(self, reference: _Reference, tables: Mapping[int, _Table]) -> list[list[str]]:
        target = tables.get(reference.target)
        if target is None or target.oid == self._table.oid:
            return []
        names = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in reference.referenced)
        query = sql.SQL("SELECT {} FROM {} LIMIT 100000").format(names, target.sql)
        return [list(row) for row in self._session.execute(query)]

    def _named_by_checks(self, number: int) -> list[str]:
        """Return the literals in the checks of a column, and numbers beside those that they compare with."""
        texts = [text for text, numbers in self._checks if number in numbers]
        column = next(column for column in self._table.columns if column.number == number)
        texts += self._types[column.oid].checks
        found: list[str] = []
        for text in texts:
            found += [literal.replace("''", "'") for literal in re.findall(r"'((?:[^']|'')*)'", text)]
            for figure in re.findall(r"(?<![\w'.])-?\d+(?:\.\d+)?(?![\w'])", text):
                found += [figure, str(int(float(figure)) + 1), str(int(float(figure)) - 1)]
        return list(dict.fromkeys(found))

    def _value(self, column: _Column, number: int) -> str | None:
        limit = re.search(r"\((\d+)(?:,\s*(\d+))?\)", column.type)
        sizes = tuple(int(size) for size in limit.groups() if size) if limit else ()
        value = _text(self._types[column.oid], self._types, f"{column.name} {number}", number, sizes)
        # A part of what may be NULL is.
        return None if not column.not_null and number % 7 == 3 else value


_DAY = "2024-01-01"
_BY_NAME: Mapping[str, Callable[[int], str]] = {
    "bool": lambda n: str(n % 2 == 0),
    "int2": lambda n: str(n % 32768),
    "int4": str,
    "int8": str,
    "oid": str,
    "float4": lambda n: str(n * 0.5),
    "float8": lambda n: str(n / 7),
    "money": lambda n: f"{n}.25",
    "uuid": lambda n: f"00000000-0000-4000-8000-{n:012x}",
    "bytea": lambda n: f"\\x{n:08x}",
    "date": lambda n: f"{2000 + n // 336 % 60}-{1 + n // 28 % 12:02}-{1 + n % 28:02}",
    "timestamp": lambda n: f"{_DAY} {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.{n % 1000000:06}",
    "timestamptz": lambda n: f"{_DAY} {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}.{n % 1000000:06}+00",
    "time": lambda n: f"{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}",
    "timetz": lambda n: f"{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}+00",
    "interval": lambda n: f"{n} seconds",
    "json": lambda n: f'{{"row": {n}}}',
    "jsonb": lambda n: f'{{"row": {n}}}',
    "xml": lambda n: f"<row>{n}</row>",
    "inet": lambda n: f"10.{n // 65536 % 256}.{n // 256 % 256}.{n % 256}",
    "cidr": lambda n: f"10.{n // 65536 % 256}.{n // 256 % 256}.{n % 256}/32",
    "macaddr": lambda n: f"02:00:00:{n // 65536 % 256:02x}:{n // 256 % 256:02x}:{n % 256:02x}",
    "macaddr8": lambda n: f"02:00:00:00:00:{n // 65536 % 256:02x}:{n // 256 % 256:02x}:{n % 256:02x}",
    "tsvector": lambda n: f"row{n}",
    "tsquery": lambda n: f"row{n}",
    "point": lambda n: f"({n},{n})",
    "line": lambda n: f"{{1,1,{n}}}",
    "lseg": lambda n: f"[({n},0),({n},1)]",
    "box": lambda n: f"({n},1),({n - 1},0)",
    "path": lambda n: f"[({n},0),({n},1)]",
    "polygon": lambda n: f"(({n},0),({n},1),({n + 1},1))",
    "circle": lambda n: f"<({n},{n}),1>",
    "pg_lsn": lambda n: f"0/{n:X}",
    "hstore": lambda n: f"row=>{n}",
    "ltree": lambda n: f"row.n{n}",
}


def _text(kind: _Type, types: Mapping[int, _Type], words: str, number: int, sizes: tuple[int, ...]) -> str | None:  # noqa: PLR0911  one a kind of type
    """Return a value of a type as text; None for a type that is not known."""
    if kind.kind == "e":
        return kind.labels[number % len(kind.labels)] if kind.labels else None
    if kind.kind == "r":
        low, high = (_text(types[kind.subtype[0]], types, words, number * 2 + more, ()) for more in (0, 1))
        return f'["{low}","{high}")'
    if kind.kind == "c":
        members = [_text(types[member], types, words, number, ()) for member in kind.members]
        return "(" + ",".join('"' + (member or "").replace('"', '""') + '"' for member in members) + ")"
    if kind.category == "A" and kind.element:
        element = _text(types[kind.element], types, words, number, sizes)
        return None if element is None else '{"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"}'
    if kind.name == "numeric":
        precision, scale = (*sizes, 0)[:2] if sizes else (18, 2)
        return f"{number % 10 ** max(precision - scale, 0)}{'.' + '5'.ljust(scale, '0') if scale else ''}"
    if kind.name in ("bit", "varbit"):
        width = sizes[0] if sizes else 1
        return f"{number % 2**width:0{width}b}"
    if kind.name in ("text", "varchar", "bpchar", "name", "citext", "char"):
        width = sizes[0] if sizes else 1 if kind.name == "char" else 60
        return words if len(words) <= width else str(number)[-width:]
    made = _BY_NAME.get(kind.name)
    return made(number) if made else None
