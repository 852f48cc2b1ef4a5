"""Puts the rooms of this package into ministack's tables, in one list that reads from top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ministack.core import lambda_runtime
from ministack.services import rds as rds_service, sts
from ministack.services.cloudformation import provisioners

from builders.cloud import (
    account_regions,
    attributes,
    authorization,
    checking,
    corrections,
    dms,
    faults,
    functions,
    keeping,
    network,
    organizations,
    outside,
    quotas,
    rds,
    rds_operations,
    records,
    resuming,
    rotation,
    rotation_steps,
    schemas,
    secrets,
    stacksets,
    vpc_names,
)
from builders.cloud.corrections import packages, services
from builders.cloud.records import Handlers
from builders.cloud.schemas import Json
from builders.cloud.strictness import templates


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
    resuming.install()
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
        table[name] = checking.checked(name, table.get(name) or records.handlers(name))
    outside.install()
    faults.install()
    organizations.install()
    account_regions.install()
    quotas.install()
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

    keeping.keep("records", {"records": records._records})
    keeping.keep("sessions", {"sessions": sts._sessions})
    keeping.keep("stacks", {}, take_up=resuming.take_up)
    keeping.install(databases)
    return Installed(databases, close, status)
