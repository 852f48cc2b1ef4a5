"""One run from its lock to its end: begun, taken up again, closed."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from builders.rollout.client import Client
from builders.rollout.client.refusals import Refused
from builders.rollout.engine import world as worlds
from builders.rollout.engine.context import Context
from builders.rollout.engine.report import Missed, Report
from builders.rollout.engine.submitting import Operations, Running
from builders.rollout.engine.walk import Walk
from builders.rollout.engine.watch import Watch
from builders.rollout.model import Desired, Operation, Place, PlainStacks
from builders.rollout.pace import Clock, Patience
from builders.rollout.steps import Step
from builders.rollout.store import Command, Run, RunStatus, State, Store


@dataclasses.dataclass(frozen=True)
class Tools:
    """What a run works with."""

    client: Client
    store: Store
    clock: Clock
    patience: Patience
    watch: Watch


def begin(tools: Tools, command: Command, release: str, acknowledged: Collection[str], to: str = "") -> Run:
    """Take the lock of the phase; `to` is the release that a rollback puts back.

    Raises `RolloutError` while another run holds it.
    """
    now = datetime.now(UTC)
    token = uuid4().hex
    run = Run(
        id=f"{now:%Y%m%dT%H%M%SZ}-{token[:6]}",
        command=command,
        release=release,
        owner=token,
        began=now.isoformat(timespec="seconds"),
        acknowledged=tuple(sorted(acknowledged)),
        to=to,
    )
    tools.store.journal.begin(run)
    return run


def take_over(tools: Tools) -> Run:
    """Go on with the run that is under way, whoever began it: he can write no more, and stops."""
    return tools.store.journal.take_over(uuid4().hex)


def walk(tools: Tools, run: Run, wanted: Desired, layers: Collection[str], routes: Collection[PlainStacks]) -> Report:
    """Bring the phase to what is wanted and close the run.

    Operations that the run has written down are seen to their end first. Raises `RolloutError`, and leaves the run to
    be resumed, where AWS cannot be asked any more.
    """
    context = _context(tools, run, wanted)
    touched = _settle(context, run)
    world = worlds.read(context.sets, context.plain, context.known, wanted.suffix, layers, routes)
    return _close(tools, context, Walk(context, world, touched).go())


def let_go(tools: Tools, run: Run, wanted: Desired, steps: Mapping[str, Sequence[Step]]) -> Report:
    """Have StackSets forget instances, layer by layer in the order of `steps`, and close the run. Stacks stay."""
    context = _context(tools, run, wanted)
    _settle(context, run)
    operations = Operations(context)
    report = Report()
    for layer, own in steps.items():
        begun = [operations.begin(step, wanted.preferences) for step in own]
        report.missed += _see_through(context, operations, begun)
        gone = sum(len(step.places) for step in own)
        report.reached[layer] = gone - sum(each.layer == layer for each in report.missed)
    report.operations = operations.submitted
    return _close(tools, context, report)


def _context(tools: Tools, run: Run, wanted: Desired) -> Context:
    return Context(
        wanted=wanted,
        release=run.release,
        sets=tools.client.sets,
        members=tools.client.members,
        plain=tools.client.plain,
        journal=tools.store.journal,
        known=tools.store.known(),
        clock=tools.clock,
        patience=tools.patience,
        watch=tools.watch,
        back=run.command is not Command.APPLY,
    )


def _close(tools: Tools, context: Context, report: Report) -> Report:
    tools.store.keep(context.known)
    tools.store.journal.close(RunStatus.DONE if report.good else RunStatus.FAILED, good=report.good)
    return report


def _settle(context: Context, run: Run) -> frozenset[Place]:
    """See what an earlier process began to its end, and return every place that it had touched."""
    operations = Operations(context)
    running = [operations.attach(entry) for entry in run.entries if entry.state is State.SUBMITTING]
    for each in running:
        context.watch.say(f"{each.step.set_name}: going on with {each.step.action.value} {each.id}")
    _see_through(context, operations, running)
    return frozenset(place for entry in run.entries for place in entry.step.places)


def _see_through(context: Context, operations: Operations, running: Iterable[Running]) -> list[Missed]:
    """Wait for operations to end, side by side, and return the places that they did not reach."""
    missed: list[Missed] = []
    left = list(running)
    while left:
        for each in list(left):
            reason = ""
            try:
                operation = operations.look(each)
            except Refused as error:
                reason = str(error)
                operation = Operation(each.id, each.step.action.value, "FAILED", failed=len(each.step.places))
                context.watch.operation(each.step, operation)
            if operation is not None:
                left.remove(each)
                places = operations.missed(each.step, operation)
                operations.over(each, operation.status, places)
                reason = reason or operation.reason or f"operation {each.id} ended {operation.status}"
                missed.extend(Missed(each.step.layer, place, reason) for place in places)
        if left:
            context.clock.wait(max(0.0, min(each.due for each in left) - context.clock.now()))
    return missed
