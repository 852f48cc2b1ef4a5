"""The definitions of the source's tables in the target, before DMS loads them: the steps of docs/migration.md.

The target gets schemas, types, functions, tables, and primary and unique keys. What would refuse DMS's changes is taken
off columns: NOT NULL of large values, which come as NULL first, and GENERATED ALWAYS of identities. Foreign keys,
triggers, and here the other indexes too, wait for the cut-over. The target's master user, who is no superuser, does it
with PostgreSQL's own programs.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from builders.cloud.rds.postgres import Installation
from builders.errors import DeployError
from builders.migration import programs

Say = Callable[[str], None]

_KEY = re.compile(r"\d+; \d+ \d+ CONSTRAINT ")
_SCHEMA = re.compile(r"\d+; \d+ \d+ SCHEMA - (.+) \S+$")

_EXTENSIONS = """
SELECT extname, nspname FROM pg_catalog.pg_extension JOIN pg_catalog.pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname <> 'plpgsql' ORDER BY pg_extension.oid
"""

_IDENTITIES = """
SELECT nspname, relname, attname
FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_class ON pg_class.oid = attrelid AND relkind IN ('r', 'p') AND NOT relispartition
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace AND nspname = ANY(%s)
WHERE attidentity = 'a'
ORDER BY pg_class.oid
"""

# Text, and what is kept as text, is a large value for DMS (DMS user guide, "Source data types for PostgreSQL"). Those
# of a key stay. Parents come before their partitions, which follow them.
_LARGE_AND_NOT_NULL = """
SELECT nspname, relname, attname
FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_class ON pg_class.oid = attrelid AND relkind IN ('r', 'p')
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace AND nspname = ANY(%s)
JOIN pg_catalog.pg_type ON pg_type.oid = atttypid
LEFT JOIN pg_catalog.pg_type AS base ON base.oid = pg_type.typbasetype
WHERE attnum > 0 AND attnotnull AND NOT attisdropped
  AND (pg_type.typcategory = 'A'
       OR coalesce(base.typname, pg_type.typname) IN ('text', 'bytea', 'json', 'jsonb', 'xml', 'hstore', 'citext')
       OR (coalesce(base.typname, pg_type.typname) = 'varchar' AND atttypmod = -1))
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_index WHERE indrelid = attrelid AND indisprimary AND attnum = ANY(indkey::int2[])
  )
ORDER BY relispartition, pg_class.oid, attnum
"""


def load(source_url: str, target_url: str, schemas: Sequence[str], server: Installation, say: Say) -> None:
    """Load the definitions of some schemas into the target. Raises `DeployError` with the program's own message.

    `server` is the installation whose programs are taken first.
    """
    pg_dump, pg_restore = (programs.find(program, server.major, server.bin) for program in ("pg_dump", "pg_restore"))
    source, target = (programs.environment_of(url) for url in (source_url, target_url))
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder, "schema.dump")
        chosen = [f"--schema={_literal(schema)}" for schema in schemas]
        say(f"$ pg_dump --schema-only --format=custom --no-owner --no-privileges {' '.join(chosen)} (the source)")
        plain = ("--no-owner", "--no-privileges")
        _run(pg_dump, "--schema-only", "--format=custom", *plain, *chosen, f"--file={dump}", environment=source)
        before, keys = Path(folder, "before.list"), Path(folder, "keys.list")
        there = _make_extensions(source_url, target_url, say)
        listed = _run(pg_restore, "--list", "--section=pre-data", str(dump), environment={}).splitlines()
        before.write_text("\n".join(line for line in listed if not _is_there(line, there)))
        listed = _run(pg_restore, "--list", "--section=post-data", str(dump), environment={}).splitlines()
        keys.write_text("\n".join(line for line in listed if _KEY.match(line)))
        for words, entries in (("before the load", before), ("keys", keys)):
            say(f"$ pg_restore --no-owner --no-privileges --use-list={entries.name} (the target: {words})")
            into = ("--exit-on-error", f"--use-list={entries}", f"--dbname={target['PGDATABASE']}", str(dump))
            _run(pg_restore, *plain, *into, environment=target)
    _soften(target_url, schemas, say)


def _literal(schema: str) -> str:
    """Return a schema as pg_dump takes it: quoted, since it is a pattern otherwise."""
    return '"' + schema.replace('"', '""') + '"'


def _is_there(entry: str, schemas: Collection[str]) -> bool:
    """Return whether an entry of a dump makes a schema that the target has: `public`, or one of an extension."""
    found = _SCHEMA.match(entry)
    return found is not None and found[1] in schemas


def _run(program: Path, *arguments: str, environment: dict[str, str]) -> str:
    finished = programs.run(program, *arguments, environment=environment)
    if finished.returncode:
        lines = [line for line in finished.stderr.splitlines() if "error:" in line] or finished.stderr.splitlines()
        raise DeployError(f"{program.name} failed: {lines[0] if lines else 'it said nothing'}")
    return finished.stdout


def _make_extensions(source_url: str, target_url: str, say: Say) -> set[str]:
    """Make the source's extensions, which a dump of schemas leaves out, and return the schemas that are there then.

    RDS lets its master user make those that it offers.
    """
    with psycopg.connect(source_url) as source:
        wanted = source.execute(_EXTENSIONS).fetchall()
    with psycopg.connect(target_url, autocommit=True) as target:
        for name, schema in wanted:
            say(f"CREATE EXTENSION {name} SCHEMA {schema} (the target)")
            quoted = sql.Identifier(name), sql.Identifier(schema)
            if not target.execute("SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s", (schema,)).fetchall():
                target.execute(sql.SQL("CREATE SCHEMA {}").format(quoted[1]))
            try:
                target.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}").format(*quoted))
            except psycopg.Error as error:
                raise DeployError(f"the target has no extension {name}: {str(error).splitlines()[0]}") from error
        return {str(row[0]) for row in target.execute("SELECT nspname FROM pg_catalog.pg_namespace")}


def _soften(target_url: str, schemas: Sequence[str], say: Say) -> None:
    """Take off columns what refuses DMS's changes, until the cut-over."""
    softer = ((_LARGE_AND_NOT_NULL, "DROP NOT NULL"), (_IDENTITIES, "SET GENERATED BY DEFAULT"))
    with psycopg.connect(target_url, autocommit=True) as target:
        for query, change in softer:
            columns = target.execute(query, (list(schemas),)).fetchall()
            for schema, table, column in columns:
                names = sql.Identifier(schema, table), sql.Identifier(column), sql.SQL(change)
                target.execute(sql.SQL("ALTER TABLE {} ALTER COLUMN {} {}").format(*names))
            if columns:
                say(f"{change}, until the cut-over: {', '.join('.'.join(names[1:]) for names in columns)}")
