"""What CloudFormation would refuse, or drop in silence: every wrong value with the place where it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from builders.building.parameter_values import mistakes, shown
from builders.rollout.desired.layering import Variant
from builders.rollout.desired.sources import Source
from builders.rollout.desired.templates import Template
from builders.rollout.model import Place
from builders.spelling import suggestion

_PLACES_SHOWN = 3


def unknown(sources: Iterable[Source], templates: Iterable[Template]) -> Iterator[str]:
    """Keys that no template declares: CloudFormation refuses them, so they would be passed over."""
    known = {key for template in templates for key in template.parameters}
    for source in sources:
        for key in source.values:
            if key not in known:
                close = suggestion(key, sorted(known))
                yield f"{source.where(key)}: is a parameter of no layer here; " + (
                    f"did you mean {close}?" if close else "take it out"
                )


def wrong(sources: Iterable[Source], templates: Iterable[Template]) -> Iterator[str]:
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


def missing(
    found: Sequence[Variant], templates: Iterable[Template], advice: str, given_later: Collection[str] = ()
) -> Iterator[str]:
    """Parameters that need a value and have none, each with the places that lack it. `advice` says where to give it."""
    demanding: dict[str, list[Template]] = {}
    for template in templates:
        for key in template.parameters:
            if template.default(key) is None and key not in given_later:
                demanding.setdefault(key, []).append(template)
    for key, wanting in demanding.items():
        lacking = [place for variant in found if variant.value(key, wanting[0]) is None for place in variant.places]
        if lacking:
            layers = ", ".join(template.layer for template in wanting)
            described = [template.parameters[key].get("Description") for template in wanting]
            description = next(filter(None, described), "its layers say no more")
            yield f"{told(lacking)}: {key} has no value, and {layers} needs one; {advice}: {description}"


def the_same_everywhere(sources: Iterable[Source], reasons: Mapping[str, str]) -> Iterator[str]:
    """Keys that may not differ between the places of a phase, with the reasons."""
    for source in sources:
        for key in source.values:
            if key in reasons:
                yield f"{source.where(key)}: must be the same in the whole phase, {reasons[key]}; take it out here"


def told(places: Sequence[Place]) -> str:
    """The first few places, and how many more there are."""
    more = len(places) - _PLACES_SHOWN
    names = ", ".join(map(str, sorted(places)[:_PLACES_SHOWN]))
    return f"{names} and {more:,} more" if more > 0 else names
