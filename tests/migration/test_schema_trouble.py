"""Definitions that do not come over as they should: refused, locked, altered, interrupted; each with the next step."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from builders.errors import MigrationError
from builders.migration import marker
from builders.migration.databases import Database
from builders.migration.journal import Journal
from builders.migration.schema import entries, moments, programs, schema
from builders.migration.schema.schema import SchemaOutcome
from builders.migration.schema.schema_plan import Users

from .conftest import DMS_USER, MASTER, Pair

SOURCE = """
CREATE SCHEMA payments;
CREATE TABLE payments.account (id int PRIMARY KEY, email text NOT NULL);
CREATE TABLE payments.ledger (id int PRIMARY KEY, account int REFERENCES payments.account);
CREATE INDEX ledger_account ON payments.ledger (account);
CREATE VIEW payments.both AS SELECT account.email, ledger.id FROM payments.ledger JOIN payments.account
    ON account.id = ledger.account;
GRANT USAGE ON SCHEMA payments TO ferry_source;
GRANT SELECT ON ALL TABLES IN SCHEMA payments TO ferry_source
"""
USERS = Users(dms_target=DMS_USER)


def said_nothing(_line: str) -> None:
    """Hear nothing."""


def carry(both: Pair, users: Users = USERS, observe: Any = None) -> SchemaOutcome:
    with both.database("source") as source, both.database("target", observe=observe) as target:
        return schema.carry(source, target, ["payments"], users, said_nothing, str)


@pytest.fixture
def made(pair: Callable[..., Pair]) -> Callable[..., Pair]:
    """Makes a pair with a superuser's statements in the source, and then the application's."""

    def make(*by_superuser: str, source: str = SOURCE) -> Pair:
        both = pair()
        both.administer("source", f"GRANT CREATE ON DATABASE {both.name} TO ferry_source", *by_superuser)
        with both.application() as session:
            session.execute(source.encode())
        return both

    return make


def test_a_body_that_passes_for_a_definition_is_refused_before_anything_is_made(made: Callable[..., Pair]) -> None:
    """Whoever may make a function in the source would have any statement run by the target's master user."""
    header = "--\n-- TOC entry {} (class 0 OID 0)\n-- Name: x; Type: COMMENT; Schema: payments; Owner: app\n--\n"
    body = f"SELECT 1;\n{header.format(9998)}CREATE TABLE public.taken (id int);\n{header.format(9999)}SELECT 2"
    both = made(source=f"{SOURCE};\nCREATE FUNCTION payments.guise() RETURNS int LANGUAGE sql AS $_$\n{body}\n$_$")
    with pytest.raises(MigrationError, match=r"the text of a definition .* 'x' of type COMMENT"):
        carry(both)
    with both.database("target") as target:
        assert target.value("SELECT to_regclass('public.taken')") is None
        assert target.value("SELECT to_regnamespace('payments')") is None


def test_a_body_with_the_last_words_of_a_dump_comes_over_whole(made: Callable[..., Pair]) -> None:
    words = "-- Completed on Monday\n\n--\n-- PostgreSQL database dump complete\n--\n\nSELECT 1\n"
    both = made(source=f"{SOURCE};\nCREATE FUNCTION payments.last() RETURNS int LANGUAGE sql AS $$\n{words}$$")
    assert carry(both).refused == []
    with both.database("target") as target:
        assert target.value("SELECT prosrc FROM pg_proc WHERE proname = 'last'") == f"\n{words}"


def test_a_marker_that_somebody_else_made_is_refused(made: Callable[..., Pair]) -> None:
    """A trigger of theirs would run with the rights of who writes the marker: by then a member of all owners."""
    both = made(source=f"{SOURCE};\nCREATE SCHEMA stackferry; {marker.CREATE_TABLE}; GRANT ALL ON SCHEMA stackferry TO "
                       "ferry_source; GRANT ALL ON stackferry.marker TO ferry_source")  # fmt: skip
    with pytest.raises(MigrationError, match="the schema stackferry of the source belongs to app, whose code"):
        carry(both)
    both.administer("source", "ALTER SCHEMA stackferry OWNER TO ferry_source")
    with pytest.raises(MigrationError, match=r'ALTER TABLE stackferry\.marker OWNER TO "ferry_source"'):
        carry(both)
    both.administer("source", "ALTER TABLE stackferry.marker OWNER TO ferry_source")
    assert carry(both).refused == []


def test_a_table_that_is_locked_in_the_source_is_named_with_who_holds_it(
    made: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = made()
    monkeypatch.setattr(programs, "LOCK_SECONDS", 0.1)
    with both.application() as session, session.transaction():
        session.execute("LOCK TABLE payments.ledger IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(MigrationError, match=r"pg_dump of the source failed: .*a table is locked: pid \d+ of app"):
            carry(both)


@pytest.mark.parametrize("sign", ["CREATE VIEW", '"email" DROP NOT NULL'])
def test_a_lock_in_the_target_that_passes_is_waited_for(
    made: Callable[..., Pair], sign: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both, seen = made(), []
    monkeypatch.setattr(schema, "LOCK_SECONDS", 0.1)
    with both.application("target", MASTER) as holder:

        def observe(moment: str, statement: str) -> None:
            if moment == "before" and sign in statement and not statement.startswith("INSERT"):
                seen.append(statement)
                holder.execute("BEGIN; LOCK TABLE payments.account" if len(seen) == 1 else "ROLLBACK")

        assert carry(both, observe=observe).is_whole
    assert seen == [seen[0]] * 2
    assert "55P03" in capsys.readouterr().err


def test_an_extension_that_the_master_user_may_not_make_is_left_out_with_what_needs_it(
    made: Callable[..., Pair],
) -> None:
    more = "; CREATE TABLE payments.place (id int PRIMARY KEY, at public.earth); CREATE INDEX at ON payments.place (at)"
    both = made("CREATE EXTENSION cube", "CREATE EXTENSION earthdistance", source=SOURCE + more)
    outcome = carry(both)
    assert not outcome.is_whole
    refused = [(each.kind, each.object, each.why) for each in outcome.refused if each.kind != "ACL"]
    assert refused == [
        ("EXTENSION", "earthdistance", 'permission denied to create extension "earthdistance"'),
        ("TABLE", "payments.place", 'type "public.earth" does not exist'),
        ("CONSTRAINT", "payments.place place_pkey", "it needs TABLE payments.place"),
        ("INDEX", "payments.at", "it needs TABLE payments.place"),
    ]
    with both.database("target") as target:
        left = {(each.kind, each.object) for each in moments.kept(target, "left_out")}
        assert {("EXTENSION", "earthdistance"), ("TABLE", "payments.place")} <= left
    both.administer("target", "CREATE EXTENSION earthdistance")
    assert carry(both).is_whole
    with both.database("target") as target:
        assert moments.kept(target, "left_out") == []


def test_a_table_of_another_form_is_named_and_not_overwritten(made: Callable[..., Pair]) -> None:
    both = made()
    with both.database("target") as target:
        target.run("CREATE SCHEMA payments")
        target.run("CREATE TABLE payments.account (id int PRIMARY KEY, name text)")
    outcome = carry(both)
    assert ("TABLE", "payments.account") in [(each.kind, each.object) for each in outcome.differing]
    with both.database("target") as target:
        assert target.value("SELECT count(name) FROM payments.account") == 0


def test_what_was_altered_on_a_side_since_is_named(made: Callable[..., Pair]) -> None:
    both = made()
    carry(both)
    both.administer("source", "ALTER TABLE payments.account ADD COLUMN phone text")
    both.administer("target", "ALTER TABLE payments.ledger ADD COLUMN note text")
    outcome = carry(both)
    assert {(each.object, each.why) for each in outcome.differing} == {
        ("payments.account", "it was altered in the source since it was carried"),
        ("payments.ledger", "it was altered in the target since it was carried"),
    }


def test_a_new_table_of_the_source_is_carried_by_the_next_run(made: Callable[..., Pair]) -> None:
    both = made()
    carry(both)
    with both.application() as session:
        session.execute(
            "CREATE TABLE payments.later (id int PRIMARY KEY); CREATE INDEX later_id ON payments.later (id)"
        )
        session.execute("GRANT SELECT ON payments.later TO ferry_source")
    outcome = carry(both)
    assert outcome.is_whole
    assert {"TABLE payments.later", "CONSTRAINT payments.later later_pkey"} <= set(outcome.made)
    assert outcome.kept == ["INDEX payments.later_id"]
    with both.database("target") as target:
        query = "SELECT has_table_privilege(%s, 'payments.later', 'INSERT')"
        assert target.value(query, (DMS_USER,))


def test_a_full_disk_ends_the_run_with_the_next_step_and_the_next_run_goes_on(made: Callable[..., Pair]) -> None:
    both = made()
    both.administer(
        "target",
        """CREATE FUNCTION public.full_disk() RETURNS event_trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$""",
        """CREATE EVENT TRIGGER full_disk ON ddl_command_start WHEN TAG IN ('CREATE VIEW')
            EXECUTE FUNCTION public.full_disk()""",
    )
    with pytest.raises(MigrationError, match=r"^VIEW payments.both: .*53100.*the server's disk is full: make room"):
        carry(both)
    both.administer("target", "DROP EVENT TRIGGER full_disk")
    outcome = carry(both)
    assert outcome.is_whole
    assert "VIEW payments.both" in outcome.made
    assert "TABLE payments.account" in outcome.there


def test_a_role_that_the_target_has_already_is_closed_and_opens_at_the_cut_over(made: Callable[..., Pair]) -> None:
    both = made("CREATE ROLE early_clerk LOGIN", 
                source=f"{SOURCE}; GRANT SELECT ON payments.account TO early_clerk")  # fmt: skip
    both.administer("target", "CREATE ROLE early_clerk LOGIN CONNECTION LIMIT 3", f"GRANT early_clerk TO {MASTER}")
    outcome = carry(both)
    assert [str(each) for each in outcome.differing] == [
        "ROLE early_clerk: CONNECTION LIMIT 3 in the target, no attributes in the source"
    ]
    query = "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'early_clerk'"
    with both.database("target") as target:
        assert target.value(query) is False
        for each in moments.harden_statements(target, "opening"):
            moments.put_on(target, target, each)
        assert target.value(query) is True
    assert "ROLE early_clerk" not in carry(both).made


def test_a_user_of_dms_that_is_not_there_names_the_layer_that_makes_it(made: Callable[..., Pair]) -> None:
    both = made()
    with pytest.raises(MigrationError, match="role nobody_dms is not in the target: deploy the layer database_users"):
        carry(both, Users(dms_target="nobody_dms"))


def test_what_a_superuser_owns_in_the_source_belongs_to_the_master_user(made: Callable[..., Pair]) -> None:
    both = made()
    both.administer("source", "ALTER TABLE payments.ledger OWNER TO rdsadmin")
    outcome = carry(both)
    assert outcome.is_whole
    assert [str(each) for each in outcome.left_out] == [
        f"OWNER rdsadmin: it is not a role of the application: what it owns belongs to {MASTER}"
    ]
    with both.database("target") as target:
        owners = target.run("SELECT relname::text, pg_get_userbyid(relowner)::text FROM pg_class WHERE relkind = 'r'"
                            " AND relnamespace = 'payments'::regnamespace ORDER BY 1")  # fmt: skip
        assert owners == [("account", "app"), ("ledger", MASTER)]


def test_a_database_that_is_closed_to_everybody_in_the_source_is_named(made: Callable[..., Pair]) -> None:
    both = made()
    both.administer("source", f"REVOKE TEMPORARY ON DATABASE {both.name} FROM PUBLIC")
    assert [str(each) for each in carry(both).left_out] == [
        "RIGHTS PUBLIC on the database: everybody has TEMPORARY in the target and not in the source: REVOKE it after "
        "the cut-over"
    ]


def test_a_table_that_may_not_be_read_names_the_command_that_says_the_grant(made: Callable[..., Pair]) -> None:
    both = made()
    both.administer("source", "ALTER TABLE payments.ledger OWNER TO rdsadmin",
                    "REVOKE ALL ON payments.ledger FROM ferry_source")  # fmt: skip
    with pytest.raises(MigrationError, match=r"permission denied for table ledger; .* `migrate-database check` names"):
        carry(both)


CODE_IN_CHECKS = """
CREATE SCHEMA payments;
CREATE FUNCTION payments.is_fine(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
  IF current_user <> 'app' THEN RAISE EXCEPTION 'this runs as %', current_user; END IF;
  RETURN true;
END $$;
CREATE DOMAIN payments.fine AS text CHECK (payments.is_fine(VALUE));
CREATE TABLE payments.letters (id int PRIMARY KEY, body text CHECK (payments.is_fine(body)), more payments.fine,
  "odd ""name" text NOT NULL)
"""


def test_the_code_of_a_check_runs_as_the_owner_and_not_as_the_master_user(made: Callable[..., Pair]) -> None:
    """Otherwise whoever may write a function in the source would have the rights of the target's master user."""
    both = made(source=CODE_IN_CHECKS)
    carry(both)
    sandboxes: list[str] = []

    def observe(moment: str, statement: str) -> None:
        if moment == "after" and "pg_temp.stackferry_run" in statement and "CREATE" in statement:
            sandboxes.append(statement)

    with both.database("target", observe=observe) as target:
        target.run("INSERT INTO payments.letters VALUES (1, 'a', 'b', 'c')")
        for each in moments.harden_statements(target, "cutover"):
            moments.put_on(target, target, each)
        opened = moments.harden_statements(target, "opened")
        assert [each.kind for each in opened] == ["VALIDATE", "SET NOT NULL", "DROP CHECK", "VALIDATE", "VALIDATE"]
        for each in opened:
            moments.put_on(target, target, each)
        checks = "FROM pg_constraint WHERE contype = 'c' AND connamespace = 'payments'::regnamespace"
        assert target.run(f"SELECT convalidated {checks}") == [(True,)] * 2
        assert target.value("SELECT current_user") == MASTER
    assert len(sandboxes) == 2  # NOT NULL calls nothing


def test_a_run_that_is_ended_at_any_statement_is_taken_up_by_the_next(made: Callable[..., Pair]) -> None:
    both = made()
    for number in itertools.count(3, 23):
        try:
            carry(both, observe=_ending(number))
        except KeyboardInterrupt:
            continue
        break
    assert number > 30
    carried = {"app"}
    with both.database("source") as source, both.database("target") as target:
        for moment in ("after_load", "cutover", "opened"):
            for each in moments.harden_statements(target, moment):
                if each.kind == "INDEX":
                    target.run(each.statement)
                else:
                    moments.put_on(target, target, each)
        assert _words(target, carried) == _words(source, carried)


def _ending(number: int) -> Any:
    """Ends a run at its statement of a number, as Ctrl-C or a lost host does."""
    seen = itertools.count(1)

    def observe(_moment: str, _statement: str) -> None:
        if next(seen) == number:
            raise KeyboardInterrupt

    return observe


def _words(database: Database, carried: set[str]) -> dict[str, str]:
    found = {str(each): entries.words(each, carried) for each in programs.definitions(database, ["payments"])}
    return {name: said for name, said in found.items() if said}


@pytest.fixture
def opened(made: Callable[..., Pair]) -> Pair:
    """A pair whose application has been cut over to the target."""
    both = made()
    carry(both)
    with both.database("target") as target:
        log = Journal(target)
        log.prepare()
        for step, moment in (("cutover", "begins"), ("open", "begins"), ("open", "done"), ("cutover", "done")):
            log.write("cutover-1", step, moment)  # type: ignore[arg-type]
    return both


def test_nothing_is_carried_to_a_target_that_the_application_uses(opened: Pair) -> None:
    with pytest.raises(MigrationError, match="the application is on the target since the cut-over"):
        carry(opened)
