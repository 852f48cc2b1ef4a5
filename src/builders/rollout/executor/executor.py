"""One run from its lock to its end: wave by wave, in each the layers' graph, and between two waves the bake time.

apply, resume, rollback and remove are all one loop over the objects of a schedule. The lock is taken first, the plan is
made under it, and where something else would become of an instance by now, it is held back and reported.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from builders.aws.errors import StackSetNotFound
from builders.aws.resources import alarms
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.executor.context import Context, Failure, Report, RunServices, held_back
from builders.rollout.executor.current_state import read_current_state, read_set
from builders.rollout.executor.layers import MOST_RUNNING, LayerRun, PlainLayerRun
from builders.rollout.executor.operations import Operations, PolledOperation
from builders.rollout.model import CurrentState, DesiredState, LayerTarget, StackSet, Target, Wave
from builders.rollout.plan.calls import Action, Call, departures, state_after, tolerated_accounts
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.schedule import Schedule, ScheduledLayer, ScheduledWave, narrowed
from builders.rollout.state.journal import Command, Hold, Journal, Run
from builders.rollout.state.store import Store

ALARM_SECONDS = 30.0
"""Between two looks at the alarms of a wave that bakes."""

TICK_SECONDS = 0.2

AnyLayerRun = LayerRun | PlainLayerRun


class Executor:
    """One way through all waves, from the current state that the schedule starts from, as it was read last.

    `resumed` are the accounts that an earlier process had worked on in this run.
    """

    def __init__(self, context: Context, schedule: Schedule, current: CurrentState, resumed: Set[str]) -> None:
        self.report = Report()
        self._context = context
        self._desired = context.desired
        self._schedule = schedule
        self._operations = Operations(context)
        self._sets: dict[str, StackSet | None] = dict(current.sets)
        self._expected: dict[str, StackSet | None] = dict(schedule.current.sets)
        """The sets as they are where every call has succeeded so far."""
        self._resumed = resumed
        self._idle: set[LayerTarget] = set()
        """Targets where a layer has nothing to do, and was left out behind one that failed: it is as desired."""

    def run(self) -> Report:
        """Carry the schedule out. Raises `RolloutError` when AWS cannot be asked any more."""
        untouched = self._resumed.isdisjoint
        for number, scheduled in enumerate(self._schedule.waves, 1):
            wave, changed, later = scheduled.wave, self._carry_out(scheduled), self._schedule.waves[number:]
            # An earlier process had done the wave, and not begun the next.
            was_baking = not untouched(wave.accounts) and all(untouched(each.wave.accounts) for each in later)
            if not self.report.stopped and (changed or was_baking):
                self.report.stopped = bake(self._context, wave)
            if self.report.stopped:
                self._count_waves_not_begun(later)
                break
        self.report.operations = self._operations.submitted
        return self.report

    def _count_waves_not_begun(self, waves: Sequence[ScheduledWave]) -> None:
        """Count the instances of the waves after the one that stopped, so that a report has all of the phase."""
        for each in (layer for scheduled in waves for layer in scheduled.layers):
            left = sorted(target for target, kind in each.changes.items() if kind is not ChangeKind.NOTHING)
            self.report.succeeded[each.layer] += len(each.changes) - len(left)
            reason = f"wave {each.wave.name} was not begun"
            self.report.failures += [Failure(each.layer, target, reason, skipped=True) for target in left]

    def _carry_out(self, scheduled: ScheduledWave) -> bool:
        """Carry a wave out; return whether anything was changed. Failures stop the next unless they are tolerated."""
        wave = scheduled.wave
        self._context.observer.wave(wave.name, len({target for each in scheduled.layers for target in each.changes}))
        runs = self._run_layers(scheduled.staying)
        for run in runs:
            left_out = {target for target in run.failures if (run.layer, target) in self._idle}
            self.report.succeeded[run.layer] += len(run.targets - run.failures.keys()) + len(left_out)
        runs += self._run_layers(scheduled.leaving)
        failures = [run.failures[target] for run in runs for target in sorted(run.failures)]
        self.report.failures += [each for each in failures if (each.layer, each.target) not in self._idle]
        failed = {each.target.account for each in failures}
        accounts = len(wave.accounts)
        if len(failed) > tolerated_accounts(self._desired.preferences, accounts):
            self.report.stopped = f"wave {wave.name}: {len(failed)} of {accounts} accounts failed"
        if self._operations.refuted:
            self.report.stopped = self._operations.refuted
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
        """Begin a layer as planned, without targets that are held back or where a layer failed that it waits for."""
        failed, layer = {target: run.layer for run in upstream for target in run.failures}, planned.layer
        skipped = planned.changes.keys() & failed.keys()
        left_out = {target: f"skipped: {failed[target]} did not succeed there" for target in skipped}
        if layer not in self._desired.plain:  # whose stacks may be deployed again for what others put out
            self._idle |= {(layer, each) for each in skipped if planned.changes[each] is ChangeKind.NOTHING}
        run: AnyLayerRun
        if layer in self._desired.plain:
            scheduled, current = narrowed(planned, self._desired, None, skipped), self._schedule.current
            needed = [state for each in sorted(self._desired.needs.get(layer, ())) if (state := self._sets.get(each))]
            run = PlainLayerRun(self._context, scheduled, current, needed, any(each.changed for each in upstream))
        else:
            scheduled, departed = self._as_agreed(planned, skipped)
            left_out |= {target: held_back(reason) for target, reason in departed.items()}
            run = LayerRun(self._context, self._operations, scheduled, self._sets.get(layer))
        run.failures |= {target: Failure(layer, target, left_out[target], skipped=True) for target in left_out}
        waiting = sorted(target for target in left_out if (layer, target) not in self._idle)
        self._context.observer.targets(layer, dict.fromkeys(waiting, "skipped"))
        return run

    def _as_agreed(self, planned: ScheduledLayer, skipped: Set[Target]) -> tuple[ScheduledLayer, dict[Target, str]]:
        """The planned layer without the targets that are `skipped` or held back; those that are held back, and why.

        The set is read again where anybody has touched it since it was read. Nothing is sent that the plan did not
        show: a target whose action would be another one now waits for the next plan.
        """
        layer, say = planned.layer, self._context.observer.say
        expected, state = self._expected.get(layer), self._sets.get(layer)
        self._expected[layer] = state_after(self._desired, expected, *planned.calls)
        if planned.calls:
            state = self._sets[layer] = self._read_again(planned.calls[0], state)
        touched = {target for call in planned.calls for target in call.targets}
        departed = departures(self._desired, layer, expected, state, {*planned.changes, *touched} - skipped)
        scheduled = narrowed(planned, self._desired, state, {*skipped, *departed})
        reasons = {target: reason for target, (kind, reason) in departed.items() if kind is not ChangeKind.NOTHING}
        for target in sorted(departed.keys() - reasons.keys()):
            say(f"{layer} at {target} is as desired already: nothing is sent, though {departed[target][1]}")
        left = {target for call in scheduled.calls for target in call.targets}
        for target in (touched & scheduled.changes.keys()) - left:
            reasons[target] = "no instance is left with which its stack set could take the template"
        goes, stays = (any(call.action is Action.DELETE_SET for call in each.calls) for each in (planned, scheduled))
        if goes and state and not stays:
            known = self._schedule.current.sets[layer].instances.keys() if layer in self._schedule.current.sets else ()
            say(f"{layer}: its stack set stays, since it still has instances")
            reasons |= dict.fromkeys(state.instances.keys() - known, "the plan does not know it")
        return scheduled, {target: reasons[target] for target in reasons if target in planned.changes or goes}

    def _read_again(self, call: Call, state: StackSet | None) -> StackSet | None:
        """The set of a call as it is now: read whole where an operation began since it was read."""
        sets = self._context.client.sets
        with contextlib.suppress(StackSetNotFound):
            if state and not state.active and sets.newest(call.set_name) == state.newest:
                return state
        return read_set(sets, self._context.override_cache, call.layer, call.set_name)


def bake(context: Context, wave: Wave) -> str:
    """Wait out a wave's time and return why the next one may not begin; empty when it may.

    An alarm whose actions are off waits for something that has not begun, such as the replication task: it does not
    count.
    """
    end = context.clock.now() + wave.bake_seconds
    if wave.bake_seconds:
        context.observer.say(f"wave {wave.name}: baking for {wave.bake_seconds} s")
    accounts = set(wave.accounts if wave.quiet_alarms else ())
    watched = sorted(target for target in context.desired.targets if target.account in accounts)
    while True:
        for target in watched:
            for alarm in alarms(context.client.reading(target), wave.quiet_alarms):
                if alarm.state == "ALARM" and alarm.actions_enabled:
                    ringing = f"alarm {alarm.name} at {target} is in ALARM"
                    return f"wave {wave.name}: {ringing}; see why, then resume or roll back"
        left = end - context.clock.now()
        if left <= 0:
            return ""
        context.clock.wait(min(ALARM_SECONDS, left))


LEASE = timedelta(minutes=2)
"""The lock of a process that died while it planned or asked can be taken after so long."""

RENEWAL_SECONDS = 30.0

AGREEING_SECONDS = 900.0
"""A question holds the lock for no longer: the person who is asked may have gone home."""


class PlanningLock:
    """The lock of a phase from before its state is read until a run begins with it, or nobody agrees.

    It is renewed while the plan is made, which takes as long as it takes, and for `AGREEING_SECONDS` after. Safety does
    not depend on clocks: a run does not begin once anybody else has written.
    """

    def __init__(self, journal: Journal) -> None:
        self.over = threading.Event()
        self._journal = journal
        self._last = math.inf

    def shown(self, agreeing_seconds: float = AGREEING_SECONDS) -> None:
        """Wait for an answer for so long. Raises `RolloutError` where another has taken the lock."""
        self._last = time.monotonic() + agreeing_seconds
        self._journal.renew(_lease_end())

    def renew(self, every_seconds: float) -> None:
        """Renew the lock until it is over."""
        while not self.over.wait(every_seconds) and time.monotonic() < self._last:
            with contextlib.suppress(RolloutError):  # whatever it is, beginning meets it again
                self._journal.renew(_lease_end())


@contextlib.contextmanager
def planning_lock(
    client: Client, store: Store, command: Command, renewal_seconds: float = RENEWAL_SECONDS
) -> Iterator[PlanningLock]:
    """Hold the lock of a phase while it is planned and agreed to. Raises `RolloutError` while another holds it."""
    began = datetime.now(UTC).isoformat(timespec="seconds")
    store.journal.hold(Hold(uuid4().hex, command, client.calls.caller(), began, _lease_end()))
    lock = PlanningLock(store.journal)
    threading.Thread(target=lock.renew, args=(renewal_seconds,), daemon=True).start()
    try:
        yield lock
    finally:
        lock.over.set()
        with contextlib.suppress(RolloutError):  # it ends by itself
            store.journal.give_back()


def _lease_end() -> str:
    return (datetime.now(UTC) + LEASE).isoformat(timespec="seconds")


def begin_run(services: RunServices, command: Command, release: str, acknowledged: Iterable[str], to: str = "") -> Run:
    """Begin a run with the lock of the phase; `to` is the release that a rollback puts back.

    Raises `RolloutError` while another holds the lock, or has taken it.
    """
    now, owner = datetime.now(UTC), uuid4().hex
    run_id, began = f"{now:%Y%m%dT%H%M%SZ}-{owner[:16]}", now.isoformat(timespec="seconds")
    agreed, caller = tuple(sorted(acknowledged)), services.client.calls.caller()
    run = Run(run_id, command, release, owner, began, agreed, to=to, by=caller)
    services.store.journal.begin(run)
    services.client.calls.name_sessions(f"{command.value}-{run.id}")
    return run


def take_over_run(
    services: RunServices, desired: Callable[[Run], DesiredState], *, send: bool = True
) -> tuple[Run, DesiredState]:
    """Take over the run that is under way, whoever began it, and follow what it began to its end.

    The process that had it can write no more, and stops. `desired` is the state that a run leads to. With `send`, calls
    that were written down and never arrived are made.
    """
    run = services.store.journal.take_over(uuid4().hex)
    services.client.calls.name_sessions(f"resume-{run.id}")
    state = desired(run)
    operations = Operations(_context(services, run, state))
    _follow(operations, operations.resume(run.entries, send=send))
    return run, state


def run_to_desired(
    services: RunServices, run: Run, desired: DesiredState, layers: Collection[str], planned: Schedule
) -> Report:
    """Bring the phase to the desired state and close the run.

    The `planned` schedule is what is carried out: where the phase is not as it was planned from any more, instances are
    held back. Raises `RolloutError`, and leaves the run to be resumed, where AWS cannot be asked any more.
    """
    context = _context(services, run, desired)
    current = read_current_state(context.client, context.override_cache, dataclasses.replace(desired, plain={}), layers)
    resumed = {target.account for entry in run.entries for target in entry.call.targets}
    report = Executor(context, planned, current, resumed).run()
    if report.good:
        context.override_cache.all_reached()
    return _close(context, report)


def carry_out(services: RunServices, run: Run, desired: DesiredState, calls: Mapping[str, Sequence[Call]]) -> Report:
    """Detach or import instances, layer by layer in the order of `calls`, and close the run. Stacks stay as they are.

    A set must be there before an import, and what fails at a layer's first import would fail at the others: a failure
    ends the layer.
    """
    context, report = _context(services, run, desired), Report()
    operations = Operations(context)
    for layer, own in calls.items():
        failures: list[Failure] = []
        refusal = ""
        for batch in _batches(own):
            if failures or refusal:
                reason = refusal or "not begun: an import before it failed"
                left = sorted(target for call in batch for target in call.targets)
                failures += [Failure(layer, target, reason, skipped=not refusal) for target in left]
            else:
                running = [operations.begin(call, desired.preferences) for call in batch]
                failures += _follow(operations, running)
                refusal = next((each.refusal for each in running if each.refusal), "")
        report.failures += failures
        report.succeeded[layer] = sum(len(call.targets) for call in own) - len(failures)
    report.operations = operations.submitted
    return _close(context, report)


def _batches(calls: Sequence[Call]) -> Iterator[Sequence[Call]]:
    """Calls that run side by side: all deletions, or of imports the set's creation, the first import, the others."""
    if all(call.action is Action.DELETE for call in calls):
        yield calls
        return
    first = 1 + sum(call.action is Action.CREATE_SET for call in calls)
    yield from (calls[number : number + 1] for number in range(first))
    yield from (calls[number : number + MOST_RUNNING] for number in range(first, len(calls), MOST_RUNNING))


def end_run(services: RunServices, run: Run, desired: DesiredState) -> Report:
    """Close a run that was taken over, whose rest is not carried out: which accounts it had to detach is not stored."""
    ended = "resume" if run.command is Command.DETACH else "resume --end"
    stopped = f"ended by `{ended}`; {run.command.value} again plans what is left"
    return _close(_context(services, run, desired), Report(stopped=stopped))


def _context(services: RunServices, run: Run, desired: DesiredState) -> Context:
    cache = services.store.overrides()
    services.client.calls.limiter.say = services.observer.say
    return Context(**vars(services), desired=desired, id_prefix=run.id_prefix, override_cache=cache)


def _close(context: Context, report: Report) -> Report:
    context.store.save_overrides(context.override_cache)
    context.store.journal.close(good=report.good)
    return report


def _follow(operations: Operations, running: Iterable[PolledOperation]) -> list[Failure]:
    """Wait for operations to end, side by side, and return the targets that they did not reach.

    Instances have reasons of their own where it was their import that failed, and none where something else did.
    """
    failures: list[Failure] = []
    for each, operation in operations.until_over(running):
        left = operations.end(each, operation)
        imported = left and each.call.action is Action.IMPORT
        instances = operations.sets.instances_left(each.call.set_name) if imported else {}
        for target in left:
            reason = operation.reason or f"operation {each.id} ended {operation.status}"
            if (found := instances.get(target)) and found.reason:
                reason = (
                    f"{found.detailed}: {found.reason}; nothing of the stack was changed: see to that, then adopt again"
                )
            failures.append(Failure(each.call.layer, target, reason))
    return failures
