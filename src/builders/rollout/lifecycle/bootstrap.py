"""bootstrap: the plain stacks that a phase needs, planned in rounds before any is touched, then deployed as planned.

A round's values are outputs of the rounds before. Outputs of a stack that does not stand yet, or of a resource in it
that is replaced, are known by their names until it is deployed. The targets of a round are deployed side by side, each
failing for itself. A stack that makes a Direct Connect gateway is deployed twice: the attachment of the gateway has no
id before the association stands.
"""

from __future__ import annotations

import enum
import functools
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from builders import naming, progress
from builders.aws import change_sets, networks, stacks
from builders.aws.calls import Session, concurrently
from builders.aws.change_sets import ResourceChange
from builders.aws.errors import Refused, RoleNotAssumed, Unreachable
from builders.errors import RolloutError
from builders.evaluate import known_by_name, named_outputs, with_outputs
from builders.layer_templates import read_template
from builders.rollout.client import MAKE_DEPLOY_ROLE, Client
from builders.rollout.config.desired_state import bootstrap_stacks, desired_state
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.config.schema import RolloutFile
from builders.rollout.executor.layers import network_stack
from builders.rollout.model import DeployedStack, DesiredState, LayerTarget, Target, Values, grouped
from builders.rollout.phase import PhaseConnection, joined_outputs
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Plan, StackChange, make_groups, planned_hazards
from builders.scopes import Scope
from builders.stack_diff.comparison import Comparison, compare
from builders.stack_diff.effects import Effect, references
from builders.stack_diff.hazards import Hazard, HazardKind, hazards_of, shared_losses
from builders.stack_diff.values import changed_values
from builders.template_bodies import PlainStack, comparable_values, digest, parse_template, same_template
from builders.text import name_list

ROUNDS = (Scope.TOOLING_PER_PHASE, Scope.TOOLING, Scope.NETWORK, Scope.ACCOUNT)
"""Scopes of layers, in the order in which they are deployed; the phase's routes come last."""

ATTACHMENT = naming.DIRECT_CONNECT_ATTACHMENT


@dataclass(frozen=True)
class PlannedStack:
    """A stack with what becomes of it. `problem` says why it cannot be read; nothing becomes of it then."""

    stack: PlainStack
    before: DeployedStack | None = None
    comparison: Comparison = field(default=Comparison(()))
    problem: str = ""

    @functools.cached_property
    def kind(self) -> ChangeKind:
        """The change of the stack."""
        stack, before = self.stack, self.before
        if before is None:
            return ChangeKind.NOTHING if self.problem else ChangeKind.CREATE
        same = (
            before.was_given(stack.template)
            and comparable_values(stack.template, stack.values) == comparable_values(before.template, before.parameters)
            and dict(stack.tags) == dict(before.tags)
        )
        return ChangeKind.NOTHING if same else ChangeKind.UPDATE

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs that it will have, those that only AWS knows by their names."""
        layer, now = self.stack.layer, self.before.outputs if self.before else {}
        if self.problem or self.comparison.problem:
            return {name: known_by_name(layer, name) for name in parse_template(self.stack.template).get("Outputs", {})}
        if self.kind is ChangeKind.NOTHING:
            return dict(now)
        new = {each.logical_id for each in self.comparison.changes if each.effect is Effect.ADD or each.effect.replaces}
        found = {}
        for name, value in self.comparison.after.outputs.items():
            referred = {each.logical_id for each in references(value)}
            known = known_by_name(layer, name) if referred & new or name not in now else now[name]
            found[name] = value if isinstance(value, str) and not referred else known
        return found

    def require_planned(self, changes: Iterable[ResourceChange]) -> None:
        """Refuse a change set that removes or replaces what the plan does not."""
        losing = (Effect.REPLACE, Effect.MAY_REPLACE, Effect.REMOVE, Effect.RETAIN)
        agreed = {each.logical_id for each in self.comparison.changes if each.effect in losing}
        lost = {each.logical_id for each in changes if each.action == "Remove" or each.replacement == "True"}
        if self.before and (more := sorted(lost - agreed)):
            unplanned = f"CloudFormation would replace or remove {name_list(more)}, which the plan did not show"
            raise RolloutError(f"{unplanned}; nothing was changed there")


Reach = Callable[[Target], Session]
"""Gives the session by which a plain stack is read."""

Rounds = Sequence[Sequence[PlannedStack]]


@dataclass(frozen=True)
class Bootstrap:
    """The plan that is shown, the stacks of each round that are carried out, and the outputs that they will have."""

    plan: Plan
    rounds: Rounds
    shared: SharedOutputs


def plan_bootstrap(
    connection: PhaseConnection, acknowledged: Collection[str] = (), reach: Reach | None = None
) -> Bootstrap:
    """Plan everything that a phase needs. What is going to be deployed is read through the roles that deploy it, which
    are found wanting before anybody agrees; a plan that is only looked at reads by `Client.looking`.

    Raises `RolloutFileError` for values that are wrong, and `Unreachable`.
    """
    client, rollout, phase, members = connection.client, connection.rollout, connection.phase, connection.members
    reach = reach or client.deploying
    rounds: list[tuple[PlannedStack, ...]] = []
    shared = SharedOutputs()
    for scope in ROUNDS:
        rounds.append(_planned(reach, bootstrap_stacks(rollout, phase, scope, connection.templates, shared, members)))
        shared = joined_outputs({(e.stack.layer, e.stack.target): e.outputs for each in rounds for e in each})
    # Before its first apply a phase has no stack set, and its values may be incomplete.
    sets = {naming.stack_set(layer, connection.suffix) for layer in connection.templates}
    if not sets.isdisjoint(client.sets.names()):
        desired = desired_state(rollout, phase, connection.templates, shared, members)
        rounds.append(_planned(reach, route_stacks(desired, _phase_outputs(client, desired))))
    return Bootstrap(_plan(connection, reach, rounds, acknowledged), tuple(rounds), shared)


def route_stacks(desired: DesiredState, outputs: Mapping[LayerTarget, Values]) -> list[PlainStack]:
    """The stacks of the phase in the network account, for the targets where the layers before them are deployed.

    `outputs` are those of these layers. `apply` makes the routes of other targets when it has come that far.
    """
    found: list[PlainStack] = []
    for layer, spec in sorted(desired.plain.items()):
        for target in sorted(spec.parameters):
            before = [outputs[need, target] for need in sorted(desired.needs[layer]) if (need, target) in outputs]
            found.append(network_stack(desired, layer, target, before))
    return [stack for stack in found if not stack.missing]


def _phase_outputs(client: Client, desired: DesiredState) -> dict[LayerTarget, Values]:
    """The outputs of the layers that the routes follow; of stacks that cannot be read, none."""
    needed = {need for layer in desired.plain for need in desired.needs[layer] & desired.sets.keys()}
    states = [client.sets.read(layer, desired.sets[layer].name) for layer in sorted(needed)]
    ids = {key: each for state in states if state for key, each in state.stack_ids.items()}

    def outputs(stack: LayerTarget) -> Values:
        try:
            return stacks.outputs(client.reading(stack[1]), ids[stack])
        except Refused:
            return {}

    return dict(concurrently(outputs, ids))


def _planned(reach: Reach, round_: Sequence[PlainStack]) -> tuple[PlannedStack, ...]:
    """Read the stacks of a round side by side, in their order."""
    found = dict(concurrently(lambda number: _compared(reach, round_[number]), range(len(round_))))
    return tuple(found[number] for number in range(len(round_)))


def _compared(reach: Reach, stack: PlainStack) -> PlannedStack:
    try:
        before = change_sets.before_deployment(reach(stack.target), stack)
        stack = _with_attachment(reach, stack, before)
    except Unreachable:
        raise
    except RoleNotAssumed:  # AWS's sentence names the account: without it the same of many is one note
        role = reach(stack.target).role
        missing = f"the deploy role {role.name if role else ''} cannot be assumed"
        return PlannedStack(stack, problem=f"{missing}; {MAKE_DEPLOY_ROLE}")
    except RolloutError as error:
        return PlannedStack(stack, problem=str(error))
    return PlannedStack(stack, before, compare(before, stack.template, stack.values, stack.target))


_JOINED = (
    "AWS::EC2::TransitGateway",
    "AWS::DirectConnect::DirectConnectGateway",
    "AWS::DirectConnect::DirectConnectGatewayAssociation",
)
"""The resources of which a new one makes a new attachment."""


def _with_attachment(reach: Reach, stack: PlainStack, before: DeployedStack | None) -> PlainStack:
    """The stack with the attachment of the Direct Connect gateway that it makes, which no parameter file has; one that
    comes about by the deployment itself is known by its name."""
    if ATTACHMENT not in stack.declared or stack.values.get(ATTACHMENT):
        return stack
    known = before.outputs.get(ATTACHMENT, "") if before else ""
    trial = compare(before, stack.template, {**stack.values, ATTACHMENT: known}, stack.target)
    is_new = any(each.type in _JOINED and each.effect in (Effect.ADD, Effect.REPLACE) for each in trial.changes)
    found = networks.attachment_of(reach(stack.target), before.outputs) if before and not is_new else ""
    if not found and "SharedDirectConnectGatewayId" in trial.after.outputs:
        found = known_by_name(stack.layer, ATTACHMENT)
    return _attached(stack, found)


def _attached(stack: PlainStack, attachment: str) -> PlainStack:
    return replace(stack, values={**stack.values, ATTACHMENT: attachment})


def _plan(connection: PhaseConnection, reach: Reach, rounds: Rounds, acknowledged: Collection[str]) -> Plan:
    numbered = [(str(number), each) for number, planned in enumerate(rounds, 1) for each in planned]
    everything = [each for _, each in numbered]
    unread = grouped((each.problem, each.stack) for each in everything if each.problem)
    notes = [f"{name_list(each)}: cannot be read, so not deployed: {problem}" for problem, each in unread.items()]
    changing = [each.stack for each in everything if each.kind is not ChangeKind.NOTHING]
    later = [named_outputs(value) for stack in changing for value in stack.values.values()]
    if names := dict.fromkeys(f"{output} of {layer}" for named in later for layer, output in named):
        notes.append(f"known by name until it is deployed: {name_list(list(names))}")
    changes, deployed = list[StackChange](), list[tuple[object, ...]]()
    hazards: dict[Hazard, set[Target]] = defaultdict(set)
    for number, each in numbered:
        stack, target = each.stack, each.stack.target
        deployed.append((*target, stack.name, digest(stack.template), dict(stack.values), dict(stack.tags)))
        for hazard in _hazards(connection, reach, each):
            hazards[hazard].add(target)
        if not each.problem:
            alike = each.comparison.unnamed if each.kind is ChangeKind.UPDATE else None
            values = changed_values(each.comparison, target.account) if each.before else ()
            changes.append(((number, stack.layer, each.kind, alike), target, values))
    return Plan(
        phase=connection.phase,
        command="bootstrap",
        # A saved plan is another one where a template or a value is.
        release=digest(json.dumps(deployed, sort_keys=True))[:32],
        layers=tuple(dict.fromkeys(each.stack.layer for each in everything)),
        groups=make_groups(changes),
        operations=(),
        hazards=planned_hazards(hazards),
        acknowledged=frozenset(acknowledged),
        minutes=0.0,
        notes=tuple(notes),
    )


def _hazards(connection: PhaseConnection, reach: Reach, planned: PlannedStack) -> Iterator[Hazard]:
    if planned.kind is ChangeKind.NOTHING:
        return
    layer, comparison = planned.stack.layer, planned.comparison
    losses = list(shared_losses(layer, comparison, "")) if planned.before else []
    if losses:
        yield from shared_losses(layer, comparison, _users(connection.rollout, reach, planned))
    # Routes that move follow from a loss, and go with its acknowledgement.
    yield from (each for each in hazards_of(layer, comparison) if not losses or each.kind is not HazardKind.ROUTES)


def _users(rollout: RolloutFile, reach: Reach, planned: PlannedStack) -> str:
    """The accounts that are attached to the stack's transit gateway, with the phases for which the file names them."""
    gateway = planned.before.outputs.get("TransitGatewayId") if planned.before else None
    if not gateway:
        return ""
    attached = networks.attached_accounts(reach(planned.stack.target), gateway)
    phases = {account: phase for phase in rollout.phases for account in rollout.accounts(phase)}
    if not attached:
        return f"nothing is attached to {gateway}"
    named = [f"{phases[account]} ({account})" if account in phases else account for account in attached]
    return f"attached to {gateway} now, with routes to on-premises: {name_list(named)}"


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


def deploy_planned(
    client: Client,
    rounds: Rounds,
    report: Callable[[StackOutcome], None] = lambda _outcome: None,
    association_seconds: float = networks.ASSOCIATION_SECONDS,
) -> list[StackOutcome]:
    """Deploy the stacks of a plan, and report each outcome as it comes; return them all. Behind a stack that fails,
    those that need it are skipped, and no others. Raises `Unreachable`."""
    outcomes: list[StackOutcome] = []

    def in_order(of_target: Sequence[PlannedStack]) -> list[StackOutcome]:
        """Deploy the stacks of a target one after the other, since they may follow each other."""
        done: list[StackOutcome] = []
        for each in of_target:
            done.append(_deploy(client, each, [*outcomes, *done], association_seconds))
        return done

    for planned in rounds:
        by_target = grouped((each.stack.target, each) for each in planned).values()
        of_round: list[StackOutcome] = []
        with progress.bar("bootstrap", len(by_target)) as advance:
            for _, done in concurrently(in_order, by_target):
                advance(str(done[0].stack.target))
                for outcome in done:
                    report(outcome)
                of_round += done
        outcomes += of_round
    return outcomes


def _deploy(client: Client, planned: PlannedStack, earlier: Sequence[StackOutcome], seconds: float) -> StackOutcome:
    stack, before = planned.stack, planned.before
    failed = {each.stack.layer: str(each.stack) for each in earlier if not each.succeeded}
    if needs := sorted(read_template(stack.layer, stack.template).needs & failed.keys()):
        return StackOutcome(stack, StackState.SKIPPED, f"since {failed[needs[0]]} was not deployed")
    if planned.problem:
        return StackOutcome(stack, StackState.FAILED, planned.problem)
    if planned.kind is ChangeKind.NOTHING:
        return StackOutcome(stack, StackState.UNCHANGED, outputs=before.outputs if before else {})
    try:
        session = client.deploying(stack.target)
        if change_sets.before_deployment(session, stack) != before:
            raise RolloutError("it has changed since it was planned; plan again")
        stack = _with_real_outputs(stack, earlier)
        if stack.values.get(ATTACHMENT) == known_by_name(stack.layer, ATTACHMENT):  # that of a gateway which it makes
            first = change_sets.deploy(session, _attached(stack, ""), planned.require_planned)
            stack = _attached(stack, networks.awaited_attachment(session, first.outputs, seconds))
        after = change_sets.deploy(session, stack, planned.require_planned)
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
        made = [each for each in earlier if each.stack.layer == layer and output in each.outputs]
        near = [each for each in made if each.stack.target.region == stack.target.region]
        if not made:
            raise RolloutError(f"{layer} has no output {output}")
        return (near or made)[0].outputs[output]

    return replace(stack, values={name: with_outputs(value, output_of) for name, value in stack.values.items()})
