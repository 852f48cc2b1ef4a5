"""Rows that are made from the definitions of a schema alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from builders.cloud.rds.on_premises import OnPremises, on_premises
from builders.rehearsal.generated_rows import generate

SCHEMA = """
CREATE SCHEMA shop;
SET search_path TO shop;
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TYPE address AS (street text, number int);
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 1 AND 100);
CREATE TABLE zones (code char(2) PRIMARY KEY, parent char(2) REFERENCES zones);
CREATE TABLE accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, zone char(2) NOT NULL REFERENCES zones, iban varchar(22) UNIQUE,
    state text NOT NULL CHECK (state IN ('open', 'closed')), share percent NOT NULL, m mood NOT NULL, home address,
    tags text[] NOT NULL, during tstzrange NOT NULL, amount numeric(6, 2) NOT NULL CHECK (amount > 500),
    doubled numeric GENERATED ALWAYS AS (amount * 2) STORED, note text NOT NULL DEFAULT 'none',
    EXCLUDE USING gist (during WITH &&)
);
CREATE TABLE lines (account bigint REFERENCES accounts, line int, primary key (account, line));
CREATE TABLE one_to_one (account bigint PRIMARY KEY REFERENCES accounts);
CREATE TABLE kinds (
    a bool NOT NULL, b int2 NOT NULL, c real NOT NULL, d double precision NOT NULL, e money NOT NULL, f uuid NOT NULL,
    g bytea NOT NULL, h date NOT NULL, i timestamptz NOT NULL, j time NOT NULL, k interval NOT NULL, l jsonb NOT NULL,
    m xml NOT NULL, n inet NOT NULL, o macaddr NOT NULL, p bit(5) NOT NULL, q varbit NOT NULL, r tsvector NOT NULL,
    s polygon NOT NULL, t pg_lsn NOT NULL, u int4range NOT NULL, v mood[] NOT NULL, w "char" NOT NULL
);
CREATE TABLE events (id bigint, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_2031 PARTITION OF events FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
CREATE TABLE nothing ();
CREATE TABLE never (id int PRIMARY KEY CHECK (id > 3 AND id < 2));
"""
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPremises]:
    with on_premises(tmp_path_factory.mktemp("state"), "source.corp.internal") as running:
        yield running


@pytest.fixture
def session(server: OnPremises) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's session in a database of the schema."""
    name = f"rows_{next(_numbers)}"
    server.server.administer(f"CREATE DATABASE {name}")
    place = f"host={server.server.directory} port={server.server.port} user=postgres dbname={name}"
    with psycopg.connect(place, autocommit=True) as connected:
        connected.execute(SCHEMA.encode())
        yield connected


def test_each_table_gets_its_rows_whatever_its_columns_ask_for(session: psycopg.Connection[Any]) -> None:
    made = {each.table: each for each in generate(session, ["shop"], 30)}
    assert {table: each.rows for table, each in made.items()} == {
        "shop.zones": 30, "shop.accounts": 30, "shop.lines": 30, "shop.one_to_one": 30, "shop.kinds": 30,
        "shop.events": 30, "shop.nothing": 30, "shop.never": 0,
    }  # fmt: skip
    assert session.execute("SELECT count(DISTINCT state) FROM shop.accounts").fetchall() == [(2,)]


def test_a_table_that_takes_no_row_is_named_with_the_reason(session: psycopg.Connection[Any]) -> None:
    (never,) = [each for each in generate(session, ["shop"], 3) if not each.rows]
    assert (never.table, 'violates check constraint "never_id_check"' in never.reason) == ("shop.never", True)


def test_a_table_that_has_rows_is_left_alone(session: psycopg.Connection[Any]) -> None:
    session.execute("INSERT INTO shop.zones VALUES ('DE', NULL)")
    assert "shop.zones" not in {each.table for each in generate(session, ["shop"], 3)}
    assert session.execute("SELECT * FROM shop.zones").fetchall() == [("DE", None)]


def test_the_same_schema_gets_the_same_rows(session: psycopg.Connection[Any]) -> None:
    def rows() -> list[tuple[Any, ...]]:
        generate(session, ["shop"], 5)
        return session.execute("SELECT t::text FROM shop.kinds t ORDER BY 1").fetchall()

    first = rows()
    session.execute("TRUNCATE shop.kinds")
    assert rows() == first
