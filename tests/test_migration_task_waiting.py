"""Waits of migration-task where DMS answers with what was a moment ago, as the embedded cloud never does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from builders.errors import ReplicationError
from builders.migration_task.client import Replication
from builders.migration_task.running import Watch, resume, start, stop
from builders.migration_task.task import Progress, Task

LOADED = Progress(percent=100, loaded=3, loading=0, queued=0, errored=0)


def task(status: str, started: str = "", **more: Any) -> Task:
    known: dict[str, Any] = {"stop_reason": "", "failure": "", "progress": LOADED} | more
    return Task("arn:aws:dms:r:1:task:t", "instance", ("source", "target"), status, started=started, **known)


class Scripted(Replication):
    """A replication that answers with the looks of a script; it stays at the last one."""

    def __init__(self, *looks: Task, connections: tuple[str, ...] = ("successful",)) -> None:
        self._looks: Iterator[Task] = iter(looks)
        self._last = looks[-1]
        self._connections = iter(connections * 2)
        self.asked: list[str] = []

    def task(self) -> Task:
        return next(self._looks, self._last)

    def begin(self, kind: str) -> None:
        self.asked.append(kind)

    def stop(self) -> None:
        self.asked.append("stop")

    def test_connection(self, instance_arn: str, endpoint_arn: str) -> None:
        self.asked.append(f"test {endpoint_arn}")

    def connection(self, instance_arn: str, endpoint_arn: str) -> tuple[str, str]:
        return next(self._connections), ""


@pytest.fixture
def watch() -> Watch:
    """Looks as fast as it can, and gives up after a second."""
    return Watch(show=lambda task: None, say=lambda line: None, poll_seconds=0, timeout_seconds=1)


def test_the_old_status_right_after_a_resume_is_not_taken_for_an_end(watch: Watch) -> None:
    old = task("stopped", "monday", stop_reason="Stop Reason NORMAL")
    replication = Scripted(old, old, old, task("starting", "tuesday"), task("running", "tuesday"))
    assert resume(replication, watch, until_loaded=True).status == "running"
    assert replication.asked == ["test source", "test target", "resume-processing"]


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
