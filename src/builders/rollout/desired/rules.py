"""Evaluates the Rules of templates, which CloudFormation asks before it deploys a stack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from builders.building.parameter_values import shown
from builders.errors import EvaluationError
from builders.evaluate import evaluate
from builders.rollout.desired.judging import told
from builders.rollout.desired.layering import Variant, complete
from builders.rollout.desired.sources import origin
from builders.rollout.desired.templates import Template
from builders.rollout.model import Place

_SECTIONS = ("Parameters", "Mappings", "Conditions", "Rules")
"""What a rule can see: it refers to parameters only (CloudFormation user guide, "Rules section")."""


def refused(template: Template, found: Sequence[Variant]) -> Iterator[str]:
    """The sentences of rules that do not hold, each with its places and where the values come from.

    Every parameter has a value. Rules are asked once for all places that agree in what they look at.
    """
    body = {name: part for name, part in json.loads(template.body).items() if name in _SECTIONS}
    rules = body.get("Rules", {})
    looked_at = sorted(set(_references(rules)) & template.parameters.keys())
    places: dict[tuple[str | None, ...], list[Place]] = {}
    first: dict[tuple[str | None, ...], Variant] = {}
    for variant in found if rules else ():
        seen = tuple(variant.value(key, template) for key in looked_at)
        places.setdefault(seen, []).extend(variant.places)
        first.setdefault(seen, variant)
    for seen, variant in first.items():
        try:
            sentences = evaluate(body, complete(template, variant)).failed_rules
        except EvaluationError as error:
            sentences = (str(error),)
        for sentence in sentences:
            given = _given(template, variant, _parameters(rules, sentence, looked_at))
            yield f"{told(places[seen])}, {template.layer}: {sentence}{given}"


def _given(template: Template, variant: Variant, keys: Sequence[str]) -> str:
    """The values that a rule looks at, with where they stand; defaults stand nowhere."""
    texts = [
        f"{shown(key, source.values[key], template.parameters[key])} from {source.where(key)}"
        for key in keys
        if (source := origin(variant.chain, key))
    ]
    return f" (given: {'; '.join(texts)})" if texts else ""


def _parameters(rules: Mapping[str, Any], sentence: str, looked_at: Sequence[str]) -> list[str]:
    """The parameters that the rule with this sentence refers to."""
    meant = [
        rule for rule in rules.values() if any(each.get("AssertDescription") == sentence for each in rule["Assertions"])
    ]
    names = set(_references(meant))
    return [key for key in looked_at if key in names]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for part in node:
            yield from _references(part)
    elif isinstance(node, dict):
        for key, part in node.items():
            if key == "Ref" and isinstance(part, str):
                yield part
            else:
                yield from _references(part)
