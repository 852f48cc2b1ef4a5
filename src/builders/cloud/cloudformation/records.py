"""Resources of types that ministack does not know, kept as records that follow the registry's schema.

Create, Ref, Fn::GetAtt, update, replacement and delete behave as the schema says; nothing behind the record does
anything. The functions have the signatures of ministack's resource handlers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, get_region

from builders import resource_types
from builders.cloud.cloudformation import attributes
from builders.cloud.internals import entries
from builders.resource_types import Json, ResourceType

Handlers = dict[str, Any]
Made = tuple[str, dict[str, Json]]
"""The physical id (Ref) and the attributes (Fn::GetAtt) that a create or update handler returns."""

Before = Callable[[Mapping[str, Json]], None]
"""Takes the properties, and raises ValueError to refuse them."""
After = Callable[[str, Mapping[str, Json]], None]
"""Takes the physical id and the properties."""

Properties = Mapping[str, Json]
Read = Callable[[str, Properties], Mapping[str, Json] | None]
"""Takes a physical id and the properties of the template; returns those of the service in the template's form, or None
where the resource is gone."""
Reader = tuple[Read, frozenset[str]]
"""A reader for drift detection, and the properties that it reads."""

records: Any = AccountRegionScopedDict()
"""{(type, physical id): {"Properties": ..., "Attributes": ...}}, each account and region for itself."""

types: set[str] = set()
"""The types that are kept as records: those that `handlers` was called for."""


def handlers(name: str) -> Handlers:
    """Return ministack's handler table for one type; the schema is loaded on first use."""
    types.add(name)

    def kind() -> ResourceType:
        found = resource_types.load(name)
        assert found is not None
        return found

    return {
        "create": lambda logical_id, properties, stack: create(kind(), logical_id, properties, stack),
        "update": lambda physical_id, old, new, stack, logical_id: update(
            kind(), physical_id, old, new, stack, logical_id
        ),
        "update_with_logical_id": True,
        "delete": lambda physical_id, properties: delete(name, physical_id),
    }


def find(name: str) -> dict[str, dict[str, Json]]:
    """Return {physical id: record} of a type in the caller's account and region."""
    return {key[1]: record for key, record in records.items() if key[0] == name}


def accounts(name: str) -> set[str]:
    """Return the accounts that have resources of a type in the caller's region."""
    return {account for account, region, key in list(entries(records)) if region == get_region() and key[0] == name}


def create(kind: ResourceType, logical_id: str, properties: Mapping[str, Json], stack_name: str) -> Made:
    """Keep a new record. Raises ValueError where its name is taken."""
    identity = attributes.identity(kind, logical_id, stack_name, properties)
    physical_id = "|".join(str(value) for value in identity.values())
    name = attributes.given_name(kind, properties)
    names = {attributes.given_name(kind, record["Properties"]) for record in find(kind.name).values()}
    if (kind.name, physical_id) in records or (name and name in names):
        raise ValueError(f"Resource of type '{kind.name}' with identifier '{name or physical_id}' already exists.")
    values = attributes.complete(kind, logical_id, stack_name, properties, identity)
    records[kind.name, physical_id] = {"Properties": dict(properties), "Attributes": values}
    return physical_id, values


def update(
    kind: ResourceType,
    physical_id: str,
    old: Mapping[str, Json],
    new: Mapping[str, Json],
    stack_name: str,
    logical_id: str,
) -> Made:
    """Change a record, or make its successor where a create-only property changed."""
    record = records.get((kind.name, physical_id))
    changed = [
        path for path in kind.create_only if resource_types.value_at(old, path) != resource_types.value_at(new, path)
    ]
    if record is None or changed:
        return create(kind, logical_id, new, stack_name)
    # What AWS chose stays; what the template said, or says now, follows the template.
    kept = {
        path: value
        for path, value in record["Attributes"].items()
        if path in kind.read_only
        or (resource_types.value_at(old, path) is None and resource_types.value_at(new, path) is None)
    }
    record["Properties"] = dict(new)
    record["Attributes"] = attributes.complete(kind, logical_id, stack_name, new, kept)
    return physical_id, record["Attributes"]


def rename(name: str, physical_id: str, new: str) -> None:
    """Give a record another physical id, where Ref is not the primary identifier."""
    records[name, new] = records.pop((name, physical_id))


def exists(physical_id: str) -> bool:
    """Return whether there is a record with a physical id, of whatever type."""
    return any(key[1] == physical_id for key in records)


def made_up(value: str) -> bool:
    """Return whether a value is an attribute of a record, and so perhaps none that the service would choose."""
    return any(value in record["Attributes"].values() for record in records.values())


def delete(name: str, physical_id: str) -> None:
    """Drop a record; one that is gone already is no error, as in CloudFormation."""
    records.pop((name, physical_id), None)


def around(inner: Handlers, before: Before | None = None, after: After | None = None) -> Handlers:
    """Return the handlers of a type with something that goes before its creation and update, or follows them."""

    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        if before:
            before(properties)
        made: Made = inner["create"](logical_id, properties, stack)
        if after:
            after(made[0], properties)
        return made

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        if before:
            before(new)
        named = [logical_id] if inner.get("update_with_logical_id") else []
        made: Made = inner["update"](physical_id, old, new, stack, *named)
        if after:
            after(made[0], new)
        return made

    return {**inner, "create": create, "update": update, "update_with_logical_id": True}


def reader_of(find: Callable[[str], Any], same: str = "", **other: str) -> Reader:
    """Return a reader of a record that names properties as the template does (`same`), or otherwise (`other`)."""
    keys = {name: name for name in same.split()} | other

    def read(physical_id: str, properties: Properties) -> Mapping[str, Json] | None:
        record = find(physical_id)
        if record is None:
            return None
        # What the service does not keep is taken to be as it was.
        return {
            name: _in_form(record.get(key, properties.get(name)), properties.get(name)) for name, key in keys.items()
        }

    return read, frozenset(keys)


def _in_form(actual: Json, expected: Json) -> Json:
    """Return a value of a service as the template would write it: documents parsed, whole numbers without a point."""
    if isinstance(actual, str) and isinstance(expected, dict):
        return json.loads(actual)
    return int(actual) if isinstance(actual, float) and actual.is_integer() else actual
