"""Operations: the id is written down, then the call is made; what is under way is taken up again, never sent twice."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout.aws.errors import (
    OperationIdExists,
    OperationInProgress,
    Refused,
    StackSetExists,
    StackSetNotFound,
    StaleRequest,
)
from builders.rollout.executor.context import Context
from builders.rollout.executor.polling import jittered
from builders.rollout.model import Operation, Preferences, Status, Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.state.journal import Entry, State

AT_ONCE = frozenset({Action.CREATE_SET, Action.DELETE_SET})
"""Calls that are over when they return."""

NO_RELEASE = "no-release"
"""What ids begin with where a run brings no release: with a hyphen they may not (CloudFormation API reference,
ClientRequestToken: [a-zA-Z0-9][-a-zA-Z0-9]*)."""

LOST_LOOKS = 10
"""How often an operation that was accepted may not be found before we give up on it."""


@dataclass
class RunningOperation:
    """An operation of ours that is not over. `due` is when it is looked at next, on the clock."""

    id: str
    step: Call
    preferences: Preferences
    accepted: bool = False
    due: float = 0.0
    pause: float | None = None
    not_found: int = 0


class Operations:
    """The operations of one run."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.submitted = 0

    def begin(self, step: Call, preferences: Preferences) -> RunningOperation:
        """Write down an operation that is to be. The first `look` makes the call."""
        layer = step.layer.replace("_", "-")
        running = RunningOperation(
            f"{self._context.release or NO_RELEASE}-{layer}-{secrets.token_hex(4)}", step, preferences
        )
        self._context.journal.record(Entry(running.id, step, State.SUBMITTING))
        return running

    def attach(self, entry: Entry) -> RunningOperation:
        """Take up an operation that was written down: one that AWS does not know is sent with the id that it has."""
        running = RunningOperation(entry.operation_id, entry.step, self._context.desired.preferences)
        if entry.step.action not in AT_ONCE:
            running.accepted = self._found(running) is not None
        return running

    def look(self, running: RunningOperation) -> Operation | None:
        """Send what is not sent, look at what is, and return the operation once it is over.

        Raises `Refused` when AWS refuses the operation itself for good, and `RolloutError` when AWS cannot be asked.
        """
        if self._context.clock.now() < running.due:
            return None
        operation = self._accept(running) if not running.accepted else self._found(running)
        if operation is None and running.accepted:
            running.not_found += 1
            if running.not_found > LOST_LOOKS:
                raise RolloutError(
                    f"{running.step.set_name}: operation {running.id} was accepted and is not found; look at the set "
                    "in the CloudFormation console, then run resume"
                )
        if operation is not None:
            self._context.watch.operation(running.step, operation)
            if not operation.active:
                return operation
        running.pause = self._context.patience.next(running.pause)
        running.due = self._context.clock.now() + (running.pause if running.accepted else jittered(running.pause))
        return None

    def over(self, running: RunningOperation, outcome: str, failures: Collection[Target]) -> None:
        """Write down the end of an operation, and what is known of overrides by it."""
        entry = Entry(running.id, running.step, State.OVER, outcome, tuple(sorted(failures)))
        self._context.journal.record(entry)
        self._context.known.fold([entry])
        self._context.known.pass_by(entry)

    def failures(self, step: Call, operation: Operation) -> list[Target]:
        """Places of an operation that are not what it was to make them.

        StackSets call an operation SUCCEEDED that stayed within its tolerance, so the count is asked for, too.
        """
        if operation.status == "SUCCEEDED" and not operation.failed:
            return []
        try:
            instances = self._context.sets.instances(step.set_name)
        except StackSetNotFound:
            instances = {}
        if step.action is Action.DELETE:
            return sorted(step.targets & instances.keys())
        return sorted(
            target
            for target in step.targets
            if target not in instances or instances[target].status is not Status.CURRENT
        )

    def _accept(self, running: RunningOperation) -> Operation | None:
        step = running.step
        desired = self._context.desired
        try:
            self._context.sets.submit(
                step, desired.sets.get(step.layer), running.id, running.preferences, desired.permissions, desired.tags
            )
        except OperationInProgress:
            self._say_who_blocks(step)
            return None
        except (OperationIdExists, StaleRequest, StackSetExists):
            pass  # it was sent before, and the answer lost
        except StackSetNotFound:
            if step.action not in (Action.DELETE, Action.DELETE_SET):
                raise
            return Operation(running.id, step.action.value, "SUCCEEDED")
        self.submitted += 1
        self._context.watch.submitted(step, running.id)
        running.accepted = True
        running.pause = None
        if step.action in AT_ONCE:
            return Operation(running.id, step.action.value, "SUCCEEDED")
        return Operation(running.id, step.action.value, "RUNNING")

    def _found(self, running: RunningOperation) -> Operation | None:
        try:
            return self._context.sets.operation(running.step.set_name, running.id)
        except StackSetNotFound:
            return None
        except Refused as error:  # the look was refused, which says nothing of the operation
            raise RolloutError(str(error)) from error

    def _say_who_blocks(self, step: Call) -> None:
        try:
            others = ", ".join(f"{each.action} {each.id}" for each in self._context.sets.active(step.set_name))
        except Refused:
            others = ""
        self._context.watch.say(f"{step.set_name}: waiting for {others or 'an operation'}, which is in progress there")
