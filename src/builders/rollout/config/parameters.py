"""Lays the sources of a phase over each other, and parts a layer's values into those of its set and overrides.

Places with the same sources are one variant, and equal overrides are one object: thousands of accounts that differ in
nothing cost as much as one.

What CloudFormation would refuse, or drop in silence: every wrong value with the place where it stands.

Evaluates the Rules of templates, which CloudFormation asks before it deploys a stack.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders.building.parameter_values import mistakes, shown
from builders.errors import EvaluationError
from builders.evaluate import evaluate
from builders.rollout.config.sources import PhaseSources, Source, merged_values, origin
from builders.rollout.config.templates import Template
from builders.rollout.model import Target, Values
from builders.text import name_list, suggestion


@dataclass(frozen=True)
class Variant:
    """Places whose values are the same. `own` has the values of every key that differs somewhere in the phase."""

    targets: tuple[Target, ...]
    chain: tuple[Source, ...]
    wide: Values
    own: Values

    def value(self, key: str, template: Template) -> str | None:
        """What a layer is given for a parameter, its default where nobody says anything."""
        value = self.own.get(key, self.wide.get(key))
        return template.default(key) if value is None else value


def variants(sources: PhaseSources, targets: Iterable[Target]) -> tuple[Variant, ...]:
    """Group the places of a phase, in their order."""
    groups: dict[tuple[str, str, str], list[Target]] = {}
    for target in targets:
        groups.setdefault(sources.variant(target), []).append(target)
    wide = merged_values(sources.wide)
    differing = {key for source in sources.own() for key in source.values}
    found = []
    for group in groups.values():
        chain = sources.chain(group[0])
        own = {key: value for key, value in merged_values(chain).items() if key in differing}
        found.append(Variant(tuple(group), chain, wide, own))
    return tuple(found)


def parted(template: Template, found: Sequence[Variant]) -> tuple[dict[str, str], dict[Target, Values]]:
    """A layer's own values and what differs from them, by place. Every parameter has a value.

    The set has the phase's value where some place has it, or else the most common one; the first of equals.
    """
    differing = {key for variant in found for key in variant.own}
    own: dict[str, str] = {}
    for key in template.parameters:
        counts: Counter[str] = Counter()
        for variant in found if key in differing else found[:1]:
            counts[variant.value(key, template) or ""] += len(variant.targets)
        of_phase = found[0].wide.get(key)
        own[key] = of_phase if of_phase is not None and of_phase in counts else counts.most_common(1)[0][0]
    keys = [key for key in template.parameters if key in differing]
    shared: dict[tuple[tuple[str, str], ...], Values] = {}
    overrides: dict[Target, Values] = {}
    for variant in found:
        values = [(key, variant.value(key, template) or "") for key in keys]
        differs = tuple((key, value) for key, value in values if value != own[key])
        overrides.update(dict.fromkeys(variant.targets, shared.setdefault(differs, dict(differs))))
    return own, overrides


def complete(template: Template, variant: Variant, but_for: Iterable[str] = ()) -> dict[str, str]:
    """Every parameter of a layer at the places of a variant that has a value, but for some."""
    left_out = set(but_for)
    values = {key: variant.value(key, template) for key in template.parameters if key not in left_out}
    return {key: value for key, value in values.items() if value is not None}


_TARGETS_SHOWN = 3


def unknown_parameters(sources: Iterable[Source], templates: Iterable[Template]) -> Iterator[str]:
    """Keys that no template declares: CloudFormation refuses them, so they would be passed over."""
    known = {key for template in templates for key in template.parameters}
    for source in sources:
        for key in source.values:
            if key not in known:
                close = suggestion(key, sorted(known))
                yield f"{source.where(key)}: is a parameter of no layer here; " + (
                    f"did you mean {close}?" if close else "take it out"
                )


def wrong_values(sources: Iterable[Source], templates: Iterable[Template]) -> Iterator[str]:
    """Values that a template's declaration does not allow: each mistake once, with the layers that make it one."""
    declared: dict[str, list[Template]] = {}
    for template in templates:
        for key in template.parameters:
            declared.setdefault(key, []).append(template)
    for source in sources:
        for key, value in source.values.items():
            layers: dict[str, list[str]] = {}
            for template in declared.get(key, ()):
                declaration = dict(template.parameters[key])
                for mistake in mistakes(value, declaration):
                    layers.setdefault(f"{shown(key, value, declaration)} {mistake}", []).append(template.layer)
            for mistake, names in layers.items():
                yield f"{source.where(key)}: {mistake} ({', '.join(names)})"


def missing_values(
    found: Sequence[Variant], templates: Iterable[Template], advice: str, given_later: Collection[str] = ()
) -> Iterator[str]:
    """Parameters that need a value and have none, each with the places that lack it. `advice` says where to give it."""
    demanding: dict[str, list[Template]] = {}
    for template in templates:
        for key in template.parameters:
            if template.default(key) is None and key not in given_later:
                demanding.setdefault(key, []).append(template)
    for key, wanting in demanding.items():
        lacking = [target for variant in found if variant.value(key, wanting[0]) is None for target in variant.targets]
        if lacking:
            layers = ", ".join(template.layer for template in wanting)
            described = [template.parameters[key].get("Description") for template in wanting]
            description = next(filter(None, described), "its layers say no more")
            where = name_list(sorted(lacking), _TARGETS_SHOWN)
            yield f"{where}: {key} has no value, and {layers} needs one; {advice}: {description}"


def the_same_everywhere(sources: Iterable[Source], reasons: Mapping[str, str]) -> Iterator[str]:
    """Keys that may not differ between the places of a phase, with the reasons."""
    for source in sources:
        for key in source.values:
            if key in reasons:
                yield f"{source.where(key)}: must be the same in the whole phase, {reasons[key]}; take it out here"


_SECTIONS = ("Parameters", "Mappings", "Conditions", "Rules")
"""What a rule can see: it refers to parameters only (CloudFormation user guide, "Rules section")."""


def refused_by_rules(template: Template, found: Sequence[Variant]) -> Iterator[str]:
    """The sentences of rules that do not hold, each with its places and where the values come from.

    Every parameter has a value. Rules are asked once for all places that agree in what they look at.
    """
    body = {name: part for name, part in json.loads(template.body).items() if name in _SECTIONS}
    rules = body.get("Rules", {})
    looked_at = sorted(set(_references(rules)) & template.parameters.keys())
    targets: dict[tuple[str | None, ...], list[Target]] = {}
    first: dict[tuple[str | None, ...], Variant] = {}
    for variant in found if rules else ():
        seen = tuple(variant.value(key, template) for key in looked_at)
        targets.setdefault(seen, []).extend(variant.targets)
        first.setdefault(seen, variant)
    for seen, variant in first.items():
        try:
            sentences = evaluate(body, complete(template, variant)).failed_rules
        except EvaluationError as error:
            sentences = (str(error),)
        for sentence in sentences:
            given = _given(template, variant, _parameters(rules, sentence, looked_at))
            yield f"{name_list(sorted(targets[seen]), _TARGETS_SHOWN)}, {template.layer}: {sentence}{given}"


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
