"""Rows that differed are looked at again while writers write, until they agree or stay different beyond the lag.

No moment is the same on both sides. A row agrees as soon as the target has what the source had at an earlier look, or
has now. It differs when one of the sides has stood still for the whole patience and they are not the same: then it is
not late. What keeps changing on both sides has agreed at none of the looks, and is no difference either: it is in
motion. It changed since the comparison began, so it is in the slot of changes, and compared at the cut-over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from builders.errors import MigrationError
from builders.migration.databases import Database
from builders.migration.rows import (
    Difference,
    Digest,
    Key,
    Rows,
    between,
    columns_of_keys,
    digest,
    digests_of_keys,
    was_altered,
)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0
COLUMNS_LOOKED_UP = 1_000
"""Rows of a table of which the differing columns are named."""

Value = int | Digest | None
"""The digest of a row, or rows and digest of a table; None where the row is not there."""

WHOLE_TABLE: Key = ()


@dataclass
class _Looks:
    """Values that were seen of a row: all of the source, the last of each side, and since when."""

    first: float
    seen: set[Value] = field(default_factory=set)
    source: Value = None
    target: Value = None
    source_since: float = 0.0
    target_since: float = 0.0

    def add(self, source: Value, target: Value, at: float) -> None:
        """Take one more look."""
        if not self.seen or source != self.source:
            self.source, self.source_since = source, at
        if not self.seen or target != self.target:
            self.target, self.target_since = target, at
        self.seen.add(source)

    def agrees(self) -> bool:
        """Return whether the target has what the source has or had."""
        return self.target in self.seen

    def differs(self, patience: float, at: float) -> bool:
        """Return whether a side has stood still for so long that the row is not late."""
        return at - min(self.source_since, self.target_since) >= patience

    def is_in_motion(self, patience: float, at: float) -> bool:
        """Return whether both sides have changed for longer than anybody wants to look."""
        return at - self.first >= 2 * patience


@dataclass
class RecheckedRows:
    """Result for a table's rows that were looked at again."""

    differing: list[Difference] = field(default_factory=list)
    in_motion: int = 0


def look_again(
    source: Database,
    target: Database,
    tables: Sequence[tuple[Rows, Collection[Key]]],
    patience: float,
    each_round: Callable[[int], None] = lambda _left: None,
) -> Mapping[str, RecheckedRows]:
    """Look at the rows of some tables until each of them agrees, differs or is in motion; return those of each table.

    `each_round` is called with the number of rows that are left, and may raise. Raises `MigrationError`.
    """
    begun = time.monotonic()
    left = {rows: {key: _Looks(begun) for key in keys} for rows, keys in tables if keys}
    outcomes = {str(rows.table): RecheckedRows() for rows, _ in tables}
    pause = FIRST_PAUSE_SECONDS
    while True:
        for rows, looks in left.items():
            try:
                _look(source, target, rows, looks)
            except MigrationError as error:
                if not was_altered(error):
                    raise
                outcomes[str(rows.table)].differing = [Difference(str(rows.table), "altered")]
                looks.clear()
            _decide(looks, patience, outcomes[str(rows.table)], str(rows.table))
        left = {rows: looks for rows, looks in left.items() if looks}
        each_round(sum(map(len, left.values())))
        if not left:
            break
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS, max(patience / 4, FIRST_PAUSE_SECONDS))
    for rows, _ in tables:
        outcome = outcomes[str(rows.table)]
        outcome.differing = _with_columns(source, target, rows, outcome.differing)
    return outcomes


def _look(source: Database, target: Database, rows: Rows, looks: Mapping[Key, _Looks]) -> None:
    """Look at rows once: first at the target, since it may be ahead of an earlier look, but not of the source."""
    values: list[Mapping[Key, Value]] = []
    for side in (target, source):
        if WHOLE_TABLE in looks:
            values.append({WHOLE_TABLE: digest(side, rows)})
        else:
            values.append(digests_of_keys(side, rows, looks))
    there, here = values
    at = time.monotonic()
    for key, each in looks.items():
        each.add(here.get(key), there.get(key), at)


def _decide(looks: dict[Key, _Looks], patience: float, outcome: RecheckedRows, table: str) -> None:
    at = time.monotonic()
    for key, each in list(looks.items()):
        if each.agrees():
            del looks[key]
        elif each.differs(patience, at):
            del looks[key]
            outcome.differing.append(_difference(table, key, each))
        elif each.is_in_motion(patience, at):
            del looks[key]
            outcome.in_motion += 1


def _difference(table: str, key: Key, looks: _Looks) -> Difference:
    if key == WHOLE_TABLE:
        return Difference(table, "differs")
    one = {} if looks.source is None else {key: 0}
    other = {} if looks.target is None else {key: 1}
    return between(table, one, other)[key]


def _with_columns(source: Database, target: Database, rows: Rows, differing: Sequence[Difference]) -> list[Difference]:
    """Name the columns in which rows differ, of the first ones."""
    keys = [each.key for each in differing if each.key and each.kind == "differs"][:COLUMNS_LOOKED_UP]
    here, there = (columns_of_keys(side, rows, keys) if keys else {} for side in (source, target))
    named = []
    for each in differing:
        columns: tuple[str, ...] = ()
        if each.key in here and each.key in there:
            columns = tuple(name for name, one, other in zip(rows.columns, here[each.key], there[each.key], strict=True)
                            if one != other)  # fmt: skip
        named.append(Difference(each.table, each.kind, each.key, columns))
    return sorted(named, key=lambda each: each.key or ())
