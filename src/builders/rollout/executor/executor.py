"""One run from its lock to its end: wave by wave, in each the layers' graph, and between two waves the bake time.

apply, resume, rollback and remove are all one loop over the objects of a schedule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from builders.rollout.executor.context import Context, Failure, Report, RunServices
from builders.rollout.executor.current_state import read_current_state
from builders.rollout.executor.layers import LayerRun, PlainLayerRun
from builders.rollout.executor.operations import Operations, RunOperation
from builders.rollout.model import CurrentState, DesiredState, PlainStackSpec, StackSet, Target, Wave
from builders.rollout.plan.calls import Call, same_calls, state_after, tolerated_accounts
from builders.rollout.plan.schedule import Schedule, ScheduledLayer, ScheduledWave, make_schedule, reschedule
from builders.rollout.state.journal import Command, Run, RunStatus

ALARM_SECONDS = 30.0
"""Between two looks at the alarms of a wave that bakes."""

TICK_SECONDS = 0.2

AnyLayerRun = LayerRun | PlainLayerRun


class Executor:
    """One way through all waves, from the current state that the schedule starts from, as it was read last.

    `resumed` are the targets that an earlier process had worked on in this run.
    """

    def __init__(
        self, context: Context, schedule: Schedule, current: CurrentState, resumed: Collection[Target] = ()
    ) -> None:
        self.report = Report()
        self._context = context
        self._desired = context.desired
        self._schedule = schedule
        self._operations = Operations(context)
        self._plain = current.plain
        self._sets: dict[str, StackSet | None] = dict(current.sets)
        self._expected = dict(self._sets)
        """The sets as they are where every call has succeeded so far."""
        self._resumed_accounts = {target.account for target in resumed}

    def run(self) -> Report:
        """Carry the schedule out. Raises `RolloutError` when AWS cannot be asked any more."""
        waves = self._schedule.waves
        for number, scheduled in enumerate(waves):
            wave, changed = scheduled.wave, self._carry_out(scheduled)
            later = {account for each in waves[number + 1 :] for account in each.wave.accounts}
            # An earlier process had done the wave, and not begun the next.
            resumed = self._resumed_accounts
            was_baking = not resumed.isdisjoint(wave.accounts) and resumed.isdisjoint(later)
            if not self.report.stopped and (changed or was_baking):
                self.report.stopped = bake(self._context, wave, self._desired_targets(wave))
            if self.report.stopped:
                break
        self.report.operations = self._operations.submitted
        return self.report

    def _desired_targets(self, wave: Wave) -> list[Target]:
        accounts = frozenset(wave.accounts)
        return sorted(target for target in self._desired.targets if target.account in accounts)

    def _carry_out(self, scheduled: ScheduledWave) -> bool:
        """Carry a wave out; return whether anything was changed. Failures stop the next unless they are tolerated."""
        wave = scheduled.wave
        self._context.observer.wave(wave.name, len(self._desired_targets(wave)))
        staying = self._run_layers(scheduled.staying)
        for run in staying:
            self.report.succeeded[run.layer] = self.report.succeeded.get(run.layer, 0) + run.succeeded
        runs = [*staying, *self._run_layers(scheduled.leaving)]
        failed: set[str] = set()
        for run in runs:
            self.report.failures.extend(run.failures[target] for target in sorted(run.failures))
            failed.update(target.account for target in run.failures)
        accounts = len(wave.accounts)
        if len(failed) > tolerated_accounts(self._desired.preferences, accounts):
            self.report.stopped = f"wave {wave.name}: {len(failed)} of {accounts} accounts failed"
        return any(run.changed for run in runs)

    def _run_layers(self, layers: Sequence[ScheduledLayer]) -> list[AnyLayerRun]:
        """Run layers side by side, each behind those that it waits for."""
        runs: dict[str, AnyLayerRun] = {}
        while len(runs) < len(layers) or not all(run.over for run in runs.values()):
            for each in layers:
                if each.layer not in runs and all(before in runs and runs[before].over for before in each.after):
                    runs[each.layer] = self._begin(each, [runs[before] for before in sorted(each.after)])
            for run in runs.values():
                if not run.over:
                    run.advance()
                    if run.over and isinstance(run, LayerRun):
                        self._sets[run.layer] = run.state
            if not all(run.over for run in runs.values()):
                self._context.clock.wait(min(TICK_SECONDS, self._context.poll_interval.first))
        return list(runs.values())

    def _begin(self, planned: ScheduledLayer, upstream: Sequence[AnyLayerRun]) -> AnyLayerRun:
        """Begin a layer as it is planned, but for the targets where a layer failed that it waits for."""
        failed = {target: run.layer for run in upstream for target in run.failures}
        scheduled, layer = self._as_it_is(planned, failed), planned.layer
        run: AnyLayerRun
        if layer in self._desired.plain:
            deployed = {target: stack for (name, target), stack in self._plain.items() if name == layer}
            needed = [state for each in sorted(self._desired.needs.get(layer, ())) if (state := self._sets.get(each))]
            changed_before = any(each.changed for each in upstream)
            run = PlainLayerRun(self._context, scheduled, deployed, needed, changed_before=changed_before)
        else:
            run = LayerRun(self._context, self._operations, scheduled, self._sets.get(layer))
        for target in planned.changes.keys() & failed.keys():
            reason = f"skipped: {failed[target]} did not succeed there"
            run.failures[target] = Failure(layer, target, reason, skipped=True)
        self._context.observer.targets(layer, dict.fromkeys(sorted(run.failures), "skipped"))
        return run

    def _as_it_is(self, planned: ScheduledLayer, failed: Collection[Target]) -> ScheduledLayer:
        """The planned layer itself; scheduled again where targets fall out of it, or its set is not as expected."""
        layer = planned.layer
        expected, state = self._expected.get(layer), self._sets.get(layer)
        self._expected[layer] = state_after(self._desired, expected, *planned.calls)
        as_expected = same_calls(self._desired, layer, expected, state)
        if as_expected and planned.changes.keys().isdisjoint(failed):
            return planned
        sets = {name: each for name, each in self._sets.items() if each is not None}
        again = reschedule(planned, self._desired, CurrentState(sets, plain=self._plain), failed)
        if not as_expected and again.calls != planned.calls:
            self._context.observer.say(f"{layer}: its stack set is not as planned; its calls are made anew")
        return again


def bake(context: Context, wave: Wave, targets: Collection[Target]) -> str:
    """Wait out a wave's time and return why the next one may not begin; empty when it may.

    An alarm whose actions are off waits for something that has not begun, such as the replication task: it does not
    count.
    """
    end = context.clock.now() + wave.bake_seconds
    if wave.bake_seconds:
        context.observer.say(f"wave {wave.name}: baking for {wave.bake_seconds} s")
    while True:
        ringing = _ringing_alarm(context, wave, targets)
        if ringing:
            return f"wave {wave.name}: {ringing}; see why, then resume or roll back"
        left = end - context.clock.now()
        if left <= 0:
            return ""
        context.clock.wait(min(ALARM_SECONDS, left))


def _ringing_alarm(context: Context, wave: Wave, targets: Collection[Target]) -> str:
    for target in sorted(targets) if wave.quiet_alarms else ():
        for alarm in context.client.members.alarms(target, wave.quiet_alarms):
            if alarm.state == "ALARM" and alarm.actions_enabled:
                return f"alarm {alarm.name} at {target} is in ALARM"
    return ""


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
    current = read_current_state(context.client, context.override_cache, desired.suffix, layers, routes)
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
