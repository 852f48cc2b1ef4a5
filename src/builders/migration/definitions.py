"""The tables of a database as values, read from PostgreSQL's catalogs by one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from builders.migration.databases import Database

BASE_TYPES = """
base_types AS (
  SELECT oid AS type, oid AS base, -1 AS typmod FROM pg_type WHERE typtype <> 'd'
  UNION ALL
  SELECT d.oid, b.base, greatest(d.typtypmod, b.typmod) FROM pg_type d JOIN base_types b ON b.type = d.typbasetype
  WHERE d.typtype = 'd'
)
"""
"""Query for WITH RECURSIVE: the type below a domain, and the modifier that the domains give it."""

LARGE = """
(b.typcategory = 'A' OR (b.typname = 'varchar' AND greatest(a.atttypmod, d.typmod) = -1)
  OR b.typname IN ('text', 'bytea', 'json', 'jsonb', 'xml', 'citext', 'hstore'))
"""
"""A column `a` of the type `b`, by the base type `d`, is a large value for DMS: text, and what is kept as text
(DMS user
guide, "Source data types for PostgreSQL")."""

_WITHOUT_EXTENSIONS = """
NOT EXISTS (SELECT FROM pg_depend made WHERE made.classid = '{catalog}'::regclass AND made.objid = {oid}
  AND made.deptype IN ({kinds}))
"""


def not_of_an_extension(catalog: str, oid: str) -> str:
    """The condition that an object was not made by an extension, nor a function or cast by a type of its own."""
    kinds = "'e', 'i'" if catalog in ("pg_proc", "pg_cast") else "'e'"
    return _WITHOUT_EXTENSIONS.format(catalog=catalog, oid=oid, kinds=kinds)


# Columns that later versions of PostgreSQL have added to pg_attribute are read as JSON. All tables' columns are read at
# once: a closed application waits for this.
_TABLES = f"""
WITH RECURSIVE {BASE_TYPES}, chosen AS (
  SELECT n.nspname, c.relname, c.oid, c.relkind, c.relispartition, c.reltuples
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND c.relname NOT LIKE 'awsdms\\_%%'
    AND c.relpersistence <> 't' AND {not_of_an_extension("pg_class", "c.oid")}
), columns AS (
  SELECT a.attrelid, jsonb_agg(jsonb_build_object(
    'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull,
    'inherited', a.attinhcount > 0, 'identity', a.attidentity,
    'generated', coalesce(to_jsonb(a)->>'attgenerated', ''),
    'large', {LARGE}
  ) ORDER BY a.attnum) AS found
  FROM pg_attribute a JOIN base_types d ON d.type = a.atttypid JOIN pg_type b ON b.oid = d.base
  WHERE a.attrelid IN (SELECT oid FROM chosen) AND a.attnum > 0 AND NOT a.attisdropped GROUP BY a.attrelid
)
SELECT c.nspname, c.relname, c.oid::int8, c.relkind::text, c.relispartition, greatest(c.reltuples, 0)::int8,
  coalesce((
    SELECT array_agg(k.attname::text ORDER BY array_position(i.indkey::int2[], k.attnum))
    FROM pg_index i JOIN pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = ANY (i.indkey::int2[])
    WHERE i.indrelid = c.oid AND i.indisprimary
      AND array_position(i.indkey::int2[], k.attnum) < i.indnkeyatts), '{{}}'),
  coalesce(columns.found, '[]')
FROM chosen c LEFT JOIN columns ON columns.attrelid = c.oid
ORDER BY c.nspname, c.relname
"""


def shown(*names: str) -> str:
    """The name of a table as people write it; quoted where a dot within would make it that of another one, too."""
    return ".".join(f'"{name}"' if "." in name else name for name in names)


@dataclass(frozen=True)
class Column:
    """A column. `large` is what DMS treats as a LOB; `identity` and `generated` are PostgreSQL's letters, or empty."""

    name: str
    type: str
    not_null: bool
    inherited: bool
    identity: str
    generated: str
    large: bool


@dataclass(frozen=True)
class Table:
    """A table or partitioned table. `key` are the columns of its primary key; `rows` is the planner's estimate."""

    schema: str
    name: str
    oid: int
    kind: str
    """`r` for a table, `p` for a partitioned one, which has no rows of its own."""
    is_partition: bool
    rows: int
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def __str__(self) -> str:
        """Return the name as people write it."""
        return shown(self.schema, self.name)

    @property
    def sql(self) -> sql.Identifier:
        """The name as SQL has it."""
        return sql.Identifier(self.schema, self.name)


def tables(database: Database, schemas: Sequence[str]) -> list[Table]:
    """The tables of some schemas, less what DMS and extensions keep for themselves. Raises `MigrationError`."""
    return [
        Table(schema, name, oid, kind, is_partition, rows, tuple(key), tuple(Column(**column) for column in columns))
        for schema, name, oid, kind, is_partition, rows, key, columns in database.run(_TABLES, (list(schemas),))
    ]
