"""Waits of migrate-database where DMS answers with what was a moment ago, as the embedded cloud never does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from builders.errors import ReplicationError, UsageError
from builders.migration.task.client import Replication
from builders.migration.task.running import Watch, reload, resume, start, stop
from builders.migration.task.showing import confirm_reload
from builders.migration.task.values import LoadProgress, Task

LOADED = LoadProgress(percent=100, loaded=3, loading=0, queued=0, errored=0)


def task(status: str, started: str = "", **more: Any) -> Task:
    known: dict[str, Any] = {"stop_reason": "", "failure": "", "progress": LOADED, "migration_type": ""} | more
    return Task("arn:aws:dms:r:1:task:t", "instance", ("source", "target"), status, started=started, **known)


class Scripted(Replication):
    """A replication that answers with the looks of a script; it stays at the last one.

    `busy` are the first requests for a test that meet one of DMS's own, and `uncounted` the starts that it refuses.
    """

    def __init__(
        self,
        *looks: Task,
        connections: tuple[str, ...] = ("successful",),
        busy: int = 0,
        uncounted: int = 0,
        preparation: str = "",
    ) -> None:
        self._looks: Iterator[Task] = iter(looks)
        self._last = looks[-1]
        self._connections = iter(connections * 2)
        self._busy, self._uncounted = busy, uncounted
        self._preparation = preparation
        self.asked: list[str] = []

    def task(self) -> Task:
        return next(self._looks, self._last)

    def table_preparation(self) -> str:
        return self._preparation

    def begin(self, kind: str, position: str = "") -> bool:
        self.asked.append(kind)
        self._uncounted -= 1
        return self._uncounted < 0

    def stop(self) -> None:
        self.asked.append("stop")

    def test_connection(self, instance_arn: str, endpoint_arn: str) -> bool:
        self.asked.append(f"test {endpoint_arn}")
        self._busy -= 1
        return self._busy < 0

    def connection(self, instance_arn: str, endpoint_arn: str) -> tuple[str, str]:
        return next(self._connections), ""


@pytest.fixture
def watch() -> Watch:
    """Looks as fast as it can, and gives up after a second."""
    return Watch(show=lambda task: None, say=lambda line: None, poll_seconds=0, timeout_seconds=1, patience_seconds=0.2)


def begun(*more: Task) -> tuple[Task, ...]:
    """The looks at a task that is started for the first time."""
    return task("ready"), *more, task("starting", "monday"), task("running", "monday")


def test_the_old_status_right_after_a_resume_is_not_taken_for_an_end(watch: Watch) -> None:
    old = task("stopped", "monday", stop_reason="Stop Reason NORMAL")
    replication = Scripted(old, old, old, task("starting", "tuesday"), task("running", "tuesday"))
    assert resume(replication, watch, until_loaded=True).status == "running"
    assert replication.asked == ["test source", "test target", "resume-processing"]


def test_a_task_without_a_load_of_its_own_is_not_waited_for_until_it_has_loaded(watch: Watch) -> None:
    """What percentage DMS gives for such a task is not documented."""
    changes = {"migration_type": "cdc", "progress": replace(LOADED, percent=0, loaded=0)}
    replication = Scripted(task("ready"), task("starting", "monday"), task("running", "monday", **changes))
    assert start(replication, watch, until_loaded=True).status == "running"


def test_a_task_that_failed_and_fails_again_between_two_looks_has_ended(watch: Watch) -> None:
    """Status and reason are those of the time before; only the start differs."""
    before = task("failed", "monday", stop_reason="Stop Reason FATAL_ERROR")
    again = task("failed", "tuesday", stop_reason="Stop Reason FATAL_ERROR")
    with pytest.raises(ReplicationError, match="the task is failed: FATAL_ERROR"):
        resume(Scripted(before, again), watch, until_loaded=True)


def test_a_task_that_is_being_changed_is_waited_for_before_it_is_started(watch: Watch) -> None:
    replication = Scripted(task("modifying"), task("ready"), task("starting", "monday"), task("running", "monday"))
    assert start(replication, watch, until_loaded=True).status == "running"
    assert replication.asked[-1] == "start-replication"


def test_a_changed_task_that_has_run_is_not_started_anew_though_it_is_ready(watch: Watch) -> None:
    with pytest.raises(ReplicationError, match="has run before and is ready; use resume"):
        start(Scripted(task("ready", "monday")), watch, until_loaded=True)


def test_a_task_that_starts_is_let_to_run_before_it_is_stopped(watch: Watch) -> None:
    replication = Scripted(task("starting", "monday"), task("running", "monday"), task("stopped", "monday"))
    assert stop(replication, watch).status == "stopped"
    assert replication.asked == ["stop"]


@pytest.mark.parametrize(
    ("action", "looks"),
    [
        (start, [task("modifying")]),
        (stop, [task("running", "monday"), task("stopping", "monday")]),
    ],
)
def test_whatever_takes_too_long_is_given_up_and_named(
    watch: Watch, action: Callable[..., Task], looks: list[Task]
) -> None:
    options = {"until_loaded": True} if action is start else {}
    with pytest.raises(ReplicationError, match=f"the task is still {looks[-1].status} after 1 seconds"):
        action(Scripted(*looks), watch, **options)


def test_a_test_of_a_connection_that_takes_too_long_is_given_up_and_named(watch: Watch) -> None:
    replication = Scripted(task("ready"), connections=("testing",) * 1_000_000)
    with pytest.raises(ReplicationError, match="the test of the connection is still testing after 1 seconds"):
        start(replication, watch, until_loaded=True)


def test_a_test_that_dms_began_by_itself_is_waited_for_and_counts(watch: Watch) -> None:
    replication = Scripted(*begun(), connections=("testing", "successful"), busy=1)
    assert start(replication, watch, until_loaded=True).status == "running"
    assert replication.asked == ["test source", "test target", "start-replication"]


def test_a_test_of_dms_that_fails_may_be_of_before_and_is_done_again(watch: Watch) -> None:
    replication = Scripted(*begun(), connections=("failed", "successful", "successful"), busy=1)
    assert start(replication, watch, until_loaded=True).status == "running"
    assert replication.asked == ["test source", "test source", "test target", "start-replication"]


def test_a_test_of_ours_that_fails_is_not_done_again(watch: Watch) -> None:
    replication = Scripted(task("ready"), connections=("failed", "successful"))
    with pytest.raises(ReplicationError, match="DMS does not reach the source"):
        start(replication, watch, until_loaded=True)
    assert replication.asked == ["test source"]


def test_a_start_is_asked_for_until_dms_counts_the_tests_and_the_waiting_is_told_once(watch: Watch) -> None:
    said: list[str] = []
    replication = Scripted(*begun(), uncounted=3)
    assert start(replication, replace(watch, say=said.append), until_loaded=True).status == "running"
    assert replication.asked.count("start-replication") == 4
    assert said[2:] == ["DMS does not count the tests yet, which can take a minute; asking again"]


def test_a_start_that_dms_keeps_refusing_is_given_up(watch: Watch) -> None:
    replication = Scripted(task("ready"), uncounted=1_000_000_000)
    with pytest.raises(ReplicationError, match=r"^0\.2 seconds after both connections were tested with success, DMS"):
        start(replication, watch, until_loaded=True)


def test_a_task_that_is_tested_itself_is_waited_for(watch: Watch) -> None:
    """An assessment of the task, as opposed to a test of its connections, makes its status "testing"."""
    replication = Scripted(task("testing"), *begun())
    assert start(replication, watch, until_loaded=True).status == "running"


def test_all_tables_are_loaded_again_by_a_reload_of_a_task_at_rest(watch: Watch) -> None:
    replication = Scripted(task("failed", "monday"), task("starting", "tuesday"), task("running", "tuesday"))
    assert reload(replication, watch, until_loaded=True).status == "running"
    assert replication.asked[-1] == "reload-target"


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (task("running", "monday"), "the task is running; stop it first, then reload"),
        (task("ready"), "the task has never run; use start"),
        (task("stopped", "monday", migration_type="cdc"), "has no load of its own"),
    ],
)
def test_a_task_that_cannot_be_loaded_again_says_why(watch: Watch, look: Task, reason: str) -> None:
    replication = Scripted(look)
    with pytest.raises(ReplicationError, match=reason):
        reload(replication, watch, until_loaded=True)
    assert replication.asked == []


@pytest.mark.parametrize(
    ("preparation", "said"),
    [
        ("DO_NOTHING", "TRUNCATE the tables of the task in the target first"),
        ("TRUNCATE_BEFORE_LOAD", "DMS empties the tables of the task in the target and loads them again"),
        ("DROP_AND_CREATE", "with their indexes, defaults and rights"),
    ],
)
def test_a_reload_that_nobody_can_be_asked_about_says_what_it_would_do(
    preparation: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replication = Scripted(task("stopped", "monday"), preparation=preparation)
    with open(os.devnull, encoding="utf-8") as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        with pytest.raises(UsageError, match=said):
            confirm_reload(replication, yes=False)
    confirm_reload(replication, yes=True)


def test_the_timeout_holds_for_all_waits_of_a_command_whatever_the_pause_between_two_looks() -> None:
    watch = Watch(show=lambda task: None, say=lambda line: None, poll_seconds=60, timeout_seconds=0.1)
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(ReplicationError, match=r"the task is still starting after 0.1 seconds"):
            watch.poll(lambda: "starting", lambda _seen: False, lambda seen: f"the task is still {seen}")
    assert time.monotonic() - began < 60
    assert watch.left(otherwise=9) == 0, "nothing is left for a marker either"
    assert Watch(lambda _task: None, lambda _line: None).left(otherwise=9) == 9
