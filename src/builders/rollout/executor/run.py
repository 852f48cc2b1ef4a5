"""One run from its lock to its end: begun, resumed, closed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from builders.rollout.executor.context import Context, Failure, Report, RunServices
from builders.rollout.executor.current_state import read_current_state
from builders.rollout.executor.executor import Executor
from builders.rollout.executor.operations import Operations, RunOperation
from builders.rollout.model import DesiredState, PlainStackSpec, Target
from builders.rollout.plan.calls import Call
from builders.rollout.plan.schedule import Schedule, make_schedule
from builders.rollout.state.journal import Command, Run, RunStatus


def begin_run(
    services: RunServices, command: Command, release: str, acknowledged: Collection[str], to: str = ""
) -> Run:
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
    services.store.journal.begin(run)
    return run


def take_over_run(services: RunServices) -> Run:
    """Go on with the run that is under way, whoever began it: that process can write no more, and stops."""
    return services.store.journal.take_over(uuid4().hex)


def run_to_desired(
    services: RunServices,
    run: Run,
    desired: DesiredState,
    layers: Collection[str],
    routes: Collection[PlainStackSpec],
    planned: Schedule | None = None,
) -> Report:
    """Bring the phase to the desired state and close the run.

    The `planned` schedule is what is carried out, unless the phase is not any more as it was planned from; then, and
    for a run that is resumed, one is made from the phase as it is. Operations that the run has written down are
    followed to their end first. Raises `RolloutError`, and leaves the run to be resumed, where AWS cannot be asked any
    more.
    """
    context = _context(services, run, desired)
    resumed = _finish_running(context, run)
    current = read_current_state(
        context.client.sets, context.client.plain, context.override_cache, desired.suffix, layers, routes
    )
    if planned is None or not planned.starts_from(desired, current):
        planned = make_schedule(desired, current, back=run.command is not Command.APPLY)
    return _close(context, Executor(context, planned, current, resumed).run())


def detach(services: RunServices, run: Run, desired: DesiredState, calls: Mapping[str, Sequence[Call]]) -> Report:
    """Have StackSets forget instances, layer by layer in the order of `calls`, and close the run. Stacks stay."""
    context = _context(services, run, desired)
    _finish_running(context, run)
    operations = Operations(context)
    report = Report()
    for layer, own in calls.items():
        failures = _follow(operations, [operations.begin(call, desired.preferences) for call in own])
        report.failures += failures
        report.succeeded[layer] = sum(len(call.targets) for call in own) - len(failures)
    report.operations = operations.submitted
    return _close(context, report)


def _context(services: RunServices, run: Run, desired: DesiredState) -> Context:
    cache = services.store.overrides()
    return Context(**vars(services), desired=desired, release=run.release, override_cache=cache)


def _close(context: Context, report: Report) -> Report:
    context.store.save_overrides(context.override_cache)
    context.store.journal.close(RunStatus.DONE if report.good else RunStatus.FAILED, good=report.good)
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
