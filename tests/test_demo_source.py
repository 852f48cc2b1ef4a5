"""The database on premises that a file makes: what the application's role and DMS's user have of it, and what is
refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from builders.cloud.rds.on_premises import OnPremises, on_premises
from builders.errors import UsageError
from builders.layers._migration.tables import table_rules
from builders.rehearsal import source

_numbers = itertools.count(1)

ODD = """
CREATE SCHEMA "Sales";
CREATE SCHEMA "größe_über";
CREATE TYPE "Sales"."Mood" AS ENUM ('glad', 'sad');
CREATE DOMAIN "Sales".positive AS integer CHECK (VALUE > 0);
CREATE TABLE "Sales"."Order Items" (
    "Id" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Größe" text NOT NULL, t text, mood "Sales"."Mood"
);
CREATE TABLE "größe_über"."Ereignis" (id bigserial, am date NOT NULL, PRIMARY KEY (id, am)) PARTITION BY RANGE (am);
CREATE TABLE "größe_über"."Ereignis_2024" PARTITION OF "größe_über"."Ereignis"
    FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO "Sales"."Order Items" ("Größe", t) SELECT 'ß' || n, E'\\t\\\\' FROM generate_series(1, 100) AS n;
INSERT INTO "größe_über"."Ereignis" (am) SELECT date '2024-06-01' + n FROM generate_series(1, 50) AS n;
"""
EXTENSIONS = """
CREATE EXTENSION citext;
CREATE SCHEMA ext;
CREATE EXTENSION hstore SCHEMA ext;
CREATE EXTENSION btree_gist SCHEMA ext;
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE users (id uuid PRIMARY KEY, email citext NOT NULL UNIQUE, mood mood, attributes ext.hstore);
CREATE TABLE without_key (a int, b text NOT NULL);
CREATE TABLE generated (id serial PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
CREATE VIEW emails AS SELECT email FROM users;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM users;
CREATE TABLE room (id int PRIMARY KEY, during tsrange, EXCLUDE USING gist (id WITH =, during WITH &&));
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER nothing BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE PROCEDURE done() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE added(int) (sfunc = int4pl, stype = int);
CREATE STATISTICS together ON id, n FROM generated;
"""
OWNERS = """
CREATE ROLE reader;
CREATE ROLE merchant LOGIN;
CREATE SCHEMA shop AUTHORIZATION merchant;
SET ROLE merchant;
CREATE TABLE shop.a (id serial PRIMARY KEY, x text);
CREATE TABLE shop.b (id int PRIMARY KEY REFERENCES shop.a DEFERRABLE INITIALLY DEFERRED, tags text[] NOT NULL);
CREATE UNLOGGED TABLE shop.scratch (id int PRIMARY KEY);
CREATE TABLE shop.child (extra int) INHERITS (shop.a);
RESET ROLE;
GRANT SELECT ON shop.a TO reader;
ALTER TABLE shop.b ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION public.told() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''told''; END';
CREATE EVENT TRIGGER told ON ddl_command_end EXECUTE FUNCTION public.told();
CREATE PUBLICATION everything FOR TABLE shop.a;
CREATE TEXT SEARCH CONFIGURATION shop.words (COPY = simple);
CREATE OPERATOR shop.=== (leftarg = int, rightarg = int, function = int4eq);
COPY shop.a (x) FROM stdin;
one
two
\\.
\\echo done
"""
SELDOM = """
CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE SCHEMA s3; CREATE SCHEMA s4; CREATE SCHEMA _under;
CREATE TABLE s1.a (id int PRIMARY KEY);
ALTER TABLE s1.a OWNER TO postgres;
CREATE TABLE s2.a (id int PRIMARY KEY, r int4range, c s1.a, m money, b bit(3), ip inet, ts timestamptz);
CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE s3.elsewhere (a int) SERVER nowhere;
CREATE SEQUENCE s4.numbers; CREATE TABLE _under.x (id bigint DEFAULT nextval('s4.numbers') PRIMARY KEY);
CREATE TYPE s4.pair AS (a int, b text); CREATE TYPE s4.span AS RANGE (subtype = float8);
VACUUM;
"""
ITS_OWN = """
DROP SCHEMA public CASCADE;
CREATE SCHEMA books AUTHORIZATION app;
SET SESSION AUTHORIZATION app;
CREATE TABLE books.t1 (id int PRIMARY KEY, note text NOT NULL);
ALTER ROLE CURRENT_USER PASSWORD 'mine';
"""

OWNERS_OF_ALL = """
SELECT DISTINCT pg_get_userbyid(owner) FROM (
    SELECT relowner AS owner, relnamespace AS schema, oid FROM pg_class
    UNION ALL SELECT proowner, pronamespace, oid FROM pg_proc
    UNION ALL SELECT typowner, typnamespace, oid FROM pg_type
    UNION ALL SELECT oprowner, oprnamespace, oid FROM pg_operator
    UNION ALL SELECT cfgowner, cfgnamespace, oid FROM pg_ts_config
    UNION ALL SELECT stxowner, stxnamespace, oid FROM pg_statistic_ext
    UNION ALL SELECT nspowner, oid, oid FROM pg_namespace
) AS thing JOIN pg_namespace ON pg_namespace.oid = thing.schema
WHERE nspname = ANY(%s) AND NOT (nspname = 'public' AND thing.oid = thing.schema)
  AND NOT EXISTS (
      SELECT FROM pg_depend
      WHERE objid = thing.oid AND (deptype = 'e' OR (deptype = 'i' AND classid = 'pg_proc'::regclass))
  )
  AND NOT EXISTS (
      SELECT FROM pg_type JOIN pg_depend ON pg_depend.objid = pg_type.typelem AND deptype = 'e'
      WHERE pg_type.oid = thing.oid
  )
"""

Fill = Callable[[str], tuple[OnPremises, list[str]]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPremises]:
    with on_premises(tmp_path_factory.mktemp("cloud"), "payments.corp.internal") as running:
        yield running


@pytest.fixture
def fill(server: OnPremises, tmp_path: Path) -> Fill:
    """Fill a database of its own with what a text makes."""

    def run(text: str) -> tuple[OnPremises, list[str]]:
        name = f"filled_{next(_numbers)}"
        server.server.administer(f"CREATE DATABASE {name} OWNER app")
        file = tmp_path / "given.sql"
        file.write_text(text, encoding="utf-8")
        filled = dataclasses.replace(server, database_name=name)
        return filled, source.fill(filled, file, 0, print)

    return run


def asked(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as session:
        return session.execute(query.encode(), values).fetchall()


def as_user(database: OnPremises, secret: dict[str, Any]) -> str:
    login = f"app:{database.application_password}"
    return database.application_url.replace(login, f"{secret['username']}:{secret['password']}")


@pytest.mark.parametrize(
    ("text", "schemas"),
    [
        (ODD, ["Sales", "größe_über"]),
        (EXTENSIONS, ["public"]),
        (OWNERS, ["public", "shop"]),
        (SELDOM, ["s1", "s2", "s3", "s4", "_under"]),
        (ITS_OWN, ["books"]),
        ("", ["public"]),
    ],
    ids=["odd names", "extensions", "other owners", "seldom", "its own", "nothing"],
)
def test_all_that_a_file_makes_is_the_applications_and_its_schemas_are_migrated(
    fill: Fill, text: str, schemas: list[str]
) -> None:
    database, found = fill(text)
    assert found == schemas
    owners = asked(database.application_url, OWNERS_OF_ALL, schemas)
    assert owners in ([("app",)], [])
    assert bool(owners) == bool(text)


def test_the_user_of_the_source_secret_reads_everything_and_is_no_superuser(fill: Fill) -> None:
    database, _ = fill(ODD)
    url = as_user(database, database.secret())
    assert asked(url, 'SELECT count(*) FROM "Sales"."Order Items"') == [(100,)]
    assert asked(url, 'SELECT count(*) FROM "größe_über"."Ereignis"') == [(50,)]
    assert asked(url, 'SELECT last_value FROM "größe_über"."Ereignis_id_seq"') == [(50,)]
    rights = "SELECT rolreplication, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert asked(url, rights) == [(True, False, False, False)]


def test_the_user_of_the_source_secret_can_do_what_a_cut_over_takes(fill: Fill) -> None:
    """The marker's schema, the passwords' verifiers, the application's sessions, its right to connect, a fence."""
    database, _ = fill(ODD)
    with psycopg.connect(as_user(database, database.secret()), autocommit=True) as session:
        session.execute("CREATE SCHEMA stackferry")
        verifier = session.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").fetchone()
        assert verifier is not None
        assert verifier[0].startswith("SCRAM-SHA-256$")
        session.execute(
            "CREATE FUNCTION stackferry.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fenced'; END $$"
        )
        session.execute(
            'CREATE TRIGGER fence BEFORE INSERT ON "Sales"."Order Items" EXECUTE FUNCTION stackferry.refuse()'
        )
        with psycopg.connect(database.application_url) as application:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s"
            assert session.execute(ended, (application.info.backend_pid,)).fetchone() == (True,)
        session.execute(f"REVOKE CONNECT ON DATABASE {database.database_name} FROM PUBLIC, app".encode())


def test_the_user_of_the_way_back_writes_past_triggers_and_makes_no_table_in_the_schemas(fill: Fill) -> None:
    trigger = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fenced'; END $$;
CREATE TRIGGER fence BEFORE INSERT OR DELETE ON "Sales"."Order Items" EXECUTE FUNCTION refuse();
"""
    database, _ = fill(ODD + trigger)
    with pytest.raises(psycopg.errors.RaiseException, match="fenced"):
        asked(database.application_url, 'DELETE FROM "Sales"."Order Items" RETURNING 1')
    url = as_user(database, database.fallback_secret())
    assert len(asked(url, 'DELETE FROM "Sales"."Order Items" RETURNING 1')) == 100
    assert asked(url, "SELECT rolsuper, rolreplication FROM pg_roles WHERE rolname = current_user") == [(False, False)]
    assert asked(url, "SELECT has_database_privilege(current_database(), 'CREATE')") == [(True,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        asked(url, 'CREATE TABLE "Sales".more (id int)')


def test_the_url_of_the_application_works_after_a_file_that_sets_another_password(fill: Fill) -> None:
    database, _ = fill(ITS_OWN)
    assert asked(
        database.application_url, "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    ) == [("app", True)]


def test_a_file_that_fails_is_told_with_psqls_line_and_nothing_of_a_password(fill: Fill) -> None:
    with pytest.raises(UsageError) as failed:
        fill("CREATE TABLE a (id int);\n\nSELECT * FRM a;\n")
    assert str(failed.value).endswith('given.sql:3: ERROR:  syntax error at or near "FRM"')


def test_more_schemas_than_a_phase_can_name_are_refused(fill: Fill) -> None:
    with pytest.raises(UsageError, match=r"makes 6 schemas \(z1, .*z6\); a phase migrates at most 5"):
        fill(" ".join(f"CREATE SCHEMA z{number};" for number in range(1, 7)))


def test_a_schema_that_the_template_does_not_take_is_refused_before_anything_is_deployed(fill: Fill) -> None:
    with pytest.raises(UsageError, match="makes the schema 'my schema'; the name of one schema, written as in"):
        fill('CREATE SCHEMA "my schema";')


def test_rules_of_single_tables_leave_out_what_would_come_twice_or_be_refused(fill: Fill) -> None:
    columns = "n int, twice int GENERATED ALWAYS AS (n * 2) STORED"
    database, schemas = fill(f'{ODD} CREATE TABLE "Sales".two_columns (id int PRIMARY KEY, {columns});')
    text = source.table_rules(database, schemas)
    assert re.search(table_rules().AllowedPattern, text)
    found = [(rule["rule-id"], rule["rule-action"], rule["object-locator"]) for rule in json.loads(f"[{text}]")]
    assert found == [
        ("10", "exclude", {"schema-name": "größe[_]über", "table-name": "Ereignis"}),
        ("11", "remove-column", {"schema-name": "Sales", "table-name": "two[_]columns", "column-name": "twice"}),
    ]


def test_a_database_without_such_tables_needs_no_rules(fill: Fill) -> None:
    assert source.table_rules(*fill(ITS_OWN)) == ""
