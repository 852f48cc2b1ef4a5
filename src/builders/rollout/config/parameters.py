"""Values of a phase's targets: merged from their sources, checked, and divided into set values and overrides.

Targets with the same sources are one group, and equal overrides are one object: thousands of accounts that differ in
nothing cost as much as one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from builders.errors import EvaluationError
from builders.evaluate import evaluate
from builders.parameter_validation import (
    assignment,
    declarations,
    missing_value,
    rule_parameters,
    unknown_parameter,
    wrong_value,
)
from builders.rollout.config.sources import PhaseSources, Source, merged_values, origin
from builders.rollout.config.templates import Template
from builders.rollout.model import Target, Values
from builders.text import name_list

_TARGETS_SHOWN = 3
_RULE_SECTIONS = ("Parameters", "Mappings", "Conditions", "Rules")
"""Enough to evaluate rules: they refer to parameters only (CloudFormation user guide, "Rules section")."""


@dataclass(frozen=True)
class TargetGroup:
    """Targets whose values are the same. `specific` has the values of every key that differs within the phase."""

    targets: tuple[Target, ...]
    chain: tuple[Source, ...]
    common: Values
    specific: Values

    def given(self, key: str) -> str | None:
        """The value that a source gives a parameter; None where none does."""
        return self.specific.get(key, self.common.get(key))

    def value(self, key: str, template: Template) -> str | None:
        """The value that a layer is deployed with: its default where no source gives one."""
        value = self.given(key)
        return template.default(key) if value is None else value


def target_groups(sources: PhaseSources, targets: Iterable[Target]) -> tuple[TargetGroup, ...]:
    """Group the targets of a phase, in their order."""
    groups: dict[tuple[Source, ...], list[Target]] = {}
    for target in targets:
        groups.setdefault(sources.chain(target), []).append(target)
    common = merged_values(sources.common)
    differing = {key for source in sources.specific() for key in source.values}
    found = []
    for chain, group in groups.items():
        specific = {key: value for key, value in merged_values(chain).items() if key in differing}
        found.append(TargetGroup(tuple(group), chain, common, specific))
    return tuple(found)


def set_values(template: Template, groups: Sequence[TargetGroup]) -> tuple[dict[str, str], dict[Target, Values]]:
    """The values of a layer's stack set, and what differs from them by target. Every parameter has a value.

    The set has the phase's value where some target has it, or else the most common one; the first of equals.
    """
    differing = {key for group in groups for key in group.specific}
    own: dict[str, str] = {}
    for key in template.parameters:
        counts: Counter[str] = Counter()
        for group in groups if key in differing else groups[:1]:
            counts[group.value(key, template) or ""] += len(group.targets)
        of_phase = groups[0].common.get(key)
        own[key] = of_phase if of_phase is not None and of_phase in counts else counts.most_common(1)[0][0]
    keys = [key for key in template.parameters if key in differing]
    distinct: dict[tuple[tuple[str, str], ...], Values] = {}
    overrides: dict[Target, Values] = {}
    for group in groups:
        values = [(key, group.value(key, template) or "") for key in keys]
        differs = tuple((key, value) for key, value in values if value != own[key])
        overrides.update(dict.fromkeys(group.targets, distinct.setdefault(differs, dict(differs))))
    return own, overrides


def stack_values(template: Template, group: TargetGroup, given_later: Collection[str] = ()) -> dict[str, str]:
    """The values of a layer's stacks, without those that are given while rolling out."""
    values = {key: group.value(key, template) for key in template.parameters if key not in given_later}
    return {key: value for key, value in values.items() if value is not None}


def unknown_parameters(sources: Iterable[Source], templates: Iterable[Template]) -> Iterator[str]:
    """Parameters that no template declares."""
    declared = {key for template in templates for key in template.parameters}
    for source in sources:
        for key in source.values:
            unknown = unknown_parameter(key, declared)
            if unknown:
                yield f"{source.where(key)}: {unknown}"


def wrong_values(sources: Iterable[Source], templates: Iterable[Template]) -> Iterator[str]:
    """Values that a template's declaration does not allow: each mistake once, with the layers that make it one."""
    declared = declarations({template.layer: template.parameters for template in templates})
    for source in sources:
        for key, value in source.values.items():
            for mistake in wrong_value(key, value, declared.get(key, {})):
                yield f"{source.where(key)}: {mistake}"


def missing_values(
    groups: Sequence[TargetGroup], templates: Iterable[Template], advice: str, given_later: Collection[str] = ()
) -> Iterator[str]:
    """Parameters that need a value and have none, with the targets that lack it. `advice` says where to give it."""
    declared = declarations({template.layer: template.parameters for template in templates})
    for key, by_layer in declared.items():
        missing = missing_value(key, by_layer, advice)
        if missing and key not in given_later:
            lacking = [target for group in groups if group.given(key) is None for target in group.targets]
            if lacking:
                yield f"{_some(lacking)}: {missing}"


def failed_rules(template: Template, groups: Sequence[TargetGroup]) -> Iterator[str]:
    """The sentences of rules that do not hold, each with its targets and where the values come from.

    Every parameter has a value. Rules are evaluated once for all targets that agree in what the rules refer to.
    """
    body = {name: part for name, part in json.loads(template.body).items() if name in _RULE_SECTIONS}
    referred = rule_parameters(body)
    alike: dict[tuple[str | None, ...], list[TargetGroup]] = {}
    for group in groups if body.get("Rules") else ():
        alike.setdefault(tuple(group.value(key, template) for key in referred), []).append(group)
    for first, *others in alike.values():
        try:
            sentences = evaluate(body, stack_values(template, first)).failed_rules
        except EvaluationError as error:
            sentences = (str(error),)
        where = _some([target for group in (first, *others) for target in group.targets])
        for sentence in sentences:
            given = _given(template, first, rule_parameters(body, sentence))
            yield f"{where}, {template.layer}: {sentence}{given}"


def _given(template: Template, group: TargetGroup, keys: Sequence[str]) -> str:
    """The values that a rule refers to, and their sources; a default has none."""
    texts = [
        f"{assignment(key, source.values[key], template.parameters[key])} from {source.where(key)}"
        for key in keys
        if (source := origin(group.chain, key))
    ]
    return f" (given: {'; '.join(texts)})" if texts else ""


def _some(targets: Sequence[Target]) -> str:
    return name_list(sorted(targets), _TARGETS_SHOWN)
