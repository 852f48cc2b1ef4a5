"""The tables that a task carries: columns, keys, and how DMS takes each type.

Sources: DMS user guide, "Using a PostgreSQL database as an AWS DMS source": "Source data types for PostgreSQL",
"Migrating from PostgreSQL to PostgreSQL using AWS DMS" (which types do not migrate) and "Limitations".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from builders.cloud.dms.endpoints import Endpoint
from builders.cloud.dms.mappings import Mappings
from builders.cloud.dms.settings import TaskSettings
from builders.logical_decoding import Name

KIBIBYTE = 1024
DEFAULT_VARCHAR_BYTES = 8000
"""unboundedVarcharMaxSize where the endpoint says nothing."""
LIKE_TEXT = ("text", "json", "jsonb", "xml", "bytea", "hstore")
NOT_CARRIED = ("inet", "macaddr", "macaddr8", "tsvector", "tsquery", "line", "lseg", "box", "path", "circle", "oid",
               "pg_lsn", "txid_snapshot", "pg_snapshot")  # fmt: skip
NOT_CARRIED_KINDS = {"e": "an enumeration", "c": "a composite type", "r": "a range", "m": "a multirange"}

_COLUMNS = """
SELECT n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.relreplident::text, a.attname,
       format_type(a.atttypid, a.atttypmod) AS type, t.typname, coalesce(b.typtype, t.typtype)::text AS kind,
       t.typcategory::text AS category, coalesce(b.typname, t.typname) AS base, a.atttypmod, t.typtypmod,
       a.attgenerated::text, a.attidentity::text, a.attnotnull,
       coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0)
           AS position, c.relrowsecurity, c.oid::int8
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
ORDER BY n.nspname, c.relname, a.attnum
"""
_FINITE = (
    "CASE {0} WHEN 'infinity' THEN '9999-12-31 23:59:59' WHEN '-infinity' THEN '4713-01-01 00:00:00 BC' ELSE {0} END"
)
_SIZE = "SELECT pg_catalog.pg_table_size(%s::oid)"
_INTERNAL = ("awsdms_ddl_audit", "awsdms_heartbeat")


@dataclass(frozen=True)
class Column:
    """A column that is carried; `target` is its name there."""

    name: str
    target: str
    type: str
    key: int = 0
    """Its place in the primary key, from 1 on; 0 where it is not in it."""
    lob: bool = False
    limit: int | None = None
    """Bytes that are carried at most."""
    as_numeric: bool = False
    """Travels as numeric(28,6)."""
    bits: bool = False
    not_null: bool = False


@dataclass
class Table:
    """A table, and what becomes of it."""

    name: Name
    target: Name
    columns: list[Column]
    warnings: list[str] = field(default_factory=list)
    order: int = 0
    inline: int = 0
    """Bytes up to which a large value travels within its row in the load; beyond, and in CDC, it follows its row."""
    full_lob: bool = False
    refused: str = ""
    """Reason why the table is suspended from the start."""
    rows: int = 0
    size: int = 0

    @property
    def key(self) -> list[Column]:
        """The columns of the primary key, in its order."""
        return sorted((column for column in self.columns if column.key), key=lambda column: column.key)

    @property
    def lobs(self) -> list[Column]:
        """The columns of large values."""
        return [column for column in self.columns if column.lob]

    @property
    def plain(self) -> list[Column]:
        """All other columns."""
        return [column for column in self.columns if not column.lob]

    @property
    def source_sql(self) -> sql.Composable:
        """The table's name in the source."""
        return sql.Identifier(*self.name)

    @property
    def target_sql(self) -> sql.Composable:
        """The table's name in the target."""
        return sql.Identifier(*self.target)

    def __str__(self) -> str:
        """Return the name as messages have it."""
        return ".".join(self.name)


def read(
    session: psycopg.Connection[Any], mappings: Mappings, settings: TaskSettings, source: Endpoint, target: Endpoint
) -> dict[Name, Table]:
    """Return the tables of the source that the mappings select, those first that are loaded first."""
    found: dict[Name, list[Mapping[str, Any]]] = {}
    with session.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        for row in cursor.execute(_COLUMNS):
            name = (row["nspname"], row["relname"])
            if mappings.selects(name) and name[1] not in _INTERNAL and not name[1].startswith("awsdms_"):
                found.setdefault(name, []).append(row)
    tables = [_table(name, rows, mappings, settings, source) for name, rows in found.items()]
    return {table.name: table for table in sorted(tables, key=lambda each: (-each.order, each.name))}


def _table(
    name: Name, rows: list[Mapping[str, Any]], mappings: Mappings, settings: TaskSettings, source: Endpoint
) -> Table:
    given = mappings.lob_settings(name)
    metadata = settings["TargetMetadata"]
    full = settings.full_lob_mode if given.mode is None else given.mode == "unlimited"
    carried = settings.carries_lobs and given.mode != "none"
    limit = given.bulk_max_size if given.mode == "limited" and given.bulk_max_size else metadata["LobMaxSize"]
    inline = given.bulk_max_size if given.mode == "unlimited" and given.bulk_max_size else metadata["InlineLobMaxSize"]
    table = Table(name, mappings.target(name), [], order=mappings.order(name), full_lob=full,
                  inline=int(inline) * KIBIBYTE)  # fmt: skip
    has_key = any(row["position"] for row in rows)
    for row in rows:
        renamed = mappings.column(name, row["attname"])
        if renamed is None:
            continue
        column = _column(row, renamed, source, None if full else int(limit) * KIBIBYTE)
        reason = _not_carried(row, column, has_key, carried)
        if reason:
            table.warnings.append(f"Column '{row['attname']}' of table '{table}' is not migrated: {reason}")
        else:
            table.columns.append(column)
    if not has_key:
        table.warnings.append(
            f"Table '{table}' has no primary key: UPDATE and DELETE are ignored, large values are not migrated"
        )
        arrays = [row["attname"] for row in rows if row["category"] == "A"]
        if arrays:
            table.refused = f"Table '{table}' has an array column ({', '.join(arrays)}) and no primary key"
    return table


def _column(row: Mapping[str, Any], target: str, source: Endpoint, lob_limit: int | None) -> Column:
    base = row["base"]
    unbounded = (row["atttypmod"] if row["typname"] == base else row["typtypmod"]) == -1
    long_text = base == "varchar" and unbounded
    lob = base in LIKE_TEXT or row["category"] == "A" or long_text
    limit = lob_limit if lob else None
    if long_text:
        own = source.number("unboundedVarcharMaxSize", DEFAULT_VARCHAR_BYTES)
        limit = own if limit is None else min(own, limit)
    return Column(
        row["attname"], target, row["type"], row["position"], lob and not row["position"], limit,
        base == "numeric" and unbounded and not source.flag("MapUnboundedNumericAsString"),
        base in ("bit", "varbit"), row["attnotnull"],
    )  # fmt: skip


def _not_carried(row: Mapping[str, Any], column: Column, has_key: bool, carried: bool) -> str:
    if row["kind"] in NOT_CARRIED_KINDS:
        return f"{column.type} is {NOT_CARRIED_KINDS[row['kind']]}, which DMS does not migrate"
    if row["base"] in NOT_CARRIED:
        return f"DMS does not migrate {column.type}"
    if column.lob and not carried:
        return "large values are not supported by the task's settings"
    return "a large value in a table without a primary key" if column.lob and not has_key else ""


def exact_select(table: Table) -> sql.Composable:
    """The SELECT of a table's rows as the load carries them."""
    values = [_loaded(column, table) for column in table.columns]
    return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(values), table.source_sql)


def _loaded(column: Column, table: Table) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.as_numeric:
        return sql.SQL("round({}, 6)").format(name)
    if column.type == "boolean":
        return sql.SQL("{}::text").format(name)
    if column.type.startswith("timestamp"):
        return sql.SQL(_FINITE).format(name)
    if not column.lob:
        return name
    value = cut(column, name)
    if not table.full_lob:
        return value
    return sql.SQL("CASE WHEN NOT ({}) THEN {} END").format(too_long(column, table.inline), value)


def too_long(column: Column, limit: int | None = None) -> sql.Composable:
    """The condition that a value is longer than the column's limit, or than another one, in bytes."""
    form = "octet_length({})" if column.type == "bytea" else "octet_length({}::text)"
    size = sql.SQL(form).format(sql.Identifier(column.name))
    return sql.SQL("{} > {}").format(size, sql.Literal(column.limit if limit is None else limit))


def cut(column: Column, value: sql.Composable) -> sql.Composable:
    """A value cut off at the column's limit."""
    if column.limit is None:
        return value
    if column.type == "bytea":
        return sql.SQL("substring({} FOR {})").format(value, sql.Literal(column.limit))
    return sql.SQL("left({}::text, {})").format(value, sql.Literal(column.limit))


def definitions(table: Table, booleans: bool) -> Iterator[sql.Composable]:
    """The columns and the key of a table that DMS makes itself; nothing else of its definition is carried."""
    for column in table.columns:
        kind = "numeric(28,6)" if column.as_numeric else column.type
        if column.type == "boolean" and not booleans:
            kind = "character varying(5)"
        yield sql.SQL("{} {}").format(sql.Identifier(column.target), sql.SQL(kind))
    if table.key:
        key = sql.SQL(", ").join(sql.Identifier(column.target) for column in table.key)
        yield sql.SQL("PRIMARY KEY ({})").format(key)
