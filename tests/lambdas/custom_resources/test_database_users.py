"""DMS's role in a real PostgreSQL, made by a master user who is no superuser."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import transport
import users
from credentials import Credentials
from custom_resource import ResourceFailed
from deadline import Deadline
from function_errors import TlsRefused
from postgres_login import PostgresRefused, login

from .conftest import Target, kept

SCHEMAS = ["payments"]


def run(credentials: Credentials, *statements: str) -> list[Any]:
    """Run statements over verified TLS and return the rows of the last."""
    deadline = Deadline(20)
    with (
        closing(transport.open_tls(credentials.host, credentials.port, deadline)) as socket,
        login(socket, credentials, deadline, "test") as connection,
    ):
        rows: list[Any] = []
        for statement in statements:
            rows = connection.run(statement)
        return rows


@pytest.fixture
def made(target: Target, deadline: Deadline) -> Target:
    """The target with DMS's role and a table of the master's that stood before."""
    run(target.master, "CREATE SCHEMA payments", "CREATE TABLE payments.older (id int PRIMARY KEY)")
    users.make(kept(target.master), kept(target.dms), SCHEMAS, deadline)
    return target


def repaired(target: Target) -> str:
    return users.make(kept(target.master), kept(target.dms), SCHEMAS, Deadline(20))


WRITING = ("INSERT INTO payments.{0} VALUES (1)", "UPDATE payments.{0} SET id = 2", "SELECT * FROM payments.{0}",
           "DELETE FROM payments.{0}", "TRUNCATE payments.{0}")  # fmt: skip


def test_dms_writes_to_tables_that_stood_before(made: Target) -> None:
    run(made.dms, *(statement.format("older") for statement in WRITING))


def test_dms_writes_to_tables_that_the_master_makes_later(made: Target) -> None:
    run(made.master, "CREATE TABLE payments.newer (id int)")
    run(made.dms, *(statement.format("newer") for statement in WRITING))


def test_dms_makes_its_control_schema_and_tables_of_its_own(made: Target) -> None:
    run(made.dms, "CREATE SCHEMA awsdms_control", "CREATE TABLE awsdms_control.awsdms_status (id int)",
        "CREATE TABLE payments.its_own (id int)", "DROP TABLE payments.its_own")  # fmt: skip


def test_a_schema_that_is_missing_is_made_as_the_masters(target: Target, deadline: Deadline) -> None:
    users.make(kept(target.master), kept(target.dms), SCHEMAS, deadline)
    owner = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'payments'"
    assert run(target.master, owner) == [["ferry_owner"]]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.stray (id int)",
        "SELECT * FROM other.secret",
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "ALTER TABLE payments.older ADD COLUMN more int",
        "GRANT SELECT ON payments.older TO rds_superuser",
    ],
)
def test_dms_may_do_no_more_than_it_needs(made: Target, statement: str) -> None:
    run(made.master, "CREATE SCHEMA other", "CREATE TABLE other.secret (id int)")
    if statement.startswith("GRANT"):  # without the right to pass on, PostgreSQL warns and grants nothing
        run(made.dms, statement)
        assert run(made.master, "SELECT has_table_privilege('rds_superuser', 'payments.older', 'SELECT')") == [[False]]
        return
    with pytest.raises(PostgresRefused, match=r"permission denied|must be owner"):
        run(made.dms, statement)


def test_the_schema_public_is_migrated_like_any_other(target: Target, deadline: Deadline) -> None:
    """It belongs to the database's owner by way of a role of PostgreSQL's own."""
    users.make(kept(target.master), kept(target.dms), ["public"], deadline)
    run(target.master, "CREATE TABLE public.newer (id int)")
    run(target.dms, "INSERT INTO public.newer VALUES (1)", "CREATE TABLE public.its_own (id int)")
    assert users.make(kept(target.master), kept(target.dms), ["public"], deadline).endswith("all as it should be")


def test_the_role_has_no_attributes_and_no_memberships(made: Target) -> None:
    attributes = (
        "SELECT rolcanlogin, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
        "  FROM pg_roles WHERE rolname = 'ferry_dms'"
    )
    memberships = "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'ferry_dms'::regrole"
    assert (run(made.master, attributes), run(made.master, memberships)) == ([[True, False]], [])


def test_a_second_run_changes_nothing(made: Target) -> None:
    before = made.logged()
    assert repaired(made).endswith("all as it should be")
    sent = made.logged().removeprefix(before)
    assert not any(word in sent for word in ("ALTER", "GRANT ", "REVOKE", "CREATE"))


def test_neither_password_reaches_the_servers_log(made: Target) -> None:
    repaired(replaced(made, "another word"))
    assert "SCRAM-SHA-256$" in made.logged()
    assert not any(word in made.logged() for word in ("the word of DMS", "another word"))


def replaced(target: Target, password: str) -> Target:
    target.dms = replace(target.dms, password=password)
    return target


def test_a_password_that_the_role_does_not_have_is_set(made: Target) -> None:
    assert repaired(replaced(made, "another word")).endswith("password set")
    assert run(made.dms, "SELECT session_user::text") == [["ferry_dms"]]


@pytest.mark.parametrize(
    ("drift", "report"),
    [
        ("ALTER ROLE ferry_dms CREATEDB CREATEROLE", "now NOCREATEDB, now NOCREATEROLE"),
        ("ALTER ROLE ferry_dms NOLOGIN", "now LOGIN"),
        ("ALTER ROLE ferry_dms CONNECTION LIMIT 1", "now CONNECTION LIMIT -1"),
        ("ALTER ROLE ferry_dms VALID UNTIL '2020-01-01'", "now VALID UNTIL 'infinity'"),
        ("GRANT rds_superuser TO ferry_dms", "out of rds_superuser"),
        ("REVOKE CREATE ON DATABASE payments FROM ferry_dms", "1 rights granted"),
        ("GRANT TEMPORARY ON DATABASE payments TO ferry_dms", "1 rights revoked"),
        ("REVOKE TRUNCATE, DELETE ON payments.older FROM ferry_dms", "2 rights granted"),
        ("GRANT SELECT ON payments.older TO ferry_dms WITH GRANT OPTION", "1 rights revoked"),
        ("GRANT TRIGGER ON payments.older TO ferry_dms", "1 rights revoked"),
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA payments REVOKE SELECT ON TABLES FROM ferry_dms", "1 rights granted"),
        ("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO ferry_dms", "1 rights revoked"),
        ("CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO ferry_dms", "1 rights revoked"),
    ],
)
def test_what_drifted_is_put_right(made: Target, drift: str, report: str) -> None:
    run(made.master, drift)
    assert repaired(made).split(": ", 1)[1] == report
    assert repaired(made).endswith("all as it should be")


def test_tables_that_dms_made_do_not_stand_in_the_way(made: Target) -> None:
    run(made.dms, "CREATE TABLE payments.its_own (id int)", "CREATE SCHEMA awsdms_control")
    assert repaired(made).endswith("all as it should be")


def test_a_migrated_schema_that_dms_made_is_its_own_already(made: Target, deadline: Deadline) -> None:
    run(made.dms, "CREATE SCHEMA ledger", "CREATE TABLE ledger.its_own (id int)")
    assert users.make(kept(made.master), kept(made.dms), ["payments", "ledger"], deadline).endswith(
        "all as it should be"
    )


def test_a_table_of_somebody_else_is_named_and_nothing_is_changed(made: Target) -> None:
    made.administer("CREATE ROLE stranger SUPERUSER", "CREATE TABLE payments.strange (id int)",
                    "ALTER TABLE payments.strange OWNER TO stranger")  # fmt: skip
    run(made.master, "ALTER ROLE ferry_dms CREATEDB")
    with pytest.raises(ResourceFailed, match=r"42501 .*strange.*: .*as the owner of the object"):
        repaired(made)
    assert run(made.master, "SELECT rolcreatedb FROM pg_roles WHERE rolname = 'ferry_dms'") == [[True]]


def test_a_right_that_the_master_cannot_take_away_is_named(made: Target) -> None:
    """PostgreSQL only warns where the master has some right on the object and none to pass on."""
    made.administer("CREATE ROLE stranger SUPERUSER", "CREATE TABLE public.strange (id int)",
                    "ALTER TABLE public.strange OWNER TO stranger",
                    "GRANT SELECT ON public.strange TO ferry_owner, ferry_dms")  # fmt: skip
    with pytest.raises(ResourceFailed, match=r"SELECT on table public\.strange is not as DMS's user needs it"):
        repaired(made)


def test_a_superuser_of_that_name_is_refused(made: Target) -> None:
    made.administer("ALTER ROLE ferry_dms SUPERUSER")
    with pytest.raises(ResourceFailed, match="42501"):
        repaired(made)


def test_one_user_for_both_is_refused(target: Target, deadline: Deadline) -> None:
    with pytest.raises(ResourceFailed, match="both secrets name the same user"):
        users.make(kept(target.master), kept(target.master), SCHEMAS, deadline)


def test_a_wrong_password_of_the_master_is_named_without_user_and_host(target: Target, deadline: Deadline) -> None:
    wrong = replace(target.master, password="wrong")
    with pytest.raises(ResourceFailed, match=r"^the master user in database payments: .*28P01") as refused:
        users.make(kept(wrong), kept(target.dms), SCHEMAS, deadline)
    assert not [value for value in ("ferry_owner", "localhost") if value in str(refused.value)]


def test_a_certificate_for_another_host_is_refused_before_anything_is_said(target: Target, deadline: Deadline) -> None:
    with pytest.raises(TlsRefused, match=r"was not accepted \(it names another host\)"):
        users.make(kept(replace(target.master, host="127.0.0.1")), kept(target.dms), SCHEMAS, deadline)


def test_dropping_hands_over_what_the_role_owned(made: Target, deadline: Deadline) -> None:
    run(made.dms, "CREATE SCHEMA awsdms_control", "CREATE TABLE payments.its_own (id int)")
    done = users.drop(kept(made.master), "ferry_dms", deadline)
    assert done == "DMS's user is dropped; what it owned is the master user's"
    owners = "SELECT tableowner::text FROM pg_tables WHERE tablename = 'its_own'"
    assert run(made.master, owners) == [["ferry_owner"]]
    with pytest.raises(PostgresRefused, match="28P01"):
        run(made.dms, "SELECT 1")


def test_dropping_twice_is_no_error(target: Target, deadline: Deadline) -> None:
    assert users.drop(kept(target.master), "ferry_dms", deadline) == "DMS's user is not there"


@pytest.mark.parametrize("name", ['Odd "name"', "it's; DROP ROLE ferry_owner"])
def test_odd_names_are_names(target: Target, deadline: Deadline, name: str) -> None:
    odd = replace(target.dms, username=name)
    users.make(kept(target.master), kept(odd), ['Odd "schema"'], deadline)
    assert run(odd, "SELECT session_user::text") == [[name]]
    users.drop(kept(target.master), name, deadline)


def test_objects_in_another_database_are_named_with_what_to_run_there_and_nothing_is_changed(
    made: Target, deadline: Deadline
) -> None:
    run(made.master, "CREATE DATABASE other")
    try:
        made.server.administer("CREATE SCHEMA awsdms_control AUTHORIZATION ferry_dms", database="other")
        with pytest.raises(
            ResourceFailed, match=r"in other databases of the instance: other; nothing was changed"
        ) as why:
            users.drop(kept(made.master), "ferry_dms", deadline)
        run(made.dms, "SELECT FROM payments.older")
        statements = str(why.value).partition(", then run: ")[2].partition("; then")[0].split("; ")
        run(replace(made.master, dbname="other"), *statements)
        assert users.drop(kept(made.master), "ferry_dms", deadline).startswith("DMS's user is dropped")
    finally:
        made.server.administer("DROP DATABASE other WITH (FORCE)")


def test_default_rights_on_large_objects_are_taken_away(made: Target) -> None:
    [[version]] = run(made.master, "SELECT current_setting('server_version_num')::int")
    if version < 180000:
        pytest.skip("large objects have default rights from version 18 on")
    run(made.master, "ALTER DEFAULT PRIVILEGES GRANT SELECT ON LARGE OBJECTS TO ferry_dms")
    assert repaired(made).endswith("1 rights revoked")


MEMBERSHIPS = (
    "SELECT count(*) FROM pg_auth_members WHERE roleid = 'stranger'::regrole AND pg_has_role(member, roleid, 'USAGE')"
)


def test_a_table_of_an_application_s_role_that_the_master_made_is_granted_and_no_membership_stays(made: Target) -> None:
    """After a restore with the application's owners this is the normal state."""
    run(made.master, "CREATE ROLE stranger LOGIN", "GRANT CREATE, USAGE ON SCHEMA payments TO stranger")
    made.administer("CREATE TABLE payments.theirs (id int)", "ALTER TABLE payments.theirs OWNER TO stranger")
    assert repaired(made).endswith("5 rights granted")
    run(made.dms, *(statement.format("theirs") for statement in WRITING))
    assert run(made.master, MEMBERSHIPS) == [[0]]
    assert repaired(made).endswith("all as it should be")


def test_a_membership_that_the_master_gave_himself_is_as_it_was_before(made: Target) -> None:
    [[version]] = run(made.master, "SELECT current_setting('server_version_num')::int")
    if version < 160000:
        pytest.skip("memberships have options from version 16 on")
    run(made.master, "CREATE ROLE stranger LOGIN", "GRANT stranger TO ferry_owner WITH INHERIT FALSE, SET TRUE")
    made.administer("CREATE TABLE payments.theirs (id int)", "ALTER TABLE payments.theirs OWNER TO stranger")
    options = "SELECT inherit_option, set_option FROM pg_auth_members WHERE roleid = 'stranger'::regrole AND set_option"
    before = run(made.master, options)
    assert repaired(made).endswith("5 rights granted")
    assert run(made.master, options) == before


CODE = {
    "function payments.leap()": [
        "CREATE FUNCTION payments.leap() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'"
    ],
    "view payments.peek": ["CREATE VIEW payments.peek AS SELECT * FROM pg_catalog.pg_authid"],
    "table payments.ruled": [
        "CREATE TABLE payments.ruled (id int)",
        "CREATE RULE more AS ON INSERT TO payments.ruled DO ALSO DELETE FROM payments.older",
    ],
    "table payments.indexed": [
        "CREATE TABLE payments.indexed (id int)",
        "CREATE INDEX ON payments.indexed (payments.sums_up(id))",
    ],
    "table payments.typed": ["CREATE TABLE payments.typed (id payments.word)"],
}
"""What code of the application could make when a statement of DMS runs it as DMS's role, by how the server calls it."""


@pytest.mark.parametrize("owned", CODE)
def test_code_that_the_role_owns_never_becomes_the_master_user_s(made: Target, owned: str, deadline: Deadline) -> None:
    run(made.master, "CREATE FUNCTION payments.sums_up(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
        "CREATE DOMAIN payments.word AS text")  # fmt: skip
    run(made.dms, *CODE[owned])
    with pytest.raises(ResourceFailed, match=rf"^ferry_dms owns {re.escape(owned)}, .* nothing was changed") as why:
        users.drop(kept(made.master), "ferry_dms", deadline)
    run(made.dms, f"DROP {owned} CASCADE")
    assert users.drop(kept(made.master), "ferry_dms", deadline).startswith("DMS's user is dropped"), why.value


def test_the_tables_that_dms_makes_are_handed_over_with_keys_and_sequences(made: Target, deadline: Deadline) -> None:
    run(made.dms, "CREATE SCHEMA awsdms_control", "CREATE TABLE awsdms_control.awsdms_history "
        "(id bigserial PRIMARY KEY, task varchar(128) NOT NULL DEFAULT '', at timestamp, CHECK (id > 0))",
        "CREATE TABLE payments.parted (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE payments.part PARTITION OF payments.parted DEFAULT",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ferry_owner")  # fmt: skip
    assert users.drop(kept(made.master), "ferry_dms", deadline).startswith("DMS's user is dropped")


def test_runs_at_once_all_succeed(target: Target) -> None:
    """Lambda may deliver an event twice, and CloudFormation takes the first answer."""
    tables = [f"CREATE TABLE payments.t{number} (id int)" for number in range(200)]
    run(target.master, "CREATE SCHEMA payments", *tables)
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(repaired, target) for _ in range(3)]
        done = sorted(each.result().endswith("all as it should be") for each in runs)
    assert done == [False, True, True]
