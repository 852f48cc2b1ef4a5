"""What RDS's own API does with the PostgreSQL of an instance: reboot, snapshot, restore, delete.

Source: RDS API reference, RebootDBInstance, CreateDBSnapshot, DeleteDBInstance; RDS user guide, "Restoring to a DB
instance". ministack keeps the records; here the servers follow.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from typing import Any

from ministack.services import rds

from builders.cloud.rds import Databases, server_settings
from builders.cloud.schemas import Json


def install(databases: Databases) -> None:
    """Let ministack's operations act on the servers of `databases`."""
    reboot_before, snapshot_before = rds._finish_instance_reboot, rds._create_snapshot_internal
    delete_before, forget_before = rds._ACTION_MAP["DeleteDBInstance"], rds._ACTION_MAP["DeleteDBSnapshot"]

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

    rds._finish_instance_reboot, rds._create_snapshot_internal = reboot, snapshot
    rds._ACTION_MAP |= {"DeleteDBInstance": delete, "DeleteDBSnapshot": forget}


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
