"""Operations of a run: the id is written down, then the call is made; a running one is resumed, never sent twice."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout.aws.errors import OperationIdExists, StackSetExists, StackSetNotFound, StaleRequest
from builders.rollout.executor.context import Context
from builders.rollout.executor.polling import PolledOperation, Poller
from builders.rollout.model import Operation, Preferences, Status, Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.state.journal import Entry, EntryState

IMMEDIATE = frozenset({Action.CREATE_SET, Action.DELETE_SET})
"""Calls that are over when they return."""

NO_RELEASE = "no-release"
"""The beginning of ids where a run brings no release: they may not begin with a hyphen (CloudFormation API reference,
ClientRequestToken: [a-zA-Z0-9][-a-zA-Z0-9]*)."""


@dataclass(kw_only=True)
class RunOperation(PolledOperation):
    """An operation of a run, with the call that begins it."""

    call: Call
    preferences: Preferences


class Operations(Poller[RunOperation]):
    """The operations of one run. `submitted` counts those that AWS took."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.client.sets, context.clock, context.poll_interval)
        self.submitted = 0
        self._context = context

    def begin(self, call: Call, preferences: Preferences) -> RunOperation:
        """Write down an operation that is to be. The first poll makes the call."""
        layer = call.layer.replace("_", "-")
        running = _operation(f"{self._context.release or NO_RELEASE}-{layer}-{secrets.token_hex(4)}", call, preferences)
        self._context.store.journal.record(Entry(running.id, call, EntryState.SUBMITTING))
        return running

    def resume(self, entries: Iterable[Entry]) -> Iterator[RunOperation]:
        """Take up operations that were written down: one that AWS does not know is sent with the id that it has."""
        for entry in entries:
            if entry.state is EntryState.SUBMITTING:
                running = _operation(entry.operation_id, entry.call, self._context.desired.preferences)
                running.accepted = entry.call.action not in IMMEDIATE and self.exists(running)
                self._context.observer.say(f"{running.set_name}: going on with {running.action} {running.id}")
                yield running

    def end(self, running: RunOperation, operation: Operation) -> list[Target]:
        """Write down the end of an operation and what it tells of overrides; return the targets where it failed."""
        failures = self._failures(running.call, operation)
        entry = Entry(running.id, running.call, EntryState.OVER, operation.status, tuple(failures))
        self._context.store.journal.record(entry)
        self._context.override_cache.apply([entry])
        self._context.override_cache.pass_by(entry)
        return failures

    def send(self, polled: RunOperation) -> Operation | None:
        """Make the call. A stack set that is gone has nothing to delete any more."""
        call, desired = polled.call, self._context.desired
        try:
            # What exists was made by an earlier attempt, whose answer was lost.
            with contextlib.suppress(OperationIdExists, StaleRequest, StackSetExists):
                self.sets.submit(
                    call, desired.sets.get(call.layer), polled.id, polled.preferences, desired.permissions, desired.tags
                )
        except StackSetNotFound:
            if call.action not in (Action.DELETE, Action.DELETE_SET):
                raise
            return polled.ended("SUCCEEDED")
        return polled.ended("SUCCEEDED") if call.action in IMMEDIATE else None

    def accepted(self, polled: RunOperation) -> None:
        """Count it, and tell the observer."""
        self.submitted += 1
        self._context.observer.submitted(polled.call, polled.id)

    def looked(self, polled: RunOperation, operation: Operation) -> None:
        """Tell the observer."""
        self._context.observer.operation(polled.call, operation)

    def blocked(self, polled: RunOperation, by: str) -> None:
        """Tell the observer."""
        self._context.observer.say(f"{polled.set_name}: waiting for {by}, which is in progress there")

    def lost(self, polled: RunOperation) -> Operation:
        """Stop: nobody knows what it did or does."""
        raise RolloutError(
            f"{polled.set_name}: operation {polled.id} was accepted and is not found; look at the set in the "
            "CloudFormation console, then run resume"
        )

    def _failures(self, call: Call, operation: Operation) -> list[Target]:
        """Targets of an operation that are not what it was to make them.

        StackSets call an operation SUCCEEDED that stayed within its tolerance, so the count is asked for, too.
        """
        if operation.status == "SUCCEEDED" and not operation.failed:
            return []
        try:
            instances = self.sets.instances(call.set_name)
        except StackSetNotFound:
            instances = {}
        if call.action is Action.DELETE:
            return sorted(call.targets & instances.keys())
        return sorted(
            target
            for target in call.targets
            if target not in instances or instances[target].status is not Status.CURRENT
        )


def _operation(operation_id: str, call: Call, preferences: Preferences) -> RunOperation:
    return RunOperation(
        id=operation_id, set_name=call.set_name, action=call.action.value, call=call, preferences=preferences
    )
