"""Indexes and constraints that `start` builds after the load, while others write and after interruptions."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from builders.errors import MigrationError
from builders.migration import databases
from builders.migration.databases import Database
from builders.migration.schema import building, moments, schema
from builders.migration.schema.schema_plan import Users

from .conftest import DMS_USER, MASTER, Pair

SOURCE = """
CREATE SCHEMA payments;
CREATE TABLE payments.account (id int PRIMARY KEY, code int NOT NULL);
CREATE TABLE payments.ledger (id int PRIMARY KEY, account int REFERENCES payments.account,
    parent int REFERENCES payments.ledger, owner int REFERENCES payments.account ON DELETE CASCADE);
CREATE INDEX ledger_account ON payments.ledger (account);
CREATE UNIQUE INDEX account_code ON payments.account (code);
ALTER TABLE payments.account CLUSTER ON account_code;
CREATE TABLE payments.events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE payments.events_2026 PARTITION OF payments.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX events_day ON payments.events (day);
CREATE MATERIALIZED VIEW payments.codes AS SELECT code FROM payments.account;
CREATE INDEX codes_code ON payments.codes (code);
GRANT USAGE ON SCHEMA payments TO ferry_source;
GRANT SELECT ON ALL TABLES IN SCHEMA payments TO ferry_source
"""
ROWS = """
INSERT INTO payments.account SELECT n, n FROM generate_series(1, 2000) n;
INSERT INTO payments.ledger SELECT n, n, NULL, n FROM generate_series(1, 2000) n;
INSERT INTO payments.events SELECT n, '2026-05-05' FROM generate_series(1, 2000) n
"""
_INDEXES = """SELECT relname::text FROM pg_index JOIN pg_class ON oid = indexrelid
    WHERE relnamespace = 'payments'::regnamespace AND indisvalid ORDER BY 1"""
_KEYS = "SELECT conname::text, convalidated FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 ORDER BY 1"


@pytest.fixture(scope="module")
def names(pair: Callable[..., Pair]) -> Callable[[], Pair]:
    """Makes a pair whose definitions have been carried and whose target has rows."""

    def make() -> Pair:
        both = pair(SOURCE)
        both.administer("source", f"GRANT CREATE ON DATABASE {both.name} TO ferry_source")
        with both.database("source") as source, both.database("target") as target:
            outcome = schema.carry(source, target, ["payments"], Users(dms_target=DMS_USER), lambda _: None, str)
            assert outcome.is_whole, outcome
            target.run(ROWS)
        return both

    return make


@pytest.fixture
def loaded(names: Callable[[], Pair]) -> Iterator[tuple[Pair, Database]]:
    both = names()
    with both.database("target") as target:
        yield both, target


def build(target: Database, said: list[str] | None = None) -> None:
    say = said.append if said is not None else lambda _: None
    building.indexes(target, say)
    building.others(target, say)
    building.analyze(target, ["payments"], say)


def test_indexes_keys_views_and_statistics_are_there_after_the_load(loaded: tuple[Pair, Database]) -> None:
    _, target = loaded
    build(target)
    built = ["account_code", "account_pkey", "codes_code", "events_2026_day_idx", "events_2026_pkey", "events_day",
             "events_pkey", "ledger_account", "ledger_pkey"]  # fmt: skip
    assert [row[0] for row in target.run(_INDEXES)] == built
    assert target.run(_KEYS) == [("ledger_account_fkey", True)]
    assert target.value("SELECT count(*) FROM payments.codes") == 2000
    assert target.value("SELECT reltuples::int FROM pg_class WHERE oid = 'payments.ledger'::regclass") == 2000
    assert target.value("SELECT indisclustered FROM pg_index WHERE indexrelid = 'payments.account_code'::regclass")
    assert building.waiting(target) == []


def test_keys_that_change_rows_or_refer_to_their_own_table_wait_for_the_cut_over(
    loaded: tuple[Pair, Database],
) -> None:
    _, target = loaded
    waiting = {each.object for each in moments.harden_statements(target, "cutover") if each.kind == "FK CONSTRAINT"}
    assert waiting == {"payments.ledger ledger_owner_fkey", "payments.ledger ledger_parent_fkey"}


def test_what_an_interrupted_build_left_behind_is_dropped_and_built(loaded: tuple[Pair, Database]) -> None:
    _, target = loaded
    target.run("INSERT INTO payments.account VALUES (9999, 1)")
    with pytest.raises(MigrationError, match="23505"):
        building.indexes(target, lambda _: None)
    assert ("account_code",) not in target.run(_INDEXES)
    assert target.value("SELECT to_regclass('payments.account_code') IS NOT NULL")
    target.run("DELETE FROM payments.account WHERE id = 9999")
    build(target)
    assert ("account_code",) in target.run(_INDEXES)


def test_an_index_whose_mark_was_lost_is_not_built_twice(loaded: tuple[Pair, Database]) -> None:
    _, target = loaded
    build(target)
    before = target.value("SELECT 'payments.ledger_account'::regclass::oid::int8")
    for each in moments.kept(target, "after_load"):
        moments.mark(target, each, done=False)
    build(target)
    assert target.value("SELECT 'payments.ledger_account'::regclass::oid::int8") == before
    assert target.run(_KEYS) == [("ledger_account_fkey", True)]


def test_writers_write_while_an_index_is_built(loaded: tuple[Pair, Database]) -> None:
    both, target = loaded
    with psycopg.connect(**both.login("target", DMS_USER).parameters()) as dms:
        dms.execute("INSERT INTO payments.ledger VALUES (5000, 1, NULL, 1)")
        builder = threading.Thread(target=build, args=(target,))
        builder.start()
        _until(both, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND"
               " wait_event_type = 'Lock' AND datname = current_database()")  # fmt: skip
        with psycopg.connect(**both.login("target", DMS_USER).parameters(), autocommit=True) as other:
            other.execute("SET lock_timeout = '1s'")
            other.execute("INSERT INTO payments.ledger VALUES (5001, 1, NULL, 1)")
        dms.commit()
        builder.join()
    assert building.waiting(target) == []


def _until(both: Pair, query: str) -> None:
    with both.database("target", MASTER) as looking:
        for _ in range(10_000):
            if looking.value(query):
                return
            looking.run("SELECT pg_sleep(0.005)")
    raise AssertionError(query)


def test_a_build_that_is_ended_at_any_statement_is_taken_up_by_the_next(names: Callable[[], Pair]) -> None:
    both = names()
    for number in itertools.count(2, 5):
        seen = itertools.count(1)

        def observe(_moment: str, _statement: str, seen: Iterator[int] = seen, number: int = number) -> None:
            if next(seen) == number:
                raise KeyboardInterrupt

        with both.database("target", observe=observe) as target:
            try:
                build(target)
            except KeyboardInterrupt:
                continue
        break
    assert number > 20
    with both.database("target") as target:
        assert len(target.run(_INDEXES)) == 9
        assert target.run(_KEYS) == [("ledger_account_fkey", True)]
        assert building.waiting(target) == []


def test_a_lock_that_a_key_waits_for_is_named_with_who_holds_it(
    loaded: tuple[Pair, Database], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both, target = loaded
    building.indexes(target, lambda _: None)
    monkeypatch.setattr(databases, "LOCK_WAITS", (0.05, 0.05, 0.05))
    with psycopg.connect(**both.login("target", DMS_USER).parameters(), application_name="busy") as dms:
        dms.execute("INSERT INTO payments.ledger VALUES (6000, 1, NULL, 1)")
        with pytest.raises(MigrationError, match=f"55P03.*pid .* of {DMS_USER} .busy"):
            building.others(target, lambda _: None)
    tries = [line.rpartition("; ")[2] for line in capsys.readouterr().err.splitlines()]
    assert tries == ["trying again (1 of 2)", "trying again (2 of 2)"]
    assert target.value("SHOW lock_timeout") == "5s"
    building.others(target, lambda _: None)
    assert target.run(_KEYS) == [("ledger_account_fkey", True)]


def test_changes_in_an_order_that_crosses_a_keys_go_on_and_the_key_is_added(loaded: tuple[Pair, Database]) -> None:
    """The writer has the one table, the key waits for it, and the writer wants the other: a deadlock once."""
    both, target = loaded
    building.indexes(target, lambda _: None)
    with psycopg.connect(**both.login("target", DMS_USER).parameters()) as dms:
        dms.execute("INSERT INTO payments.account VALUES (8000, 8000)")
        builder = threading.Thread(target=building.others, args=(target, lambda _: None))
        builder.start()
        _until(both, "SELECT true FROM pg_locks WHERE NOT granted AND relation = 'payments.account'::regclass")
        dms.execute("INSERT INTO payments.ledger VALUES (8000, 1, NULL, 1)")
        dms.commit()
        builder.join()
    assert building.waiting(target) == []
    assert target.run(_KEYS) == [("ledger_account_fkey", True)]


def test_an_index_whose_build_meets_a_deadlock_is_dropped_and_built_again(
    loaded: tuple[Pair, Database], capsys: pytest.CaptureFixture[str]
) -> None:
    """The build waits for the writer's transaction, and the writer for a lock of the build: PostgreSQL ends one."""
    both, target = loaded
    with psycopg.connect(**both.login("target", MASTER).parameters()) as other:
        # Who has waited for so long looks for a deadlock: the build does so soon.
        both.administer("target", f"ALTER ROLE {MASTER} IN DATABASE {both.name} SET deadlock_timeout = '200ms'")
        other.execute("INSERT INTO payments.ledger VALUES (5000, 1, NULL, 1)")
        builder = threading.Thread(target=build, args=(target,))
        builder.start()
        _until(both, "SELECT true FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND"
               " wait_event_type = 'Lock' AND datname = current_database()")  # fmt: skip
        other.execute("LOCK TABLE payments.ledger IN SHARE UPDATE EXCLUSIVE MODE")
        other.commit()
        builder.join()
    assert "deadlock" in capsys.readouterr().err
    assert building.waiting(target) == []
    assert ("ledger_account",) in target.run(_INDEXES)


def test_a_row_without_the_one_it_refers_to_is_named_with_the_next_step(loaded: tuple[Pair, Database]) -> None:
    _, target = loaded
    target.run("INSERT INTO payments.ledger VALUES (7000, 70000, NULL, NULL)")
    with pytest.raises(MigrationError, match=r"ledger_account_fkey.*23503.*70000.*`migrate-database verify` shows"):
        build(target)
