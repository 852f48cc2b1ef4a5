"""Which plain stacks a phase stands on, in rounds: the values of a round are outputs of those before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from builders.deploy import stack_name
from builders.rollout import names
from builders.rollout.desired import BootstrapStack, Shared, Template, bootstrap_values, template
from builders.rollout.desired.templates import ACCOUNT, NETWORK, TOOLING, TOOLING_ONCE
from builders.rollout.file import RolloutFile
from builders.rollout.model import Desired, Place, Values

ROUNDS = (TOOLING_ONCE, TOOLING, NETWORK, ACCOUNT)
"""Scopes of layers, in the order in which they are deployed; the phase's routes come last."""

_TAGS = {
    "Environment": "EnvironmentSuffix",
    "MigrationPhase": "MigrationPhase",
    "CostCenter": "CostCenter",
    "ComplianceScope": "ComplianceScope",
}


@dataclass(frozen=True)
class PlainStep:
    """One stack: where, of which layer, under which name, by which template, and with which parameters."""

    account: str
    region: str
    layer: str
    name: str
    template: str
    values: Values

    @property
    def place(self) -> Place:
        """Where the stack stands."""
        return Place(self.account, self.region)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the stack itself, which its resources carry too."""
        return {tag: self.values[key] for tag, key in _TAGS.items() if key in self.values}

    def __str__(self) -> str:
        """The form that reports use."""
        return f"{self.name} in {self.place}"


def plan(
    rollout: RolloutFile,
    phase: str,
    scope: str,
    templates: Mapping[str, Template],
    shared: Shared,
    members: Mapping[str, Collection[str]] | None = None,
) -> list[PlainStep]:
    """The stacks of one round, those at one place in the order in which they follow each other.

    `shared` holds what earlier rounds have put out, `members` the accounts of the phase's organizational units. Raises
    `RolloutFileError` with everything that is wrong with the values.
    """
    if scope == TOOLING_ONCE and rollout.stacksets.permission_model != "SELF_MANAGED":
        return []  # service-managed stack sets bring roles of their own
    if scope == ACCOUNT:  # the accounts of other phases, and mistakes in their values, are not ours
        rollout = rollout.model_copy(update={"phases": {phase: rollout.phases[phase]}})
    return [_step(stack) for stack in bootstrap_values(rollout, scope, templates, shared, members)]


def routes(wanted: Desired, outputs: Mapping[str, Mapping[Place, Values]]) -> list[PlainStep]:
    """The stacks of the phase in the network account, at the places where the layers before them stand.

    `outputs` are what these layers put out, by layer and place. `apply` makes the routes of other places when it has
    come that far.
    """
    found = []
    for layer, stacks in sorted(wanted.plain.items()):
        declared = template(layer, stacks.template)
        for place, own in sorted(stacks.parameters.items()):
            put_out = [outputs[need][place] for need in sorted(wanted.needs[layer]) if place in outputs.get(need, {})]
            values = {key: value for each in put_out for key, value in each.items() if key in declared.parameters}
            values |= own
            if all(key in values or declared.default(key) is not None for key in declared.parameters):
                name = names.plain_stack(layer, wanted.suffix, place)
                found.append(PlainStep(stacks.account, place.region, layer, name, stacks.template, values))
    return found


def _step(stack: BootstrapStack) -> PlainStep:
    name = stack_name(stack.layer, stack.suffix)
    return PlainStep(stack.place.account, stack.place.region, stack.layer, name, stack.template, stack.parameters)
