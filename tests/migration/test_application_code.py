"""Code of the application, such as in casts, domains and CHECKs, gets none of the rights of `migrate-database`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from builders.errors import MigrationError, UsageError
from builders.migration.changes import compare
from builders.migration.verify import command
from builders.migration.verify.command import VerifyRequest
from builders.migration.verify.running import VerifyOptions

from .conftest import Pair

OWNER = "code_app"
SPY = """CREATE FUNCTION payments.spy() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
  INSERT INTO payments.seen VALUES (current_user); RETURN true;
END $$"""
TABLES = (
    "CREATE SCHEMA payments",
    "CREATE TABLE payments.seen (who text)",
    SPY,
    "CREATE TYPE payments.mood AS ENUM ('calm', 'urgent')",
    """CREATE FUNCTION payments.told(payments.mood) RETURNS text LANGUAGE plpgsql AS $$
       BEGIN PERFORM payments.spy(); RETURN 'same'; END $$""",
    "CREATE CAST (payments.mood AS text) WITH FUNCTION payments.told(payments.mood)",
    "CREATE DOMAIN payments.code AS varchar(9) CHECK (payments.spy())",
    "CREATE DOMAIN payments.number AS bigint CHECK (payments.spy())",
    "CREATE TYPE payments.address AS (street payments.code)",
    "CREATE TABLE payments.moods (mood payments.mood, code payments.code, note text, PRIMARY KEY (mood, code))",
    """CREATE TABLE payments.numbers (id payments.number PRIMARY KEY, at payments.address, codes payments.code[],
       note text CHECK (payments.spy()))""",
    "CREATE TABLE payments.addresses (at payments.address PRIMARY KEY, note text)",
)
NUMBERS = "FROM (SELECT n, n::varchar::payments.code AS code FROM generate_series(1, 20) n) AS numbers"
ROWS = (
    f"INSERT INTO payments.moods SELECT 'calm', code, 'x' {NUMBERS}",
    f"INSERT INTO payments.numbers SELECT n::bigint, ROW(code)::payments.address, ARRAY[code], 'x' {NUMBERS}",
    f"INSERT INTO payments.addresses SELECT ROW(code)::payments.address, 'x' {NUMBERS}",
    "TRUNCATE payments.seen",
)
TABLES_COMPARED = ("payments.numbers", "payments.addresses", "payments.moods")


@pytest.fixture
def both(pair: Callable[..., Pair]) -> Pair:
    made = pair()
    for side in ("source", "target"):
        made.administer(side, f"DO $$ BEGIN CREATE ROLE {OWNER}; EXCEPTION WHEN OTHERS THEN NULL; END $$",
                        f"ALTER DATABASE {made.name} OWNER TO {OWNER}",
                        f"SET ROLE {OWNER}", *TABLES, *ROWS)  # fmt: skip
    made.administer("source", f"GRANT {OWNER} TO ferry_source")
    made.administer("target", f"GRANT {OWNER} TO ferry_owner")
    return made


def test_a_comparison_runs_no_code_of_the_application(both: Pair) -> None:
    with both.database("source") as source, both.database("target") as target:
        target.run("UPDATE payments.numbers SET note = 'z' WHERE id < 5")
        target.run("UPDATE payments.moods SET note = 'z'")
        target.run("UPDATE payments.addresses SET note = 'z'")
        target.run("TRUNCATE payments.seen")
        options = VerifyOptions(patience=0, tables=TABLES_COMPARED)
        assert not command.run(source, target, ["payments"], [], options, VerifyRequest())
        assert [side.run("SELECT DISTINCT who FROM payments.seen") for side in (source, target)] == [[], []]


@pytest.mark.parametrize("is_hardened", [False, True])
def test_a_repair_runs_code_of_the_application_as_the_owner_of_the_table(both: Pair, is_hardened: bool) -> None:
    if is_hardened:  # the owner of the table may make nothing, nor look into the schema
        both.administer("target", f"ALTER DATABASE {both.name} OWNER TO ferry_owner",
                        "ALTER SCHEMA payments OWNER TO ferry_owner",
                        f"REVOKE ALL ON DATABASE {both.name} FROM PUBLIC, {OWNER}",
                        f"REVOKE ALL ON SCHEMA payments FROM {OWNER}")  # fmt: skip
    with both.database("source") as source, both.database("target") as target:
        target.run("UPDATE payments.numbers SET note = 'z' WHERE id < 5")
        target.run("DELETE FROM payments.numbers WHERE id > 15")
        target.run("DELETE FROM payments.addresses WHERE at = ROW('3'::payments.code)::payments.address")
        target.run("DELETE FROM payments.moods WHERE code = '3'")
        target.run("TRUNCATE payments.seen")
        options = VerifyOptions(patience=0, tables=TABLES_COMPARED)
        assert command.run(source, target, ["payments"], [], options, VerifyRequest(repair=True, yes=True))
        assert target.run("SELECT DISTINCT who FROM payments.seen") == [(OWNER,)]


def test_a_view_that_takes_the_place_of_a_table_is_not_read(both: Pair) -> None:
    def observe(moment: str, statement: str) -> None:
        if moment == "before" and 'FROM ONLY "payments"."moods"' in statement:
            both.administer("source", f"SET ROLE {OWNER}", "ALTER TABLE payments.moods RENAME TO ex",
                            "CREATE VIEW payments.moods AS SELECT * FROM payments.ex WHERE payments.spy()")  # fmt: skip

    with both.database("source", observe=observe) as source, both.database("target") as target:
        options = VerifyOptions(patience=0, tables=("payments.moods",))
        with pytest.raises((MigrationError, UsageError)):
            command.run(source, target, ["payments"], [], options, VerifyRequest())
        assert source.run("SELECT who FROM payments.seen") == []


def test_a_view_of_the_application_is_refreshed_after_changed_rows_were_compared(both: Pair) -> None:
    """Its owner may see a part of the rows, or read another view."""
    both.administer("target", "ALTER TABLE payments.moods ENABLE ROW LEVEL SECURITY",
                    "CREATE VIEW payments.seen_moods AS SELECT * FROM payments.moods",
                    "CREATE MATERIALIZED VIEW payments.of_master AS SELECT * FROM payments.seen_moods",
                    "GRANT SELECT ON ALL TABLES IN SCHEMA payments TO rds_iam, ferry_owner",
                    "GRANT USAGE ON SCHEMA payments TO rds_iam",
                    "ALTER VIEW payments.seen_moods OWNER TO rds_iam",
                    "ALTER MATERIALIZED VIEW payments.of_master OWNER TO ferry_owner")  # fmt: skip
    with both.database("source") as source, both.database("target") as target:
        assert compare(source, target, ["payments"], {("payments", "moods"): None}) == []
        target.run("REFRESH MATERIALIZED VIEW payments.of_master")
