"""Definition of a hazard: a kind of finding, with the query that finds it, what happens, and the remedy.

A hazard is data. Its query selects a row for each object that it finds, in the source, whose columns fill the texts.
So the number of statements is that of the hazards, and not of the tables; and the page of all findings is written from
the same data.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from builders.migration.definitions import BASE_TYPES, LARGE, not_of_an_extension

Row = Mapping[str, Any]
Text = str | Callable[[Row], str]
"""A text with the row's columns in braces, or a function of the row."""


class Severity(enum.Enum):
    """Severity of a finding. The first two block the cut-over until the finding is resolved, excluded or accepted."""

    BLOCKS = "blocks"
    """The load, the changes or the restore of definitions fail."""
    LOSES = "loses"
    """Rows, values or objects do not arrive, or not as they were."""
    STEP = "step"
    """A step of `migrate-database` takes care of it."""
    NOTE = "note"
    """Worth knowing; nothing has to be done."""

    @property
    def is_open(self) -> bool:
        """The finding has to be fixed, excluded or accepted."""
        return self in (Severity.BLOCKS, Severity.LOSES)


@dataclass(frozen=True)
class Hazard:
    """A kind of finding. Its id is stable: acceptances name it.

    The query's first column is `object`, as SQL writes it; the columns `severity` and `remedy` replace the hazard's
    own for a row.
    """

    id: str
    severity: Severity
    title: str
    happens: Text
    remedy: Text
    source: str = ""
    """The page that says so."""
    query: str = ""
    """Empty where no single query finds it."""
    since: int = 0
    """The server's version from which on the query runs."""
    until: int = 999999
    """The version from which on it finds nothing any more, and is left out."""
    reads: str = ""
    """A table of the catalogs that not everybody may read; without the right the query is left out."""


@dataclass(frozen=True)
class HazardFinding:
    """One object with one hazard."""

    id: str
    severity: Severity
    object: str
    happens: str
    remedy: str
    is_accepted: bool = False

    @property
    def name(self) -> str:
        """The name by which it is accepted."""
        return f"{self.id}:{self.object}"

    @property
    def is_open(self) -> bool:
        """Somebody has to fix, exclude or accept it."""
        return self.severity.is_open and not self.is_accepted

    def as_data(self) -> dict[str, Any]:
        """Return the form of --json."""
        return {"id": self.id, "severity": self.severity.value, "object": self.object, "happens": self.happens,
                "remedy": self.remedy, "accepted": self.is_accepted}  # fmt: skip


def finding(hazard: Hazard, row: Row) -> HazardFinding:
    """The finding of a row."""
    return HazardFinding(
        id=hazard.id,
        severity=Severity(row["severity"]) if row.get("severity") else hazard.severity,
        object=str(row["object"]),
        happens=_filled(hazard.happens, row),
        remedy=str(row["remedy"]) if row.get("remedy") else _filled(hazard.remedy, row),
    )


def _filled(text: Text, row: Row) -> str:
    return text.format_map(row) if isinstance(text, str) else text(row)


USED_HERE = """
EXISTS (SELECT FROM pg_shdepend u WHERE u.refclassid = 'pg_authid'::regclass AND u.refobjid = r.oid
  AND u.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
"""The condition that a role `r` owns something in this database, or has a right on it."""

IS_EXCLUDED = """
EXISTS (SELECT FROM unnest(%(excluded_schemas)s::text[], %(excluded_tables)s::text[]) AS x (s, t)
  WHERE n.nspname ~ x.s AND c.relname ~ x.t)
"""
"""The condition that a rule leaves out the relation `c` of the schema `n`."""

CHOSEN = f"""
WITH RECURSIVE {BASE_TYPES}, own_tables AS (
  SELECT c.oid, n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name, c.relkind,
    c.relpersistence, c.relreplident, c.relowner, c.reltoastrelid, c.relispartition, c.relrowsecurity,
    c.relforcerowsecurity, c.reltablespace, c.relam, c.relnatts, c.reloftype,
    {IS_EXCLUDED} AS is_excluded
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
    AND c.relname NOT LIKE 'awsdms\\_%%' AND {not_of_an_extension("pg_class", "c.oid")}
), chosen AS (
  SELECT * FROM own_tables WHERE NOT is_excluded
), keys AS (
  SELECT i.indrelid, (string_to_array(i.indkey::text, ' ')::int2[])[1:i.indnkeyatts] AS numbers FROM pg_index i
  WHERE i.indisprimary AND i.indrelid IN (SELECT oid FROM chosen)
), own_columns AS (
  SELECT t.oid AS table_oid, t.name AS table_name, t.nspname, t.relname, t.relkind, t.relpersistence, a.attnum,
    a.attname, quote_ident(a.attname) AS column_name, t.name || '.' || quote_ident(a.attname) AS name,
    format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.attidentity, a.attinhcount, a.attcollation,
    {{GENERATED}} AS generated, a.atttypid,
    b.oid AS base, b.typname AS base_name, b.typtype AS base_kind, b.typcategory AS category, b.typelem AS element,
    greatest(a.atttypmod, d.typmod) AS typmod, {LARGE} AS large,
    coalesce(a.attnum = ANY (k.numbers), false) AS in_key, k.indrelid IS NOT NULL AS has_key,
    EXISTS (SELECT FROM unnest(%(removed_schemas)s::text[], %(removed_tables)s::text[], %(removed_columns)s::text[])
      AS x (s, t, c) WHERE t.nspname ~ x.s AND t.relname ~ x.t AND a.attname ~ x.c) AS is_removed
  FROM chosen t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN base_types d ON d.type = a.atttypid JOIN pg_type b ON b.oid = d.base
  LEFT JOIN keys k ON k.indrelid = t.oid
), carried AS (
  SELECT * FROM own_columns WHERE NOT is_removed
)
"""
"""Begins every query: `chosen` are the tables that the task carries, `carried` their columns. What is not used is not
computed. Parameters: the schemas, and the patterns of the rules that exclude tables and remove columns, as regular
expressions."""


def prelude(version: int) -> str:
    """Return what a query begins with, for a version of the server: generated columns are new in PostgreSQL 12."""
    return CHOSEN.replace("{GENERATED}", "a.attgenerated::text" if version >= 120000 else "''")


def statement(hazards: Iterable[Hazard], version: int) -> str:
    """One statement for many hazards, so that tables and columns are put together once.

    A row is the hazard's id and one JSON value, by which the query's columns keep their names.
    """
    parts = (f"SELECT '{each.id}', to_jsonb(found) FROM ({each.query}) AS found" for each in hazards)
    return f"{prelude(version)} {' UNION ALL '.join(parts)}"
