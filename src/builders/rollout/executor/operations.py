"""Operations of StackSets, each sent and then asked after at growing intervals until it is over.

Of those of a run the id is written down, then the call is made; a running one is resumed, never sent twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import secrets
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from builders.aws import errors
from builders.errors import RolloutError
from builders.rollout.executor.context import Clock, Context, PollInterval
from builders.rollout.model import Operation, Preferences, Status, Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.stack_sets import StackSets
from builders.rollout.state.journal import Entry, EntryState

MOST_NOT_FOUND = 10
"""So often an operation that was accepted may not be found before it counts as lost, and so often a call may be
refused as if it came twice although AWS has no operation of its id."""

LISTS_EACH_PAUSE = 3
"""Lists of a set's operations in the longest pause between two polls of one of them."""

MOST_INSTANCES = 10_000
"""The instances of one region that all operations of an administrator may work on at once (CloudFormation user guide,
"Understand CloudFormation quotas")."""


@dataclass
class PolledOperation:
    """An operation from before its call to its end.

    `refusal` is AWS's answer to a call that it refused for good, `waits_for` why the call must be made again. `due` is
    when it is polled next, `accepted_at` when AWS took it, on the clock.
    """

    id: str
    call: Call
    preferences: Preferences
    accepted: bool = False
    refusal: str = ""
    due: float = 0.0
    pause: float = 0.0
    not_found: int = 0
    accepted_at: float = 0.0
    waits_for: str = ""

    def ended(self, status: str, reason: str = "") -> Operation:
        """The operation as it ended without AWS's word for it, nor its name of the action."""
        return Operation(self.id, "", status, reason=reason)


class Poller(ABC):
    """Sends operations and polls them. A subclass makes the call, and reports what happens."""

    def __init__(self, sets: StackSets, clock: Clock, interval: PollInterval) -> None:
        self.sets = sets
        self.clock = clock
        self.interval = interval
        self._running: dict[str, set[str]] = defaultdict(set)
        self._listed: dict[str, tuple[float, Mapping[str, Operation]]] = {}

    @abstractmethod
    def send(self, polled: PolledOperation) -> Operation | None:
        """Make the call; return the operation where it is over at once."""

    @abstractmethod
    def accepted(self, polled: PolledOperation) -> None:
        """AWS took the call, now or in an attempt whose answer was lost."""

    @abstractmethod
    def say(self, polled: PolledOperation, text: str) -> None:
        """Tell a person of the operation."""

    def hold(self, polled: PolledOperation) -> str:
        """Return the reason not to make a call yet; empty where there is none."""
        return ""

    def lost(self, polled: PolledOperation) -> Operation:
        """Return the end of an operation that AWS accepted and does not know."""
        return polled.ended("FAILED", f"operation {polled.id} was accepted and is not found")

    def poll(self, polled: PolledOperation) -> Operation | None:
        """Send an operation, or ask after one that was sent; None where it is not due, or not there yet.

        Raises `RolloutError` where AWS cannot be asked. A refusal of the operation itself is a failed operation.
        """
        if self.clock.now() < polled.due:
            return None
        operation = self._find(polled) if polled.accepted else self._send(polled)
        polled.pause = min(polled.pause * 1.5, self.interval.longest) or self.interval.first
        # Two who wait for each other's set do not meet again.
        pause = polled.pause if polled.accepted else polled.pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret
        polled.due = self.clock.now() + pause
        if operation is not None and not operation.active:
            self._running[polled.call.set_name].discard(polled.id)
        return operation

    def until_over(self, operations: Iterable[PolledOperation]) -> Iterator[tuple[PolledOperation, Operation]]:
        """Poll operations side by side, and yield each when it is over."""
        left = list(operations)
        while left:
            for polled in list(left):
                operation = self.poll(polled)
                if operation is not None and not operation.active:
                    left.remove(polled)
                    yield polled, operation
            if left:
                self.clock.wait(max(0.0, min(each.due for each in left) - self.clock.now()))

    def describe(self, polled: PolledOperation) -> Operation | None:
        """Ask AWS for the operation; None where it has none."""
        try:
            return self.sets.operation(polled.call.set_name, polled.id)
        except errors.StackSetNotFound:
            return None
        except errors.Refused as error:  # the question was refused, which says nothing of the operation
            raise RolloutError(str(error)) from error

    def _send(self, polled: PolledOperation) -> Operation | None:
        over, waits_for = None, self.hold(polled)
        try:
            over = None if waits_for else self.send(polled)
        except (errors.OperationInProgress, errors.OperationIdExists, errors.StaleRequest) as refused:
            # An earlier attempt may have been taken whose answer was lost. StaleRequest also comes for a fresh id.
            if self.describe(polled) is None:
                if isinstance(refused, errors.OperationInProgress):
                    active = ", ".join(f"{each.action} {each.id}" for each in self._list(polled.call.set_name))
                    waits_for = f"{active or 'an operation'}, which is in progress there"
                elif self._is_given_up(polled):
                    return self._refused(polled, refused)
                else:
                    waits_for = f"AWS to take operation {polled.id} ({refused.code})"
        except errors.TooManyInstances as refused:
            waits_for = f"fewer instances under way ({refused.reason})"
        except errors.Refused as refused:
            return self._refused(polled, refused)
        if waits_for:
            if polled.waits_for != waits_for:
                polled.waits_for = waits_for
                self.say(polled, f"waiting for {waits_for}")
            return None
        polled.accepted, polled.accepted_at = True, self.clock.now()
        polled.pause, polled.not_found = 0.0, 0
        self.accepted(polled)
        return over or polled.ended("RUNNING")

    def _is_given_up(self, polled: PolledOperation) -> bool:
        """Count one more answer by which AWS does not have the operation, and tell whether there were too many."""
        polled.not_found += 1
        return polled.not_found > MOST_NOT_FOUND

    def _refused(self, polled: PolledOperation, error: errors.Refused) -> Operation:
        polled.refusal = str(error)
        return polled.ended("FAILED", polled.refusal)

    def _find(self, polled: PolledOperation) -> Operation | None:
        running = self._running[polled.call.set_name]
        running.add(polled.id)
        operation = self._listed_operation(polled) if len(running) > 1 else None
        operation = operation or self.describe(polled)
        return self.lost(polled) if operation is None and self._is_given_up(polled) else operation

    def _listed_operation(self, polled: PolledOperation) -> Operation | None:
        """The operation where a list of its set's has it under way: one call for all that run.

        The list is eventually consistent: what it does not have, and each end, is asked for by itself.
        """
        now = self.clock.now()
        listed_at, listed = self._listed.get(polled.call.set_name, (-math.inf, {}))
        if now - listed_at >= self.interval.longest / LISTS_EACH_PAUSE:
            listed_at, listed = now, {each.id: each for each in self._list(polled.call.set_name)}
            self._listed[polled.call.set_name] = listed_at, listed
        if polled.id not in listed and polled.accepted_at >= listed_at:
            return polled.ended("RUNNING")  # it is younger than the list
        return listed.get(polled.id)

    def _list(self, set_name: str) -> tuple[Operation, ...]:
        with contextlib.suppress(errors.Refused):
            return self.sets.active(set_name)
        return ()


IMMEDIATE = frozenset({Action.CREATE_SET, Action.DELETE_SET})
"""Calls that are over when they return."""


class Operations(Poller):
    """The operations of one run.

    `submitted` counts those that AWS took, as a plan does: to create or delete a stack set is none.
    """

    def __init__(self, context: Context, most_instances: int = MOST_INSTANCES) -> None:
        super().__init__(context.client.sets, context.clock, context.poll_interval)
        self.submitted = 0
        self.proven: set[str] = set()
        """The layers whose UpdateStackInstances was seen to carry the set's template, or not to."""
        self.refuted = ""
        """Reason why the run stops where one did not carry it; empty before."""
        self._context = context
        self._most_instances = most_instances
        self._under_way: dict[str, Call] = {}

    def begin(self, call: Call, preferences: Preferences) -> PolledOperation:
        """Write down an operation that is to be. The first poll makes the call."""
        layer = call.layer.replace("_", "-")
        entry = Entry(f"{self._context.id_prefix}-{layer}-{secrets.token_hex(8)}", call, EntryState.SUBMITTING)
        self._context.store.journal.record(entry)
        return PolledOperation(entry.operation_id, call, preferences)

    def resume(self, entries: Iterable[Entry], *, send: bool = True) -> Iterator[PolledOperation]:
        """Take up operations that were written down; with `send`, one that AWS does not know is sent with its id."""
        for entry in entries:
            if entry.state is EntryState.SUBMITTING:
                running = PolledOperation(entry.operation_id, entry.call, self._context.desired.preferences)
                running.accepted = self.describe(running) is not None
                if running.accepted or send:
                    self.say(running, f"going on with {entry.call.action.value} {running.id}")
                    yield running

    def end(self, running: PolledOperation, operation: Operation) -> list[Target]:
        """Write down the end of an operation and what it tells of overrides; return the targets where it failed."""
        self._under_way.pop(running.id, None)
        failures = self._failures(running.call, operation)
        entry = Entry(running.id, running.call, EntryState.OVER, tuple(failures))
        self._context.store.journal.record(entry)
        self._context.override_cache.apply([entry])
        return failures

    def poll(self, polled: PolledOperation) -> Operation | None:
        """Poll, and show what comes of it."""
        operation = super().poll(polled)
        if operation is not None:
            self._context.observer.operation(polled.call, operation)
        return operation

    def describe(self, polled: PolledOperation) -> Operation | None:
        """Ask AWS for the operation; calls that are over at once leave none."""
        return None if polled.call.action in IMMEDIATE else super().describe(polled)

    def hold(self, polled: PolledOperation) -> str:
        """Keep within the instances of a region that all operations together may work on."""
        under_way = Counter[str]()
        for call in self._under_way.values():
            under_way.update(dict.fromkeys(call.regions, len(call.accounts)))
        busiest = max((under_way[region] for region in polled.call.regions), default=0)
        if busiest and busiest + len(polled.call.accounts) > self._most_instances:
            return f"other operations: at most {self._most_instances:,} instances of a region are worked on at once"
        return ""

    def send(self, polled: PolledOperation) -> Operation | None:
        """Make the call. A stack set that is gone has nothing to delete any more, nor has an instance."""
        try:
            # What exists was made by an earlier attempt, whose answer was lost.
            with contextlib.suppress(errors.StackSetExists):
                self.sets.submit(polled.call, self._context.desired, polled.id, polled.preferences)
        except errors.TooManyInstances as error:
            if len(polled.call.accounts) <= self._most_instances:
                raise
            raise errors.Refused(f"{error}; divide its wave into several", error.code, error.reason) from error
        except (errors.StackSetNotFound, errors.InstanceNotFound):
            if polled.call.action is not Action.DELETE:  # a set that is gone counts as deleted
                raise
            left = polled.call.targets & self.sets.instances_left(polled.call.set_name).keys()
            if not left:
                return polled.ended("SUCCEEDED")
            accounts = tuple(sorted({each.account for each in left}))
            regions = tuple(region for region in polled.call.regions if any(each.region == region for each in left))
            polled.call = dataclasses.replace(polled.call, accounts=accounts, regions=regions)
            self.sets.submit(polled.call, self._context.desired, polled.id, polled.preferences)
        return polled.ended("SUCCEEDED") if polled.call.action in IMMEDIATE else None

    def accepted(self, polled: PolledOperation) -> None:
        """Count it, and tell the observer."""
        self.submitted += polled.call.action not in IMMEDIATE
        self._under_way[polled.id] = polled.call
        self._context.observer.submitted(polled.call, polled.id)

    def say(self, polled: PolledOperation, text: str) -> None:
        """Tell the observer."""
        self._context.observer.say(f"{polled.call.set_name}: {text}")

    def lost(self, polled: PolledOperation) -> Operation:
        """Stop: nobody knows what it did or does."""
        raise RolloutError(
            f"{polled.call.set_name}: operation {polled.id} was accepted and is not found; look at the set in the "
            "CloudFormation console, then run resume"
        )

    def _failures(self, call: Call, operation: Operation) -> list[Target]:
        """Targets of an operation that are not what it was to make them.

        StackSets call an operation SUCCEEDED that stayed within its tolerance, so the count is asked for, too.
        """
        if operation.status == "SUCCEEDED" and not operation.failed:
            return []
        instances = self.sets.instances_left(call.set_name)
        current = {target for target, each in instances.items() if each.status is Status.CURRENT}
        return sorted(call.targets & instances.keys() if call.action is Action.DELETE else call.targets - current)
