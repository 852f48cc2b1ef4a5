"""The journal of a phase's cut-overs, and the lock that keeps a second run away.

The journal is a table of the target, in a schema that is not replicated. Rows are only added: each step writes that it
begins, before it does anything, and that it is done, or undone. What a run has to do next follows from them, also after
its process was killed. All times are those of the target's clock.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from builders import naming
from builders.errors import MigrationError
from builders.migration.databases import Database, Side

SCHEMA = naming.STATE_SCHEMA
TABLE = f"{SCHEMA}.journal"

StepState = Literal["begins", "done", "undone"]
Kind = Literal["cutover", "fallback", "finish"]
Details = Mapping[str, Any]

OPEN = "open"
"""The step from whose beginning on a run only goes forward."""

LOCK_KEY = (0x57AC, 0xFE44)
"""Both numbers of the advisory lock; such locks are per database, so one phase never sees another's."""

LOCK_SECONDS = 3.0
"""Seconds to wait for the lock: a killed process's session ends a moment after it."""

_CREATE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"""CREATE TABLE IF NOT EXISTS {TABLE} (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      at timestamptz NOT NULL DEFAULT clock_timestamp(),
      run varchar(64) NOT NULL,
      step varchar(64) NOT NULL,
      moment varchar(8) NOT NULL,
      details jsonb NOT NULL,
      caller varchar(2048) NOT NULL)""",
)

_HOLDER = """
SELECT l.pid, a.usename, a.application_name, date_trunc('second', now() - a.backend_start)::text
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::int8, l.objid::int8) = (%s, %s)
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True)
class Entry:
    """A row of the journal."""

    number: int
    at: datetime
    run: str
    step: str
    state: StepState
    details: Details
    caller: str


@dataclass(frozen=True)
class Run:
    """A cut-over, a fall-back or a finish as the journal tells it. The step named like its kind is the run itself."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def kind(self) -> str:
        """cutover, fallback, finish, rotate ..."""
        return self.name.rpartition("-")[0]

    def last(self, step: str) -> StepState | None:
        """The last that was written of a step; None for one that never began."""
        return next((entry.state for entry in reversed(self.entries) if entry.step == step), None)

    def first(self, step: str, state: StepState) -> Entry | None:
        """The first such row: what a step wrote before it did anything for the first time."""
        return next((entry for entry in self.entries if (entry.step, entry.state) == (step, state)), None)

    @property
    def is_over(self) -> bool:
        """True once every step is done, or undone."""
        return self.last(self.kind) in ("done", "undone")

    @property
    def has_opened(self) -> bool:
        """True from the moment on from which the other side may take writes."""
        return any(entry.step == OPEN for entry in self.entries)

    @property
    def is_undone_in_part(self) -> bool:
        """True once a step was undone: such a run is undone to its end."""
        return any(entry.state == "undone" for entry in self.entries)


class Journal:
    """The journal, by a session to the target. `caller` is who runs this, as AWS knows him."""

    def __init__(self, target: Database, caller: str = "") -> None:
        self._target = target
        self._caller = caller

    def prepare(self) -> None:
        """Make schema and table where they are not there."""
        if self._exists():
            return
        with self._target.transaction():
            for statement in _CREATE:
                self._target.run(statement)

    def write(self, run: str, step: str, state: StepState, details: Details | None = None) -> None:
        """Add a row; within a transaction of the target it stands when that does."""
        self._target.run(
            f"INSERT INTO {TABLE} (run, step, moment, details, caller) VALUES (%s, %s, %s, %s, %s)",
            (run, step, state, json.dumps(details or {}), self._caller),
        )

    def entries(self) -> list[Entry]:
        """All rows; none where there is no journal."""
        if not self._exists():
            return []
        rows = self._target.run(f"SELECT id, at, run, step, moment, details, caller FROM {TABLE} ORDER BY id")
        return [Entry(*row) for row in rows]

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        return runs_of(self.entries())

    def _exists(self) -> bool:
        return bool(self._target.value("SELECT to_regclass(%s) IS NOT NULL", (TABLE,)))


def runs_of(entries: Sequence[Entry]) -> list[Run]:
    """The runs that rows belong to, the oldest first."""
    names = dict.fromkeys(entry.run for entry in entries)
    return [Run(name, tuple(entry for entry in entries if entry.run == name)) for name in names]


def new_name(kind: Kind, runs: Sequence[Run]) -> str:
    """The name of the next run of a kind."""
    return f"{kind}-{1 + sum(run.kind == kind for run in runs)}"


def open_side(runs: Sequence[Run]) -> Side:
    """The side that takes the application's writes, once every run is over."""
    opened = [run.kind for run in runs if run.last(OPEN) == "done"]
    return "target" if opened and opened[-1] == "cutover" else "source"


def ended_by(runs: Sequence[Run]) -> Run | None:
    """Return the finish after which nothing was made any more; a rotation makes nothing."""
    made = [run for run in runs if run.kind != "rotate"]
    return made[-1] if made and made[-1].kind == "finish" and made[-1].is_over else None


def has_way_back(runs: Sequence[Run]) -> bool:
    """Return whether the last cut-over may be followed by a fall-back."""
    begun = [run.first(run.kind, "begins") for run in runs if run.kind == "cutover"]
    return bool(begun and begun[-1] and begun[-1].details.get("way_back") and not ended_by(runs))


def must_be_over(target: Database) -> list[Run]:
    """Return the cut-overs, fall-backs and ends. Raises `MigrationError` where one is under way."""
    runs = [run for run in Journal(target).runs() if run.kind in ("cutover", "fallback", "finish")]
    if runs and not runs[-1].is_over:
        raise MigrationError(f"{runs[-1].name} is under way: end it with `migrate-database {runs[-1].kind}` first")
    return runs


def must_serve_source(target: Database) -> None:
    """Raise `MigrationError` where the target is open to the application, or a cut-over or fall-back is under way."""
    runs = must_be_over(target)
    if open_side(runs) == "target":
        finished = runs[-1].kind == "finish"
        then = "finish has taken the way back away" if finished else "to go back, use fallback"
        raise MigrationError(f"the application is on the target since the cut-over; {then}")


@contextlib.contextmanager
def locked(*databases: Database) -> Iterator[None]:
    """Keep other runs away while the block lasts. Raises `MigrationError` with who holds the lock.

    The sessions that work hold it themselves, on each side: when our process is killed in the middle of a statement,
    the server may go on with it, and nobody else begins before it has ended.
    """
    held: list[Database] = []
    try:
        for database in databases:
            _lock(database)
            held.append(database)
        yield
    finally:
        for database in held:
            if not database.connection.closed:
                with contextlib.suppress(MigrationError):
                    database.value("SELECT pg_advisory_unlock(%s, %s)", LOCK_KEY)


def _lock(database: Database) -> None:
    # The server notices within a minute when this host has gone, also in the middle of a statement where it can.
    for name, value in (("idle", 30), ("interval", 10), ("count", 3)):
        database.run(f"SET tcp_keepalives_{name} = {value}")
    if database.version >= 140000:
        database.run("SET client_connection_check_interval = '10s'")
    deadline = time.monotonic() + LOCK_SECONDS
    while not database.value("SELECT pg_try_advisory_lock(%s, %s)", LOCK_KEY):
        if time.monotonic() >= deadline:
            raise MigrationError(
                f"another run of this phase is under way: {_holder(database)} holds the lock on the {database.side}; "
                "let it end; end a session that nobody works with by pg_terminate_backend"
            )
        time.sleep(0.05)


def _holder(database: Database) -> str:
    rows = database.run(_HOLDER, LOCK_KEY)
    return ", ".join(f"pid {pid} of {user} ({name}, for {age})" for pid, user, name, age in rows) or "a session"
