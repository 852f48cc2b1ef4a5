"""Which plain stacks a phase stands on, in rounds: the values of a round are outputs of those before it.

Deploys the plain stacks: round after round, the places of a round side by side, each failing for itself.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from builders import naming, progress
from builders.errors import RolloutError
from builders.rollout.aws.calls import concurrently
from builders.rollout.aws.client import Client
from builders.rollout.aws.errors import Refused, Unreachable
from builders.rollout.config.desired_state import desired_state
from builders.rollout.config.schema import RolloutFile
from builders.rollout.config.shared_stacks import BootstrapStack, bootstrap_stacks
from builders.rollout.config.sources import SharedOutputs
from builders.rollout.config.templates import Template, read_template
from builders.rollout.model import DesiredState, Target, Values
from builders.rollout.phase import joined_outputs
from builders.scopes import Scope

ROUNDS = (Scope.TOOLING_ONCE, Scope.TOOLING, Scope.NETWORK, Scope.ACCOUNT)
"""Scopes of layers, in the order in which they are deployed; the phase's routes come last."""


@dataclass(frozen=True)
class PlannedStack:
    """One stack: where, of which layer, under which name, by which template, and with which parameters."""

    account: str
    region: str
    layer: str
    name: str
    template: str
    values: Values

    @property
    def target(self) -> Target:
        """Where the stack stands."""
        return Target(self.account, self.region)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the stack itself, which its resources carry too."""
        return naming.tags(self.values)

    def __str__(self) -> str:
        """The form that reports use."""
        return f"{self.name} in {self.target}"


def plan_stacks(
    rollout: RolloutFile,
    phase: str,
    scope: Scope,
    templates: Mapping[str, Template],
    shared: SharedOutputs,
    members: Mapping[str, Collection[str]] | None = None,
) -> list[PlannedStack]:
    """The stacks of one round, those at one place in the order in which they follow each other.

    `shared` holds what earlier rounds have put out, `members` the accounts of the phase's organizational units. Raises
    `RolloutFileError` with everything that is wrong with the values.
    """
    if scope is Scope.TOOLING_ONCE and rollout.stacksets.permission_model != "SELF_MANAGED":
        return []  # service-managed stack sets bring roles of their own
    if scope is Scope.ACCOUNT:  # the accounts of other phases, and mistakes in their values, are not ours
        rollout = rollout.model_copy(update={"phases": {phase: rollout.phases[phase]}})
    return [_step(stack) for stack in bootstrap_stacks(rollout, scope, templates, shared, members)]


def route_stacks(desired: DesiredState, outputs: Mapping[str, Mapping[Target, Values]]) -> list[PlannedStack]:
    """The stacks of the phase in the network account, at the places where the layers before them stand.

    `outputs` are what these layers put out, by layer and place. `apply` makes the routes of other places when it has
    come that far.
    """
    found = []
    for layer, stacks in sorted(desired.plain.items()):
        declared = read_template(layer, stacks.template)
        for target, own in sorted(stacks.parameters.items()):
            put_out = [
                outputs[need][target] for need in sorted(desired.needs[layer]) if target in outputs.get(need, {})
            ]
            values = {key: value for each in put_out for key, value in each.items() if key in declared.parameters}
            values |= own
            if all(key in values or declared.default(key) is not None for key in declared.parameters):
                name = naming.network_stack(layer, desired.suffix, target.account)
                found.append(PlannedStack(stacks.account, target.region, layer, name, stacks.template, values))
    return found


def _step(stack: BootstrapStack) -> PlannedStack:
    name = naming.plain_stack(stack.layer, stack.suffix)
    return PlannedStack(stack.target.account, stack.target.region, stack.layer, name, stack.template, stack.parameters)


class StackState(enum.Enum):
    """What came of a stack."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "held back"


@dataclass(frozen=True)
class StackOutcome:
    """A stack and what came of it: why, where it failed or was held back, and what it puts out where it stands."""

    stack: PlannedStack
    state: StackState
    reason: str = ""
    outputs: Values = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether the stack is what it shall be."""
        return self.state not in (StackState.FAILED, StackState.SKIPPED)

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.stack}: {self.state.value}" + (f", {self.reason}" if self.reason else "")


Progress = Callable[[StackOutcome], None]


def deploy_stacks(
    client: Client,
    rollout: RolloutFile,
    phase: str,
    templates: Mapping[str, Template],
    members: Mapping[str, Collection[str]] | None = None,
    tell: Progress = lambda _outcome: None,
) -> list[StackOutcome]:
    """Deploy everything that a phase stands on, and tell each outcome as it comes; return them all.

    A stack that fails holds back those that need it, and no others. Raises `RolloutFileError` for values that are
    wrong, and `Unreachable` where nobody can be asked.
    """
    for scope in ROUNDS:  # what is wrong with any value is said before the first stack is touched
        plan_stacks(rollout, phase, scope, templates, SharedOutputs(), members)
    outcomes: list[StackOutcome] = []
    for scope in ROUNDS:
        steps = plan_stacks(rollout, phase, scope, templates, _shared(outcomes), members)
        outcomes += _round(client, steps, _broken(outcomes), tell)
    if all(outcome.succeeded for outcome in outcomes):
        desired = _desired(client, rollout, phase, templates, outcomes, members or {})
        steps = route_stacks(desired, _put_out(client, desired)) if desired else []
        outcomes += _round(client, steps, {}, tell)
    return outcomes


def _round(
    client: Client, steps: Sequence[PlannedStack], broken: Mapping[str, str], tell: Progress
) -> list[StackOutcome]:
    """The stacks of one place go one after the other, since they may follow each other."""
    targets: dict[Target, list[PlannedStack]] = {}
    for step in steps:
        targets.setdefault(step.target, []).append(step)

    def work(target: Target) -> list[StackOutcome]:
        done: list[StackOutcome] = []
        for step in targets[target]:
            done.append(_deployed(client, step, {**broken, **_broken(done)}))
        return done

    outcomes: list[StackOutcome] = []
    with progress.bar("bootstrap", len(targets)) as advance:
        for target, done in concurrently(work, targets):
            advance(str(target))
            for outcome in done:
                tell(outcome)
            outcomes += done
    return outcomes


def _deployed(client: Client, step: PlannedStack, broken: Mapping[str, str]) -> StackOutcome:
    waiting = sorted(read_template(step.layer, step.template).needs & broken.keys())
    if waiting:
        return StackOutcome(step, StackState.SKIPPED, f"since {broken[waiting[0]]} does not stand")
    try:
        before = client.plain.read(step.account, step.region, step.name)
        after = client.plain.deploy(step.account, step.region, step.name, step.template, step.values, step.tags)
    except Unreachable:
        raise
    except RolloutError as error:
        return StackOutcome(step, StackState.FAILED, str(error))
    state = StackState.CREATED if before is None else StackState.UNCHANGED if before == after else StackState.UPDATED
    return StackOutcome(step, state, outputs=after.outputs)


def _broken(outcomes: Sequence[StackOutcome]) -> dict[str, str]:
    """The layers of which a stack does not stand, each with one such stack."""
    return {outcome.stack.layer: str(outcome.stack) for outcome in outcomes if not outcome.succeeded}


def _shared(outcomes: Sequence[StackOutcome]) -> SharedOutputs:
    return joined_outputs({(each.stack.layer, each.stack.target): each.outputs for each in outcomes if each.succeeded})


def _desired(
    client: Client,
    rollout: RolloutFile,
    phase: str,
    templates: Mapping[str, Template],
    outcomes: Sequence[StackOutcome],
    members: Mapping[str, Collection[str]],
) -> DesiredState | None:
    """The phase as it shall be, where something of it stands; before its first apply its values may be incomplete."""
    stacks = [each.stack for each in outcomes]
    of_account = [each for each in stacks if read_template(each.layer, each.template).scope is Scope.ACCOUNT]
    suffix = of_account[0].values[naming.SUFFIX] if of_account else ""
    if not {naming.stack_set(layer, suffix) for layer in templates} & set(client.sets.names()):
        return None
    return desired_state(rollout, phase, templates, _shared(outcomes), members)


def _put_out(client: Client, desired: DesiredState) -> dict[str, dict[Target, Values]]:
    """What the layers that the routes follow have put out, by layer and place, where they stand."""
    needed = {need for layer in desired.plain for need in desired.needs[layer] & desired.sets.keys()}
    return {layer: _outputs(client, layer, desired.sets[layer].name) for layer in sorted(needed)}


def _outputs(client: Client, layer: str, name: str) -> dict[Target, Values]:
    """The outputs of a set's stacks; of those that are not there, or do not let themselves be read, none."""
    state = client.sets.read(layer, name)
    instances = {target: each for target, each in (state.instances if state else {}).items() if each.stack_id}

    def look(target: Target) -> Values:
        try:
            return client.members.outputs(target, instances[target].stack_id)
        except Refused:
            return {}

    return dict(concurrently(look, instances))
