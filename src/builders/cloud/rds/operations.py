"""Operations of RDS's own API on the PostgreSQL of an instance: reboot, snapshot, restore, delete; orderable classes.

Source: RDS API reference, RebootDBInstance, CreateDBSnapshot, DeleteDBInstance; RDS user guide, "Restoring to a DB
instance". ministack keeps the records; here the servers follow.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_region

from builders.cloud.ec2.endpoint_services import zones_of
from builders.cloud.internals import ec2, rds
from builders.cloud.patches import patch
from builders.cloud.rds.checks import NEWEST, is_offered
from builders.cloud.rds.instances import ADDRESS, databases, describe, server_settings
from builders.cloud.server import faults
from builders.errors import CloudError
from builders.resource_types import Json

_NO_SERVER = "no server follows what happens to the record of an instance or a snapshot"


@patch("ministack.services.rds._finish_instance_reboot", why=_NO_SERVER)
def _reboot(original: Any, instance: dict[str, Json], *more: Any) -> None:
    server = databases.servers.get(instance["DBInstanceArn"])
    if server:
        server.stop()
        for name, value in server_settings(_properties(instance)).items():
            setattr(server, name, value)
        server.start()
    original(instance, *more)


@patch("ministack.services.rds._create_snapshot_internal", why=_NO_SERVER)
def _create_snapshot(original: Any, identifier: str, instance: dict[str, Json], *more: Any, **options: Any) -> Any:
    snapshot = original(identifier, instance, *more, **options)
    server = databases.servers.get(instance["DBInstanceArn"])
    if server:
        server.copy_data(databases.snapshot(snapshot["DBSnapshotArn"]))
    return snapshot


@patch("ministack.services.rds._ACTION_MAP[DeleteDBSnapshot]", why=_NO_SERVER)
def _delete_snapshot(original: Any, parameters: Mapping[str, Json]) -> Any:
    snapshot = rds.snapshots.get(rds.parameter(parameters, "DBSnapshotIdentifier"))
    if snapshot:
        shutil.rmtree(databases.snapshot(snapshot["DBSnapshotArn"]), ignore_errors=True)
    return original(parameters)


@patch("ministack.services.rds._ACTION_MAP[DeleteDBInstance]", why=_NO_SERVER)
def _delete(original: Any, parameters: Mapping[str, Json]) -> Any:
    instance = rds.find_instance(rds.parameter(parameters, "DBInstanceIdentifier"))
    arn = instance["DBInstanceArn"] if instance else ""
    refusal = _refuse_deletion(parameters, instance) if instance else None
    answer = refusal or original(parameters)
    if answer[0] < 400:
        databases.remove(arn)
    return answer


@patch("ministack.services.rds._ACTION_MAP[RestoreDBInstanceFromDBSnapshot]", why=_NO_SERVER)
def _restore(original: Any, parameters: Mapping[str, Json]) -> Any:
    answer = original(parameters)
    instance = rds.instances.get(rds.parameter(parameters, "DBInstanceIdentifier"))
    if answer[0] >= 400 or instance["Engine"] != "postgres":
        return answer
    instance["DBInstanceStatus"] = "creating"
    given = ("DBSnapshotIdentifier", "DBParameterGroupName")
    properties = {name: value for name in given if (value := rds.parameter(parameters, name))}
    spawn_background(_start_restored, instance, properties, thread_name="rds-restore")
    name = "RestoreDBInstanceFromDBSnapshot"
    return rds.instance_response(f"{name}Response", f"{name}Result", instance)


def _start_restored(instance: dict[str, Json], properties: dict[str, Json]) -> None:
    """Give a record that ministack restored from a snapshot its server; it is `failed` where that does not start."""
    family = str(instance["EngineVersion"]).partition(".")[0]
    properties = {"DBParameterGroupName": f"default.postgres{family}", **properties}
    properties["EngineVersion"] = instance["EngineVersion"]
    try:
        server = databases.start(instance, properties)
    except CloudError:
        instance["DBInstanceStatus"] = "failed"
        raise
    instance["Endpoint"] |= {"Address": ADDRESS, "Port": server.port}
    describe(instance, properties, server)
    instance["DBInstanceStatus"] = "available"


def _refuse_deletion(parameters: Mapping[str, Json], instance: Mapping[str, Json]) -> Any:
    if instance.get("DeletionProtection"):
        return rds.error(
            "InvalidParameterCombination",
            "Cannot delete protected DB Instance, please disable deletion protection and try again.",
            400,
        )
    skips, name = (
        rds.parameter(parameters, "SkipFinalSnapshot") == "true",
        rds.parameter(parameters, "FinalDBSnapshotIdentifier"),
    )
    if skips == bool(name):
        sentence = (
            "FinalDBSnapshotIdentifier cannot be specified when SkipFinalSnapshot is specified."
            if skips
            else "FinalSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
        )
        return rds.error("InvalidParameterCombination", sentence, 400)
    if name and (name in rds.snapshots or not re.fullmatch(r"[A-Za-z](-?[A-Za-z0-9])*", name)):
        return rds.error(
            "DBSnapshotAlreadyExists", f"Cannot create the snapshot because {name} exists or is no name", 400
        )
    return None


def _properties(instance: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties of a template that a server's settings come from, as the record has them now."""
    group = instance["DBParameterGroups"][0]["DBParameterGroupName"] if instance["DBParameterGroups"] else ""
    return {"DBParameterGroupName": group, "EngineVersion": instance["EngineVersion"]}


@patch(
    "ministack.services.rds._ACTION_MAP[DescribeOrderableDBInstanceOptions]",
    why="ten classes can be ordered, whatever the region, in its zones a and b",
)
def _orderable(original: Any, parameters: Mapping[str, Json]) -> Any:
    """Answer for a class of postgres as the creation of an instance would, zone by zone."""
    engine, size = (rds.parameter(parameters, name) for name in ("Engine", "DBInstanceClass"))
    if engine != "postgres" or not size:
        return original(parameters)
    version, region = rds.parameter(parameters, "EngineVersion"), get_region()
    has_it = is_offered(region, size, version or NEWEST)
    zones = {zone: ec2.zone_id(zone) for zone in zones_of(region)} if has_it else {}
    zones_with_it = faults.zones_with(size, zones)
    named = "".join(f"<AvailabilityZone><Name>{zone}</Name></AvailabilityZone>" for zone in zones_with_it)
    option = (
        f"<OrderableDBInstanceOption><Engine>{engine}</Engine><EngineVersion>{version}</EngineVersion>"
        f"<DBInstanceClass>{size}</DBInstanceClass><AvailabilityZones>{named}</AvailabilityZones>"
        "<MultiAZCapable>true</MultiAZCapable><Vpc>true</Vpc><StorageType>gp3</StorageType></OrderableDBInstanceOption>"
    )
    options = f"<OrderableDBInstanceOptions>{option if zones_with_it else ''}</OrderableDBInstanceOptions>"
    name = "DescribeOrderableDBInstanceOptions"
    return rds.xml(200, f"{name}Response", f"<{name}Result>{options}</{name}Result>")
