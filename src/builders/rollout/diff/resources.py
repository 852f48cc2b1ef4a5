"""A template's body as plain data, evaluated with the parameters of a place.

A stack as it is beside the stack as it shall be: what becomes of each resource.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from builders import resource_types
from builders.errors import EvaluationError
from builders.evaluate import Evaluated, evaluate
from builders.rollout.diff.effects import (
    Change,
    Effect,
    Effects,
    differing_properties,
    effect_of,
    is_same,
    mentions,
    spread_effects,
)
from builders.rollout.model import Deployed, Target, Values


class _AnyExport(Mapping[str, str]):
    """Answers Fn::ImportValue for every name with a text that names the export, and keeps which were asked for.

    An export that is imported cannot change its value, so that the same name is the same value before and after.
    """

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __contains__(self, name: object) -> bool:
        """Every export is there."""
        return isinstance(name, str)

    def __getitem__(self, name: str) -> str:
        """Return the text that stands for the export: in one piece, whatever a template splits it by."""
        self.asked.add(name)
        plain = re.sub(r"[^A-Za-z0-9]", lambda each: "_" if each[0] == "-" else f"_{ord(each[0]):x}_", name)
        return f"${{import_{plain}}}"

    def __iter__(self) -> Iterator[str]:
        """Return the names that were asked for."""
        return iter(self.asked)

    def __len__(self) -> int:
        """Return how many names were asked for."""
        return len(self.asked)


def evaluated_body(template: str, values: Values, target: Target) -> tuple[Evaluated, frozenset[str]]:
    """Return what a body says at a place, and the names of the exports that it imports there.

    Raises EvaluationError where that cannot be computed.
    """
    imports = _AnyExport()
    try:
        found = evaluate(parsed_body(template), values, imports=imports, region=target.region, account=target.account)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        # Somebody's template: CloudFormation would refuse what evaluate() does not foresee.
        raise EvaluationError(f"a function has other arguments than it takes ({error})") from error
    return found, frozenset(imports.asked)


@functools.lru_cache(maxsize=128)
def parsed_body(template: str) -> dict[str, Any]:
    """Return a body as plain data, which is not to be changed. Raises EvaluationError where it is no template."""
    try:
        data = json.loads(template) if template.lstrip().startswith("{") else yaml.load(template, _Loader)  # noqa: S506
    except (ValueError, yaml.YAMLError) as error:
        raise EvaluationError(f"the template is neither JSON nor YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict) or not isinstance(data.get("Resources"), dict):
        raise EvaluationError("the template has no Resources")
    return data


class _Loader(yaml.SafeLoader):
    """YAML as CloudFormation reads it: short forms of functions, and numbers and dates as the texts that they are."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("bool", "null", "merge")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    argument: Any
    if isinstance(node, yaml.MappingNode):
        argument = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        argument = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.ScalarNode)
        argument = loader.construct_scalar(node)
    if name == "GetAtt" and isinstance(argument, str):
        argument = argument.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": argument}


_Loader.add_multi_constructor("!", _short_form)


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


def changes(before: Deployed | None, after_template: str, after_values: Values, target: Target) -> tuple[Change, ...]:
    """Return what an update does at a place: an ADD of everything where there is no stack, nothing where nothing
    differs, and one UNKNOWN where a template cannot be evaluated."""
    return compare(before, after_template, after_values, target).changes


def compare(before: Deployed | None, after_template: str, after_values: Values, target: Target) -> Comparison:
    """Compare the stack at a place with a template and complete parameters; an empty template stands for no stack.

    The order is the same whatever the order of keys: the gravest effect first, then by logical id.
    """
    values = tuple(sorted(after_values.items()))
    deployed = None if before is None or before.status in _EMPTY else before
    try:
        after, imports = (
            evaluated_body(after_template, after_values, target) if after_template else (_NOTHING, frozenset())
        )
        if deployed is None:
            old, imported = _NOTHING, frozenset[str]()
        else:
            old, imported = evaluated_body(deployed.template, _known(deployed, after_values), target)
    except EvaluationError as error:
        unknown = Change("", "", Effect.UNKNOWN, (f"cannot be compared: {error}",))
        return Comparison((unknown,), values=values, region=target.region, problem=str(error))
    found = [*_resources(old, after, target.region), *_outputs(deployed, old, after_template, after)]
    order = list(Effect)
    ordered = tuple(sorted(found, key=lambda change: (order.index(change.effect), change.logical_id)))
    status = deployed.status if deployed else ""
    return Comparison(ordered, old, after, imported, imports, values, status, target.region)


def _known(deployed: Deployed, after_values: Values) -> dict[str, str]:
    """The parameters of a stack. CloudFormation shows asterisks for NoEcho: those are taken to stay as they are."""
    declared = parsed_body(deployed.template).get("Parameters", {})
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
        Change(name, body["Type"], Effect.ADD, custom_name=custom_name(body, region))
        for name, body in new.items()
        if name not in old
    ]
    found += [_gone(name, body, region) for name, body in old.items() if name not in new]
    for name, (kind, causes) in spread_effects(effects, staying, region).items():
        retained = kind is not Effect.MODIFY and _retains(old[name]) and _retains(new[name])
        found.append(
            Change(name, new[name]["Type"], kind, tuple(sorted(causes)), custom_name(new[name], region), retained)
        )
    return found


def _effect(before: Resource, after: Resource, region: str) -> tuple[Effect, frozenset[str]] | None:
    if before["Type"] != after["Type"]:
        return Effect.REPLACE, frozenset({"Type"})
    attributes = frozenset(name for name in _ATTRIBUTES if not is_same(before.get(name), after.get(name)))
    found = effect_of(after["Type"], before.get("Properties", {}), after.get("Properties", {}), region)
    if found is None:
        return (Effect.MODIFY, attributes) if attributes else None
    effect, causes = found
    return effect, frozenset(causes) | (attributes if effect is Effect.MODIFY else frozenset())


def _gone(name: str, body: Resource, region: str) -> Change:
    kept = body.get("DeletionPolicy") in _RETAINING
    effect = Effect.RETAIN if kept else Effect.REMOVE
    return Change(name, body["Type"], effect, custom_name=custom_name(body, region), retained=kept)


def _retains(body: Resource) -> bool:
    """Whether the old one stays when it is replaced. Asked of both versions: which one counts is not documented."""
    return bool(body.get("UpdateReplacePolicy") == "Retain")


def custom_name(body: Resource, region: str) -> str:
    """The name that a template gives a resource, or nothing where AWS chooses it or another resource is part of it."""
    kind = resource_types.load(body["Type"], region)
    name = body.get("Properties", {}).get(kind.name_property) if kind and kind.name_property else None
    return str(name) if name and not any(mentions(name)) else ""


def _outputs(deployed: Deployed | None, before: Evaluated, after_template: str, after: Evaluated) -> list[Change]:
    if deployed is None or not after_template:
        return []
    old, new = parsed_body(deployed.template).get("Outputs", {}), parsed_body(after_template).get("Outputs", {})
    names = set(differing_properties(before.outputs, after.outputs))
    names = {name.partition(".")[0] for name in names}
    for name in before.outputs.keys() & after.outputs.keys():
        if any(old[name].get(part) != new[name].get(part) for part in ("Description", "Export")):
            names.add(name)
    exports = before.exports.keys() ^ after.exports.keys()
    causes = tuple(sorted(names)) or tuple(sorted(exports))
    return [Change("", "", Effect.OUTPUTS, causes)] if causes else []
