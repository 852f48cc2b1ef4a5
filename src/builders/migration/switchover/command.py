"""A run of `cutover`, `fallback` or `finish` on a phase: what its outputs and secrets give, and the question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builders import progress
from builders.command_line import NO_TERMINAL, ask, show
from builders.migration import definitions
from builders.migration.check import running as checking
from builders.migration.journal import Kind
from builders.migration.mappings import Mappings
from builders.migration.phase import INSTANCE, Phase
from builders.migration.schema import building
from builders.migration.switchover import runs
from builders.migration.switchover.preconditions import Precondition, Room
from builders.migration.switchover.runs import Parties, SwitchoverOptions
from builders.migration.switchover.steps import Context
from builders.migration.task.running import Watch
from builders.migration.verify import structure
from builders.text import name_list

if TYPE_CHECKING:
    from builders.page import Page

_CUTOVER: tuple[Kind, ...] = ("cutover",)


@dataclass(frozen=True)
class SwitchoverRequest:
    """Options beside those of the run: the answer that was given before, the form of the result, the waiting."""

    yes: bool = False
    as_json: bool = False
    poll_seconds: float = 0.3
    timeout_seconds: float | None = None


def run(kind: Kind, phase: Phase, options: SwitchoverOptions, asked: SwitchoverRequest) -> None:
    """Run, and print the result. Raises `MigrationError` and `UsageError`."""

    def confirm(question: str) -> bool:
        return asked.yes or ask(question, f"{kind} asks first, and {NO_TERMINAL}; --yes answers yes to: {question}")

    with parties_of(phase, asked) as parties:
        outcome = runs.run(kind, parties, options, confirm)

    def fill(page: Page) -> None:
        for line in outcome.lines():
            page.line(line, hang=runs.TITLE_COLUMNS)

    show(outcome.as_data, fill, as_json=asked.as_json)


@contextmanager
def parties_of(phase: Phase, asked: SwitchoverRequest) -> Iterator[Parties]:
    """Log in to both sides of a phase, and bring what a run needs."""
    watch = Watch(lambda _task: None, progress.say, asked.poll_seconds, asked.timeout_seconds)
    rules = phase.task.table_mappings()
    users = sorted(phase.users)
    room = Room(phase.session, phase.outputs.get(INSTANCE, ""))
    with phase.source() as source, phase.target() as target:
        yield Parties(
            source, target, phase.schemas, phase.task, phase.fallback_task, {"source": users, "target": users},
            phase.caller, watch, progress.say, Mappings(rules), phase.fallback_reader, phase.fallback_writer,
            [Precondition("check finds nothing that nobody accepted", _Findings(phase), _CUTOVER),
             Precondition("no definition has changed since verify", changed_definitions, _CUTOVER),
             Precondition("what start builds after the load is built", _unbuilt, _CUTOVER),
             Precondition("the target's disk has room, where that is known", room, _CUTOVER)],
        )  # fmt: skip


def changed_definitions(context: Context) -> list[str]:
    """Name definitions that differ now: what verify found says nothing of a policy or a trigger that came since."""
    left_out = context.mappings.left_out(definitions.tables(context.source, context.schemas))
    found = structure.compare(context.source, context.target, context.schemas, left_out)
    differing = [str(each) for each in found if each.state == "differs"]
    return [f"{name_list(differing, 3)}: run `migrate-database schema`, then `verify` again"] if differing else []


def _unbuilt(context: Context) -> list[str]:
    """Name indexes and constraints that are missing before a cut-over."""
    found = building.waiting(context.target)
    return [f"missing: {name_list(found)}; let `migrate-database start` run to its end"] if found else []


@dataclass(frozen=True)
class _Findings:
    """The findings of `check` that stand in the way of a cut-over."""

    phase: Phase

    def __call__(self, context: Context) -> list[str]:
        """Name them; the sessions are others, since `check` makes its own read-only."""
        options: Any = checking.options_of(self.phase, checking.Wishes())
        with context.source.another() as source, context.target.another() as target:
            found = checking.open_findings(source, target, options)
        return [f"{each.name}: fix it, or accept it by `migrate-database check --accept {each.name}`" for each in found]
