"""What RDS's own API does with the PostgreSQL of an instance: reboot, snapshot, restore, delete.

Source: RDS API reference, RebootDBInstance, CreateDBSnapshot, DeleteDBInstance; RDS user guide, "Restoring to a DB
instance". ministack keeps the records; here the servers follow.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.services import rds

from builders.cloud.rds.instances import ADDRESS, Databases, server_settings, tell
from builders.errors import CloudError
from builders.resource_types import Json


def install(databases: Databases) -> None:
    """Let ministack's operations act on the servers of `databases`."""
    reboot_before, snapshot_before = rds._finish_instance_reboot, rds._create_snapshot_internal
    delete_before, forget_before = rds._ACTION_MAP["DeleteDBInstance"], rds._ACTION_MAP["DeleteDBSnapshot"]
    restore_before = rds._ACTION_MAP["RestoreDBInstanceFromDBSnapshot"]

    def reboot(instance: dict[str, Json], *more: Any) -> None:
        server = databases.servers.get(instance["DBInstanceArn"])
        if server:
            server.stop()
            for name, value in server_settings(_named(instance)).items():
                setattr(server, name, value)
            server.start()
        reboot_before(instance, *more)

    def snapshot(identifier: str, instance: dict[str, Json], *more: Any, **options: Any) -> Any:
        made = snapshot_before(identifier, instance, *more, **options)
        server = databases.servers.get(instance["DBInstanceArn"])
        if server:
            server.copy_data(databases.snapshot(made["DBSnapshotArn"]))
        return made

    def delete(parameters: Mapping[str, Json]) -> Any:
        instance = rds._resolve_instance(rds._p(parameters, "DBInstanceIdentifier"))
        arn = instance["DBInstanceArn"] if instance else ""
        refusal = _refuse_deletion(parameters, instance) if instance else None
        answer = refusal or delete_before(parameters)
        if answer[0] < 400:
            databases.remove(arn)
        return answer

    def forget(parameters: Mapping[str, Json]) -> Any:
        known = rds._snapshots.get(rds._p(parameters, "DBSnapshotIdentifier"))
        if known:
            shutil.rmtree(databases.snapshot(known["DBSnapshotArn"]), ignore_errors=True)
        return forget_before(parameters)

    def restore(parameters: Mapping[str, Json]) -> Any:
        answer = restore_before(parameters)
        instance = rds._instances.get(rds._p(parameters, "DBInstanceIdentifier"))
        if answer[0] >= 400 or instance["Engine"] != "postgres":
            return answer
        instance["DBInstanceStatus"] = "creating"
        given = ("DBSnapshotIdentifier", "DBParameterGroupName")
        properties = {name: value for name in given if (value := rds._p(parameters, name))}
        spawn_background(_restore, databases, instance, properties, thread_name="rds-restore")
        name = "RestoreDBInstanceFromDBSnapshot"
        return rds._single_instance_response(f"{name}Response", f"{name}Result", instance)

    rds._finish_instance_reboot, rds._create_snapshot_internal = reboot, snapshot
    rds._ACTION_MAP |= {
        "DeleteDBInstance": delete,
        "DeleteDBSnapshot": forget,
        "RestoreDBInstanceFromDBSnapshot": restore,
    }


def _restore(databases: Databases, instance: dict[str, Json], properties: dict[str, Json]) -> None:
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
    tell(instance, properties, server)
    instance["DBInstanceStatus"] = "available"


def _refuse_deletion(parameters: Mapping[str, Json], instance: Mapping[str, Json]) -> Any:
    if instance.get("DeletionProtection"):
        return rds._error(
            "InvalidParameterCombination",
            "Cannot delete protected DB Instance, please disable deletion protection and try again.",
            400,
        )
    skips, name = rds._p(parameters, "SkipFinalSnapshot") == "true", rds._p(parameters, "FinalDBSnapshotIdentifier")
    if skips == bool(name):
        sentence = (
            "FinalDBSnapshotIdentifier cannot be specified when SkipFinalSnapshot is specified."
            if skips
            else "FinalSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
        )
        return rds._error("InvalidParameterCombination", sentence, 400)
    if name and (name in rds._snapshots or not re.fullmatch(r"[A-Za-z](-?[A-Za-z0-9])*", name)):
        return rds._error(
            "DBSnapshotAlreadyExists", f"Cannot create the snapshot because {name} exists or is no name", 400
        )
    return None


def _named(instance: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties of a template that a server's settings come from, as the record has them now."""
    group = instance["DBParameterGroups"][0]["DBParameterGroupName"] if instance["DBParameterGroups"] else ""
    return {"DBParameterGroupName": group, "EngineVersion": instance["EngineVersion"]}
