"""The whole comparison: definitions, then the rows of all tables, some at a time, then what differed again.

The slot of changes is made before the first row is read, so what changes afterwards is compared at the cut-over, and a
comparison that takes hours is no older than its begin. It is read all the while, so that it keeps little WAL.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import psycopg

from builders.errors import MigrationError, UsageError
from builders.migration import definitions
from builders.migration.changes import Changes
from builders.migration.databases import Database
from builders.migration.definitions import Table
from builders.migration.mappings import EVERYTHING, Mappings
from builders.migration.rows import Difference, Digest, Rows, prepare, readable, was_altered
from builders.migration.verify import structure
from builders.migration.verify.again import RecheckedRows, look_again
from builders.migration.verify.comparing import MOST_NAMED, Comparison, Pace, Stopped, TableProgress
from builders.migration.verify.state import StoredComparison
from builders.migration.verify.structure import DefinitionFinding
from builders.text import counted_noun, unknown_name

POLL_SECONDS, COLLECT_SECONDS = 0.5, 5.0
CANCEL_SECONDS = 5.0


@dataclass(frozen=True)
class VerifyOptions:
    """Options of a comparison. `patience`: seconds for which a row that differs is looked at again, beyond any lag."""

    jobs: int = 2
    patience: float = 60.0
    rows_per_second: float | None = None
    tables: tuple[str, ...] = ()
    """Only these tables, as schema.table; none are all."""
    keeps_changes: bool = True
    """True where the source's changes are kept from now on, for a cut-over to compare."""

    @property
    def is_whole(self) -> bool:
        """Return whether the comparison counts as the one before a cut-over."""
        return self.keeps_changes and not self.tables


@dataclass(frozen=True)
class TableResult:
    """A table: its rows and digests as each side had them when it was read, and what differed in the end."""

    name: str
    source: Digest
    target: Digest
    again: int = 0
    """Rows that were looked at again."""
    in_motion: int = 0
    """Rows that never stopped changing; they are compared at the cut-over."""
    differing: tuple[Difference, ...] = ()
    seconds: float = 0.0
    key: bool = True

    @property
    def is_clean(self) -> bool:
        """Return whether no row differs."""
        return not self.differing


@dataclass(frozen=True)
class VerifyReport:
    """Result of a comparison."""

    began: datetime.datetime
    finished: datetime.datetime
    hash: str
    goes_on: bool
    """True where it went on from an earlier one that was killed."""
    whole: bool
    definitions: tuple[DefinitionFinding, ...]
    tables: tuple[TableResult, ...]
    not_carried: tuple[str, ...] = ()
    rows: Mapping[str, Rows] = field(default_factory=dict, compare=False)
    """{table: how its rows are read}."""

    @property
    def is_clean(self) -> bool:
        """Return whether both sides are the same."""
        return all(table.is_clean for table in self.tables) and not any(
            finding.state == "differs" for finding in self.definitions
        )

    def as_data(self, *, keys: bool) -> dict[str, Any]:
        """The form of `--json`, and without keys that of the reports."""
        return {
            "clean": self.is_clean,
            "began": self.began.isoformat(),
            "finished": self.finished.isoformat(),
            "whole": self.whole,
            "hash": self.hash,
            "definitions": [
                {"state": each.state, "kind": each.kind, "object": each.name, "message": each.message}
                for each in self.definitions
            ],
            "notCarried": list(self.not_carried),
            "tables": [_table_data(each, keys=keys) for each in self.tables],
        }


def _table_data(table: TableResult, *, keys: bool) -> dict[str, Any]:
    differing: Any = len(table.differing)
    if keys:
        differing = [
            {"kind": each.kind, "key": each.key, "columns": list(each.columns)} for each in table.differing
        ]  # fmt: skip
    return {
        "table": table.name,
        "rows": {"source": table.source.rows, "target": table.target.rows},
        "digest": {"source": str(table.source), "target": str(table.target)},
        "lookedAtAgain": table.again,
        "inMotion": table.in_motion,
        "differing": differing,
        "seconds": round(table.seconds, 3),
    }


class Show(Protocol):
    """Shows how far the comparison is."""

    def begin(self, tables: int, rows: int) -> None:
        """So many tables, with so many rows by the planner's estimate, are to be read."""

    def read(self, table: str, rows: int) -> None:
        """So many rows of a table were read in all."""

    def done(self, table: str, progress: TableProgress) -> None:
        """A table was read."""

    def again(self, left: int) -> None:
        """So many rows differ and are looked at again."""


class Silent:
    """Shows nothing."""

    def begin(self, tables: int, rows: int) -> None:
        """Show nothing."""

    def read(self, table: str, rows: int) -> None:
        """Show nothing."""

    def done(self, table: str, progress: TableProgress) -> None:
        """Show nothing."""

    def again(self, left: int) -> None:
        """Show nothing."""


SILENT = Silent()
DEFAULTS = VerifyOptions()


def verify(
    source: Database,
    target: Database,
    schemas: Sequence[str],
    mappings: Mappings = EVERYTHING,
    options: VerifyOptions = DEFAULTS,
    show: Show = SILENT,
    say: Callable[[str], None] = lambda _line: None,
) -> VerifyReport:
    """Compare both sides; raises `MigrationError`, and what is done stays done: the next call goes on from it."""
    began = datetime.datetime.now(datetime.UTC)
    for side in (source, target):
        prepare(side)
    found = _Found.of(source, target, schemas, mappings, options)
    chosen = readable(source, target, found.pairs, found.left_out)
    what = {"schemas": list(schemas), "tables": sorted(options.tables), "columns": found.fingerprint()}
    run = StoredComparison(target, what, whole=options.is_whole)
    changes = Changes(source, target, schemas) if options.is_whole else None
    _begin(run, changes, say)
    goes_on = run.goes_on
    findings = structure.compare(source, target, schemas, found.left_out)
    work = _Work(source, target, run, options, show, {str(rows.table): rows for rows in chosen})
    work.read(changes)
    outcomes = work.look_again(source, target)
    outcomes.update(_altered(found, _Found.of(source, target, schemas, mappings, options)))
    report = VerifyReport(
        began,
        datetime.datetime.now(datetime.UTC),
        chosen[0].hash if chosen else "",
        goes_on,
        options.is_whole,
        tuple(each for each in findings if not options.tables or _is_about(each, options.tables)),
        tuple(_result(rows, work.progress[name], outcomes.get(name)) for name, rows in work.rows.items()),
        tuple(found.not_carried),
        work.rows,
    )
    if changes:
        changes.collect()
    run.finish(report.as_data(keys=False), clean=report.is_clean)
    return report


def _begin(run: StoredComparison, changes: Changes | None, say: Callable[[str], None]) -> None:
    """Go on where a comparison was killed, or begin with a new slot: it is made before anything is read."""
    if run.goes_on and changes is not None:
        held = changes.held()
        if held is None or held.is_lost:
            say("the slot of changes is gone since the last comparison was interrupted: this one begins anew")
            run.goes_on = False
    if run.goes_on:
        say(f"going on where the last comparison was interrupted: {counted_noun(len(run.tables), 'table')} begun")
        return
    if changes is not None:
        changes.begin()
    run.begin()


@dataclass(frozen=True)
class _Found:
    """The tables of both sides that are compared."""

    pairs: Sequence[tuple[Table, Table]]
    left_out: Mapping[str, frozenset[str]]
    not_carried: Sequence[str]

    @classmethod
    def of(
        cls, source: Database, target: Database, schemas: Sequence[str], mappings: Mappings, options: VerifyOptions
    ) -> _Found:
        """Read them; a table that only one side has is named by the comparison of the definitions."""
        here = {str(table): table for table in definitions.tables(source, schemas) if table.kind == "r"}
        there = {str(table): table for table in definitions.tables(target, schemas) if table.kind == "r"}
        for name in options.tables:
            if name not in here:
                raise UsageError(unknown_name("table", name, here))
        wanted = [name for name in here if not options.tables or name in options.tables]
        carried = [name for name in wanted if mappings.carries(here[name])]
        return cls(
            [(here[name], there[name]) for name in carried if name in there],
            mappings.left_out(here.values()),
            [name for name in wanted if name not in carried],
        )

    def fingerprint(self) -> str:
        """Return a hash of the tables and columns: a killed comparison goes on only with the same ones."""
        text = repr([(str(one), one.oid, one.columns, other.oid, other.columns) for one, other in self.pairs])
        return hashlib.sha256(text.encode()).hexdigest()

    def by_name(self) -> dict[str, tuple[Any, ...]]:
        """{table: all that must not change while it is compared}."""
        return {str(one): (one.oid, one.columns, one.key, other.oid, other.columns) for one, other in self.pairs}


def _altered(before: _Found, after: _Found) -> dict[str, RecheckedRows]:
    """The tables that were altered meanwhile, whose comparison says nothing."""
    now = after.by_name()
    return {
        name: RecheckedRows([Difference(name, "altered")])
        for name, definition in before.by_name().items()
        if now.get(name) != definition
    }


def _is_about(finding: DefinitionFinding, names: Sequence[str]) -> bool:
    return any(finding.name == name or finding.name.startswith((f"{name}.", f"{name} ")) for name in names)


def _result(rows: Rows, progress: TableProgress, outcome: RecheckedRows | None) -> TableResult:
    differing = tuple(outcome.differing) if outcome else ()
    if len(progress.again) >= MOST_NAMED:
        differing += (Difference(str(rows.table), "differs"),)
    return TableResult(
        str(rows.table), progress.source, progress.target, len(progress.again), outcome.in_motion if outcome else 0,
        differing, progress.seconds, bool(rows.key),
    )  # fmt: skip


class _Work:
    """The reading of all tables by some threads, each with sessions of its own."""

    def __init__(
        self,
        source: Database,
        target: Database,
        run: StoredComparison,
        options: VerifyOptions,
        show: Show,
        rows: Mapping[str, Rows],
    ) -> None:
        self._source, self._target, self._run, self._options, self._show = source, target, run, options, show
        self.rows = dict(rows)
        self.progress = {
            name: TableProgress.of(run.tables[name]) if name in run.tables else TableProgress() for name in self.rows
        }
        self._stop = threading.Event()
        self._open: set[Database] = set()
        self._altered: set[str] = set()

    def read(self, changes: Changes | None) -> None:
        """Read all tables on both sides. Raises `MigrationError`; an interruption stops all threads first."""
        queue: SimpleQueue[str] = SimpleQueue()
        unread = [name for name in self.rows if not self.progress[name].is_read]
        for name in sorted(unread, key=lambda name: -self.rows[name].table.rows):
            queue.put(name)
        self._show.begin(len(unread), sum(self.rows[name].table.rows for name in unread))
        jobs = max(1, min(self._options.jobs, len(unread)))
        with ThreadPoolExecutor(jobs) as pool:
            try:
                running: set[Future[None]] = {pool.submit(self._job, queue, jobs) for _ in range(jobs if unread else 0)}
                collected = time.monotonic()
                while running:
                    done, running = wait(running, POLL_SECONDS, FIRST_COMPLETED)
                    for each in done:
                        each.result()
                    if changes is not None and time.monotonic() - collected > COLLECT_SECONDS:
                        changes.collect()
                        collected = time.monotonic()
            except BaseException:
                self._stop.set()
                self._cancel()
                raise

    def look_again(self, source: Database, target: Database) -> dict[str, RecheckedRows]:
        """Look at what differed again. Raises `MigrationError`."""
        tables = [(rows, self.progress[name].again) for name, rows in self.rows.items() if name not in self._altered]
        found = dict(look_again(source, target, tables, self._options.patience, self._show.again))
        return found | {name: RecheckedRows([Difference(name, "altered")]) for name in self._altered}

    def _job(self, queue: SimpleQueue[str], jobs: int) -> None:
        rate = self._options.rows_per_second
        pace = Pace(rate / jobs if rate else None, self._stop)
        with (
            self._session(self._source) as source,
            self._session(self._target) as target,
            self._session(self._target) as state,
            contextlib.suppress(Empty, Stopped),
        ):
            for side in (source, target):
                prepare(side)
                if rate:  # a server that is to be spared does not answer by several processes
                    side.run("SET max_parallel_workers_per_gather = 0")
            while not self._stop.is_set():
                self._table(queue.get_nowait(), source, target, state, pace)

    def _table(self, name: str, source: Database, target: Database, state: Database, pace: Pace) -> None:
        progress, begun, before = self.progress[name], time.monotonic(), self.progress[name].seconds

        def keep() -> None:
            progress.seconds = before + time.monotonic() - begun
            self._run.keep(state, name, progress.as_data())
            self._show.read(name, progress.source.rows)

        try:
            Comparison(self.rows[name], source, target, progress, pace, keep).run()
        except MigrationError as error:
            if self._stop.is_set():  # the statement was canceled for us
                raise Stopped from error
            if not was_altered(error):
                raise
            self._altered.add(name)
        self._show.done(name, progress)

    @contextlib.contextmanager
    def _session(self, database: Database) -> Iterator[Database]:
        with database.another() as session:
            self._open.add(session)
            try:
                yield session
            finally:
                self._open.discard(session)

    def _cancel(self) -> None:
        for session in list(self._open):
            with contextlib.suppress(psycopg.Error):
                session.connection.cancel_safe(timeout=CANCEL_SECONDS)
