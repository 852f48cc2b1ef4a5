"""The environment variables of functions, containers and builds."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._template import Resource, Template
from builders.rules._values import Value

_NAME_AND_VALUE = {
    "AWS::ECS::TaskDefinition": ("ContainerDefinitions", "Environment"),
    "AWS::CodeBuild::Project": ("Environment", "EnvironmentVariables"),
}


def variables(template: Template) -> Iterator[tuple[Resource, str, Value]]:
    """Every environment variable: its resource, name and value."""
    for function in template.resources("AWS::Lambda::Function"):
        for listed in template.branches(function, "Environment.Variables"):
            for name in listed.value if isinstance(listed.value, dict) else ():
                for value in template.child(listed, name):
                    yield function, str(name), value
    for kind, (outer, inner) in _NAME_AND_VALUE.items():
        for resource in template.resources(kind):
            for owners in template.branches(resource, outer):
                for owner in template.items(owners):
                    yield from _pairs(template, resource, owner, inner)


def _pairs(template: Template, resource: Resource, owner: Value, inner: str) -> Iterator[tuple[Resource, str, Value]]:
    for listed in template.child(owner, inner):
        for entry in template.items(listed):
            pair = entry.value
            if (
                isinstance(pair, dict)
                and isinstance(pair.get("Name"), str)
                and pair.get("Type", "PLAINTEXT") == "PLAINTEXT"
            ):
                for value in template.child(entry, "Value"):
                    yield resource, pair["Name"], value
