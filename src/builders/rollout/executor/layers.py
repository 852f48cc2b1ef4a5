"""One layer in one wave: its operations, and what became of its places.

A layer that plain stacks carry, in one wave: one stack of the network account for each place.
"""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from builders import naming
from builders.errors import RolloutError
from builders.rollout.aws.errors import StackSetNotFound, Unreachable
from builders.rollout.diff.instances import ChangeKind, change_kind, differs, plain_change_kind
from builders.rollout.executor.context import Context, Failure
from builders.rollout.executor.current_state import with_overrides
from builders.rollout.executor.operations import IMMEDIATE, Operations, RunOperation
from builders.rollout.model import DeployedStack, Instance, PlainStackSpec, Preferences, StackSet, Status, Target
from builders.rollout.plan.calls import Action, Call, calls_for
from builders.rollout.plan.preferences import concurrent_accounts, operation_preferences, tolerated_accounts

ALONE = IMMEDIATE | {Action.UPDATE_SET}
"""What nothing else of the set may run beside: the set itself changes."""

MOST_RUNNING = 50
"""Operations of a set under way at one time, each of which is asked after by itself: AWS allows few calls a second."""

PLACES_A_LOOK = 1000
"""So many more instances make looks at all of them, of a call for each hundred, rarer by as much as the first."""


class LayerRun:
    """A layer on its way through a wave. `missed` grows while it goes and is whole when it is `over`."""

    def __init__(
        self,
        context: Context,
        operations: Operations,
        layer: str,
        state: StackSet | None,
        targets: Collection[Target],
        anchors: Iterable[Target],
    ) -> None:
        self.layer = layer
        self.state = state
        self.over = False
        self.worked = False
        self.failures: dict[Target, Failure] = {}
        self._context = context
        self._operations = operations
        self._desired = context.desired
        self._targets = frozenset(targets)
        self._waiting = deque(calls_for(context.desired, layer, state, targets, anchors))
        self._running: list[RunOperation] = []
        self._failed: set[str] = set()
        self._accounts = len({target.account for target in targets})
        self._refusal = ""
        self._next_look = 0.0

    @property
    def reached(self) -> int:
        """How many places are what they shall be."""
        return len(self._targets - self.failures.keys())

    def advance(self) -> None:
        """Send what may be sent, look at what runs; without either, look at the instances and be over."""
        for running in list(self._running):
            self._poll(running)
        while self._may_begin():
            step = self._waiting.popleft()
            self.worked = True
            running = self._operations.begin(step, self._preferences(step))
            self._running.append(running)
            self._poll(running)
        if not self._running and not self._waiting:
            self._finish()

    def _may_begin(self) -> bool:
        if not self._waiting:
            return False
        step = self._waiting[0]
        if not self._running:
            return True
        if step.action in ALONE or any(running.call.action in ALONE for running in self._running):
            return False
        preferences = self._desired.preferences
        if not preferences.parallel_regions and any(running.call.regions != step.regions for running in self._running):
            return False
        beside = [each.call for each in self._running if set(each.call.regions) & set(step.regions)]
        if len(self._running) >= MOST_RUNNING:
            return False
        busy = sum(len(each.accounts) for each in beside)
        return busy + len(step.accounts) <= concurrent_accounts(preferences, self._accounts)

    def _preferences(self, step: Call) -> Preferences:
        accounts = len(step.accounts)
        return operation_preferences(
            self._desired.preferences, accounts, len(self._failed), max(self._accounts, accounts)
        )

    def _poll(self, running: RunOperation) -> None:
        operation = self._operations.poll(running)
        if operation is None:
            return
        if operation.active:
            self._tell_meanwhile()
            return
        self._running.remove(running)
        self._refusal = running.refusal or self._refusal
        self._failed |= {target.account for target in self._operations.end(running, operation)}
        if operation.status != "SUCCEEDED" or self._too_many():
            self._waiting.clear()

    def _too_many(self) -> bool:
        return len(self._failed) > tolerated_accounts(self._desired.preferences, self._accounts)

    def _instances(self) -> dict[Target, Instance]:
        name = self.state.name if self.state else self._desired.sets[self.layer].name
        try:
            return self._context.sets.instances(name)
        except StackSetNotFound:
            return {}

    def _finish(self) -> None:
        """Ask every instance what became of it: what operations say of themselves is not enough."""
        self.over = True
        if self.worked:
            self.state = self._as_it_is()
        changed = self.state is not None and self.layer in self._desired.sets and self._differs()
        for target in sorted(self._targets):
            left = change_kind(self._desired.sets.get(self.layer), self.state, target, changed)
            if left is not ChangeKind.NOTHING:
                self.failures[target] = self._why(target, left)
        if self._refusal and not self.failures:
            self.failures = {target: Failure(self.layer, target, self._refusal) for target in self._targets}
        self._tell()

    def _differs(self) -> bool:
        assert self.state is not None
        return differs(self._desired, self._desired.sets[self.layer], self.state)

    def _as_it_is(self) -> StackSet | None:
        name = self.state.name if self.state else self._desired.sets[self.layer].name
        read = self._context.sets.read(self.layer, name)
        if read is None:
            return None
        return with_overrides(self._context.sets, self._context.known, read)

    def _why(self, target: Target, left: ChangeKind) -> Failure:
        instance = self.state.instances.get(target) if self.state else None
        if left is ChangeKind.INOPERABLE:
            reason = (
                f"INOPERABLE: {instance.reason if instance else ''}; let it go with `rollout-stacksets remove "
                f"--account {target.account}`, delete its stack by hand, then apply again"
            )
        elif instance is not None and instance.reason:
            reason = instance.reason
        else:
            reason = self._refusal or "not begun: an operation before it failed"
        return Failure(
            self.layer, target, reason, skipped=_untried(instance), stack_id=instance.stack_id if instance else ""
        )

    def _tell_meanwhile(self) -> None:
        """Show where the instances are, but not at every look at one of many operations."""
        now = self._context.clock.now()
        if self._context.observer.detailed and now >= self._next_look:
            self._next_look = now + self._context.poll_interval.longest * (1 + len(self._targets) // PLACES_A_LOOK)
            self._context.observer.targets(self.layer, self._states(self._instances()))

    def _tell(self) -> None:
        if self._context.observer.detailed:
            self._context.observer.targets(self.layer, self._states(self.state.instances if self.state else {}))

    def _states(self, instances: Mapping[Target, Instance]) -> dict[Target, str]:
        """A word for each place that has an instance or waits for one; where one is gone there is nothing to say."""
        spec = self._desired.sets.get(self.layer)
        waiting = spec.overrides.keys() - instances.keys() if spec else set()
        words = {target: _word(instances[target]) for target in self._targets & instances.keys()}
        return words | dict.fromkeys(self._targets & waiting, "absent")


def _word(instance: Instance) -> str:
    return "CURRENT" if instance.status is Status.CURRENT else instance.detailed or instance.status.value


def _untried(instance: Instance | None) -> bool:
    return instance is None or instance.detailed in ("PENDING", "CANCELLED")


AT_A_TIME = 16
"""Stacks under way at one time: they mostly wait for CloudFormation, and the client bounds the calls."""


class PlainLayerRun:
    """A layer on its way through a wave. It needs no journal: deploying a stack again changes nothing."""

    def __init__(
        self,
        context: Context,
        layer: PlainStackSpec,
        there: Mapping[Target, DeployedStack],
        targets: Collection[Target],
    ) -> None:
        self.layer = layer.layer
        self.over = False
        self.worked = False
        self.failures: dict[Target, Failure] = {}
        self._context = context
        self._stacks = layer
        self._targets = sorted(targets)
        self._there = there
        self._futures: dict[Future[None], Target] = {}
        self._done: SimpleQueue[Future[None]] = SimpleQueue()

    @property
    def reached(self) -> int:
        """How many places are what they shall be."""
        return len(self._targets) - sum(not each.skipped for each in self.failures.values())

    def begin(self, needed: Iterable[StackSet | None], moved: AbstractSet[Target]) -> None:
        """Deploy what differs. `needed` are the sets whose outputs fill parameters; `moved` places had them changed."""
        pool = ThreadPoolExecutor(AT_A_TIME)
        sets = [each for each in needed if each is not None]
        moved = moved & self._stacks.parameters.keys()
        for target in self._targets:
            left = plain_change_kind(self._stacks, self._there.get(target), target)
            if left is ChangeKind.DELETE:
                self._futures[pool.submit(self._delete, target)] = target
            elif left is not ChangeKind.NOTHING or target in moved:
                self._futures[pool.submit(self._deploy, target, sets)] = target
        for future in self._futures:
            future.add_done_callback(self._done.put)
        self.worked = bool(self._futures)
        self._context.observer.targets(self.layer, dict.fromkeys(self._futures.values(), "RUNNING"))
        pool.shutdown(wait=False)

    def advance(self) -> None:
        """Collect what has ended. Raises `Unreachable`, and whatever is no error of one place."""
        while not self._done.empty():
            future = self._done.get()
            target = self._futures.pop(future)
            word = "CURRENT"
            try:
                future.result()
            except Unreachable:
                raise
            except RolloutError as error:
                self.failures[target] = Failure(self.layer, target, str(error))
                word = "FAILED"
            if target in self._stacks.parameters or word == "FAILED":
                self._context.observer.targets(self.layer, {target: word})
        self.over = not self._futures

    def _deploy(self, target: Target, needed: Iterable[StackSet]) -> None:
        declared = json.loads(self._stacks.template).get("Parameters", {})
        values = dict(self._stacks.parameters[target])
        for state in needed:
            instance = state.instances.get(target)
            if instance is not None:
                outputs = self._context.members.outputs(target, instance.stack_id)
                values |= {name: value for name, value in outputs.items() if name in declared and name not in values}
        missing = [name for name, each in declared.items() if name not in values and "Default" not in each]
        if missing:
            raise RolloutError(
                f"{self.layer} at {target} lacks {', '.join(missing)}, which no stack of the place puts out; "
                "`rollout-stacksets status` tells which layers stand"
            )
        complete = dataclasses.replace(self._stacks, parameters={target: values})
        if plain_change_kind(complete, self._there.get(target), target) is ChangeKind.NOTHING:
            return  # what it follows was updated, and put out the same as before
        self._context.plain.deploy(
            self._stacks.account,
            target.region,
            naming.network_stack(self.layer, self._context.desired.suffix, target.account),
            self._stacks.template,
            values,
            self._context.desired.tags,
        )

    def _delete(self, target: Target) -> None:
        name = naming.network_stack(self.layer, self._context.desired.suffix, target.account)
        self._context.plain.delete(self._stacks.account, target.region, name)
