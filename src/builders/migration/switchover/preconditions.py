"""Preconditions for closing a side, each with its result, shown before the question."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC

from builders.aws.calls import Session
from builders.errors import StackferryError
from builders.migration import definitions, marker, metrics, rights
from builders.migration.changes import open_transactions
from builders.migration.databases import Database
from builders.migration.journal import Kind
from builders.migration.rights import Right
from builders.migration.switchover import sequences
from builders.migration.switchover.steps import Context
from builders.migration.task.reasons import has_failed, trouble, why
from builders.migration.task.values import RUNNING
from builders.migration.verify.state import verified
from builders.text import name_list

MOST_LAG_SECONDS = 10.0
LONG_SECONDS = 60
"""A transaction that is open longer is waited for by the making of a slot, or has to be ended."""

LEAST_FREE_BYTES, LEAST_FREE_SHARE = 2 * 1024**3, 0.1
"""Least free space of the target: a slot that keeps log, and the first writes, must not fill it after the opening."""

_SLOTS_OF_THE_WAY_BACK = 2
"""Slots of its task, and of the changes which a fall-back compares."""
_FREE_SLOTS = """
SELECT current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots
  WHERE left(slot_name, 11) <> 'stackferry_' OR database <> current_database())::int
"""


@dataclass(frozen=True)
class Precondition:
    """A precondition: `words` say what holds, `problems` what does not, each with the next step; none where it does."""

    words: str
    problems: Callable[[Context], Sequence[str]]
    kinds: tuple[Kind, ...] = ("cutover", "fallback")
    """The runs that it is a precondition of."""


@dataclass(frozen=True)
class Result:
    """A precondition that was looked at."""

    words: str
    problems: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The lines for a person."""
        yield f"{'no' if self.problems else 'ok':<4}{self.words}"
        for problem in self.problems:
            yield f"      {problem}"


def of(
    context: Context, *, keep_reads: bool, way_back: bool, most_lag_seconds: float, others: Sequence[Precondition] = ()
) -> list[Precondition]:
    """The preconditions of a cut-over or fall-back, in the order in which they are looked at."""
    origin, destination = context.origin.side, context.destination.side
    return [
        Precondition("the task runs, its tables are loaded, and none has failed", _task_runs),
        Precondition(
            f"a marker comes from the {origin} to the {destination} within {most_lag_seconds:g} s",
            lambda context: _lag(context, most_lag_seconds),
        ),
        *([Precondition("verify found both sides the same", _verified)] if context.kind == "cutover" else []),
        Precondition("the rights that this needs are there", _rights),
        Precondition(
            f"the {origin} can be closed", lambda context: context.fence(origin).obstacles(keep_reads=keep_reads)
        ),
        Precondition(
            f"the {destination} can be kept closed until then",
            lambda context: context.fence(destination).obstacles(keep_reads=True),
        ),
        Precondition(f"no transaction of either side is open for more than {LONG_SECONDS} s", _long),
        Precondition("the sequences have values left", _sequences),
        *([Precondition("the way back is prepared", _way_back)] if way_back else []),
        *(each for each in others if context.kind in each.kinds),
    ]


def looked_at(context: Context, preconditions: Sequence[Precondition]) -> list[Result]:
    """Look at all of them: one that cannot be looked at does not hold."""
    results = []
    for each in preconditions:
        try:
            problems = tuple(each.problems(context))
        except StackferryError as error:
            problems = (str(error),)
        results.append(Result(each.words, problems))
    return results


def _task_runs(context: Context) -> list[str]:
    task = context.task.task()
    if task.status != RUNNING:
        return [f"it is {task.status}: {why(task) or 'nobody has started it'}; start or resume it first"]
    if not task.is_loaded:
        return [f"the full load is at {task.progress.percent}%: let it end"]
    return [f"table {table.name}: {trouble(table)}" for table in context.task.tables() if has_failed(table)]


def _lag(context: Context, most_lag_seconds: float) -> list[str]:
    def alive() -> None:
        return

    began = time.monotonic()
    marker.round_trip(context.origin, context.destination, alive, timeout_seconds=most_lag_seconds)
    context.say(f"the marker took {time.monotonic() - began:.2f} s")
    return []


def _verified(context: Context) -> list[str]:
    last = verified(context.target)
    if last is None:
        return ["no comparison of all tables has ended: run `migrate-database verify`"]
    if not last.clean:
        return [f"the comparison of {last.when:%Y-%m-%d %H:%M} UTC found differences: fix them, then verify again"]
    loads = [context.task.task().fresh_start, *(table.reloaded for table in context.task.tables())]
    if again := [when for when in loads if when and when > last.began]:
        when = max(again).astimezone(UTC)
        return [
            f"rows were loaded at {when:%Y-%m-%d %H:%M} UTC, after the comparison of {last.when:%Y-%m-%d %H:%M} UTC "
            "had begun: run `migrate-database verify` again"
        ]
    compared = {each["table"] for each in last.report.get("tables", ())}
    carried = [table for table in definitions.tables(context.source, context.schemas)
               if table.kind == "r" and context.mappings.carries(table)]  # fmt: skip
    if left := [str(table) for table in carried if compared and str(table) not in compared]:
        return [f"carried, and not compared then: {name_list(left, 3)}: run `migrate-database verify` again"]
    return []


def _rights(context: Context) -> list[str]:
    wanted: list[tuple[Database, str, Sequence[Right]]] = [
        (context.source, context.source.login.username, rights.SOURCE_READER),
        (context.target, context.target.login.username, rights.TARGET_MASTER),
    ]
    return [
        f"{missing.user} cannot {missing.right.purpose}: {missing.statement}"
        for database, user, needed in wanted
        for missing in rights.missing(database.run, user, needed, context.schemas)
        if not missing.right.is_optional and missing.right.step != "fallback"
    ]


def _long(context: Context) -> list[str]:
    return [
        f"{who} on the {database.side} has written in a transaction that is open for {age}: let it end, or end it"
        for database in (context.source, context.target)
        for who, age in open_transactions(database, LONG_SECONDS)
    ]


def _sequences(context: Context) -> list[str]:
    found = sequences.definitions(context.origin, context.schemas)
    return sequences.scarce(found, sequences.positions(context.origin, found))


def _way_back(context: Context) -> list[str]:
    """The task of the way back is there and at rest, its users have their rights, and there is room for its slots."""
    back = context.back
    if back is None:
        return ["the layer fallback is not deployed: set CreateFallback, or go without by --no-way-back"]
    task = back.task()
    problems = []
    if not task.is_at_rest:
        problems.append(f"the task of the way back is {task.status}: stop it first")
    if (free := context.target.value(_FREE_SLOTS)) < _SLOTS_OF_THE_WAY_BACK:
        problems.append(
            f"the target has {max(free, 0)} free replication slots, and two are needed: raise max_replication_slots "
            "(RdsParameters of the layer database)"
        )
    problems += [
        f"{missing.user} cannot {missing.right.purpose} on the source: {missing.statement}"
        for missing in rights.missing(context.source.run, context.writer, rights.SOURCE_WRITER, context.schemas)
    ]
    return problems


@dataclass(frozen=True)
class Room:
    """Precondition that the target's disk has room; it also holds where the free storage is not known."""

    session: Session
    instance: str
    """Identifier of the database instance; empty where the outputs name none."""

    def __call__(self, context: Context) -> list[str]:
        """Compare the free storage with what is needed at the least.

        Source: RDS user guide, "Amazon CloudWatch metrics for Amazon RDS": FreeStorageSpace is in bytes.
        """
        names = {"DBInstanceIdentifier": self.instance}
        found = metrics.newest(self.session, "AWS/RDS", names, ["FreeStorageSpace"], "Minimum") if self.instance else {}
        if not found:
            why = "the outputs name no database instance"
            if self.instance:
                why = (
                    f"CloudWatch has no FreeStorageSpace of {self.instance} of the last {metrics.MINUTES} minutes, or "
                    "this role may not read it"
                )
            context.say(f"the free storage of the target is not known: {why}")
            return []
        free, least = found["FreeStorageSpace"], max(LEAST_FREE_BYTES, LEAST_FREE_SHARE * self._allocated_bytes())
        if free >= least:
            return []
        return [
            f"{free / 1024**3:.1f} GiB of it are free, and {least / 1024**3:.1f} GiB are needed: let it "
            "grow (AllocatedStorageGiB and MaxAllocatedStorageGiB of the layer database), or make room"
        ]

    def _allocated_bytes(self) -> int:
        """The storage of the instance; 0 where it is not known."""
        try:
            pages = self.session.pages("rds", "DescribeDBInstances", DBInstanceIdentifier=self.instance)
            return int(next(iter(pages)).get("AllocatedStorage", 0)) * 1024**3
        except (StackferryError, StopIteration):
            return 0
