"""AWS::RDS::DBInstance is a real PostgreSQL with TLS, described as the template says."""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
import time
from pathlib import Path
from typing import Any

import pg8000.exceptions
import pg8000.native
import pytest

from builders.cloud.rds import postgres
from builders.cloud.rds.on_premises import certificates

from .conftest import Account, Refused, Template


def credentials(account: Account) -> dict[str, Any]:
    secret = account.client("secretsmanager").get_secret_value(SecretId=account.physical_id("Secret"))
    found: dict[str, Any] = json.loads(secret["SecretString"])
    return found


def login(account: Account, password: str | None = None, **how: Any) -> pg8000.native.Connection:
    """Log in as the attached secret says, with the certificate and the host name checked."""
    secret = credentials(account)
    trusted = {"ssl_context": ssl.create_default_context(cafile=str(account.cloud.ca_file))}
    return pg8000.native.Connection(
        secret["username"],
        host=secret["host"],
        database=secret.get("dbname", "payments"),
        password=password or secret["password"],
        **{"port": secret["port"], **trusted, **how},
    )


def instance(account: Account) -> dict[str, Any]:
    found: dict[str, Any] = account.client("rds").describe_db_instances(DBInstanceIdentifier="payments")["DBInstances"][
        0
    ]
    return found


def changed(database: Template, **properties: Any) -> Template:
    whole = {**database["Database"]["Properties"], **properties}
    kept = {key: value for key, value in whole.items() if value is not None}
    return {**database, "Database": {**database["Database"], "Properties": kept}}


def test_the_generated_password_logs_in_over_tls(deployed: Account) -> None:
    with login(deployed) as session:
        rows = session.run("SELECT current_user, current_database(), ssl FROM pg_stat_ssl WHERE pid=pg_backend_pid()")
    assert rows == [["owner", "payments", True]]


def test_the_attachment_writes_the_address_of_the_database(deployed: Account) -> None:
    endpoint = instance(deployed)["Endpoint"]
    record = {key: value for key, value in credentials(deployed).items() if key not in ("username", "password")}
    assert record == {
        "engine": "postgres",
        "host": endpoint["Address"],
        "port": endpoint["Port"],
        "dbname": "payments",
        "dbInstanceIdentifier": "payments",
    }


def test_a_login_without_tls_is_refused(deployed: Account) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError, match="no encryption"):
        login(deployed, ssl_context=False)


def test_a_wrong_password_is_refused(deployed: Account) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError) as refused:
        login(deployed, password="wrong")
    assert refused.value.args[0]["C"] == "28P01"


def test_a_client_without_our_authority_does_not_trust_the_server(deployed: Account) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        login(deployed, ssl_context=ssl.create_default_context())


def test_passwords_are_stored_as_scram_and_the_parameter_group_is_heeded(deployed: Account) -> None:
    with login(deployed) as session:
        settings = {name: session.run(f"SHOW {name}")[0][0] for name in ("password_encryption", "wal_level")}
    assert settings == {"password_encryption": "scram-sha-256", "wal_level": "logical"}


def test_the_api_describes_what_the_template_says(deployed: Account) -> None:
    record = instance(deployed)
    named = ("StorageEncrypted", "PubliclyAccessible", "MultiAZ", "BackupRetentionPeriod", "DeletionProtection",
             "EnabledCloudwatchLogsExports", "DBInstanceClass", "CACertificateIdentifier")  # fmt: skip
    assert {name: record[name] for name in named} == {
        "StorageEncrypted": True,
        "PubliclyAccessible": False,
        "MultiAZ": False,
        "BackupRetentionPeriod": 1,
        "DeletionProtection": False,
        "EnabledCloudwatchLogsExports": ["postgresql", "upgrade"],
        "DBInstanceClass": "db.t4g.micro",
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
    }
    assert record["DBSubnetGroup"]["VpcId"] == deployed.physical_id("Vpc")
    assert {each["SubnetIdentifier"] for each in record["DBSubnetGroup"]["Subnets"]} == {
        deployed.physical_id("SubnetA"),
        deployed.physical_id("SubnetB"),
    }
    assert [each["DBParameterGroupName"] for each in record["DBParameterGroups"]] == [deployed.physical_id("Settings")]
    assert {"Key": "Phase", "Value": "dev"} in record["TagList"]
    assert record["EngineVersion"].startswith("17.")


def test_an_update_keeps_server_port_and_data_and_the_api_changes_the_password(
    account: Account, database: Template
) -> None:
    account.deploy(database)
    before = instance(account)["Endpoint"]["Port"]
    with login(account) as session:
        session.run("CREATE TABLE kept (id int)")
    account.deploy(changed(database, BackupRetentionPeriod=7, MultiAZ=True))
    record = instance(account)
    assert (record["Endpoint"]["Port"], record["BackupRetentionPeriod"], record["MultiAZ"]) == (before, 7, True)
    api = account.client("rds")
    api.modify_db_instance(DBInstanceIdentifier="payments", MasterUserPassword="a-new-password", ApplyImmediately=True)
    with login(account, password="a-new-password") as session:
        assert session.run("SELECT count(*) FROM kept") == [[0]]


def test_a_secret_that_is_attached_already_is_not_attached_again(account: Account, database: Template) -> None:
    account.deploy(database)
    with pytest.raises(Refused, match="Secret is already attached to a target"):
        account.deploy({**database, "Again": database["Attachment"]})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_whose_free_port_is_taken_before_it_starts_takes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other, tempfile.TemporaryDirectory(prefix="stackferry-") as name:
        Path(name).chmod(0o711)  # PostgreSQL runs as another user when we are root
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken, free = other.getsockname()[1], free_port()
        monkeypatch.setattr(postgres, "_free_port", iter([taken, taken, free]).__next__)
        server = postgres.Server(postgres.choose(), Path(name, "server"), certificates("localhost")[1])
        server.initialise()
        server.start()
        server.administer("SELECT 1")
        server.remove()
    assert server.port == free


def test_another_port_moves_the_database_and_the_secret_that_is_attached_keeps_the_old_one(
    account: Account, database: Template
) -> None:
    account.deploy(changed(database, MaxAllocatedStorage=100))
    before, port = credentials(account)["port"], free_port()
    account.deploy(changed(database, Port=str(port)))
    assert (instance(account)["Endpoint"]["Port"], credentials(account)["port"]) == (port, before)
    with login(account, port=port) as session:
        assert session.run("SELECT 1") == [[1]]
    assert instance(account)["MaxAllocatedStorage"] == 100, "what a template no longer says stays as it was"


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        ({"AllocatedStorage": "49"}, "Invalid storage size for engine name postgres and storage type gp3: 49"),
        ({"AllocatedStorage": "54"}, "Invalid storage size for engine name postgres and storage type gp3: 54"),
        ({"EngineVersion": "16"}, "Cannot upgrade postgres from "),
    ],
)
def test_storage_is_not_taken_away_and_no_version_goes_back(
    account: Account, database: Template, refused: dict[str, str], sentence: str
) -> None:
    standing = changed(database, AllocatedStorage="50", EngineVersion="17")
    account.deploy(standing)
    with pytest.raises(Refused, match=sentence):
        account.deploy(changed(standing, **refused))
    assert account.status("stack") == "UPDATE_ROLLBACK_COMPLETE"


def test_deleting_the_stack_stops_the_server_and_keeps_a_snapshot(account: Account, database: Template) -> None:
    account.deploy({**database, "Database": {**database["Database"], "DeletionPolicy": "Snapshot"}})
    endpoint = instance(account)["Endpoint"]
    account.delete()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", endpoint["Port"]), 5):
        pass
    snapshots = account.client("rds").describe_db_snapshots()["DBSnapshots"]
    assert [(each["DBInstanceIdentifier"], each["Encrypted"]) for each in snapshots] == [("payments", True)]


def test_a_replaced_instance_leaves_a_snapshot_where_the_policy_says_so(account: Account, database: Template) -> None:
    unnamed = changed(database, DBInstanceIdentifier=None)
    policy = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Snapshot"}
    account.deploy({**unnamed, "Database": {**unnamed["Database"], **policy}})
    first = account.physical_id("Database")
    other = changed(unnamed, DBName="other")
    account.deploy({**other, "Database": {**other["Database"], **policy}})
    snapshots = account.client("rds").describe_db_snapshots()["DBSnapshots"]
    assert [each["DBInstanceIdentifier"] for each in snapshots] == [first]


def test_a_protected_instance_is_not_deleted(account: Account, database: Template) -> None:
    account.deploy(changed(database, DeletionProtection=True))
    assert account.delete() == "DELETE_FAILED"
    account.client("rds").modify_db_instance(DBInstanceIdentifier="payments", DeletionProtection=False)


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"EngineVersion": "17.99"}, "Cannot find version 17.99 for postgres"),
        ({"DBInstanceClass": "db.t2.nano"}, "does not support creating a DB instance with the following combination"),
        ({"MasterUsername": "admin"}, "MasterUsername admin cannot be used as it is a reserved word"),
        ({"MasterUserPassword": "short"}, "not 8 to 128 characters long"),
        ({"MasterUserPassword": "with a space"}, "is not a valid password"),
        ({"DBSubnetGroupName": "nowhere"}, "DBSubnetGroup not found: nowhere"),
        ({"DBParameterGroupName": "nothing"}, "DBParameterGroup not found: nothing"),
        ({"EngineVersion": "16"}, "DBParameterGroupFamily postgres17 cannot be used"),
        ({"VPCSecurityGroups": ["sg-0"]}, "Invalid security group , groupId= sg-0"),
        ({"MonitoringInterval": 60}, "A MonitoringRoleARN value is required"),
        ({"KmsKeyId": "alias/nothing"}, "KMS key ID alias/nothing is not accessible"),
        ({"Engine": "postgresql"}, "Invalid DB engine"),
    ],
)
def test_an_instance_that_rds_does_not_make_is_refused(
    account: Account, database: Template, properties: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Refused) as refused:
        account.deploy(changed(database, **properties))
    assert reason in str(refused.value)


def test_the_same_named_instance_twice_is_refused(deployed: Account, database: Template) -> None:
    with pytest.raises(Refused, match="payments already exists"):
        deployed.deploy(database, stack="other")


def test_a_named_instance_is_not_replaced(deployed: Account, database: Template) -> None:
    with pytest.raises(Refused, match="custom-named resource requires replacing"):
        deployed.deploy(changed(database, DBName="other"))


def waiting(account: Account) -> dict[str, Any]:
    """The instance once it is available again."""
    while (record := instance(account))["DBInstanceStatus"] != "available":
        time.sleep(0.05)
    return record


def test_a_reboot_ends_sessions_keeps_the_data_and_applies_pending_settings(
    account: Account, database: Template
) -> None:
    account.deploy(database)
    api = account.client("rds")
    with login(account) as session:
        session.run("CREATE TABLE kept (id int)")
        started = session.run("SELECT pg_postmaster_start_time()")
    group = instance(account)["DBParameterGroups"][0]["DBParameterGroupName"]
    setting = {"ParameterName": "max_connections", "ParameterValue": "33", "ApplyMethod": "pending-reboot"}
    api.modify_db_parameter_group(DBParameterGroupName=group, Parameters=[setting])
    api.reboot_db_instance(DBInstanceIdentifier="payments")
    waiting(account)
    with login(account) as session:
        assert session.run("SELECT pg_postmaster_start_time()") > started
        assert session.run("SHOW max_connections") == [["33"]]
        assert session.run("SELECT count(*) FROM kept") == [[0]]


def test_the_api_changes_what_an_update_would(account: Account, database: Template) -> None:
    account.deploy(database)
    changes = {
        "BackupRetentionPeriod": 7,
        "MultiAZ": True,
        "DBInstanceClass": "db.t4g.small",
        "CopyTagsToSnapshot": True,
    }
    account.client("rds").modify_db_instance(DBInstanceIdentifier="payments", ApplyImmediately=True, **changes)
    record = waiting(account)
    assert {name: record[name] for name in changes} == changes


def test_a_snapshot_holds_the_data_of_its_moment_and_a_stack_restores_it(account: Account, database: Template) -> None:
    account.deploy(database)
    with login(account) as session:
        session.run("CREATE TABLE kept AS SELECT 7 AS id")
    api = account.client("rds")
    api.create_db_snapshot(DBInstanceIdentifier="payments", DBSnapshotIdentifier="before")
    with login(account) as session:
        session.run("INSERT INTO kept VALUES (8)")
    restored = changed(database, DBSnapshotIdentifier="before", DBName=None, MasterUsername=None,
                       DBInstanceIdentifier="restored")  # fmt: skip
    account.deploy(restored)
    record = api.describe_db_instances(DBInstanceIdentifier="restored")["DBInstances"][0]
    assert record["MasterUsername"] == "owner"
    with login(account, port=record["Endpoint"]["Port"]) as session:
        assert session.run("SELECT id FROM kept") == [[7]]


def test_the_api_restores_a_snapshot_as_a_server_with_its_data(account: Account, database: Template) -> None:
    account.deploy(database)
    with login(account) as session:
        session.run("CREATE TABLE kept AS SELECT 7 AS id")
    api = account.client("rds")
    api.create_db_snapshot(DBInstanceIdentifier="payments", DBSnapshotIdentifier="before")
    group = instance(account)["DBParameterGroups"][0]["DBParameterGroupName"]
    made = api.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="restored", DBSnapshotIdentifier="before", DBParameterGroupName=group
    )
    assert made["DBInstance"]["DBInstanceStatus"] == "creating"
    api.get_waiter("db_instance_available").wait(DBInstanceIdentifier="restored", WaiterConfig={"Delay": 1})
    (record,) = api.describe_db_instances(DBInstanceIdentifier="restored")["DBInstances"]
    with login(account, port=record["Endpoint"]["Port"]) as session:
        assert session.run("SELECT id FROM kept") == [[7]]
    api.delete_db_instance(DBInstanceIdentifier="restored", SkipFinalSnapshot=True)


def test_a_snapshot_that_is_not_there_is_not_restored(account: Account, database: Template) -> None:
    with pytest.raises(Refused, match="DBSnapshot not found: nothing"):
        account.deploy(changed(database, DBSnapshotIdentifier="nothing", MasterUsername=None))


def test_deleting_through_the_api_asks_for_a_final_snapshot_or_none(account: Account, database: Template) -> None:
    account.deploy(database)
    api = account.client("rds")
    with pytest.raises(api.exceptions.ClientError, match="FinalSnapshotIdentifier is required unless"):
        api.delete_db_instance(DBInstanceIdentifier="payments")
    port = instance(account)["Endpoint"]["Port"]
    api.delete_db_instance(DBInstanceIdentifier="payments", FinalDBSnapshotIdentifier="last")
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
        pass
    assert [each["DBSnapshotIdentifier"] for each in api.describe_db_snapshots()["DBSnapshots"]] == ["last"]


def test_a_protected_instance_is_not_deleted_through_the_api(account: Account, database: Template) -> None:
    account.deploy(changed(database, DeletionProtection=True))
    api = account.client("rds")
    with pytest.raises(api.exceptions.ClientError, match="Cannot delete protected DB Instance"):
        api.delete_db_instance(DBInstanceIdentifier="payments", SkipFinalSnapshot=True)
    api.modify_db_instance(DBInstanceIdentifier="payments", DeletionProtection=False)
