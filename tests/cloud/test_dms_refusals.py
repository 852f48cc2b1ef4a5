"""Refusals of the target, and what the task does about them: one task suspends table after table, others stop."""

from __future__ import annotations

import pytest

from .dms_rig import POLICIES, Pair, Task, settings, wait_for

BOTH = """
CREATE TABLE payments.account (id bigint PRIMARY KEY, email text {not_null}, note jsonb);
CREATE TABLE payments.late (id bigint PRIMARY KEY, email text {not_null});
CREATE TABLE payments.identity (id bigint GENERATED {always} AS IDENTITY PRIMARY KEY, n int);
CREATE TABLE payments.computed (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
CREATE TABLE payments.computed_late (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
CREATE TABLE payments.ledger (id int PRIMARY KEY, amount numeric(9, 2) NOT NULL);
CREATE TABLE payments.audit (id serial PRIMARY KEY, what varchar(20) NOT NULL);
CREATE FUNCTION payments.log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN INSERT INTO payments.audit (what) VALUES (tg_op); RETURN new; END $$;
CREATE TRIGGER t AFTER INSERT ON payments.ledger FOR EACH ROW EXECUTE FUNCTION payments.log();
CREATE TABLE payments.tenants (id int PRIMARY KEY);
CREATE TABLE payments.guarded (id int PRIMARY KEY);
CREATE TABLE payments.lists (id int, tags text[]);
CREATE TABLE payments.closed (id int PRIMARY KEY);
CREATE TABLE payments.going (id int PRIMARY KEY);
CREATE TABLE payments.fine (id int PRIMARY KEY);
"""
TARGET = """
CREATE TABLE payments.narrow (id int PRIMARY KEY);
GRANT ALL ON payments.narrow TO ferry_dms;
ALTER TABLE payments.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE payments.guarded ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON payments.closed FROM ferry_dms;
"""
SOURCE = """
CREATE TABLE payments.narrow (id int PRIMARY KEY, more int);
CREATE TABLE payments.hidden (id int PRIMARY KEY);
REVOKE ALL ON payments.hidden FROM ferry_source;
INSERT INTO payments.account VALUES (1, repeat('x', 40000), '{}');
INSERT INTO payments.identity (n) VALUES (1);
INSERT INTO payments.computed VALUES (1, 1);
INSERT INTO payments.tenants VALUES (1);
INSERT INTO payments.lists VALUES (1, '{a}');
INSERT INTO payments.narrow VALUES (1, 1);
INSERT INTO payments.closed VALUES (1);
INSERT INTO payments.late VALUES (1, 'small enough for its row');
"""
CHANGES = """
INSERT INTO payments.late VALUES (2, 'small');
INSERT INTO payments.identity (n) VALUES (2);
INSERT INTO payments.computed_late VALUES (1, 1);
INSERT INTO payments.ledger VALUES (1, 5);
INSERT INTO payments.going VALUES (1);
INSERT INTO payments.guarded VALUES (1);
INSERT INTO payments.fine VALUES (1);
"""
REFUSED = {
    "hidden": "42501", "account": "23502", "late": "23502", "identity": "428C9", "computed": "42P10",
    "computed_late": "428C9", "audit": "23505", "tenants": "0A000", "guarded": "42501", "lists": "no primary key",
    "narrow": "42703", "closed": "42501", "going": "42P01",
}  # fmt: skip


@pytest.fixture(scope="module")
def task(lasting: Pair) -> Task:
    """A task that suspends every table that is refused, after all of it."""
    lasting.source(BOTH.format(not_null="NOT NULL", always="BY DEFAULT"), SOURCE)
    lasting.target(BOTH.format(not_null="NOT NULL", always="ALWAYS"))
    lasting.target("GRANT ALL ON ALL TABLES IN SCHEMA payments TO ferry_dms", TARGET)
    made = lasting.task(chosen=settings(ErrorBehavior=dict.fromkeys(POLICIES, "SUSPEND_TABLE"))).load()
    lasting.target("DROP TABLE payments.going")
    for change in CHANGES.strip().split(";\n"):
        lasting.source(change)
    wait_for(lambda: made.failure() or lasting.rows("target", "SELECT 1 FROM payments.fine"))
    assert made.failure() == ""
    return made


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_is_suspended_for_its_own_reason(lasting: Pair, task: Task, name: str) -> None:
    assert task.table(name)["TableState"] == "Table error"
    query = f'SELECT "SUSPEND_REASON" FROM awsdms_control.awsdms_suspended_tables WHERE "TABLE_NAME" = \'{name}\''
    ((reason,),) = lasting.rows("target", query)
    assert REFUSED[name] in reason
    assert f"Table 'payments.{name}' was errored/suspended" in task.log()


def test_the_tables_that_are_fine_go_on(lasting: Pair, task: Task) -> None:
    assert task.described()["Status"] == "running"
    assert lasting.rows("target", "SELECT id FROM payments.fine") == [(1,)]
    wait_for(lambda: task.described()["ReplicationTaskStats"]["TablesErrored"] == len(REFUSED))


def test_a_small_large_value_is_loaded_within_its_row_but_never_in_a_change(lasting: Pair, task: Task) -> None:
    assert lasting.rows("target", "SELECT id FROM payments.late") == [(1,)]


def test_a_generated_identity_takes_the_load_and_refuses_the_change(lasting: Pair, task: Task) -> None:
    assert lasting.rows("target", "SELECT id, n FROM payments.identity") == [(1, 1)]


def test_a_trigger_fires_on_what_is_replicated_and_its_row_comes_twice(lasting: Pair, task: Task) -> None:
    assert lasting.rows("target", "SELECT id, what FROM payments.audit") == [(1, "INSERT")]


@pytest.mark.parametrize(
    ("definition", "change", "words"),
    [
        ("id int PRIMARY KEY, note text NOT NULL", "INSERT INTO payments.t VALUES (1, 'x')", ("payments.t", "23502")),
        ("id int PRIMARY KEY", "TRUNCATE payments.t", ("payments.t", "Truncation DDL detected")),
    ],
    ids=["a row that is refused", "a truncate"],
)
def test_a_task_that_may_pass_over_nothing_fails_with_table_and_reason(
    pair: Pair, definition: str, change: str, words: tuple[str, str]
) -> None:
    pair.both(f"CREATE TABLE payments.t ({definition})")
    task = pair.task(chosen=settings(ErrorBehavior={"ApplyErrorFailOnTruncationDdl": True})).load()
    pair.source(change)
    message = task.failed()
    assert all(word in message for word in words)
    assert task.described()["StopReason"] == "Stop Reason FATAL_ERROR Error Level FATAL"


def test_a_load_that_is_refused_stops_the_task_with_table_and_reason(pair: Pair) -> None:
    pair.source("CREATE TABLE payments.t (id int PRIMARY KEY, more int)", "INSERT INTO payments.t VALUES (1, 1)")
    pair.target("CREATE TABLE payments.t (id int PRIMARY KEY)", "GRANT ALL ON payments.t TO ferry_dms")
    task = pair.task()
    task.start(until="failed")
    message = task.failed()
    assert "Table 'payments.t'" in message
    assert "42703" in message


def test_a_source_user_who_may_not_replicate_fails_the_task(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.t (id int PRIMARY KEY)")
    pair.source("ALTER ROLE ferry_source NOREPLICATION")
    task = pair.task()
    task.connections()
    task.dms.start_replication_task(ReplicationTaskArn=task.arn, StartReplicationTaskType="start-replication")
    message = task.failed()
    pair.source("ALTER ROLE ferry_source REPLICATION")
    assert "42501" in message
    assert "replication slot" in message


def test_nothing_that_a_mapping_selects_fails_the_task(pair: Pair) -> None:
    task = pair.task()
    task.connections()
    task.dms.start_replication_task(ReplicationTaskArn=task.arn, StartReplicationTaskType="start-replication")
    assert "No tables were found at task initialization" in task.failed()


def test_with_the_sessions_as_a_replica_triggers_do_not_fire(pair: Pair) -> None:
    pair.both(
        "CREATE TABLE payments.ledger (id int PRIMARY KEY)",
        "CREATE TABLE payments.audit (id serial PRIMARY KEY)",
        "CREATE FUNCTION payments.log() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO payments.audit DEFAULT VALUES; RETURN new; END'",
        "CREATE TRIGGER t AFTER INSERT ON payments.ledger FOR EACH ROW EXECUTE FUNCTION payments.log()",
    )
    script = {"ExtraConnectionAttributes": "afterConnectScript=SET session_replication_role='replica'"}
    refused = pair.task(target=script).connections()["target"]
    assert refused["Status"] == "failed"
    assert "permission denied to set parameter" in refused["LastFailureMessage"]
    version = pair.rows("target", "SELECT current_setting('server_version_num')::int")[0][0]
    if version < 150000:
        return
    pair.target("GRANT SET ON PARAMETER session_replication_role TO ferry_dms")
    pair.task(target=script).load()
    pair.source("INSERT INTO payments.ledger VALUES (1)")
    wait_for(lambda: pair.rows("target", "SELECT 1 FROM payments.audit"))
    assert pair.same("payments.audit")
    pair.target("REVOKE SET ON PARAMETER session_replication_role FROM ferry_dms")
