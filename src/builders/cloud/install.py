"""Puts the rooms of this package into ministack's tables, in one list that reads from top to bottom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import get_region
from ministack.services import rds as rds_service
from ministack.services.cloudformation import provisioners

from builders.cloud import (
    attributes,
    authorization,
    corrections,
    dms,
    faults,
    functions,
    keeping,
    network,
    organizations,
    outside,
    rds,
    rds_operations,
    records,
    rotation,
    rotation_steps,
    schemas,
    secrets,
    stacksets,
    vpc_names,
)
from builders.cloud.corrections import packages, services
from builders.cloud.records import Handlers, Made
from builders.cloud.schemas import Json, ResourceType
from builders.cloud.strictness import properties as strict_properties, references, resources, templates

logger = logging.getLogger("install")


@dataclass(frozen=True)
class Installed:
    """What the server asks once everything is in place."""

    databases: rds.Databases
    close: Callable[[], None]
    status: Callable[[], dict[str, Json]]


def everything(directory: Path) -> Installed:
    """Install all rooms into ministack; `directory` holds what they write."""
    (directory / "ca.pem").write_text(rds_service.pg_ca_cert_pem())
    databases = rds.Databases(directory)
    rds_service._rotate_instance_password = databases.change_password
    rds_operations.install(databases)
    corrections.everywhere()
    functions.install(directory)
    names = vpc_names.Names(directory)
    secrets.install()
    rotation.install()
    authorization.install()
    templates.install()
    dms.install()
    table: dict[str, Handlers] = provisioners._RESOURCE_HANDLERS
    table[rds.TYPE] = databases.handlers(table[rds.TYPE])
    table[rotation.TYPE] = rotation.schedule_handlers()
    table["AWS::SecretsManager::Secret"] = services.secrets_by_arn(table["AWS::SecretsManager::Secret"])
    table["AWS::Lambda::Function"] = packages.functions_with_code(table["AWS::Lambda::Function"])
    table[vpc_names.TYPE] = names.handlers(table[vpc_names.TYPE])
    table.update(network.handlers())
    table.update(dms.handlers())
    for name in schemas.names():
        table[name] = _checked(name, table.get(name) or records.handlers(name))
    outside.install()
    faults.install()
    organizations.install()
    stacksets.install(table)

    def close() -> None:
        databases.close()
        lambda_runtime.reset()

    def status() -> dict[str, Json]:
        return {
            "databases": databases.status,
            "rotations": list(rotation_steps.history),
            "invented attributes": attributes.invented(),
        }

    keeping.load(databases)
    return Installed(databases, close, status)


def _checked(name: str, inner: Handlers) -> Handlers:
    """Return the handlers with the checks in front, and with the attributes behind that ministack forgets."""

    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        kind = schemas.load(name, get_region())
        assert kind is not None
        faults.delay_resource()
        authorization.check_deployment(kind, "create", logical_id)
        typed = strict_properties.check(kind, logical_id, properties)
        references.check(name, typed)
        resources.check(name, typed, None)
        return finished(kind, plainly(inner["create"], logical_id, typed, stack), typed)

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        kind = schemas.load(name, get_region())
        assert kind is not None
        authorization.check_deployment(kind, "update", physical_id)
        typed = strict_properties.check(kind, logical_id, new)
        references.check(name, typed)
        resources.check(name, typed, physical_id)
        arguments: list[Any] = [physical_id, strict_properties.coerce(kind, dict(old), kind.schema), typed, stack]
        if inner.get("update_with_logical_id"):
            arguments.append(logical_id)
        return finished(kind, plainly(inner["update"], *arguments), typed)

    def plainly(handler: Callable[..., Made], *arguments: Any) -> Made:
        """Call a handler; where it stumbles over something itself, say so in the stack's events."""
        try:
            return handler(*arguments)
        except (AttributeError, KeyError, TypeError) as error:
            logger.exception("%s stumbled", name)
            raise ValueError(f"the embedded cloud cannot make this {name}: {error!r}") from error

    def finished(kind: ResourceType, made: Made, properties: Mapping[str, Json]) -> Made:
        physical_id, known = made
        identity = dict.fromkeys(kind.identifiers, physical_id) if len(kind.identifiers) == 1 else {}
        return physical_id, attributes.from_properties(kind, properties, identity | (known or {}))

    def delete(physical_id: str, properties: Mapping[str, Json], *more: Any) -> None:
        kind = schemas.load(name, get_region())
        assert kind is not None
        authorization.check_deployment(kind, "delete", physical_id)
        inner["delete"](physical_id, properties, *more)

    wrapped: Handlers = {**inner, "create": create}
    if "delete" in inner:
        wrapped["delete"] = delete
    if "update" in inner:
        wrapped |= {"update": update, "update_with_logical_id": True}
    return wrapped
