"""The checks in front of every resource handler, and the attributes behind it that ministack forgets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import get_region

from builders.cloud import attributes, authorization, faults, schemas
from builders.cloud.records import Handlers, Made
from builders.cloud.schemas import Json, ResourceType
from builders.cloud.strictness import properties as strict_properties, references, resources

logger = logging.getLogger("checking")

Properties = Mapping[str, Json]


def checked(name: str, inner: Handlers) -> Handlers:
    """Return the handlers of a type with the checks in front of them."""
    handlers = _Checked(name, inner)
    ours = {"create": handlers.create, "update": handlers.update, "delete": handlers.delete}
    wrapped: Handlers = {**inner, **{verb: handler for verb, handler in ours.items() if verb in inner}}
    return {**wrapped, "update_with_logical_id": True} if "update" in inner else wrapped


@dataclass(frozen=True)
class _Checked:
    """The handlers of one type: what the template asks is checked, then `inner` does it."""

    name: str
    inner: Handlers

    @property
    def kind(self) -> ResourceType:
        """The type as the registry of the caller's region has it."""
        found = schemas.load(self.name, get_region())
        assert found is not None
        return found

    def create(self, logical_id: str, properties: Properties, stack: str) -> Made:
        faults.delay_resource()
        authorization.check_deployment(self.name, "create", logical_id)
        typed = self._check(logical_id, properties, None)
        return self._finished(self._plainly("create", logical_id, typed, stack), typed)

    def update(self, physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        authorization.check_deployment(self.name, "update", physical_id)
        typed = self._check(logical_id, new, physical_id)
        before = strict_properties.coerce(self.kind, dict(old), self.kind.schema)
        named = [logical_id] if self.inner.get("update_with_logical_id") else []
        return self._finished(self._plainly("update", physical_id, before, typed, stack, *named), typed)

    def delete(self, physical_id: str, properties: Properties, *more: Any) -> None:
        authorization.check_deployment(self.name, "delete", physical_id)
        self.inner["delete"](physical_id, properties, *more)

    def _check(self, logical_id: str, properties: Properties, physical_id: str | None) -> dict[str, Json]:
        typed = strict_properties.check(self.kind, logical_id, properties)
        references.check(self.name, typed)
        resources.check(self.name, typed, physical_id)
        return typed

    def _plainly(self, verb: str, *arguments: Any) -> Made:
        """Call a handler; where it stumbles over something itself, say so in the stack's events."""
        handler: Callable[..., Made] = self.inner[verb]
        try:
            return handler(*arguments)
        except (AttributeError, KeyError, TypeError) as error:
            logger.exception("%s stumbled", self.name)
            raise ValueError(f"the embedded cloud cannot make this {self.name}: {error!r}") from error

    def _finished(self, made: Made, properties: Properties) -> Made:
        physical_id, known = made
        identity = dict.fromkeys(self.kind.identifiers, physical_id) if len(self.kind.identifiers) == 1 else {}
        return physical_id, attributes.from_properties(self.kind, properties, identity | (known or {}))
