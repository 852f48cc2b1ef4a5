"""A session to one side: its login, its statements, and how PostgreSQL's errors read."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from builders.errors import MigrationError
from builders.migration import databases, definitions
from builders.migration.databases import Database
from builders.migration.phase import database_of

from .conftest import Pair


@pytest.fixture(scope="module")
def both(pair: Callable[..., Pair]) -> Pair:
    return pair(
        "CREATE SCHEMA payments",
        "CREATE DOMAIN payments.iban AS varchar(34)",
        "CREATE DOMAIN payments.german_iban AS payments.iban CHECK (VALUE LIKE 'DE%')",
        "CREATE DOMAIN payments.words AS text[]",
        "CREATE TABLE payments.ledger (iban payments.german_iban, words payments.words, id int PRIMARY KEY,"
        " note text NOT NULL, code varchar(3), more varchar)",
    )


def test_a_password_that_was_rotated_since_is_read_again(both: Pair) -> None:
    login = both.login("target")
    logins = iter([replace(login, password="of-before"), login])
    with Database("target", lambda: next(logins)) as database:
        assert database.value("SELECT current_user") == "ferry_owner"


def test_who_holds_a_lock_is_named_after_the_password_was_rotated_too(both: Pair) -> None:
    secret, new = {"password": both.login("source").password}, "rotated-meanwhile"
    with Database("source", lambda: replace(both.login("source"), password=secret["password"])) as database:
        old = secret["password"]
        try:
            both.administer("source", f"ALTER ROLE ferry_source PASSWORD '{new}'")
            secret["password"] = new
            with both.application() as application, application.transaction():
                application.execute("LOCK TABLE payments.ledger")
                database.run("SET lock_timeout = '50ms'")
                with pytest.raises(MigrationError, match=f"pid {application.info.backend_pid} of app"):
                    database.run("ALTER TABLE payments.ledger ALTER note SET STATISTICS 10")
        finally:
            both.administer("source", f"ALTER ROLE ferry_source PASSWORD '{old}'")


def test_a_deadlock_with_a_writer_is_one_line_with_who_it_is_and_the_transaction_is_done_again(
    both: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    # PostgreSQL ends who looks first: ours does soon, and the writer's session, a superuser's, does not look.
    both.administer("source", "CREATE TABLE payments.other (id int)", "ALTER TABLE payments.other OWNER TO app",
                    f"ALTER ROLE ferry_source IN DATABASE {both.name} SET deadlock_timeout = '50ms'")  # fmt: skip
    blocked = "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted"
    with (
        both.application(username="postgres") as writer,
        both.application() as other,
        both.database("source") as database,
    ):
        writer.execute("SET deadlock_timeout = '60s'")
        writer.execute("BEGIN")
        writer.execute("INSERT INTO payments.other VALUES (1)")

        writer_pid = writer.info.backend_pid

        def altered() -> None:
            with database.transaction():
                database.run("ALTER TABLE payments.ledger ALTER note SET NOT NULL")
                waiting.start()
                while not other.execute(blocked, (writer_pid,)).fetchall():
                    time.sleep(0.01)
                database.run("ALTER TABLE payments.other ALTER id SET NOT NULL")

        def again() -> None:
            if waiting.ident is None:
                altered()
            waiting.join()
            writer.execute("ROLLBACK")
            with database.transaction():
                database.run("ALTER TABLE payments.ledger ALTER note SET NOT NULL")

        statement = "INSERT INTO payments.ledger (id, note) VALUES (7, 'x')"
        waiting = threading.Thread(target=writer.execute, args=(statement,))
        database.patiently(again)
    said = capsys.readouterr().err.splitlines()[0]
    assert "40P01: deadlock detected (Process " in said
    assert f"pid {writer_pid} of postgres" in said
    assert said.endswith("; let them end, or end them, then run this again; trying again (1 of 9)")


def test_no_statement_is_compiled_while_an_application_waits_for_it(both: Pair) -> None:
    both.administer("source", f"ALTER DATABASE {both.name} SET jit = on")
    with both.database("source") as database:
        assert database.value("SHOW jit") == "off"


def test_a_server_that_acknowledges_nothing_any_more_is_given_up_within_minutes(both: Pair) -> None:
    with both.database("source") as database:
        given = database.connection.info.get_parameters()
    assert int(given["tcp_user_timeout"]) <= 60_000


def test_a_transaction_that_came_across_another_is_done_again(both: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    both.administer("source", "INSERT INTO payments.ledger (id, note) VALUES (40, 'a')")
    change = "UPDATE payments.ledger SET note = note || '{}' WHERE id = 40"
    others = iter(["b"])
    with both.database("source") as database, both.application() as other:

        def changed() -> None:
            with database.transaction():
                database.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                database.run("SELECT note FROM payments.ledger")
                for letter in others:
                    other.execute(change.format(letter).encode())
                database.run(change.format("c"))

        database.patiently(changed)
        assert database.run("DELETE FROM payments.ledger WHERE id = 40 RETURNING note") == [("abc",)]
    assert "SQLSTATE 40001" in capsys.readouterr().err


def test_what_is_not_about_locks_is_done_once(both: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    with both.database("source") as database:
        with pytest.raises(MigrationError, match="22012"):
            database.patiently(database.run, "SELECT 1 / 0")
        with both.application() as application, application.transaction():
            application.execute("LOCK TABLE payments.ledger")
            database.run("SET lock_timeout = '50ms'")
            with pytest.raises(MigrationError, match="55P03"), database.transaction():
                database.patiently(database.run, "LOCK TABLE payments.ledger")
    assert capsys.readouterr().err == ""


def test_a_statement_and_locks_that_stay_end_with_who_holds_them(
    both: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(databases, "LOCK_WAITS", (0.05, 0.05))
    with both.application() as application, application.transaction(), both.database("source") as database:
        application.execute("LOCK TABLE payments.ledger")
        with pytest.raises(MigrationError, match=f"55P03.*pid {application.info.backend_pid} of app .*end them"):
            database.patiently(database.run, "ALTER TABLE payments.ledger ALTER note SET STATISTICS 10")
        assert database.value("SHOW lock_timeout") == f"{databases.LOCK_SECONDS}s"
    assert capsys.readouterr().err.count("trying again (1 of 1)") == 1


def test_a_refused_login_is_one_line_without_the_password(both: Pair) -> None:
    wrong = replace(both.login("target"), password="not-this-one")
    with pytest.raises(MigrationError) as refused:
        Database("target", lambda: wrong)
    assert "the target refuses ferry_owner at localhost" in str(refused.value)
    assert "let its rotation finish" in str(refused.value)
    assert "not-this-one" not in str(refused.value)


def test_a_host_that_does_not_resolve_is_one_line_with_the_next_step(both: Pair) -> None:
    lost = replace(both.login("source"), host="no-such-host.invalid", address=None)
    with pytest.raises(MigrationError) as refused:
        Database("source", lambda: lost)
    assert "the source refuses ferry_source at no-such-host.invalid" in str(refused.value)
    assert "give --source-address" in str(refused.value)


def test_a_lock_that_is_waited_for_names_who_may_hold_it(both: Pair) -> None:
    with both.application() as application, application.transaction():
        application.execute("LOCK TABLE payments.ledger")
        holder = application.info.backend_pid
        with both.database("source") as database:
            database.run("SET lock_timeout = '50ms'")
            with pytest.raises(MigrationError) as refused:
                database.run("ALTER TABLE payments.ledger ALTER note SET STATISTICS 10")
    assert "55P03" in str(refused.value)
    assert f"pid {holder} of app" in str(refused.value)


def test_a_lock_of_a_role_whose_transactions_we_may_not_see_is_named_too(both: Pair) -> None:
    with both.application(username="postgres") as superuser, superuser.transaction():
        superuser.execute("LOCK TABLE payments.ledger")
        with both.database("source") as database:
            database.run("SET lock_timeout = '50ms'")
            with pytest.raises(MigrationError, match=f"pid {superuser.info.backend_pid} of postgres"):
                database.run("ALTER TABLE payments.ledger ALTER note SET STATISTICS 10")


@pytest.mark.parametrize("where", ["DATABASE {}", "ROLE ferry_owner IN DATABASE {}"])
def test_no_timeout_of_the_database_or_the_user_ends_a_long_statement_or_an_idle_session(
    both: Pair, where: str
) -> None:
    """`schema` carries such settings of a database, and what `start` builds in it takes longer."""
    altered = f"ALTER {where.format(both.name)}"
    settings = ["statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"]
    settings = settings[: 3 if both.target_server.installation.major >= 14 else 2]
    both.administer("target", *(f"{altered} SET {name} = '50ms'" for name in settings))
    try:
        with both.database("target") as database, database.transaction():
            database.run("SELECT pg_sleep(0.1)")
            time.sleep(0.1)
            assert [database.value(f"SHOW {name}") for name in settings] == ["0"] * len(settings)
    finally:
        both.administer("target", f"{altered} RESET ALL")


def test_a_pooler_that_drops_the_settings_of_a_session_is_named(both: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "_SESSION", "")
    with pytest.raises(MigrationError, match="without the settings that it asked for; a pooler such as PgBouncer"):
        both.database("source")


def test_a_pooler_that_refuses_the_settings_of_a_session_is_named(both: Pair) -> None:
    fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)

        pooler = threading.Thread(target=refuse)
        pooler.start()
        login = replace(both.login("source"), ssl_mode="disable", address=("127.0.0.1", listener.getsockname()[1]))
        with pytest.raises(MigrationError, match="unsupported startup parameter: options; a pooler such as PgBouncer"):
            Database("source", lambda: login)
        pooler.join()


def test_a_server_that_is_too_old_is_named_with_its_version(both: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "OLDEST_MAJOR", 99)
    with pytest.raises(MigrationError, match=r"the source is PostgreSQL [\d.]+ .*came with PostgreSQL 99: upgrade it"):
        both.database("source")


@pytest.mark.parametrize(
    ("message", "said"),
    [("ungültige Eingabesyntax für Typ integer: »4111-1111«", "ungültige Eingabesyntax für Typ integer"),
     ("syntaxe en entrée invalide pour le type integer : « 4111-1111 »",
      "syntaxe en entrée invalide pour le type integer"),
     ('"integer"型の入力構文が不正です: "4111-1111"', '"integer"型の入力構文が不正です'),
     ('invalid input syntax for type integer: "4111\n: 1111"', "invalid input syntax for type integer")],
)  # fmt: skip
def test_no_value_stands_in_an_error_in_whatever_language_the_server_writes_it(
    both: Pair, message: str, said: str
) -> None:
    class Refused(psycopg.errors.InvalidTextRepresentation):
        diag: Any = SimpleNamespace(message_primary=message, message_detail=None)

    with both.database("source") as database, pytest.raises(MigrationError) as refused, database.translated():
        raise Refused
    assert str(refused.value) == f"the source refused with SQLSTATE 22P02: {said}"


@pytest.mark.parametrize(
    ("statement", "said"),
    [("SELECT '4111-1111'::int", "invalid input syntax for type integer;"),
     ("SELECT '4111-41-11'::date", "date/time field value out of range;"),
     ("INSERT INTO payments.ledger (id, note, code) SELECT 1, 'x', '411' FROM generate_series(1, 2)",
      'violates unique constraint "ledger_pkey"'),
     ("INSERT INTO payments.ledger (id, code) VALUES (1, '411')", 'null value in column "note"')],
)  # fmt: skip
def test_no_value_of_a_row_stands_in_an_error(both: Pair, statement: str, said: str) -> None:
    with both.application() as application:
        application.execute("GRANT ALL ON SCHEMA payments TO ferry_source")
        application.execute("GRANT ALL ON payments.ledger TO ferry_source")
    with both.database("source") as database, pytest.raises(MigrationError) as refused:
        database.run(statement)
    assert said in f"{refused.value};"
    assert "411" not in str(refused.value)
    assert "(1" not in str(refused.value)


def test_every_statement_is_observed_before_and_after(both: Pair) -> None:
    seen: list[tuple[str, str]] = []
    watched = both.database("source", observe=lambda moment, statement: seen.append((moment, statement)))
    with watched as database, database.transaction():
        database.run("SELECT 1")
    assert seen == [("before", "SELECT 1"), ("after", "SELECT 1"), ("before", "COMMIT"), ("after", "COMMIT")]


def test_a_transaction_whose_process_ends_in_it_changes_nothing(both: Pair) -> None:
    def insert(database: Database) -> None:
        with database.transaction():
            database.run("INSERT INTO payments.ledger (id, note) VALUES (1, 'x')")
            raise KeyboardInterrupt

    with both.database("source") as database:
        with pytest.raises(KeyboardInterrupt):
            insert(database)
        assert database.value("SELECT count(*) FROM payments.ledger") == 0


def test_what_dms_treats_as_a_large_value_is_large(both: Pair) -> None:
    with both.database("source") as database:
        ledger = next(each for each in definitions.tables(database, ["payments"]) if each.name == "ledger")
    assert ledger.key == ("id",)
    assert {column.name: column.large for column in ledger.columns} == {
        "iban": False, "words": True, "id": False, "note": True, "code": False, "more": True,
    }  # fmt: skip


def test_the_variables_of_pg_dump_log_in_as_the_session_does(both: Pair) -> None:
    with both.database("source") as database:
        variables = database.environment()
    with psycopg.connect(
        host=variables["PGHOST"], port=variables["PGPORT"], user=variables["PGUSER"],
        password=variables["PGPASSWORD"], dbname=variables["PGDATABASE"],
    ) as session:  # fmt: skip
        assert session.execute("SELECT current_user").fetchall() == [("ferry_source",)]


def test_columns_that_a_primary_key_only_includes_are_none_of_its_key(both: Pair) -> None:
    with both.application() as application:
        application.execute(
            "CREATE TABLE payments.covered (b int, a int, note text, PRIMARY KEY (a, b) INCLUDE (note))"
        )
    with both.database("source") as database:
        covered = next(each for each in definitions.tables(database, ["payments"]) if each.name == "covered")
    assert covered.key == ("a", "b")


@pytest.mark.parametrize(
    "described",
    [
        {"DatabaseName": "payments", "PostgreSQLSettings": {"SecretsManagerSecretId": "arn"}},
        {"PostgreSQLSettings": {"SecretsManagerSecretId": "arn", "DatabaseName": "payments"}},
    ],
)
def test_the_database_of_an_endpoint_is_read_wherever_dms_describes_it(described: dict[str, Any]) -> None:
    assert database_of(described) == "payments"
