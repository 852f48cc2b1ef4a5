"""Resolved properties against the registry's schema, before a resource is made or changed.

CloudFormation reports a violation as `#/path: what is wrong`, one line each (seen in stack events of registry types).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cfnlint.jsonschema import ValidationError

from builders.cloud.schemas import Json, ResourceType

_TYPE_NAMES = {"array": "JSONArray", "object": "JSONObject"}
_IGNORED_KEYWORDS = frozenset({"format"})
"""cfn-lint's own formats (`AWS::EC2::VPC.Id`): CloudFormation does not check them, the service does."""


def check(kind: ResourceType, logical_id: str, properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties as the schema types them. Raises ValueError with CloudFormation's reason."""
    own = _without_system_tags(kind, properties)
    typed: dict[str, Json] = coerce(kind, own, kind.schema)
    violations = sorted({line for error in kind.validator.iter_errors(typed) for line in _describe(error)})
    violations += [f"#: extraneous key [{key}] is not permitted" for key in own if key in kind.read_only]
    if violations:
        raise ValueError(
            f"Properties validation failed for resource {logical_id} with message:\n" + "\n".join(violations)
        )
    result = dict(properties) | typed
    tags = _tag_property(kind)
    if tags in properties:
        result[tags] = properties[tags]
    return result


def coerce(kind: ResourceType, value: Json, node: Mapping[str, Json]) -> Json:
    """Return `value` with scalars as the schema types them: CloudFormation takes "5" for 5 and true for "true"."""
    node = kind.resolve(node)
    if isinstance(value, dict):
        members = node.get("properties", {})
        others = node.get("additionalProperties")
        patterns = list(node.get("patternProperties", {}).values())
        fallback = others if isinstance(others, dict) else patterns[0] if len(patterns) == 1 else {}
        return {key: coerce(kind, item, members.get(key, fallback)) for key, item in value.items()}
    if isinstance(value, list):
        return [coerce(kind, item, node.get("items", {})) for item in value]
    types = node.get("type", [])
    return _coerce_scalar(value, [types] if isinstance(types, str) else types)


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


def _describe(error: ValidationError) -> Iterator[str]:
    keyword = str(error.validator)
    if keyword in _IGNORED_KEYWORDS:
        return
    path = [str(part) for part in error.path]
    if keyword == "additionalProperties":
        yield f"{_pointer(path[:-1])}: extraneous key [{path[-1] if path else error.instance}] is not permitted"
    elif keyword == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        for key in missing:
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


def _tag_property(kind: ResourceType) -> str:
    pointer: str = (kind.schema.get("tagging") or {}).get("tagProperty") or "/properties/Tags"
    return pointer.removeprefix("/properties/")


def _without_system_tags(kind: ResourceType, properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties without the `aws:` tags that CloudFormation itself adds: schemas forbid them."""
    name = _tag_property(kind)
    tags = properties.get(name)
    if isinstance(tags, list):
        tags = [tag for tag in tags if not str(tag.get("Key", "") if isinstance(tag, dict) else "").startswith("aws:")]
    elif isinstance(tags, dict):
        tags = {key: value for key, value in tags.items() if not key.startswith("aws:")}
    else:
        return dict(properties)
    result = {**properties, name: tags}
    if not tags:
        del result[name]
    return result
