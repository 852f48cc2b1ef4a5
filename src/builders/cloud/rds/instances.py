"""AWS::RDS::DBInstance with engine `postgres` as a real PostgreSQL; other engines stay ministack's records.

Different from RDS, on purpose: the address is `localhost`, the port is a free one of this machine, the server's
version is the machine's, and sizes, zones and backups are only described. `GET /_stackferry/status.json` tells the
version, and the libraries of the parameter group that the machine lacks.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from ministack.core import persistence
from ministack.core.responses import get_account_id, get_region, request_scope
from pg8000.native import identifier, literal

from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.internals import entries, kms, rds, secretsmanager
from builders.cloud.patches import patch, patch_value
from builders.cloud.rds import checks, postgres
from builders.errors import CloudError
from builders.resource_types import Json

ADDRESS = "localhost"
_STARTING = "_starting"

# Members that ministack's record lacks, and their defaults: RDS API reference, DBInstance.
_DEFAULTS = {
    "CACertificateIdentifier": "rds-ca-rsa2048-g1",
    "EngineLifecycleSupport": "open-source-rds-extended-support",
    "EnableCloudwatchLogsExports": [],
    "PerformanceInsightsRetentionPeriod": 7,
    "Iops": None,
    "StorageThroughput": 0,
}


class Databases:
    """The PostgreSQL servers of all accounts and regions, by the ARN of their instance."""

    directory: Path
    snapshots: Path

    def __init__(self) -> None:
        self.servers: dict[str, postgres.Server] = {}
        self.status: dict[str, Json] = {}

    def open(self, state_directory: Path) -> None:
        """Keep data and snapshots below the directory; without `--keep` those of a server that was killed go."""
        self.directory, self.snapshots = state_directory / "rds", state_directory / "rds-snapshots"
        if not persistence.PERSIST_STATE:
            shutil.rmtree(self.directory, ignore_errors=True)
        for directory in (state_directory, self.directory):
            postgres.let_through(directory)
        self.snapshots.mkdir(exist_ok=True)

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
        instances = entries(rds.instances)
        for key, instance in list(instances.items()):
            if instance.get(_STARTING):
                del instances[key]
        for arn, each in kept.items():
            server = postgres.Server(
                postgres.choose(each["major"]), Path(each["directory"]), _certificate(), each["settings"],
                each["plain_text_allowed"], each["port"],
            )  # fmt: skip
            server.certify()
            server.start()
            self._add(arn, server)

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

    def start(self, instance: Mapping[str, Json], properties: Mapping[str, Json]) -> postgres.Server:
        """Give an instance its server: a new one, or one with the data of the snapshot that the properties name."""
        installation = postgres.choose(int(re.split(r"\D", str(properties.get("EngineVersion", "0")))[0] or 0))
        directory = self.directory / f"{instance['DBInstanceIdentifier'][:40]}-{secrets.token_hex(4)}"
        server = postgres.Server(installation, directory, _certificate(), **server_settings(properties))
        try:
            self._fill(server, instance, properties)
        except CloudError:
            server.remove()
            raise
        self._add(instance["DBInstanceArn"], server)
        return server

    def _add(self, arn: str, server: postgres.Server) -> None:
        self.servers[arn] = server
        self.status[arn] = {
            "port": server.port,
            "server": f"PostgreSQL {server.installation.major} of {server.installation.bin}",
            "tls": server.tls,
            "libraries_lacking": server.lacking,
            "log": str(server.log),
        }

    def _fill(self, server: postgres.Server, instance: Mapping[str, Json], properties: Mapping[str, Json]) -> None:
        """Start a server with the data of the snapshot that the template names, a replica with its source's, or as a
        new instance has it."""
        source = source_of(properties)
        if source and source["DBInstanceArn"] in self.servers:
            copy = server.directory.with_name(f"{server.directory.name}-copy")
            self.servers[source["DBInstanceArn"]].copy_data(copy)
            server.initialise(copy)
            shutil.rmtree(copy)
            server.settings["default_transaction_read_only"] = "on"
            server.start()
            return
        if not properties.get("DBSnapshotIdentifier"):
            server.initialise()
            server.start()
            populate(server, properties)
            return
        server.initialise(self.snapshot(_snapshot(properties)["DBSnapshotArn"]))
        server.start()
        if properties.get("MasterUserPassword"):
            _set_password(server, instance["MasterUsername"], str(properties["MasterUserPassword"]))

    def move(self, arn: str, port: int) -> None:
        """Restart a server at another port: the one that is asked for, where nobody else on this machine has it."""
        server = self.servers[arn]
        server.stop()
        server.port = port if postgres.is_free(port) else 0
        server.start()
        self.status[arn]["port"] = server.port

    def remove(self, arn: str) -> None:
        """End and delete the server of an instance, where it has one."""
        server = self.servers.pop(arn, None)
        self.status.pop(arn, None)
        if server:
            server.remove()


databases = Databases()


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::RDS::DBInstance]",
    why="no server stands behind an instance without Docker",
)
def _instances(inner: Handlers) -> Handlers:
    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        properties = inherited(_in_lower_case(properties))
        checks.check_engine(properties)
        checks.check_instance(properties, existing=None)
        managed = _managed_secret(properties) if properties.get("ManageMasterUserPassword") is True else {}
        properties = properties | {name: managed[name] for name in ("MasterUserPassword",) if name in managed}
        physical_id, _ = inner["create"](logical_id, properties, stack)
        if properties.get("Engine") == "postgres":
            _start(physical_id, properties)
        _link_to_source(physical_id, properties)
        instance = rds.instances[physical_id]
        if managed:
            instance["MasterUserSecret"] = {"SecretArn": managed["SecretArn"], "SecretStatus": "active"}
        return physical_id, rds.attributes(instance) | _attributes_of_secret(instance)

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        old, new = (inherited(_in_lower_case(each), is_new=False) for each in (old, new))
        checks.check_instance(new, existing=physical_id)
        growth = (rds.instances.get(physical_id) or {}).get("MaxAllocatedStorage")
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        if growth and made[0] == physical_id and not new.get("MaxAllocatedStorage"):
            # CloudFormation sends nothing for what a template no longer says, and RDS keeps what it had.
            rds.instances[physical_id]["MaxAllocatedStorage"] = growth
        if made[0] == physical_id and new.get("Engine") == "postgres":
            _change(rds.instances[physical_id], old, new)
            return physical_id, rds.attributes(rds.instances[physical_id]) | _attributes_of_secret(
                rds.instances[physical_id]
            )
        return made

    def delete(physical_id: str, properties: Mapping[str, Json]) -> None:
        instance = rds.instances.get(physical_id) or {}
        if instance.get("DeletionProtection"):
            raise ValueError("Cannot delete protected DB Instance, please disable deletion protection and try again.")
        source = rds.instances.get(instance.get("ReadReplicaSourceDBInstanceIdentifier") or "")
        if source and physical_id in source["ReadReplicaDBInstanceIdentifiers"]:
            source["ReadReplicaDBInstanceIdentifiers"].remove(physical_id)
        inner["delete"](physical_id, properties)
        databases.remove(instance.get("DBInstanceArn", ""))
        if managed := instance.get("MasterUserSecret"):
            secretsmanager.delete({"SecretId": managed["SecretArn"], "ForceDeleteWithoutRecovery": True})

    return {**inner, "create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _managed_secret(properties: Mapping[str, Json]) -> dict[str, str]:
    """Make the secret that RDS manages (RDS user guide, "Password management with RDS and AWS Secrets Manager")."""
    password = secrets.token_urlsafe(24)
    value = json.dumps({"username": properties.get("MasterUsername"), "password": password})
    _, _, body = secretsmanager.create({"Name": f"rds!db-{uuid.uuid4()}", "SecretString": value})
    return {"SecretArn": json.loads(body)["ARN"], "MasterUserPassword": password}


def _attributes_of_secret(instance: Mapping[str, Json]) -> dict[str, Json]:
    managed = instance.get("MasterUserSecret")
    return {"MasterUserSecret.SecretArn": managed["SecretArn"]} if managed else {}


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::RDS::DBCluster]",
    why="an engine in capitals is another engine; RDS takes engine names in any case",
)
def _clusters(inner: Handlers) -> Handlers:
    def create(logical_id: str, properties: Mapping[str, Json], stack: str) -> Made:
        made: Made = inner["create"](logical_id, _in_lower_case(properties), stack)
        return made

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], *more: str) -> Made:
        made: Made = inner["update"](physical_id, _in_lower_case(old), _in_lower_case(new), *more)
        return made

    return {**inner, "create": create, "update": update}


def source_of(properties: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return the instance that a read replica follows, by its name or its ARN; None where there is none."""
    identifier = str(properties.get("SourceDBInstanceIdentifier") or "")
    parts = identifier.split(":")
    region = parts[3] if identifier.startswith("arn:") else properties.get("SourceRegion") or get_region()
    with request_scope(get_account_id(), region):
        found: dict[str, Json] | None = rds.instances.get(parts[-1].lower()) if identifier else None
    return found


def inherited(properties: Mapping[str, Json], *, is_new: bool = True) -> dict[str, Json]:
    """Return the properties with what an instance takes from elsewhere: a replica from its source, an instance from
    its snapshot or its cluster (RDS API reference, CreateDBInstanceReadReplica). Raises ValueError."""
    result = dict(properties)
    snapshot = rds.snapshots.get(str(properties.get("DBSnapshotIdentifier") or "").rsplit(":", 1)[-1])
    if snapshot and not result.get("Engine"):
        result["Engine"] = snapshot["Engine"]
    if not properties.get("SourceDBInstanceIdentifier"):
        return result
    source = source_of(properties)
    if source is None and not is_new:
        return result
    if source is None:
        name = properties["SourceDBInstanceIdentifier"]
        raise ValueError(f"DBInstance {name} not found. (Service: Rds, Status Code: 404)")
    if is_new and not int(source.get("BackupRetentionPeriod") or 0):
        raise ValueError(
            "Automated backups are not enabled for this database instance. To enable automated backups, use "
            "ModifyDBInstance to set the backup retention period to a non-zero value. (Service: Rds, Status Code: 400)"
        )
    taken = ("Engine", "EngineVersion", "MasterUsername", "AllocatedStorage", "StorageType", "Iops", "StorageEncrypted")
    of_source = {name: source[name] for name in taken if source.get(name) not in (None, "")}
    return {**of_source, **{name: value for name, value in result.items() if value is not None}}


def _link_to_source(physical_id: str, properties: Mapping[str, Json]) -> None:
    source = source_of(properties)
    if source:
        rds.instances[physical_id]["ReadReplicaSourceDBInstanceIdentifier"] = source["DBInstanceIdentifier"]
        source["ReadReplicaDBInstanceIdentifiers"].append(physical_id)


def _start(physical_id: str, properties: Mapping[str, Json]) -> None:
    """Give a new record its server. Raises ValueError, and drops the record, where there is none."""
    instance = rds.instances[physical_id]
    instance[_STARTING] = True
    if properties.get("DBSnapshotIdentifier"):
        instance["MasterUsername"] = _snapshot(properties)["MasterUsername"]
    try:
        server = databases.start(instance, properties)
    except CloudError as error:
        rds.instances.pop(physical_id, None)
        raise ValueError(f"the embedded cloud has no database server to offer: {error}") from error
    instance["Endpoint"] |= {"Address": ADDRESS, "Port": server.port}
    instance["DbInstancePort"] = 0
    describe(instance, properties, server)
    del instance[_STARTING]


def _change(instance: dict[str, Json], old: Mapping[str, Json], new: Mapping[str, Json]) -> None:
    """Change the server and the record after an update without replacement."""
    server = databases.servers[instance["DBInstanceArn"]]
    if new.get("Port") != old.get("Port"):
        databases.move(instance["DBInstanceArn"], int(new.get("Port") or 0))
    instance["Endpoint"]["Port"] = server.port
    if new.get("MasterUserPassword") != old.get("MasterUserPassword"):
        _set_password(server, instance["MasterUsername"], str(new["MasterUserPassword"]))
    for name, value in server_settings(new).items():
        setattr(server, name, value)
    if old.get("DBParameterGroupName") != new.get("DBParameterGroupName"):
        server.stop()
        server.start()
    describe(instance, new, server)


@patch(
    "ministack.services.rds._rotate_instance_password",
    why="ModifyDBInstance changes the password with psycopg2, which is not installed",
)
def _change_password(_original: Any, instance: Mapping[str, Json], _old: str, new: str) -> None:
    server = databases.servers.get(instance.get("DBInstanceArn", ""))
    if server:
        _set_password(server, instance["MasterUsername"], new)


@patch(
    "ministack.services.rds._instance_xml",
    why="DescribeDBInstances leaves out the exported logs, the key of Performance Insights and the life-cycle support",
)
def _instance_xml(original: Any, instance: Mapping[str, Json]) -> str:
    text = str(original(instance))
    logs = "".join(f"<member>{name}</member>" for name in instance.get("EnableCloudwatchLogsExports") or ())
    more = f"<EnabledCloudwatchLogsExports>{logs}</EnabledCloudwatchLogsExports>"
    for name in ("PerformanceInsightsKMSKeyId", "EngineLifecycleSupport"):
        if instance.get(name):
            more += f"<{name}>{instance[name]}</{name}>"
    return text.replace("<EnabledCloudwatchLogsExports/>", more)


def _certificate() -> postgres.Certificate:
    return postgres.Certificate(*rds.server_certificate([ADDRESS], ["127.0.0.1"]))


def _snapshot(properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the snapshot that the properties name, by its name or its ARN."""
    found: dict[str, Json] = rds.snapshots[str(properties["DBSnapshotIdentifier"]).rsplit(":", 1)[-1]]
    return found


def _set_password(server: postgres.Server, user: str, password: str) -> None:
    server.administer(f"ALTER ROLE {identifier(user)} PASSWORD {literal(password)}")


def _in_lower_case(properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties with identifier and engine as RDS stores them: in lower case."""
    lower = {name: str(properties[name]).lower() for name in ("DBInstanceIdentifier", "Engine") if properties.get(name)}
    return {**properties, **lower}


def describe(instance: dict[str, Json], properties: Mapping[str, Json], server: postgres.Server) -> None:
    """Make the record say what the template says, where ministack's falls short."""
    certificate = x509.load_pem_x509_certificate(server.certificate.certificate.encode())
    valid_till = rds.format_time(certificate.not_valid_after_utc.timestamp())
    for name, default in _DEFAULTS.items():
        instance[name] = properties.get(name, default)
    instance["DBName"] = properties.get("DBName", "")
    instance["EngineVersion"] = checks.full_version(str(instance["EngineVersion"]))
    for name in ("KmsKeyId", "PerformanceInsightsKMSKeyId"):
        key = kms.find_key(properties.get(name))
        instance[name] = key["Arn"] if key else properties.get(name, "")
    instance["CertificateDetails"] = {"CAIdentifier": instance["CACertificateIdentifier"], "ValidTill": valid_till}
    groups = [properties["DBParameterGroupName"]] if properties.get("DBParameterGroupName") else []
    instance["DBParameterGroups"] = [
        {"DBParameterGroupName": name, "ParameterApplyStatus": "in-sync"} for name in groups
    ] or instance["DBParameterGroups"]


def server_settings(properties: Mapping[str, Json]) -> dict[str, Any]:
    """Return what the parameter group means for the server: PostgreSQL's own settings, and RDS's three switches."""
    group = rds.parameter_groups.get(properties.get("DBParameterGroupName", "")) or {}
    values = {name: str(entry.get("ParameterValue")) for name, entry in group.get("Parameters", {}).items()}
    family = str(properties.get("EngineVersion", "17")).split(".", maxsplit=1)[0]
    # "rds.force_ssl ... default value is 1 for PostgreSQL 15 and later" (RDS user guide, "Using SSL with PostgreSQL")
    forced = values.get("rds.force_ssl", "1" if family.isdigit() and int(family) >= 15 else "0")
    settings = {name: value for name, value in values.items() if not name.startswith("rds.") and "{" not in value}
    if values.get("rds.logical_replication") == "1":
        settings |= {"wal_level": "logical", "synchronous_commit": "on"}
    return {"settings": settings, "plain_text_allowed": forced != "1"}


_SLOTS_BY_MEMBERSHIP = """
DO $$
DECLARE one record; given text;
BEGIN
  FOR one IN
    SELECT proname AS name, 'rds_' || proname AS original, pronargs AS number, provariadic <> 0 AS is_variadic,
           pg_get_function_arguments(oid) AS arguments, pg_get_function_identity_arguments(oid) AS identity,
           pg_get_function_result(oid) AS result
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN (
      'pg_create_logical_replication_slot', 'pg_drop_replication_slot', 'pg_replication_slot_advance',
      'pg_logical_slot_get_changes', 'pg_logical_slot_peek_changes')
  LOOP
    SELECT string_agg(CASE WHEN one.is_variadic AND n = one.number THEN 'VARIADIC ' ELSE '' END || '$' || n, ', '
                      ORDER BY n) INTO given FROM generate_series(1, one.number) AS n;
    EXECUTE format('ALTER FUNCTION pg_catalog.%I(%s) RENAME TO %I', one.name, one.identity, one.original);
    EXECUTE format('CREATE FUNCTION pg_catalog.%I(%s) RETURNS %s LANGUAGE sql SECURITY DEFINER AS %L', one.name,
                   one.arguments, one.result, format('SELECT * FROM pg_catalog.%I(%s)', one.original, given));
    EXECUTE format('REVOKE EXECUTE ON FUNCTION pg_catalog.%I(%s) FROM PUBLIC', one.name, one.identity);
    EXECUTE format('GRANT EXECUTE ON FUNCTION pg_catalog.%I(%s) TO rds_replication', one.name, one.identity);
  END LOOP;
END $$
"""
"""Lets members of rds_replication have slots, as on RDS (RDS user guide, "Performing logical replication for Amazon RDS
for PostgreSQL"). PostgreSQL itself wants the attribute REPLICATION, which RDS gives to nobody, and which up to version
15 would keep a master from changing that user's password."""


def populate(server: postgres.Server, properties: Mapping[str, Json]) -> None:
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
    for database in ("template1", "postgres"):
        server.administer(_SLOTS_BY_MEMBERSHIP, database=database)
    if properties.get("DBName") not in (None, "", "postgres"):  # which is always there
        server.administer(f"CREATE DATABASE {identifier(str(properties['DBName']))} OWNER {master}")
