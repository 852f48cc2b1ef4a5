"""The beginning of a load, and of another one after a fall-back, against a task whose states a test decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from builders.errors import MigrationError, ReplicationError
from builders.migration import start
from builders.migration.databases import Database
from builders.migration.journal import Journal
from builders.migration.schema import building, moments, schema
from builders.migration.schema.schema_plan import Users
from builders.migration.task.client import Replication
from builders.migration.task.running import Watch
from builders.migration.task.values import LoadProgress, Task

from .conftest import DMS_USER, Pair

SOURCE = """
CREATE SCHEMA payments;
CREATE TABLE payments.account (id int PRIMARY KEY, email text NOT NULL);
CREATE TABLE payments.ledger (id int PRIMARY KEY, account int REFERENCES payments.account ON DELETE CASCADE,
    other int REFERENCES payments.account);
CREATE FUNCTION payments.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER nothing AFTER INSERT ON payments.ledger FOR EACH ROW EXECUTE FUNCTION payments.nothing();
GRANT USAGE ON SCHEMA payments TO ferry_source;
GRANT SELECT ON ALL TABLES IN SCHEMA payments TO ferry_source
"""
SCHEMAS = ["payments"]


class Dms(Replication):
    """A task that begins to run, loaded, whenever it is asked to."""

    def __init__(self, status: str = "ready", started: str = "") -> None:
        self.status, self.started = status, started
        self.asked: list[str] = []

    def task(self) -> Task:
        progress = LoadProgress(percent=100, loaded=2, loading=0, queued=0, errored=0)
        return Task("arn", "instance", ("source", "target"), self.status, "", "", "full-load-and-cdc", self.started,
                    progress)  # fmt: skip

    def begin(self, kind: str, position: str = "") -> bool:
        self.asked.append(kind)
        self.status, self.started = "running", f"{self.started}+"
        return True

    def test_connection(self, instance_arn: str, endpoint_arn: str) -> bool:
        return True

    def connection(self, instance_arn: str, endpoint_arn: str) -> tuple[str, str]:
        return "successful", ""


@pytest.fixture
def watch() -> Watch:
    return Watch(show=lambda task: None, say=lambda line: None, poll_seconds=0, timeout_seconds=60)


@pytest.fixture
def carried(pair: Callable[..., Pair]) -> Pair:
    both = pair(SOURCE)
    both.administer("source", f"GRANT CREATE ON DATABASE {both.name} TO ferry_source")
    with both.database("source") as source, both.database("target") as target:
        schema.carry(source, target, SCHEMAS, Users(dms_target=DMS_USER), lambda _: None, str)
    return both


@pytest.fixture
def fallen_back(carried: Pair) -> Pair:
    """A pair that was cut over and has fallen back: the target is hardened and has rows."""
    with carried.database("target") as target:
        for moment in ("after_load", "cutover", "opened"):
            for each in moments.harden_statements(target, moment):
                moments.put_on(target, target, each)
        target.run("INSERT INTO payments.account VALUES (1, 'a')")
        target.run("INSERT INTO payments.ledger VALUES (1, 1, 1)")
        write(target, "cutover")
        write(target, "fallback")
    return carried


def write(target: Database, kind: str, *, over: bool = True) -> None:
    """Write a run into the journal, as a cut-over or fall-back does."""
    log: Any = Journal(target)
    log.prepare()
    steps = [(kind, "begins"), ("open", "begins"), ("open", "done"), *([(kind, "done")] if over else [])]
    for step, moment in steps:
        log.write(f"{kind}-1", step, moment)


@pytest.mark.parametrize(
    ("status", "started", "asked"),
    [("ready", "", ["start-replication"]), ("stopped", "monday", ["resume-processing"]), ("running", "monday", [])],
)
def test_a_task_is_started_resumed_or_left_as_it_is(
    carried: Pair, watch: Watch, status: str, started: str, asked: list[str]
) -> None:
    dms = Dms(status, started)
    with carried.database("target") as target:
        assert start.load(target, SCHEMAS, dms, watch, until_loaded=True).status == "running"
    assert dms.asked == asked


@pytest.mark.parametrize(
    ("kind", "over", "reason"),
    [
        ("cutover", False, "cutover-1 is under way: end it with `migrate-database cutover` first"),
        ("cutover", True, "the application is on the target since the cut-over; to go back, use fallback"),
    ],
)
def test_nothing_is_loaded_during_or_after_a_cut_over(
    carried: Pair, watch: Watch, kind: str, over: bool, reason: str
) -> None:
    with carried.database("target") as target:
        write(target, kind, over=over)
        with pytest.raises(MigrationError, match=reason):
            start.load(target, SCHEMAS, Dms("stopped", "monday"), watch, until_loaded=True)


def test_after_a_fall_back_the_target_is_emptied_softened_and_loaded_again(fallen_back: Pair, watch: Watch) -> None:
    dms = Dms("stopped", "monday")
    with fallen_back.database("target") as target:
        start.load(target, SCHEMAS, dms, watch, until_loaded=True)
        assert dms.asked == ["reload-target"]
        assert target.value("SELECT count(*) FROM payments.ledger") == 0
        assert target.value("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 0
        assert target.value("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 0
        assert building.waiting(target) != []
    with psycopg.connect(**fallen_back.login("target", DMS_USER).parameters(), autocommit=True) as writer:
        writer.execute("INSERT INTO payments.ledger VALUES (9, 99, 999)")
        writer.execute("INSERT INTO payments.account VALUES (9, NULL)")


def test_a_start_that_was_ended_after_the_target_was_emptied_does_not_empty_it_again(
    fallen_back: Pair, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    dms = Dms("stopped", "monday")

    def killed(_kind: str, _position: str = "") -> bool:
        raise KeyboardInterrupt

    with fallen_back.database("target") as target, monkeypatch.context() as patch:
        patch.setattr(dms, "begin", killed)
        with pytest.raises(KeyboardInterrupt):
            start.load(target, SCHEMAS, dms, watch, until_loaded=True)
    with fallen_back.database("target") as target:
        start.load(target, SCHEMAS, dms, watch, until_loaded=True)
        target.run("INSERT INTO payments.account VALUES (1, 'loaded')")
        start.load(target, SCHEMAS, dms, watch, until_loaded=True)
        dms.status = "stopped"
        start.load(target, SCHEMAS, dms, watch, until_loaded=True)
        assert dms.asked == ["reload-target", "resume-processing"]
        assert target.value("SELECT count(*) FROM payments.account") == 1


def test_a_task_that_runs_after_a_fall_back_is_not_loaded_over(fallen_back: Pair, watch: Watch) -> None:
    with fallen_back.database("target") as target:
        with pytest.raises(ReplicationError, match="the task is running after a fall-back; stop it first"):
            start.load(target, SCHEMAS, Dms("running", "monday"), watch, until_loaded=True)
        assert target.value("SELECT count(*) FROM payments.account") == 1
