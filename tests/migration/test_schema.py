"""Definitions carried by `migrate-database schema`, as RDS's master user, who is no superuser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from builders.migration.databases import Database
from builders.migration.mappings import EVERYTHING
from builders.migration.schema import entries, moments, programs, schema
from builders.migration.schema.schema import SchemaOutcome
from builders.migration.schema.schema_plan import Users
from builders.migration.switchover import command
from builders.migration.switchover.steps import Context
from builders.migration.verify import structure

from .conftest import DMS_USER, Pair

SOURCE = """
CREATE SCHEMA payments;
CREATE TABLE payments.account (
    id bigint PRIMARY KEY, email text NOT NULL, name public.citext NOT NULL, note jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}', code varchar(8) NOT NULL DEFAULT 'x', balance numeric NOT NULL DEFAULT 0,
    CONSTRAINT account_email CHECK (coalesce(length(email), 0) > 0), CONSTRAINT account_code CHECK (code <> '')
);
COMMENT ON TABLE payments.account IS 'who pays; -- Name: nobody; Type: TABLE; Schema: payments; Owner: nobody';
CREATE INDEX account_email_index ON payments.account (email);
CREATE TABLE payments.ledger (
    id serial PRIMARY KEY, account bigint NOT NULL REFERENCES payments.account, amount numeric(12, 2) NOT NULL,
    corrects int REFERENCES payments.ledger
);
CREATE TABLE payments.line (ledger int REFERENCES payments.ledger ON DELETE CASCADE, number int, UNIQUE (ledger, number)
    DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE payments.audit (id serial PRIMARY KEY, what text NOT NULL);
CREATE FUNCTION payments.log() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO payments.audit (what) VALUES (tg_op); RETURN new; END $$;
CREATE TRIGGER logged AFTER INSERT ON payments.ledger FOR EACH ROW EXECUTE FUNCTION payments.log();
CREATE DOMAIN payments.words AS text CONSTRAINT there CHECK (VALUE IS NOT NULL);
CREATE DOMAIN payments.told AS payments.words NOT NULL;
CREATE DOMAIN payments.short AS varchar(9) CONSTRAINT filled CHECK (VALUE <> '');
CREATE TABLE payments.sayings (id int PRIMARY KEY, one payments.words, other payments.told, code payments.short);
CREATE TABLE payments.counters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED
);
CREATE TABLE payments.tenants (id int PRIMARY KEY);
ALTER TABLE payments.tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON payments.tenants USING (true);
CREATE RULE kept AS ON DELETE TO payments.tenants DO INSTEAD NOTHING;
CREATE TABLE payments.events (id int, day date, body text NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE payments.events_2026 PARTITION OF payments.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX events_day ON payments.events (day);
CREATE VIEW payments.rich AS SELECT id FROM payments.account WHERE balance > 100;
CREATE VIEW payments.grouped AS SELECT id, email FROM payments.account GROUP BY id;
CREATE MATERIALIZED VIEW payments.totals AS SELECT account, sum(amount) AS total FROM payments.ledger GROUP BY account;
CREATE UNIQUE INDEX totals_account ON payments.totals (account);
CREATE MATERIALIZED VIEW payments.plain AS SELECT 1 AS one;
CREATE STATISTICS payments.together ON code, balance FROM payments.account;
GRANT USAGE ON SCHEMA payments TO s16_group;
GRANT SELECT ON payments.account TO s16_group WITH GRANT OPTION;
GRANT UPDATE (amount) ON payments.ledger TO s16_group;
REVOKE EXECUTE ON FUNCTION payments.log() FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA payments GRANT SELECT ON TABLES TO s16_group;
GRANT USAGE ON SCHEMA payments TO ferry_source;
GRANT SELECT ON ALL TABLES IN SCHEMA payments TO ferry_source;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA payments TO ferry_source
"""
USERS = Users(frozenset(), "ferry_source", DMS_USER)
_VERIFIER = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"


def new_password(role: str) -> str:
    return f"secret-of-{role}"


def silent(_line: str) -> None:
    """Hear nothing."""


@pytest.fixture(scope="module")
def roles(servers: Any) -> Iterator[None]:
    """Roles beside `app` in the source: a group, its member with a password, a member without one, a superuser."""
    source, target = servers
    source.administer(
        "CREATE ROLE s16_group NOLOGIN",
        "CREATE ROLE s16_clerk LOGIN PASSWORD 'clerk' CONNECTION LIMIT 7 IN ROLE s16_group",
        'CREATE ROLE "s16 Odd" LOGIN REPLICATION IN ROLE s16_group',
        "ALTER ROLE s16_clerk SET statement_timeout = '5s'",
        "GRANT SELECT ON pg_catalog.pg_authid TO ferry_source",
    )
    yield
    target.administer('DROP ROLE IF EXISTS s16_clerk, "s16 Odd"')


def source_of(pair: Callable[..., Pair], *more: str) -> Pair:
    """A database pair whose source has all kinds of definitions."""
    both = pair()
    both.administer("source", "CREATE EXTENSION citext", "GRANT SELECT ON pg_catalog.pg_authid TO ferry_source",
                    f"GRANT CREATE ON DATABASE {both.name} TO ferry_source",
                    f"ALTER DATABASE {both.name} SET search_path = '$user', payments",
                    f"ALTER DATABASE {both.name} SET idle_in_transaction_session_timeout = '9s'")  # fmt: skip
    with both.application() as session:
        for statement in (SOURCE, *more):
            session.execute(statement.encode())
    return both


def carry(both: Pair, users: Users = USERS) -> SchemaOutcome:
    with both.database("source") as source, both.database("target") as target:
        return schema.carry(source, target, ["payments"], users, silent, new_password)


@pytest.fixture(scope="module")
def carried(pair: Callable[..., Pair], roles: None) -> tuple[Pair, SchemaOutcome]:
    both = source_of(pair)
    return both, carry(both)


def rows(both: Pair, query: str, side: Any = "target") -> list[tuple[Any, ...]]:
    with both.database(side) as database:
        return database.run(query)


def test_all_definitions_come_over_without_a_superuser(carried: tuple[Pair, SchemaOutcome]) -> None:
    _, outcome = carried
    assert (outcome.refused, outcome.differing) == ([], [])
    assert [str(each) for each in outcome.left_out] == ["ATTRIBUTE REPLICATION of s16 Odd: only a superuser gives it"]


def test_objects_belong_to_the_roles_that_own_them_in_the_source(carried: tuple[Pair, SchemaOutcome]) -> None:
    both, _ = carried
    query = """SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'payments'::regnamespace
        AND relkind IN ('r', 'p', 'v', 'm', 'S')"""
    assert rows(both, query) == [("app",)]
    assert rows(both, "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'payments'") == [("app",)]


def test_roles_come_over_with_attributes_memberships_and_settings_and_cannot_log_in(
    carried: tuple[Pair, SchemaOutcome],
) -> None:
    both, _ = carried
    query = """SELECT rolname::text, rolcanlogin, rolconnlimit, rolconfig,
        (SELECT array_agg(g.rolname::text) FROM pg_auth_members JOIN pg_roles g ON g.oid = roleid WHERE member = r.oid)
        FROM pg_roles r WHERE rolname LIKE 's16%' ORDER BY 1 DESC"""
    assert rows(both, query) == [
        ("s16_group", False, -1, None, None),
        ("s16_clerk", False, 7, ["statement_timeout=5s"], ["s16_group"]),
        ("s16 Odd", False, -1, None, ["s16_group"]),
    ]


def test_a_password_comes_over_as_its_verifier(carried: tuple[Pair, SchemaOutcome]) -> None:
    both, _ = carried
    verifiers = []
    for server in (both.source_server, both.target_server):
        with psycopg.connect(host=str(server.directory), port=server.port, user="rdsadmin", dbname="postgres") as admin:
            verifiers += admin.execute(_VERIFIER, ("s16_clerk",)).fetchall()
    assert verifiers[0] == verifiers[1]
    assert verifiers[0][0].startswith("SCRAM-SHA-256$")


def test_settings_of_the_database_come_over(carried: tuple[Pair, SchemaOutcome]) -> None:
    both, _ = carried
    query = "SELECT setconfig FROM pg_db_role_setting WHERE setdatabase <> 0 AND setrole = 0 AND setdatabase = (SELECT"
    query += " oid FROM pg_database WHERE datname = current_database())"
    assert (
        rows(both, query)
        == [(['search_path="$user", payments', "idle_in_transaction_session_timeout=9s"],)]
        == rows(both, query, "source")
    )


def test_dms_inserts_large_values_as_null_first_and_identities_as_they_are(carried: tuple[Pair, SchemaOutcome]) -> None:
    both, _ = carried
    with psycopg.connect(**both.login("target", DMS_USER).parameters(), autocommit=True) as dms:
        dms.execute("INSERT INTO payments.account (id, email, name, note, tags) VALUES (2, NULL, NULL, NULL, NULL)")
        dms.execute("UPDATE payments.account SET email = 'e', name = 'n', note = '{}', tags = '{}' WHERE id = 2")
        dms.execute("INSERT INTO payments.sayings (id, one, other) VALUES (1, NULL, NULL)")
        dms.execute("UPDATE payments.sayings SET one = 'one', other = 'other'")
        with pytest.raises(psycopg.errors.CheckViolation):
            dms.execute("UPDATE payments.sayings SET code = ''")
        dms.execute("INSERT INTO payments.counters (id, n) VALUES (7, 1)")
        dms.execute("INSERT INTO payments.events VALUES (1, '2026-05-05', NULL)")
        dms.execute("INSERT INTO payments.tenants VALUES (1)")
        dms.execute("INSERT INTO stackferry.marker VALUES (1, 'token', now())")
        with pytest.raises(psycopg.errors.NotNullViolation):
            dms.execute("INSERT INTO payments.account (id, email, name, code) VALUES (3, 'e', 'n', NULL)")
        with pytest.raises(psycopg.errors.CheckViolation):
            dms.execute("INSERT INTO payments.account (id, email, name, code) VALUES (3, 'e', 'n', '')")


def test_after_the_opening_a_materialized_view_is_refreshed_past_its_readers_where_that_is_possible(
    carried: tuple[Pair, SchemaOutcome],
) -> None:
    both, _ = carried
    query = """SELECT statement FROM stackferry_state.definitions WHERE kind = 'REFRESH' AND moment = '{}' ORDER BY 1"""
    assert rows(both, query.format("after_load")) == [
        ('REFRESH MATERIALIZED VIEW "payments"."plain"',), ('REFRESH MATERIALIZED VIEW "payments"."totals"',)
    ]  # fmt: skip
    assert rows(both, query.format("opened")) == [
        ('REFRESH MATERIALIZED VIEW "payments"."plain"',),
        ('REFRESH MATERIALIZED VIEW CONCURRENTLY "payments"."totals"',),
    ]


def test_a_timeout_of_the_database_comes_over_and_not_for_dms(carried: tuple[Pair, SchemaOutcome]) -> None:
    both, _ = carried
    shown = "SHOW idle_in_transaction_session_timeout"
    with psycopg.connect(**both.login("target", DMS_USER).parameters()) as dms:
        assert dms.execute(shown).fetchall() == [("0",)]
    with psycopg.connect(**both.login("target").parameters()) as master:
        assert master.execute(shown).fetchall() == [("9s",)]


def test_no_trigger_fires_for_what_dms_writes(carried: tuple[Pair, SchemaOutcome]) -> None:
    both, _ = carried
    with psycopg.connect(**both.login("target", DMS_USER).parameters(), autocommit=True) as dms:
        dms.execute("INSERT INTO payments.ledger (id, account, amount) VALUES (5, 999, 1)")
        dms.execute("DELETE FROM payments.ledger WHERE id = 5")
        assert dms.execute("SELECT count(*) FROM payments.audit").fetchall() == [(0,)]


def test_a_second_run_finds_everything_there(carried: tuple[Pair, SchemaOutcome]) -> None:
    both, _ = carried
    second = carry(both)
    assert (second.made, second.kept, second.differing, second.refused) == ([], [], [], [])
    assert {"TABLE payments.account", "ROLE s16_clerk", "EXTENSION citext"} <= set(second.there)


def test_with_all_moments_made_the_target_has_the_source_s_definitions(pair: Callable[..., Pair], roles: None) -> None:
    both = source_of(pair)
    outcome = carry(both)
    with both.database("source") as source, both.database("target") as target:
        harden(target, "after_load", "cutover", "opened")
        assert compared(target) == compared(source)
        moments.soften(target, target, ["payments"], silent)
        assert compared(target) != compared(source)
        harden(target, "cutover", "opened")
        assert compared(target) == compared(source)
    assert outcome.is_whole


def harden(target: Database, *several: moments.Moment) -> None:
    """Make what is kept for some moments, as a cut-over does, with indexes as in a transaction."""
    for moment in several:
        for each in moments.harden_statements(target, moment):
            moments.put_on(
                target, target, replace(each, statement=each.statement.replace("INDEX CONCURRENTLY", "INDEX"))
            )


def compared(database: Database) -> dict[str, str]:
    """The definitions of a side by their names, without rights of DMS and of migrate-database."""
    carried = {"app", "s16_group", "s16_clerk", "s16 Odd"}
    found = {str(each): entries.words(each, carried) for each in programs.definitions(database, ["payments"])}
    return {name: said for name, said in found.items() if said}


def test_what_is_new_in_the_source_differs_since_nobody_keeps_it_for_the_cut_over(
    pair: Callable[..., Pair], roles: None
) -> None:
    both = source_of(pair)
    carry(both)
    with both.application() as session, both.database("source") as source, both.database("target") as target:
        indexes = ["index payments.events_pkey is in the target alone"]  # until `start` attaches that of the partition
        assert [str(each) for each in structure.compare(source, target, ["payments"], {})
                if each.state == "differs"] == indexes  # fmt: skip
        for statement in (
            "CREATE TRIGGER noted AFTER INSERT ON payments.account FOR EACH ROW EXECUTE FUNCTION payments.log()",
            "ALTER TABLE payments.account ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY everything ON payments.account USING (false)",
            "ALTER TABLE payments.ledger ADD CONSTRAINT positive CHECK (amount > 0)",
            "CREATE INDEX email ON payments.account (id, email)",
        ):
            session.execute(statement.encode())
        found = [str(each) for each in structure.compare(source, target, ["payments"], {}) if each.state == "differs"]
        context = SimpleNamespace(source=source, target=target, schemas=["payments"], mappings=EVERYTHING)
        (problem,) = command.changed_definitions(cast("Context", context))
    assert problem.startswith(found[0])
    assert problem.endswith("run `migrate-database schema`, then `verify` again")
    assert found == [
        "constraint payments.ledger positive is missing in the target",
        "index payments.email is missing in the target",
        *indexes,
        "policy payments.account everything is missing in the target",
        "row security payments.account is missing in the target",
        "trigger payments.account noted is missing in the target",
    ]
