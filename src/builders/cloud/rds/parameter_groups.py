"""Parameter groups: parameters that no server has, static ones that cannot change at once, and groups in use.

The parameters of PostgreSQL are those of `builders.postgresql_settings` and of the server on this machine. Sources: RDS
API reference, ModifyDBParameterGroup, DeleteDBParameterGroup, DeleteDBSubnetGroup; RDS user guide, "Working with
parameters on your RDS for PostgreSQL DB instance"; PostgreSQL manual, "postgres", --describe-config.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from builders import postgresql_settings, service_limits
from builders.cloud.internals import rds
from builders.cloud.patches import patch
from builders.cloud.rds import postgres
from builders.database_instances import refusals
from builders.errors import CloudError
from builders.resource_types import Json


def check(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a family that RDS does not have, and parameters that the family lacks."""
    family, names = str(properties["Family"]), list(properties.get("Parameters") or {})
    _refuse_unknown(family, names)


def _refuse_unknown(family: str, names: list[str]) -> None:
    if not re.fullmatch(r"postgres\d+(\.\d+)?", family):
        return
    known = {*postgresql_settings.NAMES, *parameters()}
    for name in names:
        if name.lower() not in known and not name.lower().startswith(postgresql_settings.OF_EXTENSIONS):
            raise ValueError(f"Could not find parameter with name: {name} (Service: Rds, Status Code: 400)")


@functools.cache
def parameters() -> Mapping[str, str]:
    """Return {parameter: its context, such as postmaster} of the server on this machine; empty where there is none."""
    try:
        installation = postgres.choose()
    except CloudError:
        return {}
    program = [str(installation.bin / "postgres"), "--describe-config"]
    environment = {**os.environ, **installation.environment}
    answer = subprocess.run(program, capture_output=True, text=True, env=environment, check=False)
    rows = [line.split("\t") for line in answer.stdout.splitlines()]
    return {row[0].lower(): row[1] for row in rows if len(row) > 1}


@patch(
    "ministack.services.rds._ACTION_MAP[ModifyDBParameterGroup]",
    why="parameters that no server has are taken, and static ones at once",
)
def _modify(original: Any, request: Mapping[str, Json]) -> Any:
    group = rds.parameter_groups.get(rds.parameter(request, "DBParameterGroupName"))
    family = group["DBParameterGroupFamily"] if group else ""
    given = {
        str(rds.parameter(request, key)): str(rds.parameter(request, key.replace("ParameterName", "ApplyMethod")))
        for key in request
        if re.fullmatch(r"Parameters\.(Parameter|member)\.\d+\.ParameterName", key)
    }
    managed = service_limits.TOGETHER["AWS::RDS::DBParameterGroup"]
    for _, sentence in refusals({"Family": family, "Parameters": given}, managed):
        return rds.error("InvalidParameterValue", sentence, 400)
    try:
        _refuse_unknown(family, list(given))
    except ValueError as error:
        return rds.error("InvalidParameterValue", str(error).partition(" (")[0], 400)
    if family.startswith("postgres"):
        for name, method in given.items():
            if method == "immediate" and (parameters().get(name.lower()) == "postmaster" or name in _STATIC_OF_RDS):
                sentence = "cannot use immediate apply method for static parameter"
                return rds.error("InvalidParameterCombination", sentence, 400)
    return original(request)


_STATIC_OF_RDS = ("rds.logical_replication", "shared_preload_libraries")

_IN_USE = "what an instance uses is deleted below it"


@patch("ministack.services.rds._ACTION_MAP[DeleteDBSubnetGroup]", why=_IN_USE)
def _delete_subnet_group(original: Any, request: Mapping[str, Json]) -> Any:
    refusal = _use_of_subnet_group(rds.parameter(request, "DBSubnetGroupName"))
    return rds.error("InvalidDBSubnetGroupStateFault", refusal, 400) if refusal else original(request)


@patch("ministack.services.rds._ACTION_MAP[DeleteDBParameterGroup]", why=_IN_USE)
def _delete_parameter_group(original: Any, request: Mapping[str, Json]) -> Any:
    refusal = _use_of_parameter_group(rds.parameter(request, "DBParameterGroupName"))
    return rds.error("InvalidDBParameterGroupState", refusal, 400) if refusal else original(request)


def check_subnet_group_deletion(name: str, _properties: Mapping[str, Json]) -> None:
    """Refuse to delete a subnet group that an instance uses. Raises ValueError with RDS's sentence."""
    if refusal := _use_of_subnet_group(name):
        raise ValueError(f"{refusal} (Service: Rds, Status Code: 400)")


def check_parameter_group_deletion(name: str, _properties: Mapping[str, Json]) -> None:
    """Refuse to delete a parameter group that an instance uses. Raises ValueError with RDS's sentence."""
    if refusal := _use_of_parameter_group(name):
        raise ValueError(f"{refusal} (Service: Rds, Status Code: 400)")


def _use_of_subnet_group(name: str) -> str:
    users = [
        each["DBInstanceIdentifier"]
        for each in rds.instances.values()
        if isinstance(each.get("DBSubnetGroup"), dict) and each["DBSubnetGroup"].get("DBSubnetGroupName") == name
    ]
    start = f"Cannot delete the subnet group '{name}' because at least one database instance: "
    return f"{start}{users[0]} is still using it." if users and name != "default" else ""


def _use_of_parameter_group(name: str) -> str:
    if name.startswith("default."):
        return f"Default DBParameterGroup cannot be deleted: {name}"
    used = any(
        group["DBParameterGroupName"] == name
        for each in rds.instances.values()
        for group in each.get("DBParameterGroups") or ()
    )
    sentence = "One or more database instances are still members of this parameter group"
    return f"{sentence}, so the group cannot be deleted" if used else ""
