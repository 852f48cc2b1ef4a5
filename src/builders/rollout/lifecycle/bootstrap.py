"""bootstrap: the plain stacks that a phase needs, deployed as planned, in rounds that take the outputs of those before.

The targets of a round are deployed side by side, each failing for itself. A stack that makes a Direct Connect gateway
is deployed twice: the attachment of the gateway has no id before the association stands.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from builders import progress
from builders.aws import change_sets, networks
from builders.aws.calls import Session, concurrently
from builders.aws.errors import Unreachable
from builders.aws.stacks import pauses
from builders.errors import RolloutError
from builders.evaluate import known_by_name, with_outputs
from builders.rollout.aws.client import Client
from builders.rollout.config.templates import read_template
from builders.rollout.lifecycle.bootstrap_plan import ATTACHMENT, PlannedStack
from builders.rollout.model import DeployedStack, Values, grouped
from builders.rollout.plan.changes import ChangeKind
from builders.template_bodies import PlainStack, same_template


class StackState(enum.Enum):
    """The outcome of a stack."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class StackOutcome:
    """A stack and what became of it: the reason, where it failed or was skipped, and its outputs."""

    stack: PlainStack
    state: StackState
    reason: str = ""
    outputs: Values = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """True when the stack is as desired."""
        return self.state not in (StackState.FAILED, StackState.SKIPPED)

    def __str__(self) -> str:
        """Return one line for a person."""
        return f"{self.stack}: {self.state.value}" + (f", {self.reason}" if self.reason else "")


ASSOCIATION_SECONDS = 1800.0
"""Seconds that bootstrap waits for the attachment of a Direct Connect gateway: an association takes minutes (Direct
Connect user guide, "Transit gateway associations")."""


def deploy_planned(
    client: Client,
    rounds: Sequence[Sequence[PlannedStack]],
    report: Callable[[StackOutcome], None] = lambda _outcome: None,
    association_seconds: float = ASSOCIATION_SECONDS,
) -> list[StackOutcome]:
    """Deploy the stacks of a plan, and report each outcome as it comes; return them all.

    Behind a stack that fails, those that need it are skipped, and no others. Raises `Unreachable` where AWS cannot be
    asked.
    """
    outcomes: list[StackOutcome] = []

    def in_order(stacks: Sequence[PlannedStack]) -> list[StackOutcome]:
        """Deploy the stacks of a target one after the other, since they may follow each other."""
        done: list[StackOutcome] = []
        for each in stacks:
            done.append(_deploy(client, each, [*outcomes, *done], association_seconds))
        return done

    for planned in rounds:
        by_target = grouped((each.stack.target, each) for each in planned).values()
        of_round: list[StackOutcome] = []
        with progress.bar("bootstrap", len(by_target)) as advance:
            for stacks, done in concurrently(in_order, by_target):
                advance(str(stacks[0].stack.target))
                for outcome in done:
                    report(outcome)
                of_round += done
        outcomes += of_round
    return outcomes


def _deploy(
    client: Client, planned: PlannedStack, earlier: Sequence[StackOutcome], association_seconds: float
) -> StackOutcome:
    stack, before = planned.stack, planned.before
    failed = {each.stack.layer: str(each.stack) for each in earlier if not each.succeeded}
    needs = sorted(read_template(stack.layer, stack.template).needs & failed.keys())
    if needs:
        return StackOutcome(stack, StackState.SKIPPED, f"since {failed[needs[0]]} was not deployed")
    if planned.problem:
        return StackOutcome(stack, StackState.FAILED, planned.problem)
    if planned.kind is ChangeKind.NOTHING:
        return StackOutcome(stack, StackState.UNCHANGED, outputs=before.outputs if before else {})
    try:
        if change_sets.before_deployment(client.deploying(stack.target), stack) != before:
            raise RolloutError("it has changed since it was planned; plan again")
        stack, after = _deployed(client, planned, _with_real_outputs(stack, earlier), association_seconds)
    except Unreachable:
        raise
    except RolloutError as error:
        return StackOutcome(stack, StackState.FAILED, str(error))
    state = StackState.CREATED if before is None else StackState.UPDATED
    if before and replace(before, template=after.template) == after and same_template(before.template, after.template):
        state = StackState.UNCHANGED
    return StackOutcome(stack, state, outputs=after.outputs)


def _with_real_outputs(stack: PlainStack, earlier: Sequence[StackOutcome]) -> PlainStack:
    """The planned stack with the outputs that were known by their names: those of its region, where a layer has several
    stacks. Its own attachment is awaited later."""

    def output_of(layer: str, output: str) -> str:
        if (layer, output) == (stack.layer, ATTACHMENT):
            return known_by_name(layer, output)
        stacks = [each for each in earlier if each.stack.layer == layer and output in each.outputs]
        near = [each for each in stacks if each.stack.target.region == stack.target.region]
        if not stacks:
            raise RolloutError(f"{layer} puts out no {output}")
        return (near or stacks)[0].outputs[output]

    return replace(stack, values={name: with_outputs(value, output_of) for name, value in stack.values.items()})


def _deployed(
    client: Client, planned: PlannedStack, stack: PlainStack, seconds: float
) -> tuple[PlainStack, DeployedStack]:
    """Deploy a stack, and once more with the attachment of the Direct Connect gateway that it made.

    Waits so many seconds for a new one. Raises `RolloutError` when it does not come.
    """
    session = client.deploying(stack.target)
    if stack.values.get(ATTACHMENT) == known_by_name(stack.layer, ATTACHMENT):
        first = change_sets.deploy(session, _attached(stack, ""), planned.require_planned)
        stack = _attached(stack, _awaited(session, first.outputs, seconds))
    return stack, change_sets.deploy(session, stack, planned.require_planned)


def _attached(stack: PlainStack, attachment: str) -> PlainStack:
    return replace(stack, values={**stack.values, ATTACHMENT: attachment})


def _awaited(session: Session, outputs: Values, seconds: float) -> str:
    """Wait for the attachment of a Direct Connect gateway of our own."""
    own, end = outputs["SharedDirectConnectGatewayId"], time.monotonic() + seconds
    for number, pause in enumerate(pauses()):
        if found := networks.attachment_of(session, outputs):
            return found
        if time.monotonic() > end:
            break
        if number == 0:
            progress.say(f"waiting until Direct Connect gateway {own} is attached in {session}, which takes minutes")
        time.sleep(pause)
    raise RolloutError(
        f"Direct Connect gateway {own} is not attached in {session} after {seconds:.0f} seconds, so that on-premises "
        "is not reached; run bootstrap again when its association is associated"
    )
