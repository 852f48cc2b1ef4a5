"""Values of a template that a service refuses, by the table in `builders.service_limits`."""

from __future__ import annotations

from collections.abc import Iterator

from builders import service_limits
from builders.rules._rule import Finding
from builders.rules._template import Resource, Template
from builders.text import suggestion

_FEW = 10
"""Values that a message lists; of more it names the one that is meant."""


def refused_values(template: Template, resource_type: str, service: str) -> Iterator[Finding]:
    """The values of a type's resources that the service does not take."""
    for resource in template.resources(resource_type):
        yield from _choices(template, resource, service)
        for path, (least, most) in service_limits.RANGES.get(resource_type, {}).items():
            for value in template.constants(resource, path):
                found = service_limits.number(value.value)
                if found is not None and not least <= found <= most and template.possible(value):
                    said = f"{resource.name} has {path} {found}{value.source}"
                    yield Finding(value, f"{said}: {service} takes {least} to {most}")


def _choices(template: Template, resource: Resource, service: str) -> Iterator[Finding]:
    for path, allowed in service_limits.choices_of(resource.type).items():
        known = {each.lower() for each in allowed}
        for value in template.constants(resource, path):
            text = value.value
            if isinstance(text, str) and text.lower() not in known and template.possible(value):
                close = suggestion(text, allowed) if len(allowed) > _FEW else None
                advice = f"did you mean {close}?" if close else f"{service} takes {', '.join(allowed)}"
                yield Finding(value, f"{resource.name} has {path} {text!r}{value.source}: {advice}")
