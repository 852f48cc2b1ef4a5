"""Facts of the CloudFormation registry on a resource type, by the schemas that cfn-lint ships: one type at a time.

Importing this module is quick; cfn-lint's schema manager is imported with the first question.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders.cfnlint_libraries import import_cfnlint

Json = Any
"""A JSON value: what a template, a schema or a property holds."""

HOME_REGION = "us-east-1"
"""The region whose registry has the most types; a region without a schema of its own falls back to it."""

# The property that names the resource where the primary identifier is one that AWS chooses. Source: the page
# "Name type" of the CloudFormation user guide, and the types' own pages.
NAME_PROPERTIES = {
    "AWS::DMS::Certificate": "CertificateIdentifier",
    "AWS::DMS::Endpoint": "EndpointIdentifier",
    "AWS::DMS::EventSubscription": "SubscriptionName",
    "AWS::DMS::ReplicationInstance": "ReplicationInstanceIdentifier",
    "AWS::DMS::ReplicationSubnetGroup": "ReplicationSubnetGroupIdentifier",
    "AWS::DMS::ReplicationTask": "ReplicationTaskIdentifier",
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "Name",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SecretsManager::Secret": "Name",
}


@dataclass(frozen=True, order=True)
class Violation:
    """One thing that a schema says against properties: CloudFormation's sentence, and the property at the top."""

    sentence: str
    name: str


@dataclass(frozen=True)
class ResourceType:
    """One type of the registry, with the questions that CloudFormation asks its schema."""

    name: str
    schema: Mapping[str, Json]
    attributes: tuple[str, ...]
    """The names that Fn::GetAtt takes; where the type takes any name, a pattern such as `Outputs\\..*`."""
    resolver: Json
    """cfn-lint's resolver of the references within the schema."""

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
        """The properties whose change replaces the resource, as dotted paths; `*` stands for each item of a list."""
        return tuple(_names(self.schema.get("createOnlyProperties")))

    @functools.cached_property
    def conditional_create_only(self) -> tuple[str, ...]:
        """The properties whose change replaces the resource in some cases, as dotted paths."""
        return tuple(_names(self.schema.get("conditionalCreateOnlyProperties")))

    @functools.cached_property
    def name_property(self) -> str:
        """The property by which a template names the resource, or nothing where AWS chooses the name."""
        if self.name in NAME_PROPERTIES:
            return NAME_PROPERTIES[self.name]
        # Several identifiers, such as those of a route, tell what the resource joins: none of them is its name.
        writable = [path for path in self.identifiers if path not in self.read_only]
        return writable[0] if len(self.identifiers) == len(writable) == 1 else ""

    @property
    def deleted_first(self) -> bool:
        """True where a replacement deletes the old one before it makes the new one; else it is the other way."""
        return self.schema.get("replacementStrategy") == "delete_then_create"

    @functools.cached_property
    def validator(self) -> Json:
        """cfn-lint's JSON schema validator for the properties."""
        import_cfnlint()
        from cfnlint.jsonschema import StandardValidator  # noqa: PLC0415 (a quarter of a second that few commands need)

        return StandardValidator(schema=self.schema, resolver=self.resolver)

    def definition(self, path: str) -> Mapping[str, Json]:
        """Return the schema of the property at a dotted path, references followed; empty when there is none."""
        node: Mapping[str, Json] = self.schema
        for part in path.split("."):
            node = self.resolve(node).get("properties", {}).get(part, {})
        return self.resolve(node)

    def coerce(self, value: Json, node: Mapping[str, Json] | None = None) -> Json:
        """Return `value` with scalars as the schema types them: CloudFormation takes "5" for 5 and true for "true"."""
        node = self.resolve(self.schema if node is None else node)
        if isinstance(value, dict):
            members = node.get("properties", {})
            others = node.get("additionalProperties")
            patterns = list(node.get("patternProperties", {}).values())
            fallback = others if isinstance(others, dict) else patterns[0] if len(patterns) == 1 else {}
            return {key: self.coerce(item, members.get(key, fallback)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.coerce(item, node.get("items", {})) for item in value]
        types = node.get("type", [])
        return _coerce_scalar(value, [types] if isinstance(types, str) else types)

    def violations(self, typed: Json, but: Callable[[Json], bool] = lambda error: False) -> list[Violation]:
        """Return what the schema says against properties that are typed as it wants, in CloudFormation's words.

        `but` is asked for each error of cfn-lint's whether it is none.
        """
        text = repr(typed)
        if text in self._sound:
            return []
        errors = list(self.validator.iter_errors(typed))
        if not errors:
            if len(self._sound) >= _SOUND_KEPT:
                self._sound.clear()
            self._sound.add(text)
        return sorted({violation for error in errors if not but(error) for violation in _describe(error)})

    @functools.cached_property
    def _referred(self) -> dict[str, Mapping[str, Json]]:
        """The definitions that `$ref` has named so far."""
        return {}

    @functools.cached_property
    def _sound(self) -> set[str]:
        """Properties that broke nothing: the stacks of a set have the same, thousands of times."""
        return set()

    def resolve(self, node: Mapping[str, Json]) -> Mapping[str, Json]:
        """Follow a `$ref` within the schema."""
        while "$ref" in node:
            pointer = node["$ref"]
            if pointer not in self._referred:
                _, self._referred[pointer] = self.resolver.resolve(pointer)
            node = self._referred[pointer]
        return node


def _names(pointers: list[str] | None) -> Iterator[str]:
    return (pointer.removeprefix("/properties/").replace("/", ".") for pointer in pointers or ())


@functools.cache
def load(name: str, region: str = HOME_REGION) -> ResourceType | None:
    """Return a type by name as it is in a region, or None where the registry does not have it."""
    import_cfnlint()
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError  # noqa: PLC0415 (as above)

    for each in (region, HOME_REGION):
        try:
            found = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region=each, resource_type=name)
        except (ResourceNotFoundError, KeyError):
            continue
        return ResourceType(name, found.schema, tuple(found.get_atts.data), found.resolver)
    return None


_SOUND_KEPT = 256
_TYPE_NAMES = {"array": "JSONArray", "object": "JSONObject"}
_IGNORED_KEYWORDS = frozenset({"format"})
"""cfn-lint's own formats (`AWS::EC2::VPC.Id`): CloudFormation does not check them, the service does."""


def _coerce_scalar(value: Json, types: list[str]) -> Json:
    if isinstance(value, str) and "string" not in types:
        if "boolean" in types and value.lower() in ("true", "false"):
            return value.lower() == "true"
        for name, convert in (("integer", int), ("number", float)):
            if name in types:
                try:
                    return convert(value)
                except ValueError:
                    continue
    if isinstance(value, (bool, int, float)) and types == ["string"]:
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _describe(error: Json) -> Iterator[Violation]:
    keyword = str(error.validator)
    if keyword in _IGNORED_KEYWORDS:
        return
    path = [str(part) for part in error.path]
    for sentence in _sentences(keyword, path, error):
        yield Violation(sentence, path[0] if path else "")


def _sentences(keyword: str, path: list[str], error: Json) -> Iterator[str]:
    if keyword == "additionalProperties":
        yield f"{_pointer(path[:-1])}: extraneous key [{path[-1] if path else error.instance}] is not permitted"
    elif keyword == "required":
        for key in [key for key in error.validator_value if key not in error.instance]:
            yield f"{_pointer(path)}: required key [{key}] not found"
    elif keyword == "type":
        expected = error.validator_value if isinstance(error.validator_value, str) else error.validator_value[0]
        expected = _TYPE_NAMES.get(expected, expected.capitalize())
        yield f"{_pointer(path)}: expected type: {expected}, found: {_found(error.instance)}"
    elif keyword in ("enum", "enumCaseInsensitive"):
        yield f"{_pointer(path)}: {error.instance} is not a valid enum value"
    else:
        yield f"{_pointer(path)}: failed validation constraint for keyword [{keyword}]"


def _pointer(path: list[str]) -> str:
    return "/".join(["#", *path])


def _found(instance: Any) -> str:
    names: dict[type, str] = {list: "JSONArray", dict: "JSONObject", bool: "Boolean", int: "Integer", float: "Double"}
    return names.get(type(instance), "String" if isinstance(instance, str) else "Null")


def value_at(properties: Json, path: str) -> Json:
    """Return the value at a dotted path, or None; where the path says `*`, the list of the items' values."""
    node = properties
    part, _, rest = path.partition(".")
    if part == "*":
        return [value_at(item, rest) if rest else item for item in node] if isinstance(node, list) else None
    node = node.get(part) if isinstance(node, Mapping) else None
    return value_at(node, rest) if rest else node
