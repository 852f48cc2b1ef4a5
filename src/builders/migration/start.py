"""`migrate-database start`: the load, then all that may be built before the cut-over, then the lag.

It is taken up again where it was interrupted: the task goes on by itself, and each index and constraint is remembered
as it is made. After a fall-back it begins anew: the target is softened and emptied, and everything is loaded again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from builders.errors import MigrationError, ReplicationError, StackferryError
from builders.migration import journal, marker
from builders.migration.databases import Database
from builders.migration.journal import Journal
from builders.migration.phase import DATABASE_SECRET, Phase
from builders.migration.schema import building, moments
from builders.migration.schema.moments import Say
from builders.migration.task import running
from builders.migration.task.client import Replication
from builders.migration.task.running import Watch
from builders.migration.task.values import Task

EMPTIED, START = "emptied", "start"
"""Steps of the journal: the target was emptied for another load; everything up to the lag is done."""

_FOREVER = 10.0**9


@dataclass(frozen=True)
class Started:
    """The task after the load, and what a change takes to the target, in seconds."""

    task: Task
    lag_seconds: float


def check_side(phase: Phase, say: Callable[[str], None]) -> None:
    """Raise `MigrationError` where the task must not run since the application is, or comes, on the other side.

    What the way back writes to the source would come round again. A target that cannot be asked is named.
    """
    if not carries(phase):
        return  # a task between other databases than those of the layers
    try:
        target = phase.target()
    except StackferryError as error:
        say(f"whether the source is still in use is not known: {error}")
        return
    with target:
        journal.must_serve_source(target)


def load(
    target: Database, schemas: Sequence[str], replication: Replication, watch: Watch, *, until_loaded: bool
) -> Task:
    """Start the task, resume one that stopped, or load everything again after a fall-back. Raises `StackferryError`.

    `until_loaded` waits for the end of the load, else for the task to run.
    """
    journal.must_serve_source(target)
    if not moments.is_prepared(target):
        raise MigrationError("the target has no definitions of `migrate-database schema` yet: run that first")
    if _begins_anew(target):
        return _load_again(target, schemas, replication, watch, until_loaded)
    return _start_or_resume(replication, watch, until_loaded)


def _start_or_resume(replication: Replication, watch: Watch, until_loaded: bool) -> Task:
    task = replication.task()
    if task.is_at_rest and task.has_run:
        watch.say(f"the task has run before and is {task.status}: it goes on where it was")
        return running.resume(replication, watch, until_loaded=until_loaded)
    return running.start(replication, watch, until_loaded=until_loaded)


def _begins_anew(target: Database) -> bool:
    """True once after each fall-back: until everything was loaded again and built."""
    kinds = [run.kind for run in Journal(target).runs()]
    return "fallback" in kinds and START not in kinds[len(kinds) - kinds[::-1].index("fallback") :]


def _load_again(
    target: Database, schemas: Sequence[str], replication: Replication, watch: Watch, until_loaded: bool
) -> Task:
    """Empty the target once, and have the task load again; both are taken up where they were."""
    task = replication.task()
    emptied = [run for run in Journal(target).runs() if run.kind == EMPTIED]
    fallbacks = [run for run in Journal(target).runs() if run.kind == "fallback"]
    before = emptied[-1].entries[-1] if emptied else None
    if before is None or before.number < fallbacks[-1].entries[-1].number:
        if not task.is_at_rest:
            raise ReplicationError(f"the task is {task.status} after a fall-back; stop it first, then start")
        moments.soften(target, target, schemas, watch.say)
        moments.soften_foreign_keys(target, watch.say)

        def empty() -> None:
            with target.transaction():
                moments.truncate(target, schemas, watch.say)
                log = Journal(target)
                log.write(f"{EMPTIED}-{len(emptied) + 1}", EMPTIED, "done", {"started": task.started})

        target.patiently(empty)
        return running.reload(replication, watch, until_loaded=until_loaded)
    if task.is_at_rest and task.started == before.details["started"]:
        return running.reload(replication, watch, until_loaded=until_loaded)
    return _start_or_resume(replication, watch, until_loaded)


def finish(
    source: Database,
    target: Database,
    schemas: Sequence[str],
    replication: Replication,
    watch: Watch,
    caller: str,
) -> Started:
    """Build what waits for the end of the load, and judge the lag. Raises `StackferryError`."""
    began = time.time()
    building.indexes(target, watch.say)
    if building.waiting(target):
        # Until the changes of the load's own time have been applied, a row may stand without the one it refers to.
        watch.say("waiting until the changes that came during the load have arrived")
        _lag(source, target, replication, watch)
    building.others(target, watch.say)
    building.analyze(target, schemas, watch.say)
    lag = _lag(source, target, replication, watch)
    watch.say(f"a change of the source is in the target {lag:.2f} s later")
    log = Journal(target, caller)
    log.prepare()
    number = sum(run.kind == START for run in log.runs()) + 1
    log.write(f"{START}-{number}", START, "done", {"seconds": round(time.time() - began, 1), "lag": round(lag, 3)})
    return Started(replication.task(), lag)


def _lag(source: Database, target: Database, replication: Replication, watch: Watch) -> float:
    """Seconds that a change takes to the target, by the marker."""

    def alive() -> None:
        task = replication.task()
        if task.is_at_rest:
            raise ReplicationError(f"the task is {task.status}; see status, then run start again")

    left = watch.left(_FOREVER)
    if left == 0:
        raise ReplicationError(
            f"the lag is not known after {watch.timeout_seconds:g} seconds, and DMS goes on; start again goes on from "
            "here, with a longer --timeout"
        )
    return marker.round_trip(source, target, alive, timeout_seconds=left)


def carries(phase: Phase) -> bool:
    """Return whether the phase's target is one that `schema` prepares, by its outputs."""
    return DATABASE_SECRET in phase.outputs


def make_room(phase: Phase, say: Say) -> None:
    """Soften and empty the target of a phase, before a task at rest loads everything again. Raises `StackferryError`.

    Its foreign keys go too, since tables are loaded in parallel; `start` builds them again.
    """
    if not carries(phase):
        return
    with phase.target() as target, journal.locked(target):
        journal.must_serve_source(target)
        if not moments.is_prepared(target):
            return
        if not (task := phase.task.task()).is_at_rest:
            raise ReplicationError(f"the task is {task.status}; stop it first, then reload")
        moments.soften(target, target, phase.schemas, say)
        moments.soften_foreign_keys(target, say)
        moments.truncate(target, phase.schemas, say)


def run(phase: Phase, watch: Watch, *, until: str) -> Task:
    """Start a phase's task, or take it up again, and go on `until` it is running, loaded or ready.

    Raises `StackferryError`.
    """
    until_loaded = until != "running"
    if not carries(phase):
        if until == "ready":
            raise MigrationError(
                f"the outputs of {phase.name} have no {DATABASE_SECRET}: deploy the layers secrets and database, or "
                "give --until loaded"
            )
        return _start_or_resume(phase.task, watch, until_loaded)
    with phase.target() as target, journal.locked(target):
        task = load(target, phase.schemas, phase.task, watch, until_loaded=until_loaded)
        if until != "ready":
            return task
        with phase.source() as source:
            return finish(source, target, phase.schemas, phase.task, watch, phase.caller).task
