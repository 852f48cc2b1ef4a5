"""Properties that are physical names, derived from the resource schemas, so that new types are known by themselves."""

from __future__ import annotations

import functools
from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

_REGION = "us-east-1"  # the region with the most types
_ENDINGS = ("Name", "Identifier")
_NAMES_IN_ANOTHER_WORLD = ("AWS::Route53::", "AWS::SES::", "AWS::CertificateManager::")
"""Their names are DNS names, which are nobody's to make up."""


def schema_of(resource_type: str) -> dict[str, Any]:
    """The schema of a type; empty for types that the registry lacks (custom resources, modules)."""
    return _schema(resource_type) if resource_type.startswith("AWS::") else {}


@functools.cache
def _schema(resource_type: str) -> dict[str, Any]:
    try:
        schema: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(_REGION, resource_type).schema
    except Exception:  # cfn-lint raises its own errors for types that it lacks and reports them as E3006
        return {}
    return schema


def create_only(resource_type: str) -> frozenset[str]:
    """The top-level properties of a type that cannot change without a replacement."""
    return frozenset(_top_level(schema_of(resource_type).get("createOnlyProperties")))


@functools.cache
def name_properties(resource_type: str) -> tuple[str, ...]:
    """The properties that give a resource its name in the account; none for most types.

    It is a text that is create-only, or alone the primary identifier, and is called Name or ends like the type
    (TopicName of Topic, DBInstanceIdentifier of DBInstance). DMS's identifiers can change and are names all the same,
    and its ResourceIdentifier is the end of the ARN.
    Names that count only inside a parent (a stage of an API, a stream of a log group) are none.
    """
    schema = schema_of(resource_type)
    if resource_type.startswith(_NAMES_IN_ANOTHER_WORLD) or len(schema.get("primaryIdentifier", [])) > 1:
        return ()
    of_dms = resource_type.startswith("AWS::DMS::")
    found = []
    last = resource_type.rpartition("::")[2].lower()
    fixed = set(_top_level(schema.get("createOnlyProperties"))) | set(_top_level(schema.get("primaryIdentifier")))
    for name, definition in schema.get("properties", {}).items():
        stem = name.removesuffix("Name").removesuffix("Identifier").lower()
        is_text = isinstance(definition, dict) and definition.get("type") == "string"
        is_named = is_text and name.endswith(_ENDINGS) and last.endswith(stem)
        is_fixed = name in fixed and not _has_parent(schema, name, fixed)
        if (is_named and (is_fixed or of_dms)) or (of_dms and name == "ResourceIdentifier"):
            found.append(str(name))
    return tuple(found)


def _has_parent(schema: dict[str, Any], name: str, fixed: set[str]) -> bool:
    required = set(schema.get("required", [])) - {name}
    return any(other in fixed and other.endswith(("Id", "Arn", "Name", "Identifier")) for other in required)


def _top_level(pointers: Any) -> list[str]:
    return [pointer.split("/")[2] for pointer in pointers or [] if isinstance(pointer, str) and pointer.count("/") == 2]
