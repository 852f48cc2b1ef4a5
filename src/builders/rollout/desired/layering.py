"""Lays the sources of a phase over each other, and parts a layer's values into those of its set and overrides.

Places with the same sources are one variant, and equal overrides are one object: thousands of accounts that differ in
nothing cost as much as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from builders.rollout.desired.sources import PhaseSources, Source, merged
from builders.rollout.desired.templates import Template
from builders.rollout.model import Place, Values


@dataclass(frozen=True)
class Variant:
    """Places whose values are the same. `own` has the values of every key that differs somewhere in the phase."""

    places: tuple[Place, ...]
    chain: tuple[Source, ...]
    wide: Values
    own: Values

    def value(self, key: str, template: Template) -> str | None:
        """What a layer is given for a parameter, its default where nobody says anything."""
        value = self.own.get(key, self.wide.get(key))
        return template.default(key) if value is None else value


def variants(sources: PhaseSources, places: Iterable[Place]) -> tuple[Variant, ...]:
    """Group the places of a phase, in their order."""
    groups: dict[tuple[str, str, str], list[Place]] = {}
    for place in places:
        groups.setdefault(sources.variant(place), []).append(place)
    wide = merged(sources.wide)
    differing = {key for source in sources.own() for key in source.values}
    found = []
    for group in groups.values():
        chain = sources.chain(group[0])
        own = {key: value for key, value in merged(chain).items() if key in differing}
        found.append(Variant(tuple(group), chain, wide, own))
    return tuple(found)


def parted(template: Template, found: Sequence[Variant]) -> tuple[dict[str, str], dict[Place, Values]]:
    """A layer's own values and what differs from them, by place. Every parameter has a value.

    The set has the phase's value where some place has it, or else the most common one; the first of equals.
    """
    differing = {key for variant in found for key in variant.own}
    own: dict[str, str] = {}
    for key in template.parameters:
        counts: Counter[str] = Counter()
        for variant in found if key in differing else found[:1]:
            counts[variant.value(key, template) or ""] += len(variant.places)
        of_phase = found[0].wide.get(key)
        own[key] = of_phase if of_phase is not None and of_phase in counts else counts.most_common(1)[0][0]
    keys = [key for key in template.parameters if key in differing]
    shared: dict[tuple[tuple[str, str], ...], Values] = {}
    overrides: dict[Place, Values] = {}
    for variant in found:
        values = [(key, variant.value(key, template) or "") for key in keys]
        differs = tuple((key, value) for key, value in values if value != own[key])
        overrides.update(dict.fromkeys(variant.places, shared.setdefault(differs, dict(differs))))
    return own, overrides


def complete(template: Template, variant: Variant, but_for: Iterable[str] = ()) -> dict[str, str]:
    """Every parameter of a layer at the places of a variant that has a value, but for some."""
    left_out = set(but_for)
    values = {key: variant.value(key, template) for key in template.parameters if key not in left_out}
    return {key: value for key, value in values.items() if value is not None}
