"""Puts the rooms of this package into ministack's tables, in one list that reads from top to bottom."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ministack.core.responses import get_region
from ministack.services.cloudformation import provisioners

from builders.cloud import attributes, records, schemas
from builders.cloud.records import Handlers, Made
from builders.cloud.schemas import Json
from builders.cloud.strictness import properties as strict_properties


def everything(directory: Path) -> Callable[[], None]:
    """Install all rooms into ministack; `directory` holds what they write. Return what to call at the end."""
    _resource_types()
    return lambda: None


def _resource_types() -> None:
    """Give every type of the registry a handler, and put the schema in front of each."""
    table: dict[str, Handlers] = provisioners._RESOURCE_HANDLERS
    for name in schemas.names():
        table[name] = _checked(name, table.get(name) or records.handlers(name))


def _checked(name: str, inner: Handlers) -> Handlers:
    """Return the handlers with the properties checked first and every attribute of the schema filled in after."""

    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        kind = schemas.load(name, get_region())
        assert kind is not None
        typed = strict_properties.check(kind, logical_id, properties)
        physical_id, known = inner["create"](logical_id, typed, stack)
        return physical_id, attributes.complete(kind, logical_id, stack, typed, known or {})

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        kind = schemas.load(name, get_region())
        assert kind is not None
        typed = strict_properties.check(kind, logical_id, new)
        arguments: list[Any] = [physical_id, strict_properties.coerce(kind, dict(old), kind.schema), typed, stack]
        if inner.get("update_with_logical_id"):
            arguments.append(logical_id)
        changed_id, known = inner["update"](*arguments)
        return changed_id, attributes.complete(kind, logical_id, stack, typed, known or {})

    wrapped = {**inner, "create": functools.wraps(inner["create"])(create)}
    if "update" in inner:
        wrapped |= {"update": update, "update_with_logical_id": True}
    return wrapped
