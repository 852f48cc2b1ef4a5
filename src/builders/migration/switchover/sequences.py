"""Sequences: where they stand on one side, and where they have to go on on the other.

DMS carries no sequence. Each is set from `last_value` and `is_called`, a margin further in its own direction, and never
behind the values that its columns hold already. Values that a session has cached are behind `last_value` anyway; the
margin is for whoever still took one from the other side without writing it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from builders.errors import MigrationError
from builders.migration.databases import Database
from builders.migration.definitions import not_of_an_extension, shown
from builders.text import counted_noun

MARGIN = 1_000
"""Values that are left out; fewer where a sequence has not that many left."""

# Columns by ownership (serial, identity) and by a default that calls nextval; one is indexed where it is the first
# column of a valid index over all rows.
_SEQUENCES = f"""
SELECT n.nspname, c.relname, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle,
  coalesce((SELECT jsonb_agg(DISTINCT jsonb_build_array(tn.nspname, t.relname, a.attname, EXISTS (
      SELECT 1 FROM pg_index i WHERE i.indrelid = t.oid AND i.indkey[0] = a.attnum AND i.indisvalid
        AND i.indpred IS NULL)))
    FROM (
      SELECT d.refobjid AS oid, d.refobjsubid AS number FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
        AND d.deptype IN ('a', 'i')
      UNION SELECT f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
      WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
    ) used
    JOIN pg_class t ON t.oid = used.oid AND t.relkind IN ('r', 'p')
    JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = used.oid AND a.attnum = used.number AND NOT a.attisdropped
    JOIN LATERAL (WITH RECURSIVE below AS (SELECT a.atttypid AS oid UNION ALL
        SELECT y.typbasetype FROM below JOIN pg_type y ON y.oid = below.oid AND y.typtype = 'd')
      SELECT FROM below WHERE oid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
    ) AS is_number ON true), '[]')
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%s) AND c.relpersistence <> 't' AND {not_of_an_extension("pg_class", "c.oid")} ORDER BY 1, 2
"""
_AT_ONCE = 200
"""Sequences of one statement: each is a relation that it locks."""


@dataclass(frozen=True)
class UsedBy:
    """A column that takes its values from a sequence."""

    schema: str
    table: str
    column: str
    is_indexed: bool

    def extreme(self, *, ascending: bool) -> sql.Composed:
        """The query for the last value of the column."""
        return sql.SQL("(SELECT {}({})::numeric FROM {})").format(
            sql.SQL("max" if ascending else "min"), sql.Identifier(self.column), sql.Identifier(self.schema, self.table)
        )


@dataclass(frozen=True)
class Definition:
    """A sequence: increment, bounds, and the columns that use it."""

    schema: str
    name: str
    increment: int
    minimum: int
    maximum: int
    cycles: bool
    used_by: tuple[UsedBy, ...]

    def __str__(self) -> str:
        """Return the name as people write it."""
        return shown(self.schema, self.name)

    @property
    def sql(self) -> sql.Identifier:
        """The name as SQL has it."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class Position:
    """Position of a sequence: `value` was handed out, or is the next one where it is not `called`."""

    value: int
    called: bool


def definitions(database: Database, schemas: Sequence[str]) -> list[Definition]:
    """The sequences of some schemas, those that no column owns too. Raises `MigrationError`."""
    return [
        Definition(schema, name, increment, minimum, maximum, cycles, tuple(UsedBy(*column) for column in columns))
        for schema, name, increment, minimum, maximum, cycles, columns in database.run(_SEQUENCES, (list(schemas),))
    ]


def positions(database: Database, sequences: Sequence[Definition]) -> dict[str, Position]:
    """Read the positions of sequences, by name."""
    found: dict[str, Position] = {}
    for first in range(0, len(sequences), _AT_ONCE):
        several = sequences[first : first + _AT_ONCE]
        parts = [
            sql.SQL("SELECT {}, last_value, is_called FROM {}").format(sql.Literal(str(each)), each.sql)
            for each in several
        ]
        for name, value, called in database.run(sql.SQL(" UNION ALL ").join(parts)):
            found[name] = Position(value, called)
    return found


def held(database: Database, sequences: Sequence[Definition], *, indexed: bool) -> dict[str, int]:
    """The last value that the columns of sequences hold, by the name of the sequence; of cycling ones it says nothing.

    With `indexed` only columns with an index are asked, which is quick; without it only the others.
    """
    asked = [
        (str(each), column.extreme(ascending=each.increment > 0), each.increment > 0)
        for each in sequences
        if not each.cycles
        for column in each.used_by
        if column.is_indexed is indexed
    ]
    found: dict[str, int] = {}
    for first in range(0, len(asked), _AT_ONCE):
        several = asked[first : first + _AT_ONCE]
        (values,) = database.run(sql.SQL("SELECT {}").format(sql.SQL(", ").join(query for _, query, _ in several)))
        for (name, _, ascending), value in zip(several, values, strict=True):
            if value is not None:
                known = found.get(name, int(value))
                found[name] = max(known, int(value)) if ascending else min(known, int(value))
    return found


def moved_on(sequence: Definition, position: Position, last_held: int | None, margin: int = MARGIN) -> Position:
    """Return the position on the other side: past that of the sequence and its columns' values, and a margin further.

    It never leaves its bounds, and keeps at least half of the values that are left.
    """
    sign = 1 if sequence.increment > 0 else -1
    step, last = abs(sequence.increment), position.value
    called = position.called
    if last_held is not None and sequence.minimum <= last_held <= sequence.maximum:
        behind = (last_held - last) * sign
        if behind > 0 or (behind == 0 and not called):
            # The same values as before, counted from where the sequence stands.
            last, called = last + sign * step * -(-behind // step), True
            last = max(sequence.minimum, min(sequence.maximum, last))
    bound = sequence.maximum if sign > 0 else sequence.minimum
    left = (bound - last) * sign // step
    return Position(last + sign * step * max(0, min(margin, left // 2)), called)


def headroom(sequence: Definition, position: Position) -> int:
    """Return how many values a sequence still has, before it ends or begins again."""
    bound = sequence.maximum if sequence.increment > 0 else sequence.minimum
    return (bound - position.value) // sequence.increment + (0 if position.called else 1)


def carry(
    origin: Database, destination: Database, schemas: Sequence[str], known: Mapping[str, int], margin: int = MARGIN
) -> list[str]:
    """Set every sequence of `destination` from `origin`, and return what a person should know.

    `known` has the values of columns without an index, which were read before the application was kept out. May be
    repeated. Raises `MigrationError` where the destination lacks a sequence.
    """
    sequences = definitions(origin, schemas)
    there = {str(each): each for each in definitions(destination, schemas)}
    if missing := [str(each) for each in sequences if str(each) not in there]:
        raise MigrationError(
            f"the {destination.side} lacks the sequences {', '.join(missing[:3])}; run `migrate-database schema` again"
        )
    found, values = positions(origin, sequences), held(origin, sequences, indexed=True)
    notes: list[str] = []
    wanted: list[tuple[Definition, Position]] = []
    for each in sequences:
        # The bounds that count are those of the side on which it goes on.
        bounded = Definition(each.schema, each.name, *_bounds(there[str(each)]), each.used_by)
        last = values.get(str(each), known.get(str(each)))
        position = moved_on(bounded, found[str(each)], last, margin)
        wanted.append((bounded, position))
        if headroom(bounded, position) <= 0 and not bounded.cycles:
            notes.append(f"sequence {each} has no value left, as on the {origin.side}")
    for first in range(0, len(wanted), _AT_ONCE):
        parts = [
            sql.SQL("setval({}::regclass, {}, {})").format(
                sql.Literal(sequence.sql.as_string()), sql.Literal(position.value), sql.Literal(position.called)
            )
            for sequence, position in wanted[first : first + _AT_ONCE]
        ]
        destination.run(sql.SQL("SELECT {}").format(sql.SQL(", ").join(parts)))
    return notes


def _bounds(sequence: Definition) -> tuple[int, int, int, bool]:
    return sequence.increment, sequence.minimum, sequence.maximum, sequence.cycles


def scarce(sequences: Sequence[Definition], found: Mapping[str, Position], margin: int = MARGIN) -> list[Any]:
    """The sequences with fewer values left than two margins, as lines with the next step."""
    lines = []
    for each in sequences:
        left = headroom(each, found[str(each)])
        if left < 2 * margin and not each.cycles and each.maximum - each.minimum >= 2 * margin * abs(each.increment):
            lines.append(
                f"sequence {each} has {counted_noun(max(left, 0), 'value')} left: give it more room, with its columns, "
                "before the cut-over"
            )
    return lines
