"""AWS::RDS::DBInstance with engine `postgres` as a real PostgreSQL; other engines stay ministack's records.

Different from RDS, on purpose: the address is `localhost`, the port is a free one of this machine, the server's
version is the machine's (`GET /_stackferry/status.json` says which), and sizes, zones and backups are only told.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from ministack.core import persistence
from ministack.services import kms, rds
from ministack.services.cloudformation import provisioners
from pg8000.native import identifier, literal

from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.rds import checks, installations, postgres
from builders.errors import CloudError
from builders.resource_types import Json

TYPE = "AWS::RDS::DBInstance"
ADDRESS = "localhost"
_STARTING = "_starting"

# What ministack's record lacks: RDS API reference, DBInstance.
_TOLD = {
    "CACertificateIdentifier": "rds-ca-rsa2048-g1",
    "EngineLifecycleSupport": "open-source-rds-extended-support",
    "EnableCloudwatchLogsExports": [],
    "PerformanceInsightsRetentionPeriod": 7,
    "Iops": None,
    "StorageThroughput": 0,
}


class Databases:
    """The PostgreSQL servers of all accounts and regions, by the ARN of their instance."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "rds"
        if not persistence.PERSIST_STATE:
            shutil.rmtree(self.directory, ignore_errors=True)  # of a server that was killed
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o711)
        self.snapshots = directory / "rds-snapshots"
        self.snapshots.mkdir(exist_ok=True)
        self.snapshots.chmod(0o711)
        self.servers: dict[str, postgres.Server] = {}
        self.status: dict[str, Json] = {}

    def handlers(self, inner: Handlers) -> Handlers:
        """Return the handlers of AWS::RDS::DBInstance, on top of ministack's (`inner`)."""

        def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
            checks.check_engine(properties)
            if properties.get("Engine") != "postgres":
                made: Made = inner["create"](logical_id, properties, stack)
                return made
            return self._create(inner, logical_id, properties, stack)

        def update(
            physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str
        ) -> Made:
            if new.get("Engine") == "postgres":
                checks.check_instance(new, existing=physical_id)
            made: Made = inner["update"](physical_id, _lowered(old), _lowered(new), stack, logical_id)
            if made[0] == physical_id and new.get("Engine") == "postgres":
                self._follow(physical_id, old, new)
                return physical_id, provisioners._rds_db_instance_attrs(rds._instances[physical_id])
            return made

        def delete(physical_id: str, properties: Mapping[str, Json]) -> None:
            instance = rds._instances.get(physical_id) or {}
            if instance.get("DeletionProtection"):
                raise ValueError(
                    "Cannot delete protected DB Instance, please disable deletion protection and try again."
                )
            inner["delete"](physical_id, properties)
            self.remove(instance.get("DBInstanceArn", ""))

        return {**inner, "create": create, "update": update, "update_with_logical_id": True, "delete": delete}

    def change_password(self, instance: Mapping[str, Json], _old: str, new: str) -> None:
        """Do what ModifyDBInstance with MasterUserPassword does: ministack calls this with the old and the new one."""
        server = self.servers.get(instance.get("DBInstanceArn", ""))
        if server:
            _set_password(server, instance["MasterUsername"], new)

    def snapshot(self, arn: str) -> Path:
        """Return the directory that keeps the data of a snapshot."""
        return self.snapshots / arn.replace(":", "_")

    def kept(self) -> dict[str, Json]:
        """Return what `take_up` needs to run the servers again."""
        return {
            arn: {"directory": str(server.directory), "port": server.port, "major": server.installation.major,
                  "settings": server.settings, "plain_text_allowed": server.plain_text_allowed}
            for arn, server in self.servers.items()
        }  # fmt: skip

    def take_up(self, kept: Mapping[str, Json]) -> None:
        """Run the servers of an emulator that is gone, on their data and their ports.

        An instance that was being made is forgotten: its stack makes it again (resuming.py).
        """
        for key, instance in list(rds._instances._data.items()):
            if instance.get(_STARTING):
                del rds._instances._data[key]
        for arn, each in kept.items():
            certificate = postgres.Certificate(*rds._pg_server_material([ADDRESS], ["127.0.0.1"]))
            server = postgres.Server(
                installations.choose(each["major"]), Path(each["directory"]), certificate, each["settings"],
                each["plain_text_allowed"], each["port"],
            )  # fmt: skip
            server.certify()
            server.start()
            self._know(arn, server)

    def close(self) -> None:
        """End all servers, side by side; their data goes too, unless state is kept."""
        for server in self.servers.values():
            if server.process is not None:
                server.process.terminate()
        for server in list(self.servers.values()):
            if persistence.PERSIST_STATE:
                server.stop()
            else:
                server.remove()
        self.servers.clear()

    def _create(self, inner: Handlers, logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        checks.check_instance(properties, existing=None)
        physical_id, _ = inner["create"](logical_id, _lowered(properties), stack)
        instance = rds._instances[physical_id]
        instance[_STARTING] = True
        if properties.get("DBSnapshotIdentifier"):
            restored = rds._snapshots[str(properties["DBSnapshotIdentifier"]).rsplit(":", 1)[-1]]
            instance["MasterUsername"] = restored["MasterUsername"]
        try:
            server = self.start(instance, properties)
        except CloudError as error:
            rds._instances.pop(physical_id, None)
            raise ValueError(f"the embedded cloud has no database server to offer: {error}") from error
        instance["Endpoint"] |= {"Address": ADDRESS, "Port": server.port}
        instance["DbInstancePort"] = 0
        tell(instance, properties, server)
        del instance[_STARTING]
        return physical_id, provisioners._rds_db_instance_attrs(instance)

    def start(self, instance: Mapping[str, Json], properties: Mapping[str, Json]) -> postgres.Server:
        """Give an instance its server: a new one, or one with the data of the snapshot that the properties name."""
        installation = installations.choose(int(re.split(r"\D", str(properties.get("EngineVersion", "0")))[0] or 0))
        certificate = postgres.Certificate(*rds._pg_server_material([ADDRESS], ["127.0.0.1"]))
        directory = self.directory / f"{instance['DBInstanceIdentifier'][:40]}-{secrets.token_hex(4)}"
        server = postgres.Server(installation, directory, certificate, **server_settings(properties))
        try:
            self._fill(server, instance, properties)
        except CloudError:
            server.remove()
            raise
        self._know(instance["DBInstanceArn"], server)
        return server

    def _know(self, arn: str, server: postgres.Server) -> None:
        self.servers[arn] = server
        self.status[arn] = {
            "port": server.port,
            "server": f"PostgreSQL {server.installation.major} of {server.installation.bin}",
            "tls": server.tls,
            "log": str(server.log),
        }

    def _fill(self, server: postgres.Server, instance: Mapping[str, Json], properties: Mapping[str, Json]) -> None:
        """Start a server with the data of the snapshot that the template names, or as a new instance has it."""
        name = properties.get("DBSnapshotIdentifier")
        if not name:
            server.initialise()
            server.start()
            _populate(server, properties)
            return
        snapshot = rds._snapshots[str(name).rsplit(":", 1)[-1]]
        server.initialise(self.snapshot(snapshot["DBSnapshotArn"]))
        server.start()
        if properties.get("MasterUserPassword"):
            _set_password(server, instance["MasterUsername"], str(properties["MasterUserPassword"]))

    def _follow(self, physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> None:
        """Bring the server and the record after an update in place."""
        instance = rds._instances[physical_id]
        server = self.servers[instance["DBInstanceArn"]]
        instance["Endpoint"]["Port"] = server.port
        if new.get("MasterUserPassword") != old.get("MasterUserPassword"):
            self.change_password(instance, "", str(new["MasterUserPassword"]))
        for name, value in server_settings(new).items():
            setattr(server, name, value)
        if old.get("DBParameterGroupName") != new.get("DBParameterGroupName"):
            server.stop()
            server.start()
        tell(instance, new, server)

    def remove(self, arn: str) -> None:
        """End and delete the server of an instance, where it has one."""
        server = self.servers.pop(arn, None)
        self.status.pop(arn, None)
        if server:
            server.remove()


def _set_password(server: postgres.Server, user: str, password: str) -> None:
    server.administer(f"ALTER ROLE {identifier(user)} PASSWORD {literal(password)}")


def _lowered(properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties with the identifier as RDS stores it: in lower case."""
    name = properties.get("DBInstanceIdentifier")
    return {**properties, "DBInstanceIdentifier": str(name).lower()} if name else dict(properties)


def tell(instance: dict[str, Json], properties: Mapping[str, Json], server: postgres.Server) -> None:
    """Make the record say what the template says, where ministack's falls short."""
    certificate = x509.load_pem_x509_certificate(server.certificate.certificate.encode())
    valid_till = rds._format_time(certificate.not_valid_after_utc.timestamp())
    for name, default in _TOLD.items():
        instance[name] = properties.get(name, default)
    instance["DBName"] = properties.get("DBName", "")
    instance["EngineVersion"] = checks.full_version(str(instance["EngineVersion"]))
    for told, given in (("KmsKeyId", "KmsKeyId"), ("PerformanceInsightsKMSKeyId", "PerformanceInsightsKMSKeyId")):
        key = kms._resolve_key(properties.get(given)) if properties.get(given) else None
        instance[told] = key["Arn"] if key else properties.get(given, "")
    instance["CertificateDetails"] = {"CAIdentifier": instance["CACertificateIdentifier"], "ValidTill": valid_till}
    groups = [properties["DBParameterGroupName"]] if properties.get("DBParameterGroupName") else []
    instance["DBParameterGroups"] = [
        {"DBParameterGroupName": name, "ParameterApplyStatus": "in-sync"} for name in groups
    ] or instance["DBParameterGroups"]


def server_settings(properties: Mapping[str, Json]) -> dict[str, Any]:
    """Return what the parameter group means for the server: PostgreSQL's own settings, and RDS's three switches."""
    group = rds._param_groups.get(properties.get("DBParameterGroupName", "")) or {}
    values = {name: str(entry.get("ParameterValue")) for name, entry in group.get("Parameters", {}).items()}
    family = str(properties.get("EngineVersion", "17")).split(".", maxsplit=1)[0]
    # "rds.force_ssl ... default value is 1 for PostgreSQL 15 and later" (RDS user guide, "Using SSL with PostgreSQL")
    forced = values.get("rds.force_ssl", "1" if family.isdigit() and int(family) >= 15 else "0")
    settings = {name: value for name, value in values.items() if "." not in name and "{" not in value}
    if values.get("rds.logical_replication") == "1":
        settings["wal_level"] = "logical"
    return {"settings": settings, "plain_text_allowed": forced != "1"}


def _populate(server: postgres.Server, properties: Mapping[str, Json]) -> None:
    """Make the roles and the database that a new instance has (RDS user guide, "Understanding the rds_superuser")."""
    master = identifier(str(properties["MasterUsername"]))
    password = literal(str(properties.get("MasterUserPassword", "")))
    server.administer(
        "CREATE ROLE rds_superuser",
        "CREATE ROLE rds_replication",
        "CREATE ROLE rds_iam",
        "CREATE ROLE rds_password",
        "GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser"
        if server.installation.major >= 15
        else "GRANT pg_monitor, pg_signal_backend TO rds_superuser",
        f"CREATE ROLE {master} LOGIN CREATEDB CREATEROLE PASSWORD {password} VALID UNTIL 'infinity'",
        f"GRANT rds_superuser, rds_replication, rds_password TO {master} WITH ADMIN OPTION",
        f"ALTER DATABASE postgres OWNER TO {master}",
    )
    if properties.get("DBName"):
        server.administer(f"CREATE DATABASE {identifier(str(properties['DBName']))} OWNER {master}")
