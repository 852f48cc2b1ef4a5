"""The database on premises: the sample of this package, or one that somebody's own file makes.

A file is run by psql as a superuser, once the role `app` is there. All that the file made is then given to that role,
as if its own migrations had made it. `ferry_source` gets the rights of DMS and `migrate-database`, and `ferry_fallback`
those of DMS on the way back; neither is a superuser.
"""

from __future__ import annotations

import importlib.resources
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from builders.cloud.rds.on_premises import APPLICATION, FALLBACK_USER, REPLICATION_USER, SUPERUSER, OnPremises
from builders.errors import UsageError
from builders.layers._migration.choices import MOST_SCHEMAS, schema_name
from builders.migration import rights
from builders.migration.check import table_rules as table_rules_of
from builders.migration.schema import programs
from builders.rehearsal import generated_rows
from builders.text import counted_noun

SAMPLE = Path(str(importlib.resources.files(__package__).joinpath("payments.sql")))
"""Customers, payments, receipts, and the audit that a trigger writes, all in the schema `payments`."""

# All that has an owner and may be given to a role that is no superuser; extensions and their members are not among it.
# A sequence of a column goes with its table.
_NOT_GIVEN_YET = """
SELECT CASE thing.type WHEN 'statistics object' THEN 'STATISTICS' ELSE upper(thing.type) END, thing.identity
FROM pg_catalog.pg_shdepend AS owned, pg_catalog.pg_identify_object(owned.classid, owned.objid, 0) AS thing
WHERE owned.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND owned.deptype = 'o' AND owned.refobjid <> %s::regrole AND thing.type = ANY(%s)
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend AS other
      WHERE other.classid = owned.classid AND other.objid = owned.objid
        AND (other.deptype = 'e' OR (thing.type = 'sequence' AND other.refobjsubid > 0))
  )
"""
_GIVEN = ["schema", "table", "foreign table", "view", "materialized view", "sequence", "type", "function", "procedure",
          "aggregate", "operator", "operator class", "operator family", "collation", "conversion", "statistics object",
          "text search configuration", "text search dictionary", "large object"]  # fmt: skip

# PostgreSQL's own schema `public` counts where the file has put something into it. A schema with nothing in it but
# members of extensions belongs to them.
_SCHEMAS = """
WITH thing AS (
    SELECT 'pg_class'::regclass AS class, oid, relnamespace AS schema FROM pg_catalog.pg_class
    UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace FROM pg_catalog.pg_type WHERE typtype <> 'c' AND typelem = 0
    UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_catalog.pg_proc
), held AS (
    SELECT schema, bool_or(member.objid IS NULL) AS by_file
    FROM thing LEFT JOIN pg_catalog.pg_depend AS member
        ON member.classid = thing.class AND member.objid = thing.oid AND member.deptype = 'e'
    GROUP BY schema
)
SELECT nspname FROM pg_catalog.pg_namespace LEFT JOIN held ON held.schema = pg_namespace.oid
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
  AND CASE nspname WHEN 'public' THEN coalesce(by_file, false) ELSE coalesce(by_file, true) END
ORDER BY pg_namespace.oid
"""

# A partitioned table beside its partitions brings rows twice, and nobody may write a stored generated column.
_PARENTS = """
SELECT nspname, relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'p' AND nspname = ANY(%s) ORDER BY 1, 2
"""
_GENERATED = """
SELECT nspname, relname, attname FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_class ON pg_class.oid = attrelid AND relkind = 'r'
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE attgenerated <> '' AND NOT attisdropped AND nspname = ANY(%s) ORDER BY 1, 2, 3
"""


def fill(source: OnPremises, file: Path, rows: int, say: Callable[[str], None]) -> list[str]:
    """Make the database as a file says, with `rows` generated rows in each empty table, and return its schemas.

    Raises `UsageError` with psql's own line where the file fails, and where its schemas cannot be those of a phase.
    """
    _run_file(source, file)
    with _superuser(source) as session:
        schemas = [str(row[0]) for row in session.execute(_SCHEMAS)] or ["public"]
        if rows:
            _generate(session, schemas, rows, say)
        _give_to_application(session)
        _let_migrate(session, schemas)
        # A file may have set what it likes.
        session.execute(
            sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(APPLICATION), sql.Literal(source.application_password)
            )
        )
    _check_schemas(file, schemas)
    return schemas


def _generate(session: psycopg.Connection[Any], schemas: Sequence[str], rows: int, say: Callable[[str], None]) -> None:
    made = generated_rows.generate(session, schemas, rows)
    total = sum(each.rows for each in made)
    say(f"{counted_noun(total, 'row')} generated from the definitions of {counted_noun(len(made), 'empty table')}")
    for each in made:
        if each.reason:
            say(f"  {each.table} has {each.rows:,}, and no more are taken: {each.reason}")


def table_rules(source: OnPremises, schemas: Sequence[str]) -> str:
    """Return the parameter TableRules that docs/migration.md asks for: partitions alone, no generated columns."""
    with _superuser(source) as session:
        parents = session.execute(_PARENTS, (list(schemas),)).fetchall()
        generated = session.execute(_GENERATED, (list(schemas),)).fetchall()
    numbers = map(str, itertools.count(10))  # behind those of the schemas
    return ",".join(
        [table_rules_of.exclude_table(schema, table, number=next(numbers)) for schema, table in parents]
        + [table_rules_of.remove_column(*names, number=next(numbers)) for names in generated]
    )


def _run_file(source: OnPremises, file: Path) -> None:
    psql = programs.find("psql", source.server.installation.major, source.server.installation.bin)
    finished = programs.run(
        *(psql, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={file}"),
        environment=_as_superuser(source) | {"PGOPTIONS": "-c client_min_messages=warning"},
    )
    if finished.returncode:
        lines = [line for line in finished.stderr.splitlines() if line.strip()]
        told = next((line for line in lines if re.search(r"\b(ERROR|FATAL|PANIC|error):", line)), (lines or [""])[-1])
        raise UsageError(told.strip() or f"psql ended with {finished.returncode} in {file}")


def _as_superuser(source: OnPremises) -> dict[str, str]:
    directory, port = str(source.server.directory), str(source.server.port)
    return {"PGHOST": directory, "PGPORT": port, "PGUSER": SUPERUSER, "PGDATABASE": source.database_name}


def _superuser(source: OnPremises) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=str(source.server.directory), port=source.server.port, user=SUPERUSER, dbname=source.database_name
    )


def _give_to_application(session: psycopg.Connection[Any]) -> None:
    for kind, identity in session.execute(_NOT_GIVEN_YET, (APPLICATION, _GIVEN)).fetchall():
        session.execute(f"ALTER {kind} {identity} OWNER TO {APPLICATION}".encode())


def _let_migrate(session: psycopg.Connection[Any], schemas: Sequence[str]) -> None:
    """Grant DMS's users on both ways what they need, and no more."""

    def run(statement: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        return session.execute(statement.encode(), parameters).fetchall()

    for user, needed in ((REPLICATION_USER, rights.SOURCE_READER), (FALLBACK_USER, rights.SOURCE_WRITER)):
        for lacking in list(rights.missing(run, user, needed, schemas)):
            session.execute(lacking.statement.encode())


def _check_schemas(file: Path, schemas: Sequence[str]) -> None:
    if len(schemas) > MOST_SCHEMAS:
        raise UsageError(
            f"{file} makes {len(schemas)} schemas ({', '.join(schemas)}); a phase migrates at most {MOST_SCHEMAS}"
        )
    declared = schema_name(1)
    for schema in schemas:
        if not re.search(declared.AllowedPattern, schema):
            raise UsageError(f"{file} makes the schema {schema!r}; {declared.ConstraintDescription}")
