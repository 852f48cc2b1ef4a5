"""A deployed stack compared with the desired one: the change of each resource, and of the outputs."""

from __future__ import annotations

from dataclasses import dataclass

from builders import resource_types
from builders.errors import EvaluationError
from builders.evaluate import Evaluated
from builders.rollout.diff.effects import (
    Change,
    Effect,
    Resource,
    differing_properties,
    effect_of,
    gravest_first,
    spread_effects,
)
from builders.rollout.diff.templates import custom_name, evaluate_template, hidden_parameters, parse_template
from builders.rollout.model import DeployedStack, Target, Values

_RETAINING = ("Retain", "RetainExceptOnCreate")
# A change set of type CREATE makes a stack without resources; a deleted one has none left.
_EMPTY = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
_NOTHING = Evaluated({}, {}, {}, {}, ())


@dataclass(frozen=True)
class Comparison:
    """The changes of a stack, and the two sides evaluated; `problem` says why nothing could be compared.

    `values` are the desired parameters, `status` is that of the deployed stack.
    """

    changes: tuple[Change, ...]
    before: Evaluated = _NOTHING
    after: Evaluated = _NOTHING
    values: tuple[tuple[str, str], ...] = ()
    status: str = ""
    region: str = resource_types.HOME_REGION
    problem: str = ""


def compare(stack: DeployedStack | None, desired_template: str, desired_values: Values, target: Target) -> Comparison:
    """Compare a stack with a template and complete parameters.

    No stack makes an ADD of everything; an empty template means a stack that goes. Where a template cannot be
    evaluated, the one change is UNKNOWN. The gravest effect comes first, then the order is that of the logical ids.
    """
    values = tuple(sorted(desired_values.items()))
    deployed = None if stack is None or stack.status in _EMPTY else stack
    try:
        after = evaluate_template(desired_template, desired_values, target)[0] if desired_template else _NOTHING
        before = _NOTHING
        if deployed is not None:
            hidden = hidden_parameters(deployed)  # taken to stay as they are
            own = {
                name: desired_values.get(name, value) if name in hidden else value
                for name, value in deployed.parameters.items()
            }
            before = evaluate_template(deployed.template, own, target)[0]
    except EvaluationError as error:
        unknown = Change("", "", Effect.UNKNOWN, (f"cannot be compared: {error}",))
        return Comparison((unknown,), values=values, region=target.region, problem=str(error))
    found = _resource_changes(before, after, target.region)
    if deployed is not None and desired_template:
        found += _output_changes(deployed.template, before, desired_template, after)
    status = deployed.status if deployed else ""
    return Comparison(gravest_first(found), before, after, values, status, target.region)


def _resource_changes(before: Evaluated, after: Evaluated, region: str) -> list[Change]:
    old, new = before.resources, after.resources
    staying = {name: body for name, body in new.items() if name in old}
    effects = {name: effect for name, body in staying.items() if (effect := effect_of(old[name], body, region))}
    found = [
        Change(name, body["Type"], Effect.ADD, custom_name=custom_name(body, region))
        for name, body in new.items()
        if name not in old
    ]
    found += [_removal(name, body, region) for name, body in old.items() if name not in new]
    for name, (kind, causes) in spread_effects(effects, staying, region).items():
        # Which version's policy counts is not documented: both have to retain.
        retained = kind.replaces and all(each[name].get("UpdateReplacePolicy") == "Retain" for each in (old, new))
        named = custom_name(new[name], region)
        found.append(Change(name, new[name]["Type"], kind, tuple(sorted(causes)), named, retained))
    return found


def _removal(name: str, body: Resource, region: str) -> Change:
    retained = body.get("DeletionPolicy") in _RETAINING
    effect = Effect.RETAIN if retained else Effect.REMOVE
    return Change(name, body["Type"], effect, custom_name=custom_name(body, region), retained=retained)


def _output_changes(deployed: str, before: Evaluated, desired: str, after: Evaluated) -> list[Change]:
    old, new = parse_template(deployed).get("Outputs", {}), parse_template(desired).get("Outputs", {})
    names = {name.partition(".")[0] for name in differing_properties(before.outputs, after.outputs)}
    for name in before.outputs.keys() & after.outputs.keys():
        if any(old[name].get(part) != new[name].get(part) for part in ("Description", "Export")):
            names.add(name)
    causes = tuple(sorted(names or before.exports.keys() ^ after.exports.keys()))
    return [Change("", "", Effect.OUTPUTS, causes)] if causes else []
