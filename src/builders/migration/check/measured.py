"""Findings from reading the tables themselves: the largest values, numbers with too many digits, infinite times.

Tables are read as a whole: all of them where it is asked for, else the small ones, many by one statement.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from builders.migration.check.columns import HAZARDS as OF_COLUMNS
from builders.migration.check.hazards import Hazard, HazardFinding, Severity, finding, prelude
from builders.migration.check.sizes import size_text
from builders.migration.check.table_rules import limit_large_values
from builders.migration.databases import Database

SMALL_BYTES = 64 << 20
"""Largest table that is read without being asked for: read in a second or so, and most of a cache."""
AT_ONCE = 100

DIGITS = 28
"""Digits of a number without precision that changes keep."""
NOT_A_NUMBER = 9999
"""Stands for the digits of NaN and infinity: more than a number can have."""
VARCHAR_BYTES = 10 << 20
"""unboundedVarcharMaxSize of the layer's endpoint."""
INLINE_BYTES = 32 << 10
"""InlineLobMaxSize of the layer's task: up to it a value is loaded with its row."""
LIMIT_KIB = 102400
"""The largest bulk-max-size that the remedy offers: above it a value of its own query is better."""

LARGEST = Hazard(
    "largest-value", Severity.NOTE, "A column has values above 32 KiB",
    "the largest value has {size}: each above 32 KiB is loaded by a query of its own; in the faster mode DMS reads it "
    "into memory of {memory} KiB",
    "{how}", 'DMS user guide, "Working with LOB source data types for PostgreSQL"',
)  # fmt: skip
TOO_LONG = Hazard(
    "varchar-too-long", Severity.LOSES, "A varchar without a length has a value above 10 MiB",
    "the largest has {size}, and DMS takes {most} (unboundedVarcharMaxSize)",
    "ALTER TABLE {table_name} ALTER COLUMN {column_name} TYPE text;",
    'DMS user guide, "Using a PostgreSQL database as an AWS DMS source", UnboundedVarcharMaxSize',
)  # fmt: skip
HAZARDS: Sequence[Hazard] = (LARGEST, TOO_LONG)

_TIMES, _FLOATS = ("date", "timestamp", "timestamptz"), ("float4", "float8")
_ODD = {hazard.id: hazard for hazard in OF_COLUMNS if hazard.id in ("infinite-time", "odd-number")}

_COLUMNS = """
SELECT to_jsonb(found) FROM (
  SELECT table_oid::int8 AS oid, table_name, nspname, relname, attname, name AS object, column_name, type, base_name,
    base_kind, large, pg_table_size(table_oid) AS size
  FROM carried WHERE relkind = 'r' AND generated = ''
    AND (large OR (base_name = 'numeric' AND typmod = -1)
      OR base_name IN ('date', 'timestamp', 'timestamptz', 'float4', 'float8'))
    AND has_table_privilege(table_oid, 'SELECT') AND has_schema_privilege(nspname, 'USAGE')
  ORDER BY size, table_oid, attnum
) AS found
"""

Column = Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """The findings with what the values show, and the largest values as findings of their own."""

    findings: list[HazardFinding]
    unread: int
    """Tables that were too large to be read without being asked for."""


def measure(
    source: Database, parameters: Mapping[str, Any], found: Sequence[HazardFinding], *, every: bool
) -> Measured:
    """Read tables: every one, or the small ones."""
    columns: list[Column] = [row for (row,) in source.run(prelude(source.version) + _COLUMNS, parameters)]
    tables = [list(group) for _, group in itertools.groupby(columns, key=lambda column: column["oid"])]
    chosen = tables if every else list(_small(tables))
    values: dict[str, int | None] = {}
    for start in range(0, len(chosen), AT_ONCE):
        some = chosen[start : start + AT_ONCE]
        statement = sql.SQL(" UNION ALL ").join(_read(number, table) for number, table in enumerate(some))
        for number, answers in source.run(statement):
            values |= {column["object"]: value for column, value in zip(some[number], answers, strict=True)}
    kept = [_judged(each, values) for each in found if each.id not in _ODD or each.object not in values]
    read = [column for table in chosen for column in table]
    return Measured(kept + list(_more(read, values)), len(tables) - len(chosen))


def _small(tables: Sequence[list[Column]]) -> Iterator[list[Column]]:
    """The smallest tables, as many as have the size together."""
    total = 0
    for table in tables:
        total += table[0]["size"]
        if total > SMALL_BYTES:
            return
        yield table


def _read(number: int, columns: Sequence[Column]) -> sql.Composable:
    first = columns[0]
    return sql.SQL("SELECT {}, jsonb_build_array({}) FROM ONLY {}").format(
        number,
        sql.SQL(", ").join(_asked(column) for column in columns),
        sql.Identifier(first["nspname"], first["relname"]),
    )


def _asked(column: Column) -> sql.Composable:
    """The aggregate that is asked of a column."""
    if column["large"]:
        # A text is measured as it travels: compressed or not, the octets of its text.
        form = "max(octet_length({}))" if column["base_name"] == "bytea" else "max(octet_length({}::text))"
    elif column["base_name"] == "numeric":
        # Digits, or more than there can be for NaN and infinity, whose text has none.
        digits = f"coalesce(nullif(length(regexp_replace(abs({{0}})::text, '[^0-9]', '', 'g')), 0), {NOT_A_NUMBER})"
        form = f"max(CASE WHEN {{0}} IS NOT NULL THEN {digits} END)"
    elif column["base_name"] in _FLOATS:
        form = "count(*) FILTER (WHERE {0} IN ('NaN', 'Infinity', '-Infinity'))"
    else:
        form = "count(*) FILTER (WHERE NOT isfinite({0}) OR {0} < '0001-01-01' OR {0} >= '10000-01-01')"
    return sql.SQL(form).format(sql.Identifier(column["attname"]))


def _judged(each: HazardFinding, values: Mapping[str, int | None]) -> HazardFinding:
    """A finding with what the values show. A column without values shows nothing."""
    value = values.get(each.object)
    if value is None:
        return each
    if each.id == "large-not-null":
        return replace(each, happens=f"{each.happens}; the largest value has {size_text(value)}")
    if each.id != "numeric-unbounded":
        return each
    if value > DIGITS:
        said = "NaN or infinity" if value == NOT_A_NUMBER else f"up to {value} digits"
        return replace(each, happens=f"{each.happens}; its values have {said}")
    return replace(each, severity=Severity.NOTE, happens=f"its values have at most {value} digits now; changes keep 28")


def _more(columns: Sequence[Column], values: Mapping[str, int | None]) -> Iterator[HazardFinding]:
    for column in columns:
        value = values[column["object"]] or 0
        if column["base_name"] in _TIMES and value:
            yield finding(_ODD["infinite-time"], column)
        if (column["base_name"] in _FLOATS and value) or (column["base_name"] == "numeric" and value == NOT_A_NUMBER):
            yield finding(_ODD["odd-number"], column)
        if not column["large"] or value <= INLINE_BYTES:
            continue
        memory = 3 * value // 1024 + 1
        row = {**column, "size": size_text(value), "memory": memory, "most": size_text(VARCHAR_BYTES)}
        if column["base_name"] == "varchar" and value > VARCHAR_BYTES:
            yield finding(TOO_LONG, row)
        rule = limit_large_values(column["nspname"], column["relname"], memory)
        row["how"] = f"TableRules: {rule}" if memory <= LIMIT_KIB else "leave it to full LOB mode"
        yield finding(LARGEST, row)
