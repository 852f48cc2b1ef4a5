"""Baking: time passes, and the alarms of a wave must stay quiet before the next wave begins.

The waves, and the layers' graph within each: the loop that apply, resume, rollback and remove are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from builders.rollout.executor.context import Context, Failure, Report
from builders.rollout.executor.layers import LayerRun, PlainLayerRun
from builders.rollout.executor.operations import Operations
from builders.rollout.model import CurrentState, StackSet, Target, Wave
from builders.rollout.plan import preferences, schedule

LOOK_SECONDS = 30.0


def bake(context: Context, wave: Wave, targets: Collection[Target]) -> str:
    """Wait out a wave's time and return why the next one may not begin; empty when it may.

    An alarm whose actions are off waits for something that has not begun, such as the replication task: it is passed
    over.
    """
    end = context.clock.now() + wave.bake_seconds
    if wave.bake_seconds:
        context.observer.say(f"wave {wave.name}: baking for {wave.bake_seconds} s")
    while True:
        loud = _loud(context, wave, targets)
        if loud:
            return f"wave {wave.name}: {loud}; see why, then resume or roll back"
        left = end - context.clock.now()
        if left <= 0:
            return ""
        context.clock.wait(min(LOOK_SECONDS, left))


def _loud(context: Context, wave: Wave, targets: Collection[Target]) -> str:
    if not wave.quiet_alarms:
        return ""
    for target in sorted(targets):
        for alarm in context.members.alarms(target, wave.quiet_alarms):
            if alarm.state == "ALARM" and alarm.actions_enabled:
                return f"alarm {alarm.name} at {target} is in ALARM"
    return ""


TICK_SECONDS = 0.2


class Executor:
    """One way through all waves. `resumed` are the places that an earlier process had worked on in this run."""

    def __init__(self, context: Context, current: CurrentState, resumed: Collection[Target] = ()) -> None:
        self.report = Report()
        self._context = context
        self._operations = Operations(context)
        self._sets: dict[str, StackSet | None] = dict(current.sets)
        self._plain = current.plain
        self._resumed = frozenset(resumed)
        self._graph = schedule.deployment_order(context.desired, current, context.back)
        self._leaving = schedule.removal_order(context.desired, current)
        self._anchors = schedule.anchor_targets(context.desired)
        self._waves = schedule.waves_of(context.desired, current)

    def go(self) -> Report:
        """Walk, and return what it came to. Raises `RolloutError` when AWS cannot be asked any more."""
        for number, wave in enumerate(self._waves):
            worked = self._wave(wave)
            later = {account for each in self._waves[number + 1 :] for account in each.accounts}
            if not self.report.stopped and (worked or self._was_baking(wave, later)):
                self.report.stopped = bake(self._context, wave, self._members(wave))
            if self.report.stopped:
                break
        self.report.operations = self._operations.submitted
        return self.report

    def _was_baking(self, wave: Wave, later: Collection[str]) -> bool:
        """Whether an earlier process had done the wave, and not begun the next."""
        touched = {target.account for target in self._resumed}
        return bool(touched & set(wave.accounts)) and not touched & set(later)

    def _members(self, wave: Wave) -> list[Target]:
        accounts = frozenset(wave.accounts)
        return sorted(target for target in self._context.desired.targets if target.account in accounts)

    def _wave(self, wave: Wave) -> bool:
        """Take a wave to what it shall be, then away from where it shall be no more; return whether anything was done.

        Those who leave a place go in reverse, and so on a way of their own.
        """
        self._context.observer.wave(wave.name, len(self._members(wave)))
        staying = self._way(wave, self._graph, leaving=False)
        leaving = self._way(wave, self._leaving, leaving=True)
        for lane in staying:
            self.report.succeeded[lane.layer] = self.report.succeeded.get(lane.layer, 0) + lane.reached
        self._judge(wave, [*staying, *leaving])
        return any(lane.worked for lane in [*staying, *leaving])

    def _way(self, wave: Wave, graph: schedule.Graph, leaving: bool) -> list[LayerRun | PlainLayerRun]:
        """Take every layer of a graph through a wave, each behind those that it waits for."""
        lanes: dict[str, LayerRun | PlainLayerRun] = {}
        accounts = frozenset(wave.accounts)
        while len(lanes) < len(graph) or not all(lane.over for lane in lanes.values()):
            for layer, waits in graph.items():
                if layer not in lanes and all(other in lanes and lanes[other].over for other in waits):
                    targets = {target for target in self._targets(layer, leaving) if target.account in accounts}
                    lanes[layer] = self._begin(layer, targets, [lanes[other] for other in sorted(waits)])
            for lane in [each for each in lanes.values() if not each.over]:
                lane.advance()
                self._collect(lane)
            if not all(lane.over for lane in lanes.values()):
                self._context.clock.wait(min(TICK_SECONDS, self._context.poll_interval.first))
        return list(lanes.values())

    def _targets(self, layer: str, leaving: bool) -> set[Target]:
        desired = self._context.desired
        everywhere = schedule.targets_of(desired, layer, self._sets.get(layer), self._plain)
        gone = schedule.leaving_targets(desired, layer, everywhere)
        return gone if leaving else everywhere - gone

    def _begin(
        self, layer: str, targets: set[Target], upstream: Iterable[LayerRun | PlainLayerRun]
    ) -> LayerRun | PlainLayerRun:
        """Start a layer at those places where what it waits for is well."""
        held = {target: failures.layer for lane in upstream for target, failures in lane.failures.items()}
        lane = self._lane(layer, targets - held.keys(), upstream)
        for target in sorted(targets & held.keys()):
            reason = f"skipped: {held[target]} failed there"
            lane.failures[target] = Failure(layer, target, reason, skipped=True)
        self._context.observer.targets(layer, dict.fromkeys(lane.failures, "skipped"))
        return lane

    def _lane(
        self, layer: str, targets: Collection[Target], upstream: Iterable[LayerRun | PlainLayerRun]
    ) -> LayerRun | PlainLayerRun:
        desired = self._context.desired
        if layer not in desired.plain:
            return LayerRun(self._context, self._operations, layer, self._sets.get(layer), targets, self._anchors)
        there = {target: stack for (name, target), stack in self._plain.items() if name == layer}
        lane = PlainLayerRun(self._context, desired.plain[layer], there, targets)
        moved = {target for other in upstream if other.worked for target in targets}
        lane.begin([self._sets.get(need) for need in sorted(desired.needs.get(layer, ()))], moved)
        return lane

    def _collect(self, lane: LayerRun | PlainLayerRun) -> None:
        if lane.over and isinstance(lane, LayerRun):
            self._sets[lane.layer] = lane.state

    def _judge(self, wave: Wave, lanes: Iterable[LayerRun | PlainLayerRun]) -> None:
        """Add up what the wave came to. Failures stop the next one unless the tolerance bears them."""
        failed: set[str] = set()
        for lane in lanes:
            self.report.failures.extend(lane.failures[target] for target in sorted(lane.failures))
            failed.update(target.account for target in lane.failures)
        if len(failed) > preferences.tolerated_accounts(self._context.desired.preferences, len(wave.accounts)):
            self.report.stopped = f"wave {wave.name}: {len(failed)} of {len(wave.accounts)} accounts failed"
