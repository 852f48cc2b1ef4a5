"""Two real PostgreSQL servers with a replication task between them, as DMS would have them: a source on-premises and a
database of RDS; each test gets databases of its own in them."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import scram

from builders.cloud.process import Cloud
from builders.cloud.rds.on_premises import OnPremises, on_premises

if TYPE_CHECKING:
    from .conftest import Account

HOST = "source.corp.internal"
SECONDS = 60
"""Of a busy machine; on a quiet one nothing takes a second."""
_numbers = itertools.count(1)

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": {"Fn::Sub": "dms.${AWS::Region}.amazonaws.com"}},
            "Action": "sts:AssumeRole",
        }
    ],
}


def rule(schema: str = "payments", table: str = "%", action: str = "include", number: int = 1) -> dict[str, Any]:
    """A selection rule."""
    locator = {"schema-name": schema, "table-name": table}
    return {"rule-type": "selection", "rule-id": str(number), "rule-name": str(number), "object-locator": locator,
            "rule-action": action}  # fmt: skip


POLICIES = ("DataErrorPolicy", "TableErrorPolicy", "ApplyErrorDeletePolicy", "ApplyErrorInsertPolicy",
            "ApplyErrorUpdatePolicy")  # fmt: skip
STOPS: dict[str, Any] = dict.fromkeys(POLICIES, "STOP_TASK")
"""The settings of the migration's own template: nothing is passed over."""


def settings(**sections: Any) -> dict[str, Any]:
    """Task settings: nothing is prepared, whole large values, and sections on top."""
    base: dict[str, Any] = {
        "TargetMetadata": {"FullLobMode": True, "LimitedSizeLobMode": False, "InlineLobMaxSize": 32},
        "FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"},
        "ControlTablesSettings": {"ControlSchema": "awsdms_control", "StatusTableEnabled": True,
                                  "SuspendedTablesTableEnabled": True},
        "Logging": {"EnableLogging": True},
        "ErrorBehavior": {**STOPS, "RecoverableErrorInterval": 1},
    }  # fmt: skip
    for name, values in sections.items():
        base[name] = {**base.get(name, {}), **values}
    return base


@dataclass
class Pair:
    """An empty database on each side, and who may do what in them."""

    site: Site
    name: str
    tasks: list[Task] = field(default_factory=list)

    def source(self, *statements: str) -> None:
        """Run statements in the source, as the owner of its tables."""
        self.site.source.server.administer(*statements, database=self.name)

    def target(self, *statements: str) -> None:
        """Run statements in the target, as its administrator."""
        self.site.database.administer(*statements, database=self.name)

    def both(self, *statements: str) -> None:
        self.source(*statements)
        self.target(*statements, "GRANT ALL ON ALL TABLES IN SCHEMA payments TO ferry_dms")

    def rows(self, side: str, query: str) -> list[tuple[Any, ...]]:
        """Ask the source or the target."""
        if side == "target":
            found: list[tuple[Any, ...]] = self.site.database.rows(query, self.name)
            return found
        with self.session(side) as asked:
            return asked.execute(query.encode()).fetchall()

    def session(self, side: str) -> psycopg.Connection[Any]:
        """Open a session of the source's or the target's superuser."""
        server = self.site.database if side == "target" else self.site.source.server
        return psycopg.connect(host=str(server.directory), port=server.port, user="rdsadmin", dbname=self.name)

    @contextlib.contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Keep everybody else from a table of the target while the context lasts."""
        with self.session("target") as held:
            held.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            yield

    def same(self, table: str) -> bool:
        """Return whether both sides hold the same rows."""
        query = f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')), count(*) FROM {table} t"
        return self.rows("source", query) == self.rows("target", query)

    def task(self, mappings: list[dict[str, Any]] | None = None, **more: Any) -> Task:
        """Deploy a task between both databases; it is not started."""
        made = Task(self, mappings or [rule()], **more)
        self.tasks.append(made)
        return made


class Task:
    """A deployed task, as its owner sees it."""

    def __init__(
        self, pair: Pair, mappings: list[dict[str, Any]], kind: str = "full-load-and-cdc",
        chosen: dict[str, Any] | None = None, source: dict[str, Any] | None = None,
        target: dict[str, Any] | None = None, backwards: bool = False, **properties: Any,
    ) -> None:  # fmt: skip
        self.pair, self.account = pair, pair.site.account
        self.stack = f"task-{next(_numbers)}"
        ends = ("Target", "Source") if backwards else ("Source", "Target")
        resources = {
            "SourceEndpoint": pair.site.endpoint("source", ends[0], pair.name, **(source or {})),
            "TargetEndpoint": pair.site.endpoint("target", ends[1], pair.name, **(target or {})),
            "Task": {
                "Type": "AWS::DMS::ReplicationTask",
                "Properties": {
                    "ReplicationTaskIdentifier": self.stack,
                    "ResourceIdentifier": self.stack,
                    "MigrationType": kind,
                    "ReplicationInstanceArn": pair.site.instance,
                    "SourceEndpointArn": {"Ref": "SourceEndpoint"},
                    "TargetEndpointArn": {"Ref": "TargetEndpoint"},
                    "TableMappings": json.dumps({"rules": mappings}),
                    "ReplicationTaskSettings": json.dumps(chosen or settings()),
                    **properties,
                },
            },
        }
        self.account.deploy(resources, self.stack)
        self.arn = self.account.physical_id("Task", self.stack)
        self.dms = self.account.client("dms")

    def described(self) -> dict[str, Any]:
        filters = [{"Name": "replication-task-arn", "Values": [self.arn]}]
        found: dict[str, Any] = self.dms.describe_replication_tasks(Filters=filters)["ReplicationTasks"][0]
        return found

    def connections(self) -> dict[str, dict[str, Any]]:
        """Test both connections, and return what became of them by side."""
        told = self.described()
        for side in ("SourceEndpointArn", "TargetEndpointArn"):
            self.dms.test_connection(ReplicationInstanceArn=told["ReplicationInstanceArn"], EndpointArn=told[side])

        def found() -> dict[str, dict[str, Any]]:
            listed = self.dms.get_paginator("describe_connections").paginate()
            every = {each["EndpointArn"]: each for page in listed for each in page["Connections"]}
            return {side[:6].lower(): every[told[side]] for side in ("SourceEndpointArn", "TargetEndpointArn")}

        wait_for(lambda: all(each["Status"] != "testing" for each in found().values()))
        return found()

    def start(self, kind: str = "start-replication", until: str = "running", **more: Any) -> Task:
        if kind == "start-replication":
            tested = self.connections()
            assert {each["Status"] for each in tested.values()} == {"successful"}, tested
        self.dms.start_replication_task(ReplicationTaskArn=self.arn, StartReplicationTaskType=kind, **more)
        self.wait(until)
        return self

    def load(self) -> Task:
        """Start, and wait until everything is loaded."""
        self.start()
        self.loaded()
        return self

    def loaded(self) -> None:
        wait_for(lambda: self.described()["ReplicationTaskStats"]["FullLoadProgressPercent"] == 100 or self.failure())
        assert not self.failure(), self.failure()

    def failure(self) -> str:
        told = self.described()
        return str(told.get("LastFailureMessage", "")) if told["Status"] == "failed" else ""

    def wait(self, status: str) -> None:
        wait_for(lambda: self.described()["Status"] in (status, "failed"))
        assert self.described()["Status"] == status, self.described().get("LastFailureMessage")

    def failed(self) -> str:
        """Wait for the task's failure, and return its message."""
        wait_for(self.failure)
        return self.failure()

    def stop(self) -> None:
        self.dms.stop_replication_task(ReplicationTaskArn=self.arn)
        self.wait("stopped")

    def table(self, name: str) -> dict[str, Any]:
        found = self.dms.describe_table_statistics(ReplicationTaskArn=self.arn)["TableStatistics"]
        return dict(next(each for each in found if each["TableName"] == name))

    def log(self) -> str:
        """The task's log as one text."""
        group = f"dms-tasks-{self.pair.site.name}"
        try:
            events = self.account.client("logs").get_log_events(
                logGroupName=group, logStreamName=f"dms-task-{self.stack}", startFromHead=True
            )["events"]
        except self.account.client("logs").exceptions.ResourceNotFoundException:
            return ""
        return "\n".join(event["message"] for event in events)

    def slots(self) -> list[tuple[Any, ...]]:
        """The task's slots on its source: (name, active)."""
        query = "SELECT slot_name, active FROM pg_replication_slots WHERE database = current_database()"
        return self.pair.rows("source", query)

    def delete(self) -> None:
        with contextlib.suppress(self.dms.exceptions.InvalidResourceStateFault):
            self.dms.stop_replication_task(ReplicationTaskArn=self.arn)
        wait_for(lambda: self.described()["Status"] not in ("starting", "running", "stopping"))
        self.account.delete(self.stack)


@dataclass
class Site:
    """Both servers, in an account of the embedded cloud."""

    account: Account
    source: OnPremises
    database: Any
    instance: str
    name: str
    roles: dict[str, str]
    certificates: dict[str, str]
    secrets: dict[str, str]

    def endpoint(self, kind: str, side: str, database: str, **more: Any) -> dict[str, Any]:
        """An endpoint of a template; `more` are properties, those in "PostgreSqlSettings" on top of the usual ones."""
        own = {
            "SecretsManagerSecretId": self.secrets[side],
            "SecretsManagerAccessRoleArn": self.roles[side],
            "MapBooleanAsBoolean": True,
            **more.pop("PostgreSqlSettings", {}),
        }
        properties = {
            "EndpointType": kind, "EngineName": "postgres", "DatabaseName": database, "SslMode": "verify-full",
            "CertificateArn": self.certificates[side], "PostgreSqlSettings": own, **more,
        }  # fmt: skip
        return {"Type": "AWS::DMS::Endpoint", "Properties": properties}

    @contextlib.contextmanager
    def pair(self) -> Iterator[Pair]:
        """Databases of a test's own, and at the end none of its tasks and slots."""
        name = f"payments_{next(_numbers)}"
        self.source.server.administer(f"CREATE DATABASE {name} OWNER ferry_source")
        self.database.administer(f"CREATE DATABASE {name}")
        pair = Pair(self, name)
        pair.source(
            "CREATE SCHEMA payments AUTHORIZATION ferry_source", "GRANT CREATE ON SCHEMA public TO ferry_source"
        )
        pair.source("ALTER DEFAULT PRIVILEGES IN SCHEMA payments GRANT ALL ON TABLES TO ferry_source")
        pair.target("CREATE SCHEMA payments", f"GRANT CREATE ON DATABASE {name} TO ferry_dms",
                    "GRANT ALL ON SCHEMA payments TO ferry_dms")  # fmt: skip
        yield pair
        for task in pair.tasks:
            if self.account.status(task.stack) not in ("", "DELETE_COMPLETE"):
                task.delete()
        with contextlib.suppress(psycopg.OperationalError):  # a test may have ended the servers
            self.source.server.administer(f"DROP DATABASE {name} WITH (FORCE)")
            self.database.administer(f"DROP DATABASE {name} WITH (FORCE)")


class Database:
    """The server of an RDS instance, as its administrator reaches it on this machine."""

    def __init__(self, cloud: Cloud, port: int) -> None:
        (self.directory,) = [each.parent for each in (cloud.state_directory / "rds").glob(f"*/.s.PGSQL.{port}")]
        self.port = port

    def rows(self, query: str, database: str) -> list[tuple[Any, ...]]:
        """Ask, as its administrator."""
        with psycopg.connect(host=str(self.directory), port=self.port, user="rdsadmin", dbname=database) as asked:
            return asked.execute(query.encode()).fetchall()

    def administer(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(
            host=str(self.directory), port=self.port, user="rdsadmin", dbname=database, autocommit=True
        ) as session:
            for statement in statements:
                session.execute(statement.encode())


@contextlib.contextmanager
def site(cloud: Cloud, account: Account, database_template: dict[str, Any]) -> Iterator[Site]:
    """Deploy the database, the roles, the secrets and the instance of a replication."""
    with on_premises(cloud.state_directory, HOST, database_name="payments") as source:
        account.deploy(database_template)
        (found,) = account.client("rds").describe_db_instances()["DBInstances"]
        database = Database(cloud, found["Endpoint"]["Port"])
        # DMS logs in all the time, and the usual rounds of hashing are half of what a login costs.
        quick = {password: scram.verifier(password, iterations=1) for password in (source.password, "target-password")}
        database.administer(f"CREATE ROLE ferry_dms LOGIN PASSWORD '{quick['target-password']}'")
        source.server.administer(f"ALTER ROLE {source.username} PASSWORD '{quick[source.password]}'")
        secrets = account.client("secretsmanager")
        target = {"username": "ferry_dms", "password": "target-password", "host": "localhost", "port": database.port}
        arns = {
            side: secrets.create_secret(Name=f"{side}-secret", SecretString=json.dumps(value))["ARN"]
            for side, value in (("Source", source.secret()), ("Target", target))
        }
        authorities = {"Source": source.certificate_pem, "Target": cloud.ca_file.read_text()}
        account.deploy(
            {
                "Instance": {
                    "Type": "AWS::DMS::ReplicationInstance",
                    "Properties": {
                        "ReplicationInstanceClass": "dms.t3.medium", "ReplicationInstanceIdentifier": "Ferry",
                    },
                },
                **{
                    f"{side}Role": {
                        "Type": "AWS::IAM::Role",
                        "Properties": {"AssumeRolePolicyDocument": TRUST, "Policies": [_reads(arn)]},
                    }
                    for side, arn in arns.items()
                },
                **{
                    f"{side}Certificate": {"Type": "AWS::DMS::Certificate", "Properties": {"CertificatePem": pem}}
                    for side, pem in authorities.items()
                },
            },
            "ground",
        )  # fmt: skip
        number = account.number
        roles = {side: f"arn:aws:iam::{number}:role/{account.physical_id(f'{side}Role', 'ground')}" for side in arns}
        certificates = {side: account.physical_id(f"{side}Certificate", "ground") for side in arns}
        instance = account.physical_id("Instance", "ground")
        yield Site(account, source, database, instance, "ferry", roles, certificates, arns)


def _reads(arn: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn}
    return {"PolicyName": "secret", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def wait_for(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait for a condition, and return what it gives."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"nothing happened for {seconds} seconds"
        time.sleep(0.1)
    return found
