"""The CloudFormation registry's resource schemas, as cfn-lint ships them, loaded one type at a time."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cfnlint.jsonschema import StandardValidator
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

Json = Any
"""A JSON value: what a template, a schema or a property holds."""

HOME_REGION = "us-east-1"
"""The region whose registry has the most types; a region without a schema of its own falls back to it."""


@dataclass(frozen=True)
class ResourceType:
    """One type of the registry, with the questions that CloudFormation asks its schema."""

    name: str
    schema: Mapping[str, Json]
    attributes: tuple[str, ...]
    """The names that Fn::GetAtt takes; where the type takes any name, a pattern such as `Outputs\\..*`."""
    validator: Json
    """cfn-lint's JSON schema validator for the properties."""

    @functools.cached_property
    def identifiers(self) -> tuple[str, ...]:
        """The properties of the primary identifier: Ref returns their values, joined by `|`."""
        return tuple(_names(self.schema.get("primaryIdentifier")))

    @functools.cached_property
    def read_only(self) -> frozenset[str]:
        """The properties that AWS chooses, as dotted paths; a template may not set them."""
        return frozenset(_names(self.schema.get("readOnlyProperties")))

    @functools.cached_property
    def create_only(self) -> tuple[str, ...]:
        """The properties whose change replaces the resource, as dotted paths."""
        return tuple(_names(self.schema.get("createOnlyProperties")))

    def definition(self, path: str) -> Mapping[str, Json]:
        """Return the schema of the property at a dotted path, references followed; empty when there is none."""
        node: Mapping[str, Json] = self.schema
        for part in path.split("."):
            node = self.resolve(node).get("properties", {}).get(part, {})
        return self.resolve(node)

    def resolve(self, node: Mapping[str, Json]) -> Mapping[str, Json]:
        """Follow a `$ref` within the schema."""
        while "$ref" in node:
            _, node = self.validator.resolver.resolve(node["$ref"])
        return node


def _names(pointers: list[str] | None) -> Iterator[str]:
    return (pointer.removeprefix("/properties/").replace("/", ".") for pointer in pointers or ())


@functools.cache
def names() -> frozenset[str]:
    """Return the names of all types."""
    return frozenset(PROVIDER_SCHEMA_MANAGER.get_resource_types(HOME_REGION))


@functools.cache
def load(name: str, region: str = HOME_REGION) -> ResourceType | None:
    """Return a type by name as it is in a region, or None where the registry does not have it."""
    schema = None
    for place in (region, HOME_REGION):
        try:
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region=place, resource_type=name)
            break
        except (ResourceNotFoundError, KeyError):
            continue
    if schema is None:
        return None
    validator = StandardValidator(schema=schema.schema, resolver=schema.resolver)
    return ResourceType(name, schema.schema, tuple(schema.get_atts.data), validator)


def value_at(properties: Mapping[str, Json], path: str) -> Json:
    """Return the value at a dotted path, or None."""
    node: Json = properties
    for part in path.split("."):
        if not isinstance(node, Mapping):
            return None
        node = node.get(part)
    return node
