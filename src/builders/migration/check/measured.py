"""What reading the tables themselves tells: the largest values, numbers with too many digits, infinite times.

One statement for each table that has such columns, since it reads the whole table; only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import sql

from builders.migration.check.columns import HAZARDS as OF_COLUMNS
from builders.migration.check.hazards import Finding, Hazard, Severity, finding, prelude
from builders.migration.check.sizes import size_text
from builders.migration.check.table_rules import limit_large_values
from builders.migration.databases import Database

DIGITS = 28
"""Digits of a number without precision that changes keep."""
NOT_A_NUMBER = 9999
"""Stands for the digits of NaN and infinity: more than a number can have."""
VARCHAR_BYTES = 10 << 20
"""unboundedVarcharMaxSize of the layer's endpoint."""
LIMIT_KIB = 102400
"""The largest bulk-max-size that the remedy offers: above it a value of its own query is better."""

LARGEST = Hazard(
    "largest-value", Severity.NOTE, "The largest value of a column",
    "the largest value has {size}: in the faster mode DMS reads it into memory of {memory} KiB", "{how}",
    'DMS user guide, "Working with LOB source data types for PostgreSQL"',
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
SELECT table_name, nspname, relname, attname, name, column_name, type, base_name, typmod, large
FROM carried WHERE relkind = 'r' AND generated = ''
  AND (large OR (base_name = 'numeric' AND typmod = -1) OR base_name IN ('date', 'timestamp', 'timestamptz',
  'float4', 'float8'))
ORDER BY table_name, attnum
"""


def measure(source: Database, parameters: Mapping[str, Any], found: Sequence[Finding]) -> list[Finding]:
    """Read the tables, and return the findings with what the values themselves show."""
    of_tables: dict[tuple[str, str], list[dict[str, Any]]] = {}
    names = (
        "table_name",
        "nspname",
        "relname",
        "attname",
        "object",
        "column_name",
        "type",
        "base_name",
        "typmod",
        "large",
    )
    for row in source.run(prelude(source.version) + _COLUMNS, parameters):
        column = dict(zip(names, row, strict=True))
        of_tables.setdefault((column["nspname"], column["relname"]), []).append(column)
    values: dict[str, int] = {}
    for (schema, table), columns in of_tables.items():
        query = sql.SQL("SELECT {} FROM ONLY {}").format(
            sql.SQL(", ").join(_asked(column) for column in columns), sql.Identifier(schema, table)
        )
        (row,) = source.run(query)
        values |= {column["object"]: int(value or 0) for column, value in zip(columns, row, strict=True)}
    every = [column for columns in of_tables.values() for column in columns]
    return [_with_digits(each, values) for each in found if each.id not in _ODD] + _more(every, values)


def _asked(column: Mapping[str, Any]) -> sql.Composable:
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


def _with_digits(each: Finding, values: Mapping[str, int]) -> Finding:
    """A number without precision is worth a note once its values are known to fit."""
    digits = values.get(each.object)
    if each.id != "numeric-unbounded" or digits is None:
        return each
    if digits > DIGITS:
        said = "NaN or infinity" if digits == 9999 else f"up to {digits} digits"
        return replace(each, happens=f"{each.happens}; its values have {said}")
    return replace(
        each, severity=Severity.NOTE, happens=f"its values have at most {digits} digits now; changes keep 28"
    )


def _more(columns: Sequence[Mapping[str, Any]], values: Mapping[str, int]) -> list[Finding]:
    found: list[Finding] = []
    for column in columns:
        value = values[column["object"]]
        if column["base_name"] in _TIMES and value:
            found.append(finding(_ODD["infinite-time"], column))
        if (column["base_name"] in _FLOATS and value) or (column["base_name"] == "numeric" and value == NOT_A_NUMBER):
            found.append(finding(_ODD["odd-number"], column))
        if not column["large"] or not value:
            continue
        memory = 3 * value // 1024 + 1
        row = {**column, "size": size_text(value), "memory": memory, "most": size_text(VARCHAR_BYTES)}
        if column["base_name"] == "varchar" and value > VARCHAR_BYTES:
            found.append(finding(TOO_LONG, row))
        rule = limit_large_values(column["nspname"], column["relname"], memory)
        row["how"] = f"TableRules: {rule}" if memory <= LIMIT_KIB else "leave it to full LOB mode"
        found.append(finding(LARGEST, row))
    return found
