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
from builders.migration.rows import Difference, Key, Rows, batches, between, digests_of_keys, matching

ROWS_A_TRANSACTION = 200
_STAGED = sql.Identifier("pg_temp", "stackferry_repair")


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
            for kind, count in target.patiently(_write, source, target, rows[name], batch).items():
                counts[kind] += count
        here, there = (digests_of_keys(side, rows[name], keys) for side in (source, target))
        found = between(name, here, there)
        left += found.values()
        say(f"{name}: {len(keys) - len(found):,} of {len(keys):,} rows are now the same")
    return Repaired(**counts, left=tuple(left))


def _write(source: Database, target: Database, rows: Rows, keys: Sequence[Key]) -> dict[str, int]:
    """Write the rows of some keys in one transaction, as the source has them now."""
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    with target.transaction():
        target.run(sql.SQL("SELECT 1 FROM {} ORDER BY k.number FOR UPDATE OF t").format(matching(rows, keys)))
        here, there = (digests_of_keys(side, rows, keys) for side in (source, target))
        still = [key for key in keys if here.get(key) != there.get(key)]
        gone = [key for key in still if key not in here]
        wrong = [key for key in still if key in here]
        if gone:
            target.run(sql.SQL("DELETE FROM ONLY {} AS own USING {} WHERE {}").format(
                rows.table.sql, matching(rows, gone), _same_key(rows, "own", "t")))  # fmt: skip
        if wrong:
            target.run(sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                sql.Identifier("stackferry_repair"), columns, rows.table.sql))  # fmt: skip
            _copy(source, target, rows, wrong, columns)
            _update(target, rows)
            target.run(sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} AS s WHERE NOT EXISTS "
                               "(SELECT FROM ONLY {} AS own WHERE {})").format(
                rows.table.sql, columns, columns, _STAGED, rows.table.sql, _same_key(rows, "own", "s")))  # fmt: skip
    return {
        "inserted": sum(key not in there for key in wrong),
        "updated": sum(key in there for key in wrong),
        "deleted": len(gone),
    }


def _copy(source: Database, target: Database, rows: Rows, keys: Sequence[Key], columns: sql.Composable) -> None:
    """Bring rows of the source beside the table, by COPY: each type's own functions write and read them."""
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


def _update(target: Database, rows: Rows) -> None:
    names = [name for name in rows.columns if name not in {column.name for column in rows.key}]
    if not names:
        return
    assigned = sql.SQL(", ").join(
        sql.SQL("{} = s.{}").format(sql.Identifier(name), sql.Identifier(name)) for name in names
    )
    target.run(
        sql.SQL("UPDATE ONLY {} AS own SET {} FROM {} AS s WHERE {}").format(
            rows.table.sql, assigned, _STAGED, _same_key(rows, "own", "s")
        )
    )


def _same_key(rows: Rows, one: str, other: str) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} OPERATOR({}.=) {}").format(
            sql.Identifier(one, column.name), sql.Identifier(column.equality), sql.Identifier(other, column.name)
        )
        for column in rows.key
    )
