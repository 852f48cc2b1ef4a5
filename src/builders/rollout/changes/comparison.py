"""A stack as it is beside the stack as it shall be: what becomes of each resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders import resource_types
from builders.errors import EvaluationError
from builders.evaluate import Evaluated
from builders.rollout.changes.differences import differing, mentions, same
from builders.rollout.changes.effects import Change, Effect
from builders.rollout.changes.reading import evaluated, parsed
from builders.rollout.changes.spreading import Effects, spread
from builders.rollout.changes.weights import weigh
from builders.rollout.model import Deployed, Place, Values

# ResourceChange.Scope of the CloudFormation API: what of a resource can change beside its properties.
_ATTRIBUTES = ("CreationPolicy", "DeletionPolicy", "Metadata", "UpdatePolicy", "UpdateReplacePolicy")
_RETAINING = ("Retain", "RetainExceptOnCreate")
# A change set of type CREATE makes a stack without resources; a deleted one has none left.
_EMPTY = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
_NOTHING = Evaluated({}, {}, {}, {}, ())

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What was compared, and what came out; `problem` says why nothing could be.

    `imported` and `imports` are the names of the exports that the stack imports now, and those that it shall import.
    """

    changes: tuple[Change, ...]
    before: Evaluated = _NOTHING
    after: Evaluated = _NOTHING
    imported: frozenset[str] = frozenset()
    imports: frozenset[str] = frozenset()
    values: tuple[tuple[str, str], ...] = ()
    status: str = ""
    region: str = resource_types.HOME_REGION
    problem: str = ""


def changes(before: Deployed | None, after_template: str, after_values: Values, place: Place) -> tuple[Change, ...]:
    """Return what an update does at a place: an ADD of everything where there is no stack, nothing where nothing
    differs, and one UNKNOWN where a template cannot be evaluated."""
    return compare(before, after_template, after_values, place).changes


def compare(before: Deployed | None, after_template: str, after_values: Values, place: Place) -> Comparison:
    """Compare the stack at a place with a template and complete parameters; an empty template stands for no stack.

    The order is the same whatever the order of keys: the gravest effect first, then by logical id.
    """
    values = tuple(sorted(after_values.items()))
    deployed = None if before is None or before.status in _EMPTY else before
    try:
        after, imports = evaluated(after_template, after_values, place) if after_template else (_NOTHING, frozenset())
        if deployed is None:
            old, imported = _NOTHING, frozenset[str]()
        else:
            old, imported = evaluated(deployed.template, _known(deployed, after_values), place)
    except EvaluationError as error:
        unknown = Change("", "", Effect.UNKNOWN, (f"cannot be compared: {error}",))
        return Comparison((unknown,), values=values, region=place.region, problem=str(error))
    found = [*_resources(old, after, place.region), *_outputs(deployed, old, after_template, after)]
    order = list(Effect)
    ordered = tuple(sorted(found, key=lambda change: (order.index(change.effect), change.logical_id)))
    status = deployed.status if deployed else ""
    return Comparison(ordered, old, after, imported, imports, values, status, place.region)


def _known(deployed: Deployed, after_values: Values) -> dict[str, str]:
    """The parameters of a stack. CloudFormation shows asterisks for NoEcho: those are taken to stay as they are."""
    declared = parsed(deployed.template).get("Parameters", {})
    return {
        name: after_values.get(name, value) if _is_hidden(declared.get(name, {}), value) else value
        for name, value in deployed.parameters.items()
    }


def _is_hidden(declaration: Mapping[str, Any], value: str) -> bool:
    return str(declaration.get("NoEcho", False)).lower() == "true" and set(value) == {"*"}


def _resources(before: Evaluated, after: Evaluated, region: str) -> list[Change]:
    old, new = before.resources, after.resources
    staying = {name: body for name, body in new.items() if name in old}
    effects: Effects = {}
    for name, body in staying.items():
        effect = _effect(old[name], body, region)
        if effect:
            effects[name] = effect
    found = [
        Change(name, body["Type"], Effect.ADD, named=given_name(body, region))
        for name, body in new.items()
        if name not in old
    ]
    found += [_gone(name, body, region) for name, body in old.items() if name not in new]
    for name, (kind, causes) in spread(effects, staying, region).items():
        retained = kind is not Effect.MODIFY and _retains(old[name]) and _retains(new[name])
        found.append(
            Change(name, new[name]["Type"], kind, tuple(sorted(causes)), given_name(new[name], region), retained)
        )
    return found


def _effect(before: Resource, after: Resource, region: str) -> tuple[Effect, frozenset[str]] | None:
    if before["Type"] != after["Type"]:
        return Effect.REPLACE, frozenset({"Type"})
    attributes = frozenset(name for name in _ATTRIBUTES if not same(before.get(name), after.get(name)))
    found = weigh(after["Type"], before.get("Properties", {}), after.get("Properties", {}), region)
    if found is None:
        return (Effect.MODIFY, attributes) if attributes else None
    effect, causes = found
    return effect, frozenset(causes) | (attributes if effect is Effect.MODIFY else frozenset())


def _gone(name: str, body: Resource, region: str) -> Change:
    kept = body.get("DeletionPolicy") in _RETAINING
    effect = Effect.KEEP if kept else Effect.REMOVE
    return Change(name, body["Type"], effect, named=given_name(body, region), retained=kept)


def _retains(body: Resource) -> bool:
    """Whether the old one stays when it is replaced. Asked of both versions: which one counts is not documented."""
    return bool(body.get("UpdateReplacePolicy") == "Retain")


def given_name(body: Resource, region: str) -> str:
    """The name that a template gives a resource, or nothing where AWS chooses it or another resource is part of it."""
    kind = resource_types.load(body["Type"], region)
    name = body.get("Properties", {}).get(kind.name_property) if kind and kind.name_property else None
    return str(name) if name and not any(mentions(name)) else ""


def _outputs(deployed: Deployed | None, before: Evaluated, after_template: str, after: Evaluated) -> list[Change]:
    if deployed is None or not after_template:
        return []
    old, new = parsed(deployed.template).get("Outputs", {}), parsed(after_template).get("Outputs", {})
    names = set(differing(before.outputs, after.outputs))
    names = {name.partition(".")[0] for name in names}
    for name in before.outputs.keys() & after.outputs.keys():
        if any(old[name].get(part) != new[name].get(part) for part in ("Description", "Export")):
            names.add(name)
    exports = before.exports.keys() ^ after.exports.keys()
    causes = tuple(sorted(names)) or tuple(sorted(exports))
    return [Change("", "", Effect.OUTPUTS, causes)] if causes else []
