"""What is wrong although each parameter is right: Rules, functions that do not work out, ways that are shut."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from builders import reachability
from builders.building.assembly import Assembly
from builders.building.findings import Finding
from builders.building.parameter_values import shown
from builders.environments import Entry, ParameterFile
from builders.errors import EvaluationError
from builders.evaluate import Evaluated, evaluate


def refusals(file: ParameterFile, made: Assembly, unusable: Collection[str]) -> Iterator[Finding]:
    """Evaluate the layers that are deployed with a file, in their order, and follow the ways through their network.

    `unusable` names parameters that are missing or wrong. A layer that takes one of them is not asked, since its
    answer would only repeat that; nor is a layer that imports from one that was not asked or does not work out.
    """
    exports: dict[str, Any] = {}
    evaluated_layers: dict[str, Evaluated] = {}
    for layer in [name for name in made.order if made.scopes[name] in file.scopes]:
        template = made.templates[layer]
        sources = {export.layer for export in made.stacks[layer].imports}
        if not template["Parameters"].keys().isdisjoint(unusable) or not sources <= evaluated_layers.keys():
            continue
        try:
            evaluated = evaluate(template, file.values, imports=exports)
        except EvaluationError as error:
            yield Finding("template-refuses", f"{layer}: {error}", str(file.path))
            continue
        evaluated_layers[layer] = evaluated
        exports |= evaluated.exports
        for sentence in evaluated.failed_rules:
            yield _finding(file, layer, template, sentence)
    yield from _shut_ways(file, made, evaluated_layers)


def _shut_ways(file: ParameterFile, made: Assembly, evaluated: Mapping[str, Evaluated]) -> Iterator[Finding]:
    """What the phase needs and its network would not let through, or lets through though nobody may."""
    if not evaluated.keys() >= set(reachability.LAYERS):
        return
    wanted = reachability.demands({layer: made.templates[layer] for layer in evaluated}, file.values)
    for found in reachability.check(evaluated, wanted):
        message = f"{found.flow}: {found.missing} at {found.where}"
        yield Finding("unreachable", message, str(file.path))


def _finding(file: ParameterFile, layer: str, template: dict[str, Any], sentence: str) -> Finding:
    """The sentence of a failed rule, with the entries of the file that the rule looks at."""
    entries = [file.entries[key] for key in _parameters_of(template, sentence) if key in file.entries]
    given = ", ".join(shown(entry.key, entry.value, template["Parameters"][entry.key]) for entry in entries)
    message = f"{layer}: {sentence}" + (f" (given: {given})" if given else "")
    return Finding("template-rule", message, str(file.path), _first_line(entries))


def _first_line(entries: list[Entry]) -> int | None:
    return min((entry.line for entry in entries), default=None)


def _parameters_of(template: dict[str, Any], sentence: str) -> list[str]:
    """The parameters that the rule with this sentence refers to, in alphabetical order."""
    rules = [
        rule
        for rule in template["Rules"].values()
        if any(assertion.get("AssertDescription") == sentence for assertion in rule["Assertions"])
    ]
    return sorted(set(_references(rules)) & template["Parameters"].keys())


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
