"""One run from its lock to its end: begun, taken up again, closed."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from builders.rollout.aws.client import Client
from builders.rollout.executor import current_state
from builders.rollout.executor.context import Context, Failure, Observer, Report
from builders.rollout.executor.executor import Executor
from builders.rollout.executor.operations import Operations, RunOperation
from builders.rollout.executor.polling import Clock, PollInterval
from builders.rollout.model import DesiredState, PlainStackSpec, Target
from builders.rollout.plan.calls import Call
from builders.rollout.state.journal import Command, Run, RunStatus
from builders.rollout.state.store import Store


@dataclasses.dataclass(frozen=True)
class RunServices:
    """What a run works with."""

    client: Client
    store: Store
    clock: Clock
    poll_interval: PollInterval
    observer: Observer


def begin_run(tools: RunServices, command: Command, release: str, acknowledged: Collection[str], to: str = "") -> Run:
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


def take_over_run(tools: RunServices) -> Run:
    """Go on with the run that is under way, whoever began it: he can write no more, and stops."""
    return tools.store.journal.take_over(uuid4().hex)


def run_to_desired(
    tools: RunServices, run: Run, desired: DesiredState, layers: Collection[str], routes: Collection[PlainStackSpec]
) -> Report:
    """Bring the phase to what is wanted and close the run.

    Operations that the run has written down are seen to their end first. Raises `RolloutError`, and leaves the run to
    be resumed, where AWS cannot be asked any more.
    """
    context = _context(tools, run, desired)
    touched = _finish_running(context, run)
    current = current_state.read_current_state(
        context.sets, context.plain, context.known, desired.suffix, layers, routes
    )
    return _close(tools, context, Executor(context, current, touched).go())


def detach(tools: RunServices, run: Run, desired: DesiredState, steps: Mapping[str, Sequence[Call]]) -> Report:
    """Have StackSets forget instances, layer by layer in the order of `steps`, and close the run. Stacks stay."""
    context = _context(tools, run, desired)
    _finish_running(context, run)
    operations = Operations(context)
    report = Report()
    for layer, own in steps.items():
        begun = [operations.begin(step, desired.preferences) for step in own]
        report.failures += _follow(operations, begun)
        gone = sum(len(step.targets) for step in own)
        report.succeeded[layer] = gone - sum(each.layer == layer for each in report.failures)
    report.operations = operations.submitted
    return _close(tools, context, report)


def _context(tools: RunServices, run: Run, desired: DesiredState) -> Context:
    return Context(
        desired=desired,
        release=run.release,
        sets=tools.client.sets,
        members=tools.client.members,
        plain=tools.client.plain,
        journal=tools.store.journal,
        known=tools.store.overrides(),
        clock=tools.clock,
        poll_interval=tools.poll_interval,
        observer=tools.observer,
        back=run.command is not Command.APPLY,
    )


def _close(tools: RunServices, context: Context, report: Report) -> Report:
    tools.store.save_overrides(context.known)
    tools.store.journal.close(RunStatus.DONE if report.good else RunStatus.FAILED, good=report.good)
    return report


def _finish_running(context: Context, run: Run) -> frozenset[Target]:
    """Follow what an earlier process began to its end, and return every target that the run had touched."""
    operations = Operations(context)
    _follow(operations, operations.resume(run.entries))
    return frozenset(target for entry in run.entries for target in entry.call.targets)


def _follow(operations: Operations, running: Iterable[RunOperation]) -> list[Failure]:
    """Wait for operations to end, side by side, and return the targets that they did not reach."""
    failures: list[Failure] = []
    for each, operation in operations.until_over(running):
        reason = operation.reason or f"operation {each.id} ended {operation.status}"
        failures.extend(Failure(each.call.layer, target, reason) for target in operations.end(each, operation))
    return failures
