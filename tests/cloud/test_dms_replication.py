"""A task carries rows from on-premises into the database of RDS: the load, the changes, and where it goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .dms_rig import Pair, Task, rule, settings, wait_for

ORDERS = """CREATE TABLE payments.orders (id bigint PRIMARY KEY, note text, details jsonb, paid boolean,
            amount numeric(12, 2), tags text[], raw bytea, at timestamptz)"""


def insert(first: int, last: int) -> str:
    return f"""INSERT INTO payments.orders SELECT n, 'note ' || n, jsonb_build_object('n', n), n % 2 = 0, n / 7.0,
               ARRAY['a', 'b,c', NULL, 'it''s "' || n], '\\xdeadbeef', '2026-01-31 10:00+00' FROM
               generate_series({first}, {last}) n"""


def test_rows_are_loaded_and_changes_follow(pair: Pair) -> None:
    pair.both(ORDERS)
    pair.source(insert(1, 1000))
    task = pair.task().load()
    assert pair.same("payments.orders")
    pair.source(
        insert(1001, 1010),
        "UPDATE payments.orders SET note = E'it''s\\n''new''', details = NULL WHERE id <= 5",
        "DELETE FROM payments.orders WHERE id = 7",
    )
    wait_for(lambda: pair.same("payments.orders"))
    counts = ("FullLoadRows", "Inserts", "Updates", "Deletes")
    wait_for(lambda: [task.table("orders")[name] for name in counts] == [1000, 10, 5, 1])  # counted once committed
    assert task.table("orders")["TableState"] == "Table completed"


def test_what_is_written_while_a_task_is_stopped_comes_when_it_goes_on_and_nothing_twice(pair: Pair) -> None:
    pair.both(ORDERS)
    pair.source(insert(1, 10))
    task = pair.task().load()
    task.stop()
    assert [active for _, active in task.slots()] == [False]
    pair.source(insert(11, 20), "DELETE FROM payments.orders WHERE id = 1")
    task.start("resume-processing")
    wait_for(lambda: pair.same("payments.orders"))
    assert task.table("orders")["FullLoadRows"] == 10
    task.delete()
    assert task.slots() == []


TRACED = "CREATE TABLE payments.traced (id int PRIMARY KEY, n int, note text)"
TRACE = (
    "CREATE TABLE payments.trace (step serial, op text, note text)",
    "CREATE FUNCTION payments.trace() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
    "'BEGIN INSERT INTO payments.trace (op, note) VALUES (tg_op, left(new.note, 9)); RETURN new; END'",
    "CREATE TRIGGER t AFTER INSERT OR UPDATE ON payments.traced FOR EACH ROW EXECUTE FUNCTION payments.trace()",
)


def traced(pair: Pair, *, also: str = "true") -> list[tuple[str, str | None]]:
    """The changes of the rows of the traced table in the target, in order."""
    return pair.rows("target", f"SELECT op, note FROM payments.trace WHERE {also} ORDER BY step")


def test_a_large_value_is_null_first_and_follows_its_row(pair: Pair) -> None:
    pair.both(TRACED)
    pair.target(*TRACE)
    pair.source("INSERT INTO payments.traced VALUES (1, 1, 'small'), (2, 2, repeat('x', 40000))")
    pair.task([rule(table="traced")]).load()
    in_the_load = [("INSERT", "small"), ("INSERT", None), ("UPDATE", "x" * 9)]
    assert traced(pair) == in_the_load
    pair.source("INSERT INTO payments.traced VALUES (3, 3, 'small')")
    wait_for(lambda: pair.same("payments.traced"))
    assert traced(pair)[3:] == [("INSERT", None), ("UPDATE", "small")]


def test_a_large_value_that_an_update_did_not_touch_stays(pair: Pair) -> None:
    pair.both(TRACED, "ALTER TABLE payments.traced ALTER note SET STORAGE EXTERNAL")
    pair.source("INSERT INTO payments.traced VALUES (1, 1, repeat('x', 9000))")
    pair.task().load()
    pair.source("UPDATE payments.traced SET n = 2")
    wait_for(lambda: pair.rows("target", "SELECT n FROM payments.traced") == [(2,)])
    assert pair.same("payments.traced")


def test_in_limited_mode_a_large_value_is_cut_off_with_a_warning(pair: Pair) -> None:
    pair.both(TRACED)
    pair.source("INSERT INTO payments.traced VALUES (1, 1, repeat('x', 3000))")
    limited = {"FullLobMode": False, "LimitedSizeLobMode": True, "LobMaxSize": 2}
    task = pair.task(chosen=settings(TargetMetadata=limited)).load()
    pair.source("INSERT INTO payments.traced VALUES (2, 1, repeat('x', 3000))")
    wait_for(lambda: pair.rows("target", "SELECT length(note) FROM payments.traced") == [(2048,), (2048,)])
    assert "W:  Table 'payments.traced': 1 values of column 'note' are truncated to 2048 bytes" in task.log()


def test_a_value_that_is_cut_off_stops_a_task_that_may_not(pair: Pair) -> None:
    pair.both(TRACED)
    limited = {"FullLobMode": False, "LimitedSizeLobMode": True, "LobMaxSize": 2}
    chosen = settings(TargetMetadata=limited, ErrorBehavior={"DataTruncationErrorPolicy": "STOP_TASK"})
    task = pair.task(chosen=chosen).load()
    pair.source("INSERT INTO payments.traced VALUES (2, 1, repeat('x', 3000))")
    assert "Table 'payments.traced': a value was truncated" in task.failed()


def test_a_tables_own_setting_of_large_values_wins(pair: Pair) -> None:
    pair.both(TRACED)
    pair.target(*TRACE)
    own = {"rule-type": "table-settings", "rule-id": "2", "rule-name": "2",
           "object-locator": {"schema-name": "payments", "table-name": "traced"},
           "lob-settings": {"mode": "limited", "bulk-max-size": "1"}}  # fmt: skip
    pair.source("INSERT INTO payments.traced VALUES (1, 1, repeat('x', 3000))")
    pair.task([rule(table="traced"), own]).load()
    pair.source("INSERT INTO payments.traced VALUES (2, 1, 'y')")
    wait_for(lambda: len(traced(pair)) == 2)
    assert traced(pair) == [("INSERT", "x" * 9), ("INSERT", "y")]
    assert pair.rows("target", "SELECT length(note) FROM payments.traced ORDER BY id") == [(1024,), (1,)]


@pytest.fixture
def overlapping(pair: Pair) -> Callable[[bool], Task]:
    """Starts a task that reads a table only after rows were written that its slot has, too."""

    def start(ignores: bool) -> Task:
        pair.both("CREATE TABLE payments.first (id int PRIMARY KEY)", TRACED)
        pair.source("INSERT INTO payments.first VALUES (1)", "INSERT INTO payments.traced VALUES (1, 1), (2, 2)")
        chosen = settings(
            FullLoadSettings={"MaxFullLoadSubTasks": 1}, ErrorBehavior={"FullLoadIgnoreConflicts": ignores}
        )
        mappings = [{**rule(table="first"), "load-order": 2}, rule(table="traced", number=2)]
        task = pair.task(mappings, chosen=chosen)
        with pair.locked("payments.first"):
            task.start()
            wait_for(lambda: task.table("first")["TableState"] == "Full load")
            pair.source(
                "INSERT INTO payments.traced VALUES (3, 3)",
                "UPDATE payments.traced SET n = 33 WHERE id = 3",
                "DELETE FROM payments.traced WHERE id = 1",
            )
        return task

    return start


def test_changes_that_the_load_has_read_already_pass(pair: Pair, overlapping: Callable[[bool], Task]) -> None:
    task = overlapping(True)
    task.loaded()
    pair.source("INSERT INTO payments.traced VALUES (4, 4)")
    wait_for(lambda: pair.same("payments.traced"))
    assert task.failure() == ""
    assert pair.rows("target", "SELECT id, n FROM payments.traced ORDER BY id") == [(2, 2), (3, 33), (4, 4)]


def test_where_conflicts_are_not_ignored_they_stop_the_task(overlapping: Callable[[bool], Task]) -> None:
    message = overlapping(False).failed()
    assert "Table 'payments.traced': 23505" in message


def test_a_table_that_is_loaded_follows_its_changes_while_another_still_loads_and_nothing_comes_twice(
    pair: Pair,
) -> None:
    pair.both("CREATE TABLE payments.first (id int PRIMARY KEY)", "CREATE TABLE payments.keyless (id int)")
    pair.source("INSERT INTO payments.first VALUES (1)", "INSERT INTO payments.keyless VALUES (1)")
    task = pair.task()
    with pair.locked("payments.first"):
        task.start()
        wait_for(lambda: task.table("keyless")["TableState"] == "Table completed")
        pair.source("INSERT INTO payments.keyless VALUES (2)", "INSERT INTO payments.first VALUES (2)")
        wait_for(lambda: pair.same("payments.keyless"))
        pair.target("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ferry_dms'")
        pair.source("INSERT INTO payments.keyless VALUES (3)")
        wait_for(lambda: pair.same("payments.keyless"))
        wait_for(lambda: task.table("first")["TableState"] == "Full load")  # which begins anew beside the changes
    wait_for(lambda: pair.same("payments.first"))
    task.loaded()
    pair.source("INSERT INTO payments.keyless VALUES (4)")
    wait_for(lambda: pair.same("payments.keyless"))


@pytest.mark.parametrize(
    ("mode", "rows", "indexes"),
    [("DO_NOTHING", [(1,), (9,)], 2), ("TRUNCATE_BEFORE_LOAD", [(1,)], 2), ("DROP_AND_CREATE", [(1,)], 1)],
)
def test_the_targets_tables_are_prepared_as_it_is_set(
    pair: Pair, mode: str, rows: list[tuple[int]], indexes: int
) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY, n int)")
    pair.target("CREATE INDEX ON payments.t (n)", "ALTER TABLE payments.t OWNER TO ferry_dms",
                "INSERT INTO payments.t VALUES (9)")  # fmt: skip
    pair.source("INSERT INTO payments.t VALUES (1)")
    pair.task(chosen=settings(FullLoadSettings={"TargetTablePrepMode": mode})).load()
    assert pair.rows("target", "SELECT id FROM payments.t ORDER BY id") == rows
    assert pair.rows("target", "SELECT count(*) FROM pg_indexes WHERE tablename = 't'") == [(indexes,)]


def test_a_table_that_the_target_lacks_is_made_with_its_key_and_nothing_else(pair: Pair) -> None:
    pair.source(
        "CREATE TABLE payments.t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), yes bool, free numeric)",
        "CREATE INDEX ON payments.t (at)",
        "INSERT INTO payments.t VALUES (1, now(), true, 1.5)",
    )
    pair.task().load()
    columns = """SELECT column_name::text, data_type::text, is_nullable::text, column_default FROM
                 information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position"""
    assert pair.rows("target", columns) == [
        ("id", "integer", "NO", None),
        ("at", "timestamp with time zone", "YES", None),
        ("yes", "boolean", "YES", None),
        ("free", "numeric", "YES", None),
    ]
    assert pair.rows("target", "SELECT count(*) FROM pg_indexes WHERE tablename = 't'") == [(1,)]


def test_conflicts_are_logged_and_passed_over_where_that_is_set(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY, n int)")
    passes = {"ApplyErrorInsertPolicy": "LOG_ERROR", "ApplyErrorUpdatePolicy": "LOG_ERROR",
              "ApplyErrorDeletePolicy": "IGNORE_RECORD"}  # fmt: skip
    pair.source("INSERT INTO payments.t VALUES (1, 1), (2, 2)")
    pair.task(chosen=settings(ErrorBehavior=passes)).load()
    pair.target("INSERT INTO payments.t VALUES (3, 33)", "DELETE FROM payments.t WHERE id < 3")
    pair.source(
        "INSERT INTO payments.t VALUES (3, 3)",
        "UPDATE payments.t SET n = 11 WHERE id = 1",
        "DELETE FROM payments.t WHERE id = 2",
        "INSERT INTO payments.t VALUES (4, 4)",
    )
    wait_for(lambda: pair.rows("target", "SELECT 1 FROM payments.t WHERE id = 4"))
    assert pair.rows("target", "SELECT id, n FROM payments.t ORDER BY id") == [(3, 33), (4, 4)]
    exceptions = 'SELECT "TABLE_NAME", left("ERROR", 9) FROM awsdms_control.awsdms_apply_exceptions ORDER BY 2'
    assert pair.rows("target", exceptions) == [("t", "23505 dup"), ("t", "zero rows")]


def test_conflicts_are_mended_where_that_is_set(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY, n int, note text)")
    mends = {"ApplyErrorInsertPolicy": "UPDATE_RECORD", "ApplyErrorUpdatePolicy": "UPDATE_RECORD"}
    pair.source("INSERT INTO payments.t VALUES (1, 1, 'one')")
    pair.task(chosen=settings(ErrorBehavior=mends)).load()
    pair.target("INSERT INTO payments.t VALUES (3, 33)", "DELETE FROM payments.t WHERE id = 1")
    pair.source("INSERT INTO payments.t VALUES (3, 3, 'three')", "UPDATE payments.t SET n = 11 WHERE id = 1")
    wait_for(lambda: pair.same("payments.t"))


def test_a_task_that_only_loads_ends_with_it_and_makes_no_control_tables(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY)")
    pair.source("INSERT INTO payments.t VALUES (1)")
    task = pair.task(kind="full-load")
    task.start(until="stopped")
    assert task.described()["StopReason"] == "Stop Reason FULL_LOAD_ONLY_FINISHED"
    assert pair.same("payments.t")
    assert pair.rows("target", "SELECT count(*) FROM pg_namespace WHERE nspname = 'awsdms_control'") == [(0,)]
    assert task.slots() == []


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("StopTaskCachedChangesNotApplied", "STOPPED_AFTER_FULL_LOAD"),
     ("StopTaskCachedChangesApplied", "STOPPED_AFTER_CACHED_EVENTS")],
)  # fmt: skip
def test_a_task_stops_after_the_load_where_that_is_set(pair: Pair, setting: str, reason: str) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY)")
    pair.source("INSERT INTO payments.t VALUES (1)")
    task = pair.task(chosen=settings(FullLoadSettings={setting: True}))
    task.start(until="stopped")
    assert task.described()["StopReason"] == f"Stop Reason {reason}"
    assert pair.same("payments.t")


def test_a_target_is_loaded_anew_with_a_new_slot(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY)")
    pair.target("ALTER TABLE payments.t OWNER TO ferry_dms")
    pair.source("INSERT INTO payments.t VALUES (1), (2)")
    task = pair.task(chosen=settings(FullLoadSettings={"TargetTablePrepMode": "TRUNCATE_BEFORE_LOAD"})).load()
    task.stop()
    ((slot, _),) = task.slots()
    pair.source(f"SELECT pg_drop_replication_slot('{slot}')", "INSERT INTO payments.t VALUES (3)")
    task.dms.start_replication_task(ReplicationTaskArn=task.arn, StartReplicationTaskType="resume-processing")
    assert f'replication slot "{slot}" does not exist' in task.failed()
    task.start("reload-target")
    wait_for(lambda: pair.same("payments.t"))
    pair.source("INSERT INTO payments.t VALUES (4)")
    wait_for(lambda: pair.same("payments.t"))


def test_a_slot_that_lost_its_log_ends_the_task_with_the_reason(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY)")
    task = pair.task().load()
    task.stop()
    pair.source("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()")
    for number in range(6):
        pair.source(f"INSERT INTO payments.t VALUES ({number})", "SELECT pg_switch_wal()")
    pair.source("CHECKPOINT", "ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")
    task.dms.start_replication_task(ReplicationTaskArn=task.arn, StartReplicationTaskType="resume-processing")
    assert "wal_status lost" in task.failed()


def test_a_task_runs_the_other_way_from_a_given_position_with_a_given_slot(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY, n int)")
    pair.target("GRANT rds_replication TO ferry_dms", "INSERT INTO payments.t VALUES (1, 1)")
    ((start,),) = pair.rows("target", "SELECT lsn::text FROM pg_create_logical_replication_slot("
                            f"'{pair.name}', 'test_decoding')")  # fmt: skip
    pair.target("INSERT INTO payments.t VALUES (2, 2)")
    pair.source("GRANT ALL ON payments.t TO ferry_source")
    slot = {"PostgreSqlSettings": {"SlotName": pair.name}}
    task = pair.task(kind="cdc", source=slot, backwards=True, CdcStartPosition=start).start()
    pair.target("INSERT INTO payments.t VALUES (3, 3)")
    wait_for(lambda: pair.rows("source", "SELECT id FROM payments.t ORDER BY id") == [(2,), (3,)])
    task.delete()
    assert pair.rows("target", f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{pair.name}'") == [(1,)]
    pair.target(f"SELECT pg_drop_replication_slot('{pair.name}')")


def test_the_way_back_begins_where_its_start_says_and_writes_past_triggers_as_a_replica(pair: Pair) -> None:
    """As after a cut-over: the slot is there, the source is fenced, and the task is stopped and goes on."""
    table = "CREATE TABLE payments.t (id int PRIMARY KEY, note text)"
    pair.target(table, "GRANT ALL ON payments.t TO ferry_dms", "GRANT rds_replication TO ferry_dms")
    pair.source(
        table,
        "GRANT ALL ON payments.t TO ferry_source",
        "CREATE FUNCTION payments.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fenced'; END $$",
        "CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON payments.t EXECUTE FUNCTION payments.refuse()",
        f"ALTER ROLE ferry_source IN DATABASE {pair.name} SET session_replication_role = replica",
    )
    slot = f"SELECT lsn::text FROM pg_create_logical_replication_slot('{pair.name}', 'test_decoding')"
    ((start,),) = pair.rows("target", slot)
    pair.target("INSERT INTO payments.t VALUES (1, 'before the start')")
    task = pair.task(kind="cdc", source={"PostgreSqlSettings": {"SlotName": pair.name}}, backwards=True)
    task.start(CdcStartPosition=start)
    pair.target("INSERT INTO payments.t VALUES (2, repeat('x', 100000))", "DELETE FROM payments.t WHERE id = 1")
    wait_for(lambda: pair.same("payments.t") or task.failure())
    task.stop()
    pair.target("UPDATE payments.t SET note = 'while it stood' WHERE id = 2")
    task.start("resume-processing")
    wait_for(lambda: pair.same("payments.t") or task.failure())
    assert task.failure() == ""
    assert pair.rows("source", "SELECT id, note FROM payments.t") == [(2, "while it stood")]
    task.delete()
    pair.target(f"SELECT pg_drop_replication_slot('{pair.name}')")


@pytest.mark.parametrize(
    ("start", "reason"),
    [(None, "without a CdcStartPosition"), ("yesterday", "is not a log sequence number"), ("0/0", "does not exist")],
)
def test_a_given_slot_needs_to_be_there_with_a_position(pair: Pair, start: str | None, reason: str) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY)")
    if start == "yesterday":
        pair.source("SELECT pg_create_logical_replication_slot('given', 'test_decoding')")
    slot = {"PostgreSqlSettings": {"SlotName": "given"}}
    position: dict[str, Any] = {"CdcStartPosition": start} if start else {}
    task = pair.task(kind="cdc", source=slot, **position)
    task.connections()
    task.dms.start_replication_task(ReplicationTaskArn=task.arn, StartReplicationTaskType="start-replication")
    assert reason in task.failed()
    if start == "yesterday":
        pair.source("SELECT pg_drop_replication_slot('given')")


@pytest.mark.parametrize("when", ["while it loads", "while it applies"])
def test_a_task_stops_even_where_a_lock_keeps_it_waiting(pair: Pair, when: str) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY)")
    pair.source("INSERT INTO payments.t VALUES (1)")
    task = pair.task()
    if when == "while it applies":
        task.load()
    waits = "SELECT 1 FROM pg_stat_activity WHERE usename = 'ferry_dms' AND wait_event_type = 'Lock'"
    with pair.locked("payments.t"):
        if when == "while it loads":
            task.start()
        pair.source("INSERT INTO payments.t VALUES (2)")
        wait_for(lambda: pair.rows("target", waits))
        task.stop()
    task.start("resume-processing")
    wait_for(lambda: pair.same("payments.t"))


def test_values_are_the_same_whatever_style_the_source_writes_them_in(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY, at timestamptz, day date, took interval, raw bytea)")
    row = "INSERT INTO payments.t VALUES ({}, '2026-02-01 10:00+00', '2026-02-01', '1 day 02:03', '\\x00ff')"
    pair.source(
        "ALTER ROLE ferry_source SET datestyle = 'SQL, DMY'",
        "ALTER ROLE ferry_source SET intervalstyle = 'iso_8601'",
        "ALTER ROLE ferry_source SET bytea_output = 'escape'",
        row.format(1),
    )
    pair.task().load()
    pair.source(row.format(2), "ALTER ROLE ferry_source RESET ALL")
    wait_for(lambda: pair.same("payments.t"))


def test_the_sessions_of_the_loads_end_with_the_last_load(pair: Pair) -> None:
    pair.both(*(f"CREATE TABLE payments.t{number} (id int PRIMARY KEY)" for number in range(4)))
    pair.task().load()
    in_use = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'AWS-DMS'"
    wait_for(lambda: [pair.rows(side, in_use) for side in ("source", "target")] == [[(2,)], [(2,)]])
