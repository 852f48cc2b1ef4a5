"""Objects that `start` builds after the load: indexes, foreign keys, contents of materialized views, statistics.

DMS goes on writing meanwhile. An index is built CONCURRENTLY; a foreign key is added NOT VALID, which is instant, and
validated, which lets writers pass. Each is marked as it is made, so an interrupted run goes on where it was.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from psycopg import sql

from builders import progress
from builders.errors import MigrationError
from builders.migration.databases import Database, sqlstate
from builders.migration.definitions import tables
from builders.migration.schema import moments
from builders.migration.schema.moments import Kept, Say
from builders.text import counted_noun

_VIOLATED = "23503"

# CREATE INDEX CONCURRENTLY waits for transactions that began before it, and nobody waits for it.
_INDEX_WAITS = (3600.0,) * 3

_INDEX = """
SELECT i.indisvalid, c.relkind = 'I', format('%%I.%%I', n.nspname, c.relname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = %s
"""
_TO_ANALYZE = """
SELECT c.oid::int8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p')
  AND (s.last_analyze IS NULL OR s.n_mod_since_analyze > 0.1 * greatest(s.n_live_tup, 1000))
"""

_LATER = re.compile(r";\n+(?=ALTER )")
"""Between an index and what pg_dump says of it besides: CLUSTER ON, SET STATISTICS, REPLICA IDENTITY."""


def waiting(target: Database) -> list[Kept]:
    """Return what is still to be built after the load, in its order."""
    return moments.harden_statements(target, "after_load")


def indexes(target: Database, say: Say) -> None:
    """Build the indexes that are missing, one after the other. Raises `MigrationError`."""
    found = [each for each in waiting(target) if each.kind == "INDEX"]
    if not found:
        return
    with target.another() as session, progress.bar("indexes", len(found)) as advance:
        for each in found:
            began = time.monotonic()
            _build_index(session, each)
            moments.mark(target, each, done=True)
            say(f"index {each.object} built in {time.monotonic() - began:.1f} s")
            advance(each.object)


def _build_index(session: Database, index: Kept) -> None:
    first, *later = _LATER.split(index.statement)
    waits = _INDEX_WAITS if " CONCURRENTLY " in first else ()
    session.patiently(_make_index, session, index.object, first, waits=waits)
    for statement in later:
        session.patiently(session.run, statement)


def _make_index(session: Database, name: str, statement: str) -> None:
    """Make an index; what an attempt left behind that was interrupted, or met a deadlock, is dropped first."""
    standing = session.run(_INDEX, (name,))
    if standing:
        is_valid, is_partitioned, found = standing[0]
        if is_valid or is_partitioned:
            return
        session.run(f"DROP INDEX CONCURRENTLY IF EXISTS {found}")
    session.run(statement)


def others(target: Database, say: Say) -> None:
    """Build what stands beside indexes, foreign keys last, and fill materialized views. Raises `MigrationError`."""
    found = [each for each in waiting(target) if each.kind != "INDEX"]
    first = [each for each in found if each.kind not in ("FK CONSTRAINT", "VALIDATE", "REFRESH")]
    keys = [each for each in found if each.kind == "FK CONSTRAINT"]
    last = [each for each in found if each.kind in ("VALIDATE", "REFRESH")]
    with progress.bar("constraints", len(found)) as advance:
        for each in (*first, *keys, *last):
            _put_on(target, each)
            say(f"{each} made")
            advance(str(each))


def _put_on(target: Database, definition: Kept) -> None:
    try:
        moments.put_on(target, target, definition)
    except MigrationError as error:
        if sqlstate(error) == _VIOLATED:
            raise MigrationError(
                f"{definition}: {error}; the row is not in the target as in the source: `migrate-database verify` "
                "shows and repairs it, then run this again"
            ) from error
        raise


def analyze(target: Database, schemas: Sequence[str], say: Say) -> None:
    """Let the planner see the rows: a table whose statistics are old is read."""
    wanted = {row[0] for row in target.run(_TO_ANALYZE, (list(schemas),))}
    found = [table for table in tables(target, schemas) if table.oid in wanted]
    with progress.bar("statistics", len(found)) as advance:
        for table in found:
            target.patiently(target.run, sql.SQL("ANALYZE {}").format(table.sql))
            advance(str(table))
    if found:
        say(f"analyzed {counted_noun(len(found), 'table')}")
