"""Definitions kept in the target for the moment at which they are made, and what was taken off for DMS's changes.

The table `stackferry_state.definitions` has a row for each: any host goes on from there. A step on the target and its
row are one transaction; a statement for the source is safe to run again.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from builders import naming
from builders.migration.databases import Database, Side
from builders.migration.definitions import BASE_TYPES, LARGE, Table, tables
from builders.text import counted_noun

STATE = naming.STATE_SCHEMA
"""The schema in the target with what a migration remembers; it is never replicated."""

Moment = Literal["before_load", "after_load", "cutover", "opening", "opened", "left_out"]
MOMENTS: tuple[Moment, ...] = ("before_load", "after_load", "cutover", "opening", "opened", "left_out")
Say = Callable[[str], None]

_TRUNCATED_AT_ONCE = 100

_NAME = r"""(?:"(?:[^"]|"")+"|[^\s".(]+)"""
_KEY_TABLES = re.compile(
    rf"ALTER TABLE (?:ONLY )?({_NAME}\.{_NAME})\s.*\sFOREIGN KEY \(.*\) REFERENCES ({_NAME}\.{_NAME})\(", re.DOTALL
)
"""A foreign key of pg_dump: its table, and the one that it refers to."""

_VALIDATED = re.compile(r"ALTER (?:TABLE|DOMAIN) (.+) VALIDATE CONSTRAINT (.+)", re.DOTALL)
_NOT_NULL = r"""^CHECK \(\(("([^"]|"")+"|[a-z0-9_]+) IS NOT NULL\)\)( NOT VALID)?$"""
"""A CHECK that calls nothing, such as those of ours, which are one for each large column."""

_OWNER_OF_CHECK = """
SELECT pg_get_userbyid(coalesce(c.relowner, t.typowner))::text, n.nspname::text
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type t ON t.oid = k.contypid
WHERE k.contype = 'c' AND k.conname = (parse_ident(%(name)s))[1] AND pg_get_constraintdef(k.oid) !~ %(harmless)s
  AND (c.oid = to_regclass(%(of)s) OR t.oid = to_regtype(%(of)s))
"""

_STATE = (
    sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(STATE)),
    """
CREATE TABLE IF NOT EXISTS stackferry_state.definitions (
  side text NOT NULL, moment text NOT NULL, kind text NOT NULL, object text NOT NULL, position integer NOT NULL,
  statement text NOT NULL, undo text NOT NULL, source text NOT NULL, carried text, done timestamptz,
  PRIMARY KEY (side, moment, kind, object)
)""",
)
_KEPT = """
SELECT side, moment, kind, object, position, statement, undo, source, carried, done IS NOT NULL
FROM stackferry_state.definitions WHERE side = %s AND moment = ANY (%s) ORDER BY position, kind, object
"""
_KEEP = """
INSERT INTO stackferry_state.definitions AS kept
  (side, moment, kind, object, position, statement, undo, source, carried, done)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, CASE WHEN %s THEN now() END)
ON CONFLICT (side, moment, kind, object) DO UPDATE SET position = excluded.position, statement = excluded.statement,
  undo = excluded.undo, source = excluded.source, carried = excluded.carried, done = excluded.done
"""
_DONE = """
UPDATE stackferry_state.definitions SET done = CASE WHEN %s THEN now() END
WHERE side = %s AND moment = %s AND kind = %s AND object = %s
"""
_DONE_TOGETHER = """
UPDATE stackferry_state.definitions SET done = now() FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
  AS made (side, moment, kind, object)
WHERE (definitions.side, definitions.moment, definitions.kind, definitions.object)
  = (made.side, made.moment, made.kind, made.object)
"""
_NOT_DONE = "UPDATE stackferry_state.definitions SET done = NULL WHERE side = %s AND moment = 'opened'"

# Constraints over columns that DMS writes as NULL first; one of an inherited column goes with its parent's.
_CHECKS = """
SELECT c.conrelid::int8, c.conname::text, c.conkey::int[], pg_get_constraintdef(c.oid), c.convalidated
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = ANY (%s) AND c.contype = 'c' AND c.coninhcount = 0 AND c.conkey IS NOT NULL
ORDER BY 1, 2
"""
# Of a domain over a domain the base type below both counts.
_LARGE_DOMAINS = f"""
WITH RECURSIVE {BASE_TYPES}
SELECT n.nspname, t.typname, t.oid, t.typnotnull FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
JOIN base_types d ON d.type = t.oid JOIN pg_type b ON b.oid = d.base, (VALUES (-1)) AS a (atttypmod)
WHERE n.nspname = ANY (%s) AND t.typtype = 'd' AND {LARGE}
"""
_DOMAINS = f"SELECT nspname::text, typname::text FROM ({_LARGE_DOMAINS}) AS d WHERE typnotnull ORDER BY 1, 2"
_DOMAIN_CHECKS = f"""
SELECT d.nspname::text, d.typname::text, c.conname::text, pg_get_constraintdef(c.oid), c.convalidated
FROM ({_LARGE_DOMAINS}) AS d JOIN pg_constraint c ON c.contypid = d.oid AND c.contype = 'c' ORDER BY 1, 2, 3
"""
_COLUMN_NUMBERS = "SELECT attname::text, attnum::int FROM pg_attribute WHERE attrelid = %s::int8::oid AND attnum > 0"


@dataclass(frozen=True)
class Kept:
    """A definition, and when it is made. `undo` takes it off again; together they are safe to run at any time."""

    side: Side
    moment: Moment
    kind: str
    object: str
    statement: str
    undo: str = ""
    source: str = ""
    """The source's own words in its dump; empty for what is no definition of its own."""
    carried: str | None = None
    """The target's words for it in a dump after it was made, by which a later change there is seen."""
    position: int = 0
    is_done: bool = False

    def __str__(self) -> str:
        """Return the form of messages."""
        return f"{self.kind} {self.object}"


def prepare(target: Database) -> None:
    """Make the schema and the table of state where they are not there. Raises `MigrationError`."""
    for statement in _STATE:
        target.run(statement)


def is_prepared(target: Database) -> bool:
    """Return whether `schema` has been here."""
    return target.value("SELECT to_regclass('stackferry_state.definitions')") is not None


def kept(target: Database, *moments: Moment, side: Side = "target") -> list[Kept]:
    """Return what is kept for some moments of a side, in the order in which it is made."""
    rows = target.run(_KEPT, (side, list(moments or MOMENTS)))
    return [
        Kept(of, moment, kind, name, statement, undo, source, carried, position, is_done)
        for of, moment, kind, name, position, statement, undo, source, carried, is_done in rows
    ]


def keep(target: Database, definition: Kept) -> None:
    """Write a definition down, in place of one of the same kind, object and moment."""
    each = definition
    target.run(_KEEP, (each.side, each.moment, each.kind, each.object, each.position, each.statement, each.undo,
                       each.source, each.carried, each.is_done))  # fmt: skip


def leave_out(target: Database, noted: Iterable[tuple[str, str, str]]) -> None:
    """Remember what stays behind, as kind, object and reason, in place of what was remembered before."""
    with target.transaction():
        target.run("DELETE FROM stackferry_state.definitions WHERE moment = 'left_out'")
        for kind, name, why in noted:
            keep(target, Kept("target", "left_out", kind, name, why))


def mark(target: Database, definition: Kept, *, done: bool) -> None:
    """Write down that a definition was made, or taken off."""
    target.run(_DONE, (done, definition.side, definition.moment, definition.kind, definition.object))


def harden_statements(target: Database, moment: Moment = "cutover", side: Side = "target") -> list[Kept]:
    """Return what has yet to be made on a side at a moment: `cutover` is instant, `opened` may read whole tables."""
    return [each for each in kept(target, moment, side=side) if not each.is_done]


def put_on(database: Database, target: Database, definition: Kept) -> None:
    """Make a definition on its side and mark it; one that was made before the mark is made anew."""
    again = [statement for statement in (definition.undo, definition.statement) if statement]
    if definition.moment not in ("cutover", "after_load"):
        again = [definition.statement]
    for owner, schema in _owner_of_check(database, definition):
        with database.another() as own:
            own.patiently(_run_as, own, owner, schema, again)
        again = []
    found = _KEY_TABLES.match(definition.statement) if definition.moment == "after_load" else None
    locks = [f"{found[1]} IN ACCESS EXCLUSIVE MODE", f"{found[2]} IN SHARE ROW EXCLUSIVE MODE"] if found else []
    _in_one(database, target, again, lambda: mark(target, definition, done=True), locks)


def _owner_of_check(database: Database, definition: Kept) -> Sequence[tuple[str, str]]:
    """The owner and the schema of the table or domain whose CHECK is validated; none where something else is made.

    The functions of a CHECK run as whoever validates it, and what the application has written must not get our rights.
    Indexes and materialized views are made as their owner by PostgreSQL itself ("REFRESH MATERIALIZED VIEW").
    """
    found = _VALIDATED.fullmatch(definition.statement)
    named = {"name": found[2], "of": found[1], "harmless": _NOT_NULL} if found else {}
    return database.run(_OWNER_OF_CHECK, named) if found else ()


def _run_as(database: Database, owner: str, schema: str, statements: Sequence[str]) -> None:
    with database.transaction():
        database.run_as(owner, schema, statements)


def put_on_together(database: Database, target: Database, definitions: Sequence[Kept]) -> None:
    """Make the definitions of the cut-over in one transaction and few round trips: the application waits for them."""
    statements = [words for each in definitions for words in (each.undo, each.statement) if words]

    def note() -> None:
        rows = [(each.side, each.moment, each.kind, each.object) for each in definitions]
        columns = [list(column) for column in zip(*rows, strict=True)]
        target.run(_DONE_TOGETHER, columns)

    if statements:
        _in_one(database, target, [";\n".join(words.rstrip().rstrip(";") for words in statements)], note)


def take_off(database: Database, target: Database, definition: Kept) -> None:
    """Take a definition off its side and mark it."""
    _in_one(database, target, [definition.undo], lambda: mark(target, definition, done=False))


def _in_one(
    database: Database, target: Database, statements: Sequence[str], note: Callable[[], None], locks: Sequence[str] = ()
) -> None:
    """Run statements and their note in one transaction; on the source the note follows."""
    order = deque(locks)

    def run() -> None:
        with database.transaction():
            if order:
                database.run(_locking(order))
                order.rotate(1)
            for statement in statements:
                database.run(statement)
            if database.side == target.side:
                note()

    database.patiently(run)
    if database.side != target.side:
        note()


def _locking(tables: Iterable[str]) -> str:
    """Lock tables so that DMS meets no deadlock: the first is waited for while nothing is held, the others briefly.

    DMS changes tables in any order; it looks for a deadlock after deadlock_timeout (1 s), and by then the others are
    locked or the first is free again. So each attempt has another one first.
    """
    first, *others = (f"LOCK TABLE {table}" for table in tables)
    return ";\n".join([first, "SET LOCAL lock_timeout = '200ms'", *others])


def soften(database: Database, target: Database, schemas: Sequence[str], say: Say) -> None:
    """Take off a side what refuses DMS's changes, and remember it in the target's state for the cut-over.

    These are: what a cut-over put on before, NOT NULL and CHECK of large columns, NOT NULL of domains over them, and
    GENERATED ALWAYS of identities. Raises `MigrationError`.
    """
    made = [each for each in kept(target, "cutover", side=database.side) if each.is_done]
    for each in reversed(made):
        take_off(database, target, each)
        say(f"taken off the {database.side} for the changes of DMS: {each}")
    if made:
        target.run(_NOT_DONE, (database.side,))
    # What a partition has by its parent goes with the parent's: what is left then is its own.
    for own in (False, True):
        for definition in softenings(database, schemas, inherited=own):
            _take_off_new(database, target, definition)
            say(f"taken off the {database.side} for the changes of DMS: {definition[0]}")


def _take_off_new(database: Database, target: Database, definitions: Sequence[Kept]) -> None:
    """Remember a property and what completes it later, and take it off."""

    def run() -> None:
        with target.transaction():
            for each in definitions:
                keep(target, each)
            if database.side == target.side:
                target.run(definitions[0].undo)

    target.patiently(run)
    if database.side != target.side:
        database.patiently(database.run, definitions[0].undo)


def soften_foreign_keys(target: Database, say: Say) -> None:
    """Take off the foreign keys that were built after the load, since tables are loaded in parallel."""
    for each in kept(target, "after_load"):
        if each.is_done and each.kind in ("FK CONSTRAINT", "VALIDATE"):
            if each.undo:
                take_off(target, target, each)
                say(f"taken off the target until the load is done: {each}")
            else:
                mark(target, each, done=False)


def softenings(database: Database, schemas: Sequence[str], *, inherited: bool = False) -> Iterator[tuple[Kept, ...]]:
    """Yield what now blocks DMS's changes: first the definition that puts it back, then those that complete it.

    `inherited` adds the columns that a table has by its parent.
    """
    numbers = itertools.count(1_000_000)
    found = tables(database, schemas)
    names = {table.oid: table for table in found}
    for table in sorted(found, key=lambda table: table.is_partition):
        yield from _columns(database.side, table, numbers, inherited)
    for oid, name, columns, definition, is_valid in database.run(_CHECKS, (list(schemas),)):
        checked: Table | None = names.get(oid)
        large = {column.name for column in checked.columns if column.large} if checked else set()
        if checked and large & _column_names(database, oid, columns):
            yield _check(database.side, "TABLE", checked.sql, str(checked), (name, definition, is_valid), numbers)
    for schema, name in database.run(_DOMAINS, (list(schemas),)):
        domain = sql.Identifier(schema, name)
        undo, statement = (_text("ALTER DOMAIN {} {} NOT NULL", domain, sql.SQL(word)) for word in ("DROP", "SET"))
        # It reads every table with such a column, so it waits until after the opening.
        yield (Kept(database.side, "opened", "DOMAIN NOT NULL", f"{schema}.{name}", statement, undo,
                    position=next(numbers)),)  # fmt: skip
    for schema, name, *constraint in database.run(_DOMAIN_CHECKS, (list(schemas),)):
        domain, (check, definition, is_valid) = sql.Identifier(schema, name), constraint
        yield _check(database.side, "DOMAIN", domain, f"{schema}.{name}", (check, definition, is_valid), numbers)


def _columns(side: Side, table: Table, numbers: Iterator[int], inherited: bool) -> Iterator[tuple[Kept, ...]]:
    for column in table.columns:
        if column.inherited and not inherited:
            continue
        named = f"{table}.{column.name}"
        alter = table.sql, sql.Identifier(column.name)
        if column.not_null and column.large and column.name not in table.key:
            check = sql.Identifier(f"stackferry_not_null_{hashlib.sha256(column.name.encode()).hexdigest()[:12]}")
            yield (
                Kept(side, "cutover", "NOT NULL", named,
                     _text("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID", table.sql, check,
                           alter[1]),
                     _text("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}, ALTER COLUMN {} DROP NOT NULL", table.sql,
                           check, alter[1]), position=next(numbers)),
                Kept(side, "opened", "VALIDATE", f"{named} NOT NULL",
                     _text("ALTER TABLE {} VALIDATE CONSTRAINT {}", table.sql, check), position=next(numbers)),
                Kept(side, "opened", "SET NOT NULL", named,
                     _text("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL", *alter), position=next(numbers)),
                Kept(side, "opened", "DROP CHECK", named,
                     _text("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", table.sql, check), position=next(numbers)),
            )  # fmt: skip
        if column.identity == "a" and not column.inherited:
            harder, softer = (_text("ALTER TABLE {} ALTER COLUMN {} SET GENERATED {}", *alter, sql.SQL(word))
                              for word in ("ALWAYS", "BY DEFAULT"))  # fmt: skip
            yield (Kept(side, "cutover", "GENERATED ALWAYS", named, harder, softer, position=next(numbers)),)


def _check(
    side: Side, kind: Literal["TABLE", "DOMAIN"], of: sql.Composable, named: str, constraint: tuple[str, str, bool],
    numbers: Iterator[int],
) -> tuple[Kept, ...]:  # fmt: skip
    """The CHECK of a table or domain: name, definition, and whether it is valid."""
    name, definition, is_valid = constraint
    names = sql.SQL(kind), of, sql.Identifier(name)
    later = definition if definition.endswith(" NOT VALID") else f"{definition} NOT VALID"
    softened = Kept(
        side,
        "cutover",
        "CHECK" if kind == "TABLE" else "DOMAIN CHECK",
        f"{named} {name}",
        _text("ALTER {} {} ADD CONSTRAINT {} ", *names) + later,
        _text("ALTER {} {} DROP CONSTRAINT IF EXISTS {}", *names),
        position=next(numbers),
    )
    if not is_valid:
        return (softened,)
    validated = Kept(side, "opened", "VALIDATE", f"{named} {name}", _text("ALTER {} {} VALIDATE CONSTRAINT {}", *names),
                     position=next(numbers))  # fmt: skip
    return softened, validated


def _column_names(database: Database, oid: int, numbers: Iterable[int]) -> set[str]:
    wanted = set(numbers)
    return {name for name, number in database.run(_COLUMN_NUMBERS, (oid,)) if number in wanted}


def _text(statement: str, *parts: sql.Composable) -> str:
    return sql.SQL(statement).format(*parts).as_string(None)


def truncate(target: Database, schemas: Sequence[str], say: Say) -> None:
    """Empty the tables of the schemas and the marker in the target, before all is loaded again.

    A comparison that was interrupted does not go on: what it has compared is gone.
    """
    if target.value("SELECT to_regclass('stackferry_state.verification')") is not None:
        target.run("DELETE FROM stackferry_state.verification WHERE finished IS NULL")
    found = [table.sql for table in tables(target, schemas) if not table.is_partition]
    found.append(sql.Identifier(naming.MARKER_SCHEMA, naming.MARKER_TABLE))
    for first in range(0, len(found), _TRUNCATED_AT_ONCE):
        several = found[first : first + _TRUNCATED_AT_ONCE]
        target.patiently(target.run, sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(several)))
    say(f"emptied {counted_noun(len(found), 'table')} of the target")
