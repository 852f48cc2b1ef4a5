"""One table compared: read once on both sides side by side, and halved where it differs until the rows are named.

Where both servers order the key alike, the table is read in ranges of its key. The source says where a range ends (its
index knows), and is on the next one while the target still reads. A key that has another order on the other server
(text, by its collation), or that lies all over the disk, would make that slow or wrong: such a table is read as it
lies, and its rows are summed by a hash of their key, so that only what differs is read again. So is a table without a
key, which has nothing but its count and its sum.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from builders.migration.databases import Database
from builders.migration.rows import (
    WHOLE,
    Buckets,
    Difference,
    Digest,
    Key,
    Pages,
    Part,
    Range,
    Rows,
    between,
    bucket_digests,
    digest,
    digests_by_key,
    key_at,
)

RANGE_ROWS = 50_000
LISTED_ROWS = 2_000
"""A range of so many rows is halved no more, and its rows are compared one by one."""

AHEAD = 2
"""Number of ranges that the source may be ahead of the target."""

BUCKET_ROWS, MOST_BUCKETS = 1_000, 4_096
ROWS_IN_MEMORY = 200_000
MOST_NAMED = 100_000
"""Rows of a table that are named; more is no difference to be mended row by row."""

PAGES_A_READ = 16_384
"""128 MiB. A server of before PostgreSQL 14 would read the whole table for a part of its pages."""

_PAGES_SINCE = 140_000
_SCATTERED, _SMALL_ROWS = 0.8, 200_000
"""A key whose order is further from that of the disk is read as the table lies, unless the table is small."""

NOTHING = Digest()
_FILE = "SELECT pg_relation_filenode(%s::int8::oid)::int8"
_PAGES = "SELECT pg_relation_size(%s::int8::oid) / current_setting('block_size')::int8"


class Stopped(Exception):
    """Somebody else asked to stop."""


@dataclass
class TableProgress:
    """Progress of a table's comparison; it is kept in the target, and a comparison that was killed goes on from it."""

    layout: tuple[int, ...] = ()
    """The number of buckets and both sides' files, where the table is read as it lies; 0 where by ranges."""
    source: Digest = NOTHING
    target: Digest = NOTHING
    after: Key | None = None
    """The ranges up to this key are compared."""
    pages: int = 0
    buckets: tuple[dict[int, Digest], dict[int, Digest]] = field(default_factory=lambda: ({}, {}))
    """Both sides' rows of the pages before, by bucket."""
    again: set[Key] = field(default_factory=set)
    """The keys of rows that differed, to be looked at again; the empty key stands for the whole table."""
    is_read: bool = False
    seconds: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """The form that is kept."""
        return {
            "layout": list(self.layout),
            "source": list(self.source),
            "target": list(self.target),
            "after": self.after,
            "pages": self.pages,
            "buckets": [{number: list(found) for number, found in side.items()} for side in self.buckets],
            "again": [list(key) for key in sorted(self.again)],
            "read": self.is_read,
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> TableProgress:
        """Take up what was kept."""
        one, other = ({int(number): Digest(*found) for number, found in side.items()} for side in data["buckets"])
        return cls(
            tuple(data.get("layout", ())),  # of earlier versions, which did not know it, nothing is taken up
            Digest(*data["source"]),
            Digest(*data["target"]),
            tuple(data["after"]) if data["after"] is not None else None,
            data["pages"],
            (one, other),
            {tuple(key) for key in data["again"]},
            data["read"],
            data["seconds"],
        )


class Pace:
    """Limit of the rows a second of one side; a stop is noticed here, too."""

    def __init__(self, rows_a_second: float | None, stop: threading.Event) -> None:
        self._rate, self._stop = rows_a_second, stop
        self._begun, self._rows = time.monotonic(), 0

    def range_rows(self) -> int:
        """Return the number of rows to read at a time."""
        return RANGE_ROWS if self._rate is None else max(1, min(RANGE_ROWS, int(self._rate)))

    def passed(self, rows: int) -> None:
        """Wait as long as the rows that were read ask for. Raises `Stopped`."""
        self._rows += rows
        wait = self._begun + self._rows / self._rate - time.monotonic() if self._rate else 0.0
        if self._stop.wait(max(0.0, wait)):
            raise Stopped


@dataclass
class Comparison:
    """One table, with a session of each side; the target's is used by one thread alone, as the source's by the caller.

    `keep` is called with the progress that may be taken up after a kill.
    """

    rows: Rows
    source: Database
    target: Database
    progress: TableProgress
    pace: Pace
    keep: Callable[[], None]

    def run(self) -> None:
        """Read the table on both sides, and name the rows that differ. Raises `MigrationError` and `Stopped`."""
        if self.progress.is_read:
            return
        with ThreadPoolExecutor(1) as pool:
            self._pool = pool
            while not self._is_read_through():
                pass
        self.progress.is_read = True
        self.progress.buckets = ({}, {})
        self.keep()

    def _is_read_through(self) -> bool:
        """Read on; return whether no row came to lie elsewhere meanwhile, such as by VACUUM FULL, and was passed by."""
        layout = self._layout()
        if layout != self.progress.layout:
            vars(self.progress).update(vars(TableProgress(layout, seconds=self.progress.seconds)))
        if layout[0]:
            self._as_it_lies(layout[0])
        else:
            self._in_ranges()
        return self._layout() == layout

    def _layout(self) -> tuple[int, ...]:
        """Buckets and files by which the table is read: as it was begun, whatever the planner has counted since."""
        if self.progress.layout:
            buckets = self.progress.layout[0]
        else:
            buckets = 0 if reads_ranges(self.rows) else bucket_count(self.rows)
        sides = zip((self.source, self.target), self._oids(), strict=True)
        return buckets, *((int(side.value(_FILE, (oid,)) or 0) for side, oid in sides) if buckets else ())

    def _in_ranges(self) -> None:
        waiting: deque[tuple[Range, Digest, Future[Digest]]] = deque()
        after, size = self.progress.after, self.pace.range_rows()
        while True:
            upto = key_at(self.source, self.rows, Range(after), size - 1)
            part = Range(after, upto)
            promised = self._pool.submit(digest, self.target, self.rows, part)
            waiting.append((part, digest(self.source, self.rows, part), promised))
            while waiting and (len(waiting) > AHEAD or upto is None or waiting[0][2].done()):
                self._settle(*waiting.popleft())
            if upto is None:
                return
            after = upto

    def _settle(self, part: Range, own: Digest, promised: Future[Digest]) -> None:
        """Take the result of a range."""
        other = promised.result()
        if own != other:
            for found in self._halved(part, own, other):
                self._name(found)
                if len(self.progress.again) >= MOST_NAMED:
                    break
        self.progress.source += own
        self.progress.target += other
        self.progress.after = part.upto
        self.keep()
        self.pace.passed(own.rows)

    def _halved(self, part: Range, own: Digest, other: Digest) -> Iterator[dict[Key, Difference]]:
        """Name the differing rows of a range, by its half that differs.

        Where both halves differ, the rows lie all over, and to halve on would read them again and again; unless one
        side has more of them than memory should take.
        """
        longer, rows = (self.source, own.rows) if own.rows >= other.rows else (self.target, other.rows)
        middle = key_at(longer, self.rows, part, rows // 2 - 1) if rows > LISTED_ROWS else None
        if middle is None or middle == part.upto:
            yield self._listed(part)
            return
        differing = []
        for half in (Range(part.after, middle), Range(middle, part.upto)):
            promised = self._pool.submit(digest, self.target, self.rows, half)
            found = digest(self.source, self.rows, half), promised.result()
            if found[0] != found[1]:
                differing.append((half, *found))
        if len(differing) == 1 or rows > 2 * RANGE_ROWS:
            for each in differing:
                yield from self._halved(*each)
        elif differing:
            yield self._listed(part)

    def _listed(self, part: Range | Buckets) -> dict[Key, Difference]:
        promised = self._pool.submit(digests_by_key, self.target, self.rows, part)
        own = digests_by_key(self.source, self.rows, part)
        return between(str(self.rows.table), own, promised.result())

    def _name(self, found: Mapping[Key, Difference]) -> None:
        room = MOST_NAMED - len(self.progress.again)
        self.progress.again.update(list(found)[:room])

    def _as_it_lies(self, buckets: int) -> None:
        progress = self.progress
        if buckets == 1:
            promised = self._pool.submit(digest, self.target, self.rows, WHOLE)
            progress.source, progress.target = digest(self.source, self.rows), promised.result()
            if progress.source != progress.target:
                progress.again.add(())
            self.pace.passed(progress.source.rows)
            return
        for parts in self._pages(progress.pages):
            promises = self._pool.submit(self._sums, self.target, parts[1], buckets)
            found = self._sums(self.source, parts[0], buckets), promises.result()
            for side, added in zip(progress.buckets, found, strict=True):
                for number, more in added.items():
                    side[number] = side.get(number, Digest()) + more
            progress.source += sum(found[0].values(), Digest())
            progress.target += sum(found[1].values(), Digest())
            progress.pages += 1
            self.keep()
            self.pace.passed(sum(each.rows for each in found[0].values()))
        self._name_of_buckets(buckets)

    def _pages(self, done: int) -> Iterator[tuple[Part | None, Part | None]]:
        """The parts that are still to be read of both sides, None where a side is at its end."""
        sides = self.source, self.target
        if min(side.version for side in sides) < _PAGES_SINCE:
            if not done:
                yield WHOLE, WHOLE
            return
        sizes = [int(side.value(_PAGES, (oid,)) or 0) for side, oid in zip(sides, self._oids(), strict=True)]
        counts = [max(1, -(-size // PAGES_A_READ)) for size in sizes]
        for number in range(done, max(counts)):
            both = [None if number >= count else _slice(number, count) for count in counts]
            yield both[0], both[1]

    def _oids(self) -> tuple[int, int]:
        name = self.rows.table.sql.as_string(None)
        return self.rows.table.oid, int(self.target.value("SELECT %s::regclass::oid::int8", (name,)))

    def _sums(self, side: Database, part: Part | None, buckets: int) -> dict[int, Digest]:
        return {} if part is None else bucket_digests(side, self.rows, part, buckets)

    def _name_of_buckets(self, buckets: int) -> None:
        one, other = self.progress.buckets
        differing = [number for number in sorted(one.keys() | other.keys()) if one.get(number) != other.get(number)]
        for batch in _by_rows(differing, one, other):
            if len(self.progress.again) < MOST_NAMED:
                self._name(self._listed(Buckets(buckets, tuple(batch))))
                self.pace.passed(0)


def reads_ranges(rows: Rows) -> bool:
    """Return whether a table is read in ranges of its key, and not as it lies."""
    if not rows.has_ordered_key:
        return False
    return rows.table.rows <= _SMALL_ROWS or rows.key[0].correlation >= _SCATTERED


def bucket_count(rows: Rows) -> int:
    """Return in how many buckets a table's rows are summed: a power of two, and 1 where rows have no key."""
    if not rows.key:
        return 1
    wanted = min(MOST_BUCKETS, max(2, rows.table.rows // BUCKET_ROWS))
    return 1 << (wanted - 1).bit_length()


def _slice(number: int, count: int) -> Part:
    """One of the parts of a table as it lies; a table of one part may be read by several processes of the server."""
    end = None if number == count - 1 else (number + 1) * PAGES_A_READ
    return WHOLE if count == 1 else Pages(number * PAGES_A_READ, end)


def _by_rows(
    numbers: Sequence[int], one: Mapping[int, Digest], other: Mapping[int, Digest]
) -> Iterator[list[int]]:  # fmt: skip
    """Buckets in as many as memory takes at a time."""
    batch: list[int] = []
    rows = 0
    for number in numbers:
        size = max(side.get(number, Digest()).rows for side in (one, other))
        if batch and rows + size > ROWS_IN_MEMORY:
            yield batch
            batch, rows = [], 0
        batch.append(number)
        rows += size
    if batch:
        yield batch
