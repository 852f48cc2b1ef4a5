"""A run of `cutover` or `fallback`: what has to hold, what will be done, the question, the steps, and the outage.

A run that was broken off is taken up where it stopped. The lock is held all the time, so nothing that is decided here
grows old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from builders.errors import MigrationError
from builders.migration import journal
from builders.migration.databases import Database, Side
from builders.migration.journal import OPEN, Journal, Kind, Run
from builders.migration.mappings import EVERYTHING, Mappings
from builders.migration.switchover import cutover, fallback, finish, preconditions
from builders.migration.switchover.preconditions import Precondition
from builders.migration.switchover.steps import Context, Say, Step, carry_out, undo
from builders.migration.task.client import Replication
from builders.migration.task.running import Watch
from builders.text import counted_noun


@dataclass(frozen=True)
class Parties:
    """Both sides of a phase, its tasks, and who runs this."""

    source: Database
    target: Database
    schemas: Sequence[str]
    forward: Replication
    back: Replication | None
    users: Mapping[Side, Sequence[str]]
    caller: str
    watch: Watch
    say: Say
    mappings: Mappings = EVERYTHING
    reader: Callable[[], tuple[str, str]] | None = None
    writer: str = ""
    others: Sequence[Precondition] = ()
    """Preconditions that other parts of the migration bring, such as findings of `check` that nobody accepted."""


@dataclass(frozen=True)
class SwitchoverOptions:
    """Ways to run. `way_back` False is going without one; `abort` undoes a run that was broken off."""

    keep_reads: bool = False
    way_back: bool = True
    abort: bool = False
    most_lag_seconds: float = preconditions.MOST_LAG_SECONDS


TITLE_COLUMNS = 12


@dataclass(frozen=True)
class SwitchoverOutcome:
    """Result of a run. `outage_seconds` is from the closing of the one side to the opening of the other."""

    run: str
    is_undone: bool
    open_side: Side
    outage_seconds: float | None
    steps: tuple[tuple[str, float], ...]
    kept: tuple[str, ...] = ()
    """Objects that stay after the end of a migration, each with what removes it."""

    def as_data(self) -> dict[str, Any]:
        """The form of --json."""
        return {
            "run": self.run,
            "undone": self.is_undone,
            "open": self.open_side,
            "writeOutageSeconds": self.outage_seconds,
            "steps": [{"step": name, "seconds": seconds} for name, seconds in self.steps],
            **({"kept": list(self.kept)} if self.kept else {}),
        }

    def lines(self) -> Iterator[str]:
        """The form for people."""
        lines = [(self.run, "undone" if self.is_undone else "done"), ("open", self.open_side)]
        if self.outage_seconds is not None:
            lines.append(("outage", f"{self.outage_seconds:.2f} s without writes, from the closing to the opening"))
        lines += [("kept", line) for line in self.kept]
        for title, text in lines:
            yield f"{title:<{TITLE_COLUMNS}}{text}"


Confirm = Callable[[str], bool]
"""Asks a person; raises where nobody can answer."""


def run(kind: Kind, parties: Parties, options: SwitchoverOptions, confirm: Confirm) -> SwitchoverOutcome:
    """Cut over or fall back, or go on with it. Raises `MigrationError` where it is refused, or fails."""
    book = Journal(parties.target, parties.caller)
    with journal.locked(parties.source, parties.target):
        book.prepare()
        runs = book.runs()
        current = runs[-1] if runs and not runs[-1].is_over else None
        if current and current.kind != kind:
            raise MigrationError(
                f"{current.name} is under way: run `migrate-database {current.kind}`, which goes on with it"
            )
        if current:
            options = _as_begun(current, options)
        ended = journal.ended_by(runs) if kind == "finish" else None
        name = current.name if current else ended.name if ended else journal.new_name(kind, runs)
        context = _context(kind, parties, options, book, name)
        steps = steps_of(kind, options)
        if current:
            _take_up(context, steps, current, options)
        elif ended:
            parties.say(f"{name} has ended the migration already, and nothing was changed")
        else:
            if options.abort:
                raise MigrationError(f"there is no {kind} to undo: none is under way")
            _must_fit(kind, runs)
            _prepare(context, steps, options, parties.others, confirm)
        if not options.abort and not ended:
            carry_out(context, steps)
        left = finish.kept(context) if kind == "finish" else ()
        return replace(_outcome(book, name, steps), kept=tuple(left))


def steps_of(kind: Kind, options: SwitchoverOptions) -> list[Step]:
    """The steps of a run."""
    if kind == "finish":
        return finish.steps()
    if kind == "fallback":
        return fallback.steps(keep_reads=options.keep_reads)
    return cutover.steps(keep_reads=options.keep_reads, way_back=options.way_back)


def _as_begun(current: Run, options: SwitchoverOptions) -> SwitchoverOptions:
    """The options with which a run began: its steps are those that were shown."""
    begun = current.first(current.kind, "begins")
    assert begun
    chosen = begun.details
    return SwitchoverOptions(chosen["keep_reads"], chosen["way_back"], options.abort, options.most_lag_seconds)


def _context(kind: Kind, parties: Parties, options: SwitchoverOptions, book: Journal, name: str) -> Context:
    return Context(
        kind, parties.source, parties.target, parties.schemas, parties.forward, parties.back, parties.users, book,
        name, options.keep_reads, parties.watch, parties.say, parties.mappings, parties.reader, parties.writer,
    )  # fmt: skip


def _must_fit(kind: Kind, runs: Sequence[Run]) -> None:
    """Refuse what does not fit the side that is open. Raises `MigrationError`."""
    if kind == "finish":
        finish.must_fit(runs)
        return
    if kind == "fallback" and journal.ended_by(runs):
        raise MigrationError("the migration was finished: its way back is gone")
    is_open, closes = journal.open_side(runs), "source" if kind == "cutover" else "target"
    if is_open == closes:
        return
    if kind == "cutover":
        raise MigrationError("the target is open already: `fallback` goes back, `finish` ends the migration")
    if any(run.last(OPEN) == "done" for run in runs):
        raise MigrationError("the source is open again already: `start` loads the target anew for the next cut-over")
    raise MigrationError("nothing was cut over yet: the source is open, and there is nothing to fall back from")


def _take_up(context: Context, steps: Sequence[Step], current: Run, options: SwitchoverOptions) -> None:
    """Go on with a run that was broken off, or undo it."""
    if options.abort or (current.is_undone_in_part and not current.has_opened):
        undo(context, steps)
        if not options.abort:
            raise MigrationError(
                f"{current.name} was broken off while it was undone; now it is undone, and the {context.origin.side} "
                f"is as it was: run `migrate-database {context.kind}` again"
            )
        return
    done = [step.words for step in steps if current.last(step.name) == "done"]
    context.say(f"{current.name} was broken off and goes on; done is: {'; '.join(done) or 'nothing yet'}")


def _prepare(
    context: Context,
    steps: Sequence[Step],
    options: SwitchoverOptions,
    others: Sequence[Precondition],
    confirm: Confirm,
) -> None:
    """Show what has to hold and what will be done, ask, and begin. Raises `MigrationError`."""
    way_back = options.way_back and context.kind == "cutover"
    asked: Sequence[Precondition] = ()
    if context.kind != "finish":
        asked = preconditions.of(
            context, keep_reads=options.keep_reads, way_back=way_back, most_lag_seconds=options.most_lag_seconds,
            others=others,
        )  # fmt: skip
    results = preconditions.looked_at(context, asked)
    for result in results:
        for line in result.lines():
            context.say(line)
    if unmet := sum(1 for result in results if result.problems):
        raise MigrationError(
            f"{counted_noun(unmet, 'precondition')} of {context.kind} not met, and nothing was changed: see above"
        )
    for number, step in enumerate(steps, start=1):
        context.say(f"{number:>4}. {step.words}")
    without = "" if options.way_back else " without a way back"
    question = f"Close the {context.origin.side} and open the {context.destination.side}{without}?"
    if context.kind == "finish":
        question = "End the migration? Nothing can fall back afterwards."
    if not confirm(question):
        raise MigrationError("the answer was no: nothing was changed")
    context.journal.write(
        context.run, context.kind, "begins", {"keep_reads": options.keep_reads, "way_back": options.way_back}
    )


def _outcome(book: Journal, name: str, steps: Sequence[Step]) -> SwitchoverOutcome:
    runs = book.runs()
    current = next(run for run in runs if run.name == name)
    took = []
    for step in steps:
        began, done = current.first(step.name, "begins"), current.first(step.name, "done")
        if began and done:
            took.append((step.name, round((done.at - began.at).total_seconds(), 3)))
    return SwitchoverOutcome(
        name, current.last(current.kind) == "undone", journal.open_side(runs), outage_seconds(current), tuple(took)
    )


def outage_seconds(run: Run) -> float | None:
    """The seconds without writes, by the target's clock: from the first login that was closed to the opening."""
    closed, opened = run.first(cutover.FENCE, "begins"), run.first(OPEN, "done")
    return round((opened.at - closed.at).total_seconds(), 3) if closed and opened else None
