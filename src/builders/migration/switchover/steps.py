"""Steps of a cut-over or fall-back: the list that a person is shown is the list that is carried out.

Each step is written to the journal before it does anything, and when it is done. A run whose process was killed is
taken up again from there. Before the step `open` every failure undoes what was done, first what the application waits
for; from its beginning on a run only goes forward.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from builders.errors import MigrationError, StackferryError
from builders.migration.databases import Database, Side
from builders.migration.journal import OPEN, Details, Entry, Journal, Kind, Run
from builders.migration.mappings import EVERYTHING, Mappings
from builders.migration.switchover.fence import Fence, Record
from builders.migration.task.client import Replication
from builders.migration.task.running import Watch

Say = Callable[[str], None]


@dataclass(frozen=True)
class Context:
    """All that a step works with.

    `forward` carries the source's changes to the target, `back` those of the target to the source, where there is such
    a task. `users` are those of DMS by side: a fence lets them pass.
    """

    kind: Kind
    source: Database
    target: Database
    schemas: Sequence[str]
    forward: Replication
    back: Replication | None
    users: Mapping[Side, Sequence[str]]
    journal: Journal
    run: str
    keep_reads: bool
    watch: Watch
    say: Say
    mappings: Mappings = EVERYTHING
    """The tables and columns that the tasks carry."""
    reader: Callable[[], tuple[str, str]] | None = None
    """Name and password by which the way back reads the target, from its secret."""
    writer: str = ""
    """The user by whom the way back writes to the source."""
    memory: dict[str, Any] = field(default_factory=dict)
    """Values that one step read for a later one, when both are done by the same process."""

    @property
    def origin(self) -> Database:
        """The side that is closed."""
        return self.source if self.kind == "cutover" else self.target

    @property
    def destination(self) -> Database:
        """The side that is opened."""
        return self.target if self.kind == "cutover" else self.source

    @property
    def task(self) -> Replication:
        """The task that carries changes from the side that is closed to the one that is opened."""
        task = self.forward if self.kind == "cutover" else self.back
        if task is None:
            raise MigrationError("there is no way back: the layer fallback is not deployed")
        return task

    def fence(self, side: Side) -> Fence:
        """The fence of a side."""
        database = self.source if side == "source" else self.target
        return Fence(database, self.schemas, self.users[side])


def _nothing(_context: Context) -> Details:
    return {}


@dataclass(frozen=True)
class Step:
    """A step: its words are shown before the question. `survey` reads what the journal has to keep before it begins.

    `do` may be called again after it was broken off at any point, with what the first survey found, and returns what
    the journal keeps of it. `undo` takes it back, also where it was begun only; it gets both. `stands` is asked when a
    run is taken up again: a step that no longer stands undoes the run. `urgent` ones are undone first.
    """

    name: str
    words: str
    do: Callable[[Context, Details], Details | None]
    survey: Callable[[Context], Details] = _nothing
    undo: Callable[[Context, Details], None] | None = None
    stands: Callable[[Context, Details], bool] | None = None
    urgent: bool = False


def outstanding(entries: Sequence[Entry], side: Side) -> Record | None:
    """The fence of a side that was put up, or begun, and not taken away since."""
    record: Record | None = None
    for entry in entries:
        if entry.state == "begins" and entry.details.get("nonce") and entry.details.get("side") == side:
            record = Record.of(entry.details)
        elif entry.state in ("done", "undone") and entry.details.get("lifted") == side:
            record = None
    return record


def carry_out(context: Context, steps: Sequence[Step]) -> None:
    """Do all steps that are not done. Raises `MigrationError`; before the opening, once all that was done is undone."""
    journal, name = context.journal, context.run
    run = run_of(context)
    context.memory["fence"] = outstanding(journal.entries(), context.origin.side)
    only_forward = run.has_opened or all(step.name != OPEN for step in steps)
    if not only_forward:
        _must_stand(context, steps, run)
    reached = False
    try:
        for step in steps:
            if run.last(step.name) == "done":
                continue
            began = time.monotonic()
            reached = reached or step.name == OPEN
            with _together(context, step):
                details = _begin(context, step, run)
                journal.write(name, step.name, "done", step.do(context, details))
            context.say(f"{time.monotonic() - began:7.2f} s  {step.words}")
        journal.write(name, context.kind, "done")
    except BaseException as error:
        if only_forward or (reached and _may_have_opened(context)):
            if isinstance(error, StackferryError):
                raise MigrationError(_forward_only(context, error)) from error
        else:
            _undo_after(context, steps, error)
        raise


def undo(context: Context, steps: Sequence[Step]) -> None:
    """Take back all that was begun, first what the application waits for. Raises `MigrationError`."""
    run = run_of(context)
    if run.has_opened:
        raise MigrationError(
            f"{run.name} has opened the {context.destination.side}: from there it only goes forward; run "
            f"`migrate-database {context.kind}` to its end"
        )
    begun = [step for step in reversed(steps) if step.undo and run.last(step.name) in ("begins", "done")]
    begun.sort(key=lambda step: not step.urgent)
    for step in begun:
        details = _details(run, step)
        assert step.undo
        step.undo(context, details)
        is_lifted = details.get("nonce") and not details.get("kept")
        context.journal.write(context.run, step.name, "undone", {"lifted": details["side"]} if is_lifted else {})
        context.say(f"undone: {step.words}")
    context.journal.write(context.run, context.kind, "undone")


def run_of(context: Context) -> Run:
    """The run of a context as the journal tells it now."""
    return next(run for run in context.journal.runs() if run.name == context.run)


def _details(run: Run, step: Step) -> Details:
    first, done = run.first(step.name, "begins"), run.first(step.name, "done")
    return {**(first.details if first else {}), **(done.details if done else {})}


def _begin(context: Context, step: Step, run: Run) -> Details:
    """Write that a step begins, with what was found before it began for the first time."""
    first = run.first(step.name, "begins")
    details = first.details if first else step.survey(context)
    context.journal.write(context.run, step.name, "begins", details)
    return details


@contextlib.contextmanager
def _together(context: Context, step: Step) -> Iterator[None]:
    """Open the target in one transaction with the journal: nobody ever finds one without the other."""
    if step.name == OPEN and context.destination.side == "target":
        with context.target.transaction():
            yield
    else:
        yield


def _may_have_opened(context: Context) -> bool:
    """Return whether the destination may be open; a connection that broke while it was opened leaves it unknown."""
    try:
        return run_of(context).has_opened
    except MigrationError:
        return True


def _must_stand(context: Context, steps: Sequence[Step], run: Run) -> None:
    """Undo a run of before that lost its ground meanwhile, such as a fence that somebody took away by hand."""
    for step in steps:
        if step.stands and run.last(step.name) == "done" and not step.stands(context, _details(run, step)):
            undo(context, steps)
            raise MigrationError(
                f"{run.name} was broken off, and since then this does not hold any more: {step.words}; it is undone, "
                f"and the {context.origin.side} is as it was: run `migrate-database {context.kind}` again"
            )


def _undo_after(context: Context, steps: Sequence[Step], error: BaseException) -> None:
    """Undo a run after a failure; where the journal cannot be reached, at least let the application in again."""
    kind, side = context.kind, context.origin.side
    why = str(error) if isinstance(error, StackferryError) else f"interrupted ({type(error).__name__})"
    context.say(f"{why}; taking back what was done")
    try:
        undo(context, steps)
    except StackferryError as second:
        is_in = _let_in(context)
        raise MigrationError(
            f"{why}; and not all that was done is undone: {second}; the {side} "
            + ("takes writes again; " if is_in else "may still refuse writes; ")
            + f"run `migrate-database {kind} --abort` when both sides and DMS answer"
        ) from error
    if isinstance(error, StackferryError):
        raise MigrationError(
            f"{why}; the {side} is as it was before, and takes writes: once the cause is gone, run "
            f"`migrate-database {kind}` again"
        ) from error


def _let_in(context: Context) -> bool:
    """Lift the fence of the origin without the journal; a run that is taken up again sees that it does not stand."""
    record = context.memory.get("fence")
    if record is None:
        return True
    try:
        with context.origin.another() as origin, origin.transaction():
            Fence(origin, context.schemas, context.users[origin.side]).lift(record)
    except MigrationError:
        return False
    return True


def _forward_only(context: Context, error: BaseException) -> str:
    if context.kind == "finish":
        return f"{error}; run `migrate-database finish` again, which goes on from here"
    return (
        f"{error}; the {context.destination.side} may take writes already, so this only goes forward: run "
        f"`migrate-database {context.kind}` again, which goes on from here"
    )
