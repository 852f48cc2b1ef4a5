"""The fence: no write of the application can commit once it stands, and afterwards all is as it was."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from builders.errors import MigrationError
from builders.migration.databases import Database
from builders.migration.switchover import fence
from builders.migration.switchover.fence import Fence, Record

from .conftest import PASSWORD, Pair, make_marker

SCHEMA = (
    "CREATE SCHEMA payments",
    "CREATE TABLE payments.ledger (id bigserial PRIMARY KEY, note text)",
    "CREATE TABLE payments.events (id int, at date) PARTITION BY RANGE (at)",
    "CREATE TABLE payments.events_2026 PARTITION OF payments.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "CREATE TABLE payments.parent (id int)",
    "CREATE TABLE payments.child () INHERITS (payments.parent)",
    "CREATE VIEW payments.notes AS SELECT id, note FROM payments.ledger",
    "CREATE TABLE payments.old (id int)",
    "CREATE RULE moved AS ON INSERT TO payments.old DO INSTEAD INSERT INTO payments.parent VALUES (new.id)",
    "CREATE FUNCTION payments.add() RETURNS void LANGUAGE sql SECURITY DEFINER AS "
    "$$ INSERT INTO payments.ledger (note) VALUES ('by a function') $$",
    "CREATE FUNCTION payments.kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$",
    "CREATE TRIGGER kept BEFORE INSERT ON payments.ledger FOR EACH ROW EXECUTE FUNCTION payments.kept()",
    "INSERT INTO payments.ledger (note) VALUES ('one')",
    "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA payments TO PUBLIC",
)

CATALOGS = (
    "SELECT coalesce(g.rolname, 'public'), r.rolname, privilege_type, is_grantable FROM pg_database d, "
    "aclexplode(coalesce(datacl, acldefault('d', datdba))) a LEFT JOIN pg_roles g ON g.oid = grantee "
    "JOIN pg_roles r ON r.oid = grantor WHERE datname = current_database() ORDER BY 1, 2, 3",
    "SELECT tgrelid::regclass::text, tgname, tgenabled, tgfoid::regproc::text FROM pg_trigger ORDER BY 1, 2",
    "SELECT relname, relkind, relowner::regrole::text, relacl::text, reloptions FROM pg_class "
    "WHERE relnamespace::regnamespace::text IN ('payments', 'stackferry') ORDER BY 1",
    "SELECT proname, proacl::text, prosrc FROM pg_proc WHERE pronamespace::regnamespace::text IN "
    "('payments', 'stackferry') ORDER BY 1",
    "SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' ORDER BY 1",
    "SELECT rolname, rolcanlogin, rolconnlimit, rolconfig FROM pg_roles ORDER BY 1",
    "SELECT setrole, setconfig FROM pg_db_role_setting ORDER BY 1",
)


@pytest.fixture(scope="module")
def both(pair: Callable[..., Pair]) -> Pair:
    made = pair(*SCHEMA)
    made.administer(
        "source",
        "CREATE ROLE clerk LOGIN PASSWORD '" + PASSWORD + "'",
        f"GRANT CONNECT ON DATABASE {made.name} TO clerk WITH GRANT OPTION",
        "GRANT USAGE ON SCHEMA payments TO clerk",
        "GRANT UPDATE, DELETE, TRUNCATE, TRIGGER ON ALL TABLES IN SCHEMA payments TO clerk",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA payments TO clerk",
    )
    make_marker(made)
    return made


@pytest.fixture
def source(both: Pair) -> Iterator[Database]:
    with both.database("source") as database:
        database.run("TRUNCATE payments.ledger, payments.parent, payments.child")
        database.run("INSERT INTO payments.ledger (id, note) VALUES (1, 'one')")
        yield database


def catalogs(both: Pair) -> list[list[tuple[Any, ...]]]:
    login = both.login("source", "postgres").parameters()
    with psycopg.connect(**login, autocommit=True) as session:
        return [session.execute(query.encode()).fetchall() for query in CATALOGS]


def open_again(source: Database, record: Record) -> None:
    put_up = Fence(source, ["payments"])
    with source.transaction():
        put_up.lift(record)
    put_up.remove()


@contextlib.contextmanager
def closed(source: Database, *, keep_reads: bool = False) -> Iterator[Record]:
    put_up = Fence(source, ["payments"])
    record = put_up.survey(keep_reads=keep_reads)
    try:
        put_up.close(record)
        yield record
    finally:
        open_again(source, record)


@pytest.mark.parametrize("keep_reads", [False, True])
def test_afterwards_the_source_is_as_it_was(both: Pair, source: Database, keep_reads: bool) -> None:
    before = catalogs(both)
    with closed(source, keep_reads=keep_reads):
        assert catalogs(both) != before
    assert catalogs(both) == before


WRITES = [
    "INSERT INTO payments.ledger (note) VALUES ('x')",
    "UPDATE payments.ledger SET note = 'x'",
    "DELETE FROM payments.ledger",
    "TRUNCATE payments.ledger",
    "COPY payments.ledger (note) FROM STDIN",
    "INSERT INTO payments.notes (note) VALUES ('by a view')",
    "INSERT INTO payments.old VALUES (1)",
    "SELECT payments.add()",
    "INSERT INTO payments.events VALUES (1, '2026-05-05')",
    "INSERT INTO payments.events_2026 VALUES (1, '2026-05-05')",
    "TRUNCATE payments.events",
    "INSERT INTO payments.child VALUES (1)",
    "UPDATE payments.parent SET id = 2",
    "INSERT INTO payments.ledger (id, note) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET note = excluded.note",
    "WITH gone AS (DELETE FROM payments.ledger RETURNING id) SELECT * FROM gone",
    "MERGE INTO payments.ledger l USING (VALUES (1)) v (id) ON l.id = v.id WHEN MATCHED THEN UPDATE SET note = 'x'",
]


@pytest.mark.parametrize("user", ["clerk", "postgres"])
def test_no_kind_of_write_passes_while_reads_go_on(both: Pair, source: Database, user: str) -> None:
    with both.application(username=user) as session:
        with closed(source, keep_reads=True):
            for write in WRITES:
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="while its database is being moved"):
                    _write(session, write)
            assert session.execute("SELECT count(*) FROM payments.ledger").fetchall() == [(1,)]
        for write in WRITES[:2]:
            session.execute(write.encode())


def _write(session: psycopg.Connection[Any], write: str) -> None:
    if write.startswith("COPY"):
        with session.cursor() as cursor, cursor.copy(write.encode()) as copy:
            copy.write_row(("x",))
    else:
        session.execute(write.encode())


def test_a_session_that_plays_a_replica_does_not_write_either(both: Pair, source: Database) -> None:
    with closed(source), both.application(username="postgres") as session:
        session.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute(WRITES[0].encode())


def test_a_user_of_dms_still_connects_and_writes(both: Pair, source: Database) -> None:
    put_up = Fence(source, ["payments"], ["clerk"])
    record = put_up.survey(keep_reads=False)
    put_up.close(record)
    try:
        with both.application(username="clerk") as session:
            session.execute(WRITES[0].encode())
    finally:
        open_again(source, record)


def test_nobody_logs_in_and_sessions_have_ended(both: Pair, source: Database) -> None:
    with (
        both.application() as idle,
        both.application() as working,
        both.application(username="clerk") as locking,
    ):
        working.execute("BEGIN")
        working.execute("INSERT INTO payments.ledger (note) VALUES ('never committed')")
        locking.execute("SELECT pg_advisory_lock(1)")
        with closed(source):
            for session in (idle, working, locking):
                with pytest.raises(psycopg.OperationalError):
                    session.execute("SELECT 1")
            for user in ("app", "clerk"):
                with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                    psycopg.connect(**both.login("source", user).parameters())
            assert source.value("SELECT count(*) FROM payments.ledger") == 1


class Writer(threading.Thread):
    """Writes without end, connects again at once when it is ended, and notes what was acknowledged."""

    def __init__(self, both: Pair, *, statements: int = 1) -> None:
        super().__init__(daemon=True)
        self.both, self.statements = both, statements
        self.acknowledged: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.over.is_set():
            with contextlib.suppress(psycopg.Error), self.both.application() as session:
                while not self.over.is_set():
                    number += 1
                    with session.transaction():
                        for _ in range(self.statements):
                            session.execute("INSERT INTO payments.parent VALUES (%s)", (number,))
                    self.acknowledged.append(number)

    def wait_for_more(self) -> None:
        count, deadline = len(self.acknowledged), time.monotonic() + 60
        while len(self.acknowledged) <= count:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.mark.parametrize("keep_reads", [False, True])
def test_what_was_acknowledged_is_there_and_nothing_is_after_the_fence(
    both: Pair, source: Database, keep_reads: bool
) -> None:
    writers = [Writer(both), Writer(both, statements=5), Writer(both)]
    for writer in writers:
        writer.start()
    try:
        for writer in writers:
            writer.wait_for_more()
        with closed(source, keep_reads=keep_reads):
            query = "SELECT id, count(*) FROM payments.parent GROUP BY id"
            rows = source.run(query)
            time.sleep(0.2)
            assert sorted(source.run(query)) == sorted(rows)
            found = dict(rows)
            for writer in writers:  # one may note only now what was acknowledged before the fence stood
                assert all(found.get(number, 0) >= writer.statements for number in list(writer.acknowledged))
        for writer in writers:
            writer.wait_for_more()
    finally:
        for writer in writers:
            writer.over.set()
            writer.join(60)


def test_a_prepared_transaction_is_found_before_and_refused(both: Pair, source: Database) -> None:
    gid = "transfer-1"
    with both.application() as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO payments.ledger (note) VALUES ('prepared')")
        session.execute(f"PREPARE TRANSACTION '{gid}'".encode())
    try:
        put_up = Fence(source, ["payments"])
        for keep_reads in (False, True):
            (found,) = put_up.obstacles(keep_reads=keep_reads)
            assert "may be committed at any time" in found
            assert gid in found
        record = put_up.survey(keep_reads=False)
        with pytest.raises(MigrationError, match="may be committed at any time"):
            put_up.close(record)
        open_again(source, record)
    finally:
        with both.application() as session:
            session.execute(f"ROLLBACK PREPARED '{gid}'".encode())


def test_a_superuser_who_holds_a_lock_is_named_and_the_fence_can_be_taken_back(
    both: Pair, source: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "FENCE_SECONDS", 0.3)
    before = catalogs(both)
    with both.application(username="postgres") as session, session.transaction():
        session.execute("INSERT INTO payments.ledger (note) VALUES ('by a superuser')")
        put_up = Fence(source, ["payments"])
        record = put_up.survey(keep_reads=False)
        with pytest.raises(MigrationError, match=f"pid {session.info.backend_pid} of postgres .* hold locks"):
            put_up.close(record)
        assert not put_up.stands(record)
        open_again(source, record)
    assert catalogs(both) == before


def test_an_idle_superuser_stays_is_named_and_cannot_write(both: Pair, source: Database) -> None:
    with both.application(username="postgres") as session:
        put_up = Fence(source, ["payments"])
        record = put_up.survey(keep_reads=False)
        (said,) = put_up.close(record)
        assert f"1 session of superusers stay and cannot write: pid {session.info.backend_pid}" in said
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute(WRITES[0].encode())
        open_again(source, record)


def test_who_reads_in_an_open_transaction_keeps_reading(both: Pair, source: Database) -> None:
    with both.application() as reader, reader.transaction():
        reader.execute("SELECT * FROM payments.ledger")
        put_up = Fence(source, ["payments"])
        record = put_up.survey(keep_reads=True)
        put_up.close(record)
        assert put_up.stands(record)
        assert reader.execute("SELECT count(*) FROM payments.ledger").fetchall() == [(1,)]
        with source.transaction():
            put_up.lift(record)
        with both.application() as writer:
            writer.execute("UPDATE payments.ledger SET note = 'one'")
    put_up.remove()


def test_a_table_that_is_made_behind_the_fence_is_noticed(both: Pair, source: Database) -> None:
    with closed(source, keep_reads=True) as record:
        with both.application() as session:
            session.execute("CREATE TABLE payments.late (id int)")
        assert not Fence(source, ["payments"]).stands(record)
        Fence(source, ["payments"]).close(record)
        assert Fence(source, ["payments"]).stands(record)
        with both.application() as session:
            session.execute("DROP TABLE payments.late")


def test_a_fence_of_before_is_not_this_one(source: Database) -> None:
    with closed(source):
        assert not Fence(source, ["payments"]).stands(Fence(source, ["payments"]).survey(keep_reads=False))


def test_connect_that_another_role_has_granted_is_found_before(both: Pair, source: Database) -> None:
    both.administer("source", "CREATE ROLE friend LOGIN", "SET ROLE clerk",
                    f"GRANT CONNECT ON DATABASE {both.name} TO friend", "RESET ROLE")  # fmt: skip
    try:
        (found,) = Fence(source, ["payments"]).obstacles(keep_reads=False)
        assert "CONNECT of friend was granted by clerk" in found
        assert Fence(source, ["payments"]).obstacles(keep_reads=True) == []
    finally:
        both.administer("source", "SET ROLE clerk", f"REVOKE CONNECT ON DATABASE {both.name} FROM friend",
                        "RESET ROLE", "DROP ROLE friend")  # fmt: skip


def test_a_member_of_a_user_that_stays_is_found_before(both: Pair, source: Database) -> None:
    both.administer("source", "CREATE ROLE friend LOGIN", "GRANT ferry_source TO friend")
    try:
        found = Fence(source, ["payments"]).obstacles(keep_reads=False)
        assert [line for line in found if "friend is a member of ferry_source" in line]
    finally:
        both.administer("source", "DROP ROLE friend")


def test_a_table_of_a_role_that_is_not_ours_is_found_before(both: Pair, source: Database) -> None:
    both.administer("source", "CREATE TABLE payments.theirs (id int)")
    try:
        (found,) = Fence(source, ["payments"]).obstacles(keep_reads=True)
        assert "payments.theirs belongs to rdsadmin, and only its owner makes triggers" in found
    finally:
        both.administer("source", "DROP TABLE payments.theirs")


def test_two_writers_that_would_deadlock_with_the_fence_are_ended(both: Pair, source: Database) -> None:
    """One holds the last table and wants the first, which the fence has: no deadlock is waited for."""
    with both.application() as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO payments.parent VALUES (0)")
        with closed(source, keep_reads=True), pytest.raises(psycopg.OperationalError):
            session.execute("INSERT INTO payments.child VALUES (0)")


def test_a_fence_stands_where_an_earlier_end_of_the_migration_took_its_schema_away(pair: Callable[..., Pair]) -> None:
    """Such as that of a second finish, which closes the source once more."""
    both = pair("CREATE SCHEMA payments", "CREATE TABLE payments.ledger (id int PRIMARY KEY)")
    both.administer("source", f"GRANT CREATE ON DATABASE {both.name} TO ferry_source")
    with both.database("source") as database, closed(database) as record:
        assert Fence(database, ["payments"]).stands(record)
