"""Rows that verify named, written right by their key: from the source to the target, a few to a transaction.

Right before a row is written it is locked in the target and read again in the source: whatever DMS applied before is in
the source by then, and what it applies afterwards comes on top. So the task may run. A row that is only late would be
written twice, which an INSERT of DMS answers with an error in its log; verify names no row before its patience is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from builders.migration.databases import Database
from builders.migration.definitions import BASE_TYPES
from builders.migration.rows import (
    PLAIN_TYPE,
    WITH_TYPES,
    Difference,
    Key,
    Rows,
    batches,
    between,
    digests_of_keys,
    key_names,
    matching,
)

ROWS_A_TRANSACTION = 200
_NAME = "stackferry_repair"
_STAGED = sql.Identifier("pg_temp", _NAME)

_OWNER = "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = %s::regclass"
_TYPES = f"""
WITH RECURSIVE {BASE_TYPES}
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), {PLAIN_TYPE} FROM pg_attribute a {WITH_TYPES}
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""


@dataclass(frozen=True)
class Repaired:
    """Numbers of rows that were written, and the differences left: a table without a key has no row to name."""

    inserted: int
    updated: int
    deleted: int
    left: tuple[Difference, ...]

    @property
    def rows(self) -> int:
        """All rows that were written."""
        return self.inserted + self.updated + self.deleted


def repair(
    source: Database,
    target: Database,
    rows: Mapping[str, Rows],
    differences: Sequence[Difference],
    say: Callable[[str], None],
) -> Repaired:
    """Write rows right, and compare them once more. Raises `MigrationError`; transactions that are done stay done."""
    counts = {"inserted": 0, "updated": 0, "deleted": 0}
    left = [each for each in differences if not each.key]
    named: dict[str, list[Key]] = {}
    for each in differences:
        if each.key:
            named.setdefault(each.table, []).append(each.key)
    for name, keys in named.items():
        for batch in batches(keys, ROWS_A_TRANSACTION):
            with target.another() as own:  # code of the application runs in it, which may leave something behind
                for kind, count in own.patiently(_write, source, own, rows[name], batch).items():
                    counts[kind] += count
        here, there = (digests_of_keys(side, rows[name], keys) for side in (source, target))
        found = between(name, here, there)
        left += found.values()
        say(f"{name}: {len(keys) - len(found):,} of {len(keys):,} rows are now the same")
    return Repaired(**counts, left=tuple(left))


def _write(source: Database, target: Database, rows: Rows, keys: Sequence[Key]) -> dict[str, int]:
    """Write the rows of some keys in one transaction, as the source has them now, with the rights of their owner."""
    with target.transaction():
        target.run(sql.SQL("SELECT 1 FROM {} ORDER BY k.number FOR UPDATE OF t").format(matching(rows, keys)))
        here, there = (digests_of_keys(side, rows, keys) for side in (source, target))
        still = [key for key in keys if here.get(key) != there.get(key)]
        gone = [key for key in still if key not in here]
        wrong = [key for key in still if key in here]
        statements = []
        if gone:
            statements.append(sql.SQL("DELETE FROM ONLY {} AS own USING {} WHERE {}").format(
                rows.table.sql, matching(rows, gone), _same_key(rows, "own", "t")))  # fmt: skip
        if wrong:
            statements += _staged(source, target, rows, wrong)
        if statements:
            owner = target.value(_OWNER, (rows.table.sql.as_string(),))
            target.run_as(owner, rows.table.schema, statements)
    return {
        "inserted": sum(key not in there for key in wrong),
        "updated": sum(key in there for key in wrong),
        "deleted": len(gone),
    }


def _staged(source: Database, target: Database, rows: Rows, keys: Sequence[Key]) -> list[sql.Composed]:
    """Bring rows of the source beside the table, and return the statements that write them into it.

    They come by COPY: each type's own functions write and read them. A domain's values come as its base type's, and
    what may have domains inside as text, so that no CHECK is called before the statements do it.
    """
    name, columns = rows.table.sql, sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    types = {column: (sql.SQL(own), plain and sql.SQL(plain))
             for column, own, plain in target.run(_TYPES, (name.as_string(),))}  # fmt: skip
    made = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column), types[column][1] or sql.SQL("text")) for column in rows.columns
    )
    target.run(sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(sql.Identifier(_NAME), made))
    _copy(source, target, rows, keys, columns)
    target.run(sql.SQL("GRANT SELECT ON {} TO PUBLIC").format(_STAGED))
    values = sql.SQL(", ").join(
        sql.SQL("{0}" if types[column][1] else "{0}::{1} AS {0}").format(sql.Identifier(column), types[column][0])
        for column in rows.columns
    )
    staged = sql.SQL("(SELECT {} FROM {}) AS s").format(values, _STAGED)
    inserting = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} WHERE NOT EXISTS "
                        "(SELECT FROM ONLY {} AS own WHERE {})").format(
        name, columns, columns, staged, name, _same_key(rows, "own", "s"))  # fmt: skip
    # A key may be equal and not the same, such as a citext's; what is an identity may be the table's alone to give.
    given = {column.name for column in rows.table.columns if column.identity} & set(key_names(rows.key))
    names = [column for column in rows.columns if column not in given]
    if not names:
        return [inserting]
    assigned = sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(column)) for column in names)
    updating = sql.SQL("UPDATE ONLY {} AS own SET {} FROM {} WHERE {}").format(
        name, assigned, staged, _same_key(rows, "own", "s"))  # fmt: skip
    return [updating, inserting]


def _copy(source: Database, target: Database, rows: Rows, keys: Sequence[Key], columns: sql.Composable) -> None:
    own = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in rows.columns)
    out = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(own, matching(rows, keys))
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(_STAGED, columns)
    with (
        source.translated(),
        target.translated(),
        source.connection.cursor().copy(out) as read,
        target.connection.cursor().copy(into) as written,
    ):
        for data in read:
            written.write(data)


def _same_key(rows: Rows, one: str, other: str) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} OPERATOR({}.=) {}").format(
            sql.Identifier(one, column.name), sql.Identifier(column.equality), sql.Identifier(other, column.name)
        )
        for column in rows.key
    )
