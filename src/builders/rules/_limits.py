"""Values of a template that a service refuses, by the checks that `--check` and the embedded cloud use, too."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from builders import service_limits
from builders.database_instances import Check, refusals
from builders.rules._rule import RuleFinding
from builders.rules._template import Resource, Template, walk
from builders.rules._values import ABSENT, UNKNOWN, Value
from builders.text import suggestion

_MOST_COMBINATIONS = 64
_OF_CFN_LINT = ("Period",)
"""The properties of a check that cfn-lint has, too (E3064)."""
_FEW = 10
"""Values that a message lists; of more it names the one that is meant."""


def refused_values(template: Template, resource_type: str, service: str) -> Iterator[RuleFinding]:
    """The values of a type's resources that the service does not take."""
    for resource in template.resources(resource_type):
        for check in service_limits.TOGETHER.get(resource_type, ()):
            if check.properties != _OF_CFN_LINT:
                yield from refused_together(template, resource, check, service)
        yield from _choices(template, resource, service)
        for path, (least, most) in service_limits.RANGES.get(resource_type, {}).items():
            for value in template.constants(resource, path):
                found = service_limits.number(value.value)
                if found is not None and not least <= found <= most and template.possible(value):
                    said = f"{resource.name} has {path} {found}{value.source}"
                    yield RuleFinding(value, f"{said}: {service} takes {least} to {most}")


def _choices(template: Template, resource: Resource, service: str) -> Iterator[RuleFinding]:
    for path, allowed in service_limits.choices_of(resource.type).items():
        known = {each.lower() for each in allowed}
        for value in template.constants(resource, path):
            text = value.value
            if isinstance(text, str) and text.lower() not in known and template.possible(value):
                close = suggestion(text, allowed) if len(allowed) > _FEW else None
                advice = f"did you mean {close}?" if close else f"{service} takes {', '.join(allowed)}"
                yield RuleFinding(value, f"{resource.name} has {path} {text!r}{value.source}: {advice}")


def refused_together(template: Template, resource: Resource, check: Check, service: str) -> Iterator[RuleFinding]:
    """Yield what a check finds in each combination of the values that its properties can have.

    Where a parameter offers several values, and some of them fit, whoever deploys the template chooses: no finding.
    """
    choices = [template.constants(resource, name) for name in check.properties]
    offered = {value.parameter for values in choices for value in values if value.parameter and len(values) > 1}
    refused: list[tuple[tuple[Value, ...], list[str]]] = []
    fits = False
    for values in itertools.islice(itertools.product(*choices), _MOST_COMBINATIONS):
        given = dict(zip(check.properties, values, strict=True))
        if template.possible(*values) and _together(template, values):
            said = [text for _, text in refusals({name: _as_text(value) for name, value in given.items()}, (check,))]
            refused += [(values, said)] if said else []
            fits = fits or not said
    for values, said in refused:
        if fits and offered & {value.parameter for value in values}:
            continue
        for sentence in said:
            where = next((value for value in reversed(values) if value.value is not ABSENT), resource.path)
            source = where.source if isinstance(where, Value) else ""
            yield RuleFinding(where, f"{service} refuses {resource.name}: {sentence.rstrip('.')}{source}")


def _together(template: Template, values: Sequence[Value]) -> bool:
    """Return whether values of parameters agree: with each other, and with no condition on the same parameter.

    What a condition says of the very value is not followed: without knowledge, no finding.
    """
    chosen: dict[str, object] = {}
    for value in values:
        if value.parameter and chosen.setdefault(value.parameter, value.value) != value.value:
            return False
    conditions = {name for value in values for name, _ in value.when}
    return not any(_decides(template, name) & set(chosen) for name in conditions)


def _decides(template: Template, condition: str) -> set[str]:
    """The parameters that a condition looks at, directly or through others."""
    unseen, found, waiting = dict(template.section("Conditions")), set[str](), [condition]
    while waiting:
        node = unseen.pop(waiting.pop(), None)
        found |= template.references(node)
        waiting += [
            inner["Condition"]
            for _, inner in walk(node, ())
            if isinstance(inner, dict) and isinstance(inner.get("Condition"), str)
        ]
    return found


def _as_text(value: Value) -> object:
    """The value as `database_instances` takes it: None where nobody gives one."""
    if value.value is ABSENT:
        return None
    return "${unknown}" if value.value is UNKNOWN else value.value
