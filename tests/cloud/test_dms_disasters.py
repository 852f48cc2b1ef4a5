"""Servers that end in the middle, and a cloud that is killed: what is tried again, what is given up, what is lost."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm import running

from .conftest import Account, postgres_with_its_secret, wait_until_saved
from .dms_rig import Database, Pair, Task, settings, site, wait_for

TABLE = "CREATE TABLE payments.t (id int PRIMARY KEY, n int)"


@pytest.fixture
def task(pair: Pair) -> Iterator[Task]:
    """A task that has loaded and follows; its source runs again at the end."""
    pair.both(TABLE)
    pair.source("INSERT INTO payments.t VALUES (1, 1)")
    yield pair.task().load()
    server = pair.site.source.server
    if server.process is None or server.settings["wal_level"] != "logical":
        server.stop()
        server.settings["wal_level"] = "logical"
        server.start()


def test_a_source_that_is_gone_for_a_while_is_tried_again(pair: Pair, task: Task) -> None:
    server = pair.site.source.server
    server.stop()
    wait_for(lambda: "Task restarts in 1 seconds after" in task.log())
    assert task.described()["Status"] == "running"
    server.start()
    pair.source("INSERT INTO payments.t VALUES (2, 2)")
    wait_for(lambda: pair.same("payments.t"))


def test_a_source_that_forgets_what_was_confirmed_brings_nothing_twice(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.keyless (id int)")
    task = pair.task().load()
    for number in range(10):
        pair.source(f"INSERT INTO payments.keyless VALUES ({number})")
    wait_for(lambda: pair.same("payments.keyless"))
    server = pair.site.source.server
    assert server.process is not None
    server.process.send_signal(signal.SIGQUIT)  # an immediate end: the slot goes back to the last checkpoint
    server.process.wait()
    server.start()
    pair.source("INSERT INTO payments.keyless VALUES (10)")
    wait_for(lambda: pair.rows("target", "SELECT 1 FROM payments.keyless WHERE id = 10"))
    assert pair.same("payments.keyless")
    assert task.described()["Status"] == "running"


def test_a_session_that_is_ended_in_the_target_is_made_again(pair: Pair, task: Task) -> None:
    pair.target("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ferry_dms'")
    pair.source("INSERT INTO payments.t VALUES (2, 2)")
    wait_for(lambda: pair.same("payments.t"))
    assert task.described()["Status"] == "running"


def test_a_table_that_was_half_loaded_is_loaded_anew(pair: Pair) -> None:
    pair.both("CREATE TABLE payments.keyless (id int)")
    pair.source("INSERT INTO payments.keyless SELECT generate_series(1, 60)")
    pair.target(
        "CREATE TABLE payments.gate (id int)",
        "GRANT ALL ON payments.gate TO ferry_dms",
        "CREATE FUNCTION payments.wait() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF new.id = 50 THEN PERFORM 1 FROM payments.gate; END IF; RETURN new; END'",
        "CREATE TRIGGER t BEFORE INSERT ON payments.keyless FOR EACH ROW EXECUTE FUNCTION payments.wait()",
    )
    task = pair.task(chosen=settings(FullLoadSettings={"CommitRate": 10}))
    with pair.locked("payments.gate"):
        task.start()
        wait_for(lambda: pair.rows("target", "SELECT count(*) FROM payments.keyless") == [(40,)])
        pair.target("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ferry_dms'")
        wait_for(lambda: "Task restarts" in task.log())
    wait_for(lambda: pair.same("payments.keyless"))
    task.loaded()
    assert task.table("keyless")["FullLoadRows"] == 60


def test_a_running_task_does_not_outlive_the_rotation_of_its_password(pair: Pair) -> None:
    pair.both(TABLE)
    task = pair.task().load()
    secrets, arn = pair.site.account.client("secretsmanager"), pair.site.secrets["Target"]
    before = secrets.get_secret_value(SecretId=arn)["SecretString"]
    secrets.put_secret_value(SecretId=arn, SecretString=before.replace("target-password", "rotated"))
    pair.target("ALTER ROLE ferry_dms PASSWORD 'rotated'")
    pair.target("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ferry_dms'")
    pair.source("INSERT INTO payments.t VALUES (1)")
    message = task.failed()
    assert "password authentication failed" in message
    task.start("resume-processing")
    wait_for(lambda: pair.same("payments.t"))
    secrets.put_secret_value(SecretId=arn, SecretString=before)
    pair.target("ALTER ROLE ferry_dms PASSWORD 'target-password'")


def test_a_task_that_may_not_try_again_fails(pair: Pair) -> None:
    pair.both(TABLE)
    once = pair.task(chosen=settings(ErrorBehavior={"RecoverableErrorCount": 0})).load()
    pair.target("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ferry_dms'")
    pair.source("INSERT INTO payments.t VALUES (2, 2)")
    assert "terminating connection" in once.failed()
    assert once.described()["StopReason"] == "Stop Reason RECOVERABLE_ERROR Error Level RECOVERABLE"


def test_a_source_without_logical_decoding_fails_the_task_with_the_reason(pair: Pair, task: Task) -> None:
    task.stop()
    server = pair.site.source.server
    pair.source(f"SELECT pg_drop_replication_slot('{task.slots()[0][0]}')")
    server.stop()
    server.settings |= {"wal_level": "replica"}
    server.start()
    task.dms.start_replication_task(ReplicationTaskArn=task.arn, StartReplicationTaskType="reload-target")
    assert "wal_level is replica; it must be logical" in task.failed()


def test_nothing_is_lost_and_nothing_doubled_when_the_cloud_is_killed() -> None:
    with tempfile.TemporaryDirectory(prefix="stackferry-killed-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        with running(state_directory=directory, keep=True) as cloud:
            account = Account(cloud, "111111111111")
            with site(cloud, account, postgres_with_its_secret()) as ground, ground.pair() as pair:
                _killed_while_it_is_written(pair, directory)


def _killed_while_it_is_written(pair: Pair, directory: Path) -> None:
    """A table without a key shows what comes twice, and one with triggers of nobody what is lost."""
    pair.both("CREATE TABLE payments.t (id int)")
    task = pair.task().load()
    cloud, over = pair.site.account.cloud, threading.Event()
    written: list[int] = []

    def write() -> None:
        while not over.wait(0.01):
            written.append(len(written))
            pair.source(f"INSERT INTO payments.t VALUES ({written[-1]})")

    writer = threading.Thread(target=write)
    writer.start()
    wait_until_saved(cloud)
    wait_for(lambda: pair.rows("target", "SELECT count(*) > 20 FROM payments.t") == [(True,)])
    os.kill(cloud.pid, signal.SIGKILL)
    time.sleep(0.5)
    over.set()
    writer.join()
    with running(state_directory=directory, keep=True) as again:
        account = Account(again, pair.site.account.number)
        pair.site.account.cloud = again
        pair.site.database = Database(again, pair.site.database.port)
        assert task.pair.site.account is not account
        task.dms = account.client("dms")
        wait_for(lambda: pair.same("payments.t"))
        assert pair.rows("target", "SELECT count(*), count(DISTINCT id) FROM payments.t") == [
            (len(written), len(written))
        ]
        assert task.described()["Status"] == "running"
        task.delete()
        pair.tasks.clear()
