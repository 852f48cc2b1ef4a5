"""test_decoding's text is read as a server writes it, whatever the names, types and values."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from psycopg import sql

from builders import logical_decoding
from builders.cloud.rds import postgres
from builders.cloud.rds.on_premises import on_premises
from builders.logical_decoding import UNCHANGED, Begin, Commit, Delete, Insert, Malformed, Message, Truncate, Update

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
    lambda name: len(name.encode()) < 60
)
QUICKLY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

Session = psycopg.Connection[tuple[str]]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """A session of a superuser on a server of its own, with a slot."""
    with (
        tempfile.TemporaryDirectory(prefix="stackferry-decoding-") as name,
        on_premises(Path(name), "source.corp.internal", database_name="decoded") as source,
        psycopg.connect(
            host=str(source.server.directory), port=source.server.port, user=postgres.ADMINISTRATOR, dbname="decoded",
            autocommit=True, client_encoding="UTF8",
        ) as made,
    ):  # fmt: skip
        made.execute("SELECT pg_create_logical_replication_slot('changes', 'test_decoding')")
        yield made


def events(session: Session) -> list[logical_decoding.Event]:
    """The changes that the slot has got, without the transactions' ends."""
    rows = session.execute("SELECT data FROM pg_logical_slot_get_changes('changes', NULL, NULL)").fetchall()
    parsed = [logical_decoding.parse(text) for (text,) in rows]
    return [event for event in parsed if not isinstance(event, (Begin, Commit))]


@QUICKLY
@given(schema=NAMES, table=NAMES, column=NAMES, value=st.none() | TEXTS)
@example(schema="a.b", table='we"ird: INSERT:', column="x[integer]:1", value="' y[text]:'z")
@example(schema="s", table="t", column="old-key:", value="null")
@example(schema="shop", table="order", column="select", value="unchanged-toast-datum")
def test_any_name_and_any_text_come_out_as_they_went_in(
    session: Session, schema: str, table: str, column: str, value: str | None
) -> None:
    if schema.startswith("pg_"):
        schema = "x" + schema
    name = sql.Identifier(schema, table)
    session.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
    session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    session.execute(sql.SQL("CREATE TABLE {} ({} text, key int PRIMARY KEY)").format(name, sql.Identifier(column)))
    events(session)
    session.execute(sql.SQL("INSERT INTO {} VALUES (%s, 1)").format(_doubled(schema, table)), (value,))
    session.execute(sql.SQL("UPDATE {} SET key = 2").format(name))
    session.execute(sql.SQL("DELETE FROM {}").format(name))
    session.execute(sql.SQL("TRUNCATE {}").format(name))
    found = events(session)
    session.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    events(session)
    assert found == [
        Insert((schema, table), {column: value, "key": "1"}),
        Update((schema, table), {column: value, "key": "2"}, {"key": "1"}),
        Delete((schema, table), {"key": "2"}),
        Truncate(((schema, table),)),
    ]


def _doubled(*names: str) -> sql.Identifier:
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


TYPES = {
    "smallint": "'-32768'", "bigint": "'-9223372036854775808'", "oid": "'4294967295'", "real": "'-1.5'",
    "double precision": "'NaN'", "numeric": "'-123456789.000000001'", "numeric(5,2)": "'NaN'", "boolean": "true",
    "bit(4)": "B'0101'", "bit varying": "B''", "bytea": r"'\x00ff27'", "text": "''", '"char"': "'\"'",
    "character(5)": "'a'", "character varying": "E'line\\nbreak'", "integer[]": "'{1,NULL,-3}'",
    "text[]": """ARRAY['it''s', 'a "b"', NULL, 'c,d]:']""", "numeric(5,2)[]": "'{1.5}'", "json": """'{"a": [1]}'""",
    "jsonb": """'{"it''s": "x"}'""", "timestamp without time zone": "'infinity'",
    "timestamp with time zone": "'2026-01-31 10:00+00'", "interval": "'-1 day 02:03'", "money": "'-5'",
    "int4range": "'[1,5)'", "inet": "'10.0.0.1/8'", "point": "'(1,2)'", "uuid":
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "xml": "'<a b=\"c\">d</a>'", "integer[][]": "'{{1,2},{3,4}}'",
    "mood": "'so so'", '"odd ]: type"': "ROW(1, 'x')", '"odd ]: type"[]': "ARRAY[ROW(1, 'x')]::\"odd ]: type\"[]",
    "positive": "'7'",
}  # fmt: skip


def has_xml(session: Session) -> bool:
    """Return whether the server knows xml: the one of the wheel does not."""
    try:
        session.execute("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


def test_values_of_every_kind_of_type_are_those_of_the_server(session: Session) -> None:
    session.execute("CREATE TYPE mood AS ENUM ('so so')")
    session.execute('CREATE TYPE "odd ]: type" AS (a int, b text)')
    session.execute("CREATE DOMAIN positive AS int CHECK (value > 0)")
    kinds = {kind: value for kind, value in TYPES.items() if kind != "xml" or has_xml(session)}
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(kinds))
    session.execute(f"CREATE TABLE every (id int PRIMARY KEY, {columns})".encode())
    session.execute(f"INSERT INTO every VALUES (1, {', '.join(kinds.values())})".encode())
    (change,) = events(session)
    assert isinstance(change, Insert)
    texts = ", ".join(f"c{number}::text" for number in range(len(kinds)))
    expected = session.execute(f"SELECT {texts} FROM every".encode()).fetchone() or ()
    # a boolean's text is that of the server; bits come in the form of SQL, and "char" pads nothing
    found = [change.row[f"c{number}"] for number in range(len(kinds))]
    pad = list(kinds).index("character(5)")
    assert str(found[pad]).rstrip() == expected[pad].rstrip()
    found[pad] = expected[pad]
    assert found == list(expected)


def test_an_untouched_large_value_is_told_from_null_and_from_text(session: Session) -> None:
    session.execute("CREATE TABLE large (id int PRIMARY KEY, n int, note text)")
    session.execute("ALTER TABLE large ALTER note SET STORAGE EXTERNAL")
    session.execute("INSERT INTO large VALUES (1, 1, repeat('x', 9000))")
    session.execute("UPDATE large SET n = 2")
    session.execute("UPDATE large SET note = NULL")
    _, untouched, emptied = events(session)
    assert untouched == Update(("public", "large"), {"id": "1", "n": "2", "note": UNCHANGED})
    assert emptied == Update(("public", "large"), {"id": "1", "n": "2", "note": None})


def test_the_whole_old_row_comes_with_a_full_replica_identity_and_nothing_without_one(session: Session) -> None:
    session.execute("CREATE TABLE whole (id int, note text)")
    session.execute("ALTER TABLE whole REPLICA IDENTITY FULL")
    session.execute("CREATE TABLE keyless (id int)")
    session.execute("INSERT INTO whole VALUES (1, NULL)")
    session.execute("UPDATE whole SET note = 'new-tuple: '")
    session.execute("INSERT INTO keyless VALUES (1)")
    session.execute("DELETE FROM keyless")
    _, changed, _, gone = events(session)
    assert changed == Update(("public", "whole"), {"id": "1", "note": "new-tuple: "}, {"id": "1"})
    assert gone == Delete(("public", "keyless"), None)


def test_tables_emptied_together_and_messages_are_told(session: Session) -> None:
    session.execute("CREATE TABLE first (id serial PRIMARY KEY)")
    session.execute('CREATE TABLE "second, one" (id int REFERENCES first)')
    session.execute("TRUNCATE first RESTART IDENTITY CASCADE")
    session.execute("SELECT pg_logical_emit_message(true, 'me', 'COMMIT 1')")
    emptied, message = events(session)
    assert emptied == Truncate((("public", "first"), ("public", "second, one")))
    assert isinstance(message, Message)


def test_a_transaction_tells_its_number_and_when_it_was() -> None:
    assert logical_decoding.parse("BEGIN 742") == Begin(742)
    assert logical_decoding.parse("COMMIT 742 (at 2026-01-31 10:00:00.123456+00)") == Commit(
        742, "2026-01-31 10:00:00.123456+00"
    )


@pytest.mark.parametrize(
    "text",
    ["", "BEGIN 1 2", "table a: INSERT: id[integer]:1", "table a.b: INSERT: id[integer]:'1", "table a.b: MERGE: x",
     "table a.b: UPDATE: old-key: id[integer]:1", "table a.b: DELETE: id integer:1"],
)  # fmt: skip
def test_text_that_no_server_writes_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        logical_decoding.parse(text)
