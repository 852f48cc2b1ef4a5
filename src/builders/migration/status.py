"""`migrate-database status`: one page of where a phase's migration stands, and what comes next.

The task is DMS's word. All else is asked of the databases; where one does not answer, the page says so and goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from builders import naming
from builders.aws.calls import Session
from builders.errors import StackferryError
from builders.migration import journal, metrics, slots
from builders.migration.changes import SLOT
from builders.migration.databases import Database
from builders.migration.journal import Journal, Run
from builders.migration.phase import DATABASE_SECRET, Phase
from builders.migration.schema import building, moments, schema_plan
from builders.migration.schema.schema_plan import Noted, Users
from builders.migration.slots import DAY, Slots
from builders.migration.task.values import TableStatistics, Task
from builders.text import counted_noun, first_lines, name_list

MOST_DIFFERENCES = 10
"""Differences that a person is shown; --json has them all."""

_METRICS = ("CDCLatencySource", "CDCLatencyTarget")
_PROGRESS = "SELECT phase, blocks_done, blocks_total FROM pg_stat_progress_create_index LIMIT 1"
_SOON_DAYS = 3.0


@dataclass
class Overview:
    """State of a migration; a part that could not be read has its reason in `unknown`."""

    task: Task
    tables: Sequence[TableStatistics]
    step: str = ""
    next: str = ""
    waiting: dict[str, int] = field(default_factory=dict)
    building: str = ""
    lag: dict[str, float] = field(default_factory=dict)
    slots: Slots | None = None
    drift: list[Noted] | None = None
    unknown: list[str] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """Return what --json has beside the task's own keys."""
        return {
            "step": self.step or None,
            "next": self.next or None,
            "waiting": self.waiting,
            "lagSeconds": self.lag,
            "wal": self.slots.as_data() if self.slots else None,
            "drift": None if self.drift is None else [asdict(each) for each in self.drift],
            "unknown": self.unknown,
        }

    def lines(self) -> Iterator[tuple[str, str]]:
        """Return titles and texts for a person."""
        yield "step", self.step
        if self.waiting:
            yield (
                "to build",
                name_list([f"{counted_noun(count, kind.lower())}" for kind, count in self.waiting.items()]),
            )
        yield "building", self.building
        if self.lag:
            yield "lag", ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.lag.items())
        if self.slots is not None:
            yield from _slot_lines(self.slots)
        validation = Counter(table.validation for table in self.tables if table.validation)
        yield "validation", ", ".join(f"{counted_noun(count, 'table')} {state.lower()}"
                                      for state, count in validation.most_common())  # fmt: skip
        if self.drift is not None:
            yield "drift", "" if self.drift else "none: both sides are as schema carried them"
            for line in first_lines(list(map(str, self.drift)), MOST_DIFFERENCES):
                yield "drift", line
        for reason in self.unknown:
            yield "unknown", reason
        yield "next", self.next


def of_phase(phase: Phase, task: Task, tables: Sequence[TableStatistics]) -> Overview:
    """Read the overview of a phase; what does not answer is named in it."""
    overview = Overview(task, tables)
    overview.lag = _latencies(task, naming.with_suffix(naming.REPLICATION_INSTANCE, phase.suffix), phase.session)
    if DATABASE_SECRET not in phase.outputs:
        overview.unknown.append(f"step, slots and drift: the outputs of {phase.name} have no {DATABASE_SECRET}")
        return overview
    try:
        with phase.target() as target:
            runs = _judge(overview, target)
            if journal.open_side(runs) == "target":
                overview.slots = slots.read(target)
                return overview
            try:
                with phase.source() as source:
                    overview.slots = slots.read(source)
                    if moments.is_prepared(target):
                        overview.drift = drift(source, target, phase.schemas, Users.of(phase))
            except StackferryError as error:
                overview.unknown.append(f"slots, and definitions of the source: {error}")
    except StackferryError as error:
        overview.unknown.append(f"step, and slots: {error}")
    return overview


def _judge(overview: Overview, target: Database) -> list[Run]:
    """Fill in step and next step from the state in the target, and return the runs that moved the application."""
    log = Journal(target).runs()
    runs = [run for run in log if run.kind in ("cutover", "fallback", "finish")]
    overview.building = _index_progress(target)
    if moments.is_prepared(target):
        overview.waiting = dict(Counter(each.kind for each in building.waiting(target)))
    overview.step, overview.next = _step(overview, target, log, runs)
    return runs


def _step(overview: Overview, target: Database, log: Sequence[Run], runs: Sequence[Run]) -> tuple[str, str]:
    """Return where the migration stands, and the command that comes next: the first of these that is so."""
    task, last = overview.task, runs[-1] if runs else None
    kinds = [run.kind for run in log]
    since_fallback = kinds[len(kinds) - kinds[::-1].index("fallback") :] if "fallback" in kinds else kinds
    is_built = not overview.waiting and "start" in since_fallback
    begins = "migrate-database start"
    candidates = (
        (last and not last.is_over, f"{last and last.name} is under way", f"migrate-database {last and last.kind}"),
        (journal.ended_by(log), "finished", "nothing"),
        (journal.open_side(runs) == "target", "the application is on the target",
         "migrate-database finish; or fallback"),
        (not moments.is_prepared(target), "nothing was done yet", "migrate-database check, then schema"),
        (last and last.kind == "fallback" and "emptied" not in since_fallback, "fallen back to the source",
         f"{begins}, which loads everything again"),
        (task.is_at_rest and not task.has_run, "the definitions are in the target", begins),
        (task.is_at_rest, f"the task is {task.status}", f"{begins}, which goes on where it was"),
        (not task.is_loaded, f"the load is at {task.progress.percent}%", f"wait: {begins} does"),
        (not is_built, "the load is done; indexes and constraints are not all built", begins),
        (True, "the changes are replicated", "migrate-database verify, then cutover"),
    )  # fmt: skip
    return next((step, following) for is_so, step, following in candidates if is_so)


def _index_progress(target: Database) -> str:
    rows = target.run(_PROGRESS) if target.version >= 120000 else []
    return f"{rows[0][0]}, {rows[0][1]:,} of {rows[0][2]:,} blocks" if rows else ""


def _latencies(task: Task, instance: str, session: Session) -> dict[str, float]:
    """The newest latencies of DMS, in seconds; none where there are none, or we may not read them."""
    # The instance by its name, the task by the end of its ARN (DMS user guide, "Replication task metrics").
    names = {"ReplicationInstanceIdentifier": instance, "ReplicationTaskIdentifier": task.arn.rpartition(":")[2]}
    return metrics.newest(session, "AWS/DMS", names, _METRICS, "Maximum")


def drift(source: Database, target: Database, schemas: Sequence[str], users: Users) -> list[Noted]:
    """Return what was altered on either side since `schema` carried it, and what is new in the source."""
    planned = schema_plan.plan(source, target, schemas, users)
    new = [
        Noted(step.kind, step.object, "the source has it, and the target does not: run schema again")
        for step in planned.steps
        if step.number >= 0 and (step.statements or not all(each.is_done for each in step.kept))
    ]
    return [*planned.differing, *new]


def _slot_lines(found: Slots) -> Iterator[tuple[str, str]]:
    """Each slot with what the source keeps for it, and for how long it can."""
    for slot in found.slots:
        read = "is read" if slot.is_active else "nobody reads it"
        parts = [f"{slot.name}: {read}", slot.status]
        if slot.retained is not None:
            parts.append(f"{_size(slot.retained)} of log kept")
        if slot.behind is not None:
            parts.append(f"{_size(slot.behind)} behind")
        if slot.is_lost and slot.name.startswith(SLOT):
            parts.append("`migrate-database verify` makes a new one")
        elif slot.is_lost:
            parts.append("load again with `migrate-database reload`" if found.side == "source" else "no fall-back")
        elif slot.name.startswith(SLOT) and found.side == "target":
            parts.append("`migrate-database verify` reads it")
        elif (days := slot.days_left(found.bytes_per_second)) is not None:
            soon = " (soon: let the task run)" if days < _SOON_DAYS and not slot.is_active else ""
            parts.append(f"lost in {_time(days)} at {_size(found.bytes_per_second)}/s if nobody reads it{soon}")
        else:
            parts.append(f"no limit but the {found.side}'s disk, which fills at {_size(found.bytes_per_second)}/s")
        yield "slot", ", ".join(filter(None, parts))


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _time(days: float) -> str:
    if days >= 1:
        return f"{days:.1f} days"
    seconds = days * DAY
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"
