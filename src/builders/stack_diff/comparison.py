"""Comparison of a deployed stack with a template and its parameters: changes of resources and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from builders import resource_types
from builders.errors import EvaluationError
from builders.evaluate import Evaluated, no_echo_parameters, secret_values, without_secrets
from builders.scopes import Target
from builders.stack_diff.effects import (
    Change,
    Effect,
    custom_name,
    differing_properties,
    effect_of,
    gravest_first,
    spread_effects,
)
from builders.template_bodies import DeployedStack, evaluate_template, parse_template

# A change set of type CREATE makes a stack without resources; a deleted one has none left.
_EMPTY = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
_NOTHING = Evaluated({}, {}, {}, {}, ())


@dataclass(frozen=True)
class Comparison:
    """The changes of a stack, and the two sides evaluated; `problem` says why nothing could be compared.

    `templates` are those of both sides, `values` are the desired parameters, `status` and `protected` are the deployed
    stack's, and `secrets` are the values of NoEcho parameters, which no message may have.
    """

    changes: tuple[Change, ...]
    before: Evaluated = _NOTHING
    after: Evaluated = _NOTHING
    values: tuple[tuple[str, str], ...] = ()
    status: str = ""
    region: str = resource_types.HOME_REGION
    problem: str = ""
    secrets: frozenset[str] = frozenset()
    templates: tuple[str, str] = ("", "")
    protected: bool = False

    @property
    def unnamed(self) -> tuple[Change, ...]:
        """The changes without given names: one may hold the account, and with it no two accounts would change alike."""
        return tuple(replace(change, named="") for change in self.changes)


def compare(
    stack: DeployedStack | None, desired_template: str, desired_values: Mapping[str, str], target: Target
) -> Comparison:
    """Compare a stack with a template and complete parameters.

    No stack makes an ADD of everything; an empty template means a stack that goes. Where a template cannot be
    evaluated, the one change is UNKNOWN. The gravest effect comes first, then the order is that of the logical ids.
    """
    values = tuple(sorted(desired_values.items()))
    deployed = None if stack is None or stack.status in _EMPTY else stack
    secrets: frozenset[str] = frozenset()
    try:
        secrets = secret_values(parse_template(desired_template), desired_values) if desired_template else secrets
        after = evaluate_template(desired_template, desired_values, *target)[0] if desired_template else _NOTHING
        before = _NOTHING
        if deployed is not None:
            hidden = hidden_parameters(deployed)  # taken to stay as they are
            own = {
                name: desired_values.get(name, value) if name in hidden else value
                for name, value in deployed.parameters.items()
            }
            secrets |= secret_values(parse_template(deployed.template), own)
            before = evaluate_template(deployed.template, own, *target)[0]
    except EvaluationError as error:
        unknown = Change("", "", Effect.UNKNOWN, (f"cannot be compared: {error}",))
        return Comparison((unknown,), values=values, region=target.region, problem=str(error))
    found = _resource_changes(before, after, target.region)
    if deployed is not None and desired_template:
        found += _output_changes(deployed.template, before, desired_template, after, secrets)
    template, status = (deployed.template, deployed.status) if deployed else ("", "")
    both, protected = (template, desired_template), deployed is not None and deployed.protected
    return Comparison(gravest_first(found), before, after, values, status, target.region, "", secrets, both, protected)


def _resource_changes(before: Evaluated, after: Evaluated, region: str) -> list[Change]:
    old, new = before.resources, after.resources
    staying = {name: body for name, body in new.items() if name in old}
    effects = {name: caused for name, body in staying.items() if (caused := effect_of(old[name], body, region))}
    found = [
        Change(name, body["Type"], Effect.ADD, named=custom_name(body, region))
        for name, body in new.items()
        if name not in old
    ]
    for name, body in old.items():
        if name not in new:
            retained = body.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")
            effect = Effect.RETAIN if retained else Effect.REMOVE
            named = custom_name(body, region)
            found.append(Change(name, body["Type"], effect, named=named, retained=retained))
    for name, (kind, causes) in spread_effects(effects, staying, region).items():
        # Which version's policy counts is not documented: both have to retain.
        retained = kind.replaces and all(each[name].get("UpdateReplacePolicy") == "Retain" for each in (old, new))
        named = custom_name(new[name], region)
        found.append(Change(name, new[name]["Type"], kind, tuple(sorted(causes)), named, retained))
    return found


def _output_changes(
    deployed: str, before: Evaluated, desired: str, after: Evaluated, secrets: frozenset[str]
) -> list[Change]:
    old, new = parse_template(deployed).get("Outputs", {}), parse_template(desired).get("Outputs", {})
    names = {name.partition(".")[0] for name in differing_properties(before.outputs, after.outputs)}
    for name in before.outputs.keys() & after.outputs.keys():
        if any(old[name].get(part) != new[name].get(part) for part in ("Description", "Export")):
            names.add(name)
    exports = before.exports.keys() ^ after.exports.keys()
    causes = tuple(sorted(names or {without_secrets(each, secrets) for each in exports}))
    return [Change("", "", Effect.OUTPUTS, causes)] if causes else []


def differing_parameters(stack: DeployedStack, desired: Mapping[str, str]) -> list[str]:
    """The desired parameters that a stack lacks or has with another value; a hidden value counts as equal."""
    hidden = hidden_parameters(stack)
    return [
        name for name, value in sorted(desired.items()) if name not in hidden and stack.parameters.get(name) != value
    ]


def hidden_parameters(stack: DeployedStack) -> frozenset[str]:
    """The NoEcho parameters of a stack, whose values CloudFormation shows as asterisks."""
    hidden = no_echo_parameters(parse_template(stack.template))
    return frozenset(name for name in hidden if set(stack.parameters.get(name, "")) == {"*"})
