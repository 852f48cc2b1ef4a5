"""bootstrap: the plain stacks that a phase needs, in rounds whose values are outputs of the rounds before.

The targets of a round are deployed side by side, each failing for itself. A stack that makes a Direct Connect gateway
is deployed twice: the attachment of the gateway has no id before the association stands.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from builders import naming, progress
from builders.aws import networks
from builders.aws.calls import Session, concurrently
from builders.aws.errors import Refused, Unreachable
from builders.errors import RolloutError
from builders.rollout.aws.client import Client
from builders.rollout.aws.plain_stacks import PlainStack, network_stack
from builders.rollout.aws.stacks import pauses
from builders.rollout.config.desired_state import bootstrap_stacks, desired_state
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.config.schema import RolloutFile
from builders.rollout.config.templates import Template, read_template
from builders.rollout.model import DeployedStack, DesiredState, Target, Values
from builders.rollout.phase import PhaseConnection, joined_outputs
from builders.scopes import Scope
from builders.template_bodies import same_template

ROUNDS = (Scope.TOOLING_ONCE, Scope.TOOLING, Scope.NETWORK, Scope.ACCOUNT)
"""Scopes of layers, in the order in which they are deployed; the phase's routes come last."""


def plan_stacks(
    rollout: RolloutFile,
    phase: str,
    scope: Scope,
    templates: Mapping[str, Template],
    shared: SharedOutputs,
    members: Mapping[str, Collection[str]] | None = None,
) -> list[PlainStack]:
    """The stacks of one round, those of one target in the order in which they follow each other.

    `shared` holds the outputs of earlier rounds, `members` the accounts of the phase's organizational units. Raises
    `RolloutFileError` with everything that is wrong with the values.
    """
    if scope is Scope.TOOLING_ONCE and rollout.stacksets.permission_model != "SELF_MANAGED":
        return []  # service-managed stack sets bring roles of their own
    if scope is Scope.ACCOUNT:  # the accounts of other phases, and mistakes in their values, are not ours
        rollout = rollout.model_copy(update={"phases": {phase: rollout.phases[phase]}})
    return [
        PlainStack(
            layer=each.layer,
            target=each.target,
            name=naming.plain_stack(each.layer, each.suffix),
            template=each.template,
            values=each.parameters,
            tags=naming.tags(each.parameters),
        )
        for each in bootstrap_stacks(rollout, scope, templates, shared, members)
    ]


def route_stacks(desired: DesiredState, outputs: Mapping[str, Mapping[Target, Values]]) -> list[PlainStack]:
    """The stacks of the phase in the network account, for the targets where the layers before them are deployed.

    `outputs` are those of these layers, by layer and target. `apply` makes the routes of other targets when it has
    come that far.
    """
    found: list[PlainStack] = []
    for layer, spec in sorted(desired.plain.items()):
        before = [outputs[need] for need in sorted(desired.needs[layer]) if need in outputs]
        for target in sorted(spec.parameters):
            values = [each[target] for each in before if target in each]
            found.append(network_stack(desired, layer, target, values))
    return [stack for stack in found if not stack.missing]


_ATTACHMENT = naming.DIRECT_CONNECT_ATTACHMENT


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


def deploy_stacks(
    connection: PhaseConnection,
    report: Callable[[StackOutcome], None] = lambda _outcome: None,
    association_seconds: float = ASSOCIATION_SECONDS,
) -> list[StackOutcome]:
    """Deploy everything that a phase needs, and report each outcome as it comes; return them all.

    Behind a stack that fails, those that need it are skipped, and no others. Raises `RolloutFileError` for values that
    are wrong, and `Unreachable` where AWS cannot be asked.
    """
    client, members = connection.client, connection.members

    def plan(scope: Scope, shared: SharedOutputs) -> list[PlainStack]:
        return plan_stacks(connection.rollout, connection.phase, scope, connection.templates, shared, members)

    for scope in ROUNDS:  # what is wrong with any value is said before the first stack is touched
        plan(scope, SharedOutputs())
    outcomes: list[StackOutcome] = []
    for scope in ROUNDS:
        stacks = plan(scope, _shared(outcomes))
        outcomes += _round(client, stacks, _failed(outcomes), report, association_seconds)
    # Before its first apply a phase has no stack set, and its values may be incomplete.
    sets = {naming.stack_set(layer, connection.suffix) for layer in connection.templates}
    if all(outcome.succeeded for outcome in outcomes) and not sets.isdisjoint(client.sets.names()):
        rollout, shared = connection.rollout, _shared(outcomes)
        desired = desired_state(rollout, connection.phase, connection.templates, shared, members)
        outcomes += _round(client, route_stacks(desired, _phase_outputs(client, desired)), {}, report)
    return outcomes


def _round(
    client: Client,
    stacks: Sequence[PlainStack],
    failed: Mapping[str, str],
    report: Callable[[StackOutcome], None],
    association_seconds: float = 0,
) -> list[StackOutcome]:
    """Deploy the stacks of each target one after the other, since they may follow each other."""
    targets: dict[Target, list[PlainStack]] = {}
    for stack in stacks:
        targets.setdefault(stack.target, []).append(stack)

    def in_order(target: Target) -> list[StackOutcome]:
        done: list[StackOutcome] = []
        for stack in targets[target]:
            done.append(_deploy(client, stack, {**failed, **_failed(done)}, association_seconds))
        return done

    outcomes: list[StackOutcome] = []
    with progress.bar("bootstrap", len(targets)) as advance:
        for target, done in concurrently(in_order, targets):
            advance(str(target))
            for outcome in done:
                report(outcome)
            outcomes += done
    return outcomes


def _deploy(client: Client, stack: PlainStack, failed: Mapping[str, str], association_seconds: float) -> StackOutcome:
    needs = sorted(read_template(stack.layer, stack.template).needs & failed.keys())
    if needs:
        return StackOutcome(stack, StackState.SKIPPED, f"since {failed[needs[0]]} was not deployed")
    try:
        before = client.plain.read(stack.target, stack.name, stack.template)
        stack, after = _deployed(client, stack, before.outputs if before else {}, association_seconds)
    except Unreachable:
        raise
    except RolloutError as error:
        return StackOutcome(stack, StackState.FAILED, str(error))
    state = StackState.CREATED if before is None else StackState.UPDATED
    if before and replace(before, template=after.template) == after and same_template(before.template, after.template):
        state = StackState.UNCHANGED
    return StackOutcome(stack, state, outputs=after.outputs)


def _deployed(client: Client, stack: PlainStack, before: Values, seconds: float) -> tuple[PlainStack, DeployedStack]:
    """Deploy a stack, and once more with the attachment of the Direct Connect gateway that it made.

    `before` are its outputs until now: a stack that stands keeps its attachment, which no parameter file has. Waits so
    many seconds for a new one. Raises `RolloutError` when it does not come.
    """
    if _ATTACHMENT not in stack.declared or stack.values.get(_ATTACHMENT):
        return stack, client.plain.deploy(stack)
    session = client.deploying(stack.target)
    first = _attached(stack, _attachment(session, before))
    after = client.plain.deploy(first)
    found = _attachment(session, after.outputs) or _awaited(session, after.outputs, seconds)
    last = _attached(stack, found)
    return last, after if last == first else client.plain.deploy(last)


def _attached(stack: PlainStack, attachment: str) -> PlainStack:
    return replace(stack, values={**stack.values, _ATTACHMENT: attachment})


def _attachment(session: Session, outputs: Values) -> str:
    """The attachment of the Direct Connect gateway, once it can be associated; of a gateway that is not ours, too."""
    gateway, own = outputs.get("TransitGatewayId"), outputs.get("SharedDirectConnectGatewayId", "")
    return networks.usable_attachment(session, gateway, own, outputs.get(_ATTACHMENT, "")) if gateway else ""


def _awaited(session: Session, outputs: Values, seconds: float) -> str:
    """Wait for the attachment of a Direct Connect gateway of our own; empty where we have none."""
    own = outputs.get("SharedDirectConnectGatewayId")
    if not own:
        return ""
    progress.say(f"waiting until Direct Connect gateway {own} is attached in {session}, which takes minutes")
    end = time.monotonic() + seconds
    for pause in pauses():
        found = _attachment(session, outputs)
        if found:
            return found
        if time.monotonic() > end:
            break
        time.sleep(pause)
    raise RolloutError(
        f"Direct Connect gateway {own} is not attached in {session} after {seconds:.0f} seconds, so that on-premises "
        "is not reached; run bootstrap again when its association is associated"
    )


def _failed(outcomes: Sequence[StackOutcome]) -> dict[str, str]:
    """The layers of which a stack was not deployed, each with one such stack."""
    return {outcome.stack.layer: str(outcome.stack) for outcome in outcomes if not outcome.succeeded}


def _shared(outcomes: Sequence[StackOutcome]) -> SharedOutputs:
    return joined_outputs({(each.stack.layer, each.stack.target): each.outputs for each in outcomes if each.succeeded})


def _phase_outputs(client: Client, desired: DesiredState) -> dict[str, dict[Target, Values]]:
    """The outputs of the layers that the routes follow, by layer and target, where they are deployed."""
    needed = {need for layer in desired.plain for need in desired.needs[layer] & desired.sets.keys()}
    return {layer: dict(_set_outputs(client, layer, desired.sets[layer].name)) for layer in sorted(needed)}


def _set_outputs(client: Client, layer: str, name: str) -> Iterator[tuple[Target, Values]]:
    """The outputs of a set's stacks; of those that are not there, or cannot be read, none."""
    state = client.sets.read(layer, name)
    instances = {target: each for target, each in (state.instances if state else {}).items() if each.stack_id}

    def outputs(target: Target) -> Values:
        try:
            return client.members.outputs(target, instances[target].stack_id)
        except Refused:
            return {}

    return concurrently(outputs, instances)
