"""Start, stop, resume, reload: what is asked of DMS, in which order, and the waiting."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from builders.errors import ReplicationError
from builders.migration.task import TaskAction
from builders.migration.task.client import Replication
from builders.migration.task.reasons import why
from builders.migration.task.values import READY, RUNNING, STARTING, Task

Show = Callable[[Task], None]
"""Shows the task after every poll."""
Say = Callable[[str], None]
Seen = TypeVar("Seen")

_SUCCESSFUL, _FAILED = "successful", "failed"


@dataclass(frozen=True)
class Watch:
    """A way to wait: `poll_seconds` between two polls, at most `timeout_seconds` in all, or for ever.

    `patience_seconds` is how long a start is asked for again while DMS does not count the tests of the connections.
    """

    show: Show
    say: Say
    poll_seconds: float = 5.0
    timeout_seconds: float | None = None
    patience_seconds: float = 180.0
    began: float = field(default_factory=time.monotonic)

    def left(self, otherwise: float) -> float:
        """The seconds that are left of the timeout, which holds for all waits of a command together."""
        if self.timeout_seconds is None:
            return otherwise
        return max(0.0, self.began + self.timeout_seconds - time.monotonic())

    def until(self, replication: Replication, reached: Callable[[Task], bool]) -> Task:
        """Look at the task until it is where it should be. Raises `ReplicationError` when the time is over."""

        def look() -> Task:
            task = replication.task()
            self.show(task)
            return task

        return self.poll(look, reached, lambda task: f"the task is still {task.status}")

    def poll(self, look: Callable[[], Seen], reached: Callable[[Seen], bool], still: Callable[[Seen], str]) -> Seen:
        """Look until what is seen is `reached`; `still` says what it was when the time was over."""
        while not reached(seen := look()):
            left = self.left(math.inf)
            if left == 0:
                raise ReplicationError(
                    f"{still(seen)} after {self.timeout_seconds:g} seconds, and DMS goes on; wait longer with "
                    "--timeout, or look with status"
                )
            time.sleep(min(self.poll_seconds, left))
        return seen


def run(action: TaskAction, replication: Replication, watch: Watch, *, until_loaded: bool = True) -> Task:
    """Do what is asked of a task, and return it as it is then. Raises `ReplicationError`."""
    match action:
        case "start":
            return start(replication, watch, until_loaded=until_loaded)
        case "resume":
            return resume(replication, watch, until_loaded=until_loaded)
        case "reload":
            return reload(replication, watch, until_loaded=until_loaded)
        case "stop":
            return stop(replication, watch)
        case "status":
            return replication.task()


def start(replication: Replication, watch: Watch, *, until_loaded: bool) -> Task:
    """Start a task for the first time. Raises `ReplicationError` where it has run before, or ends by itself."""
    task = _settled(replication, watch)
    if task.is_at_rest and task.has_run:
        raise ReplicationError(f"the task has run before and is {task.status}; use resume, which goes on where it was")
    return _run(replication, watch, task, "start-replication", until_loaded)


def resume(replication: Replication, watch: Watch, *, until_loaded: bool) -> Task:
    """Let a task go on where it stopped. Raises `ReplicationError` where it never ran, or ends by itself."""
    task = _settled(replication, watch)
    if task.status == READY and not task.has_run:
        raise ReplicationError("the task has never run; use start")
    return _run(replication, watch, task, "resume-processing", until_loaded)


def reload(replication: Replication, watch: Watch, *, until_loaded: bool) -> Task:
    """Load all tables again and go on from there, as after a lost slot.

    Raises `ReplicationError` where the task runs, never ran, has no load of its own, or ends by itself.
    """
    task = _settled(replication, watch)
    if not task.is_at_rest:
        raise ReplicationError(f"the task is {task.status}; stop it first, then reload")
    must_be_reloadable(task)
    return _run(replication, watch, task, "reload-target", until_loaded)


def must_be_reloadable(task: Task) -> None:
    """Raise `ReplicationError` for a task that has no load which could be done again."""
    if not task.has_run:
        raise ReplicationError("the task has never run; use start")
    if task.migration_type == "cdc":
        raise ReplicationError(
            "the task replicates changes alone and has no load of its own; load by other means again, and deploy "
            "migration with the new SourceSlotName and CdcStartPosition"
        )


def stop(replication: Replication, watch: Watch) -> Task:
    """Stop a task; one that is at rest stays as it is."""
    task = watch.until(replication, lambda task: task.is_at_rest or task.status == RUNNING)
    if task.is_at_rest:
        watch.say(f"the task is {task.status} already")
        return task
    replication.stop()
    return watch.until(replication, lambda task: task.is_at_rest)


def _settled(replication: Replication, watch: Watch) -> Task:
    """The task once it neither stops nor is changed, when it could be started."""
    return watch.until(replication, lambda task: task.is_at_rest or task.status in (STARTING, RUNNING))


def _run(replication: Replication, watch: Watch, task: Task, kind: str, until_loaded: bool) -> Task:
    if task.is_at_rest:
        prove_connections(replication, watch, task)
        begin(replication, watch, kind)
        # For a moment DMS may still answer with the old status, which would look like an end.
        watch.until(replication, lambda now: (now.status, now.started) != (task.status, task.started))
    else:
        watch.say(f"the task is {task.status} already")

    def arrived(now: Task) -> bool:
        return now.is_at_rest or (now.status == RUNNING and (now.is_loaded or not until_loaded))

    ended = watch.until(replication, arrived)
    if ended.is_at_rest:
        raise ReplicationError(f"the task is {ended.status}: {why(ended) or 'DMS gives no reason'}")
    return ended


def begin(replication: Replication, watch: Watch, kind: str, position: str = "") -> None:
    """Ask for a start until DMS takes it. Raises `ReplicationError`."""
    if replication.begin(kind, position):
        return
    watch.say("DMS does not count the tests yet, which can take a minute; asking again")
    deadline = time.monotonic() + watch.patience_seconds
    while not replication.begin(kind, position):
        if time.monotonic() >= deadline:
            raise ReplicationError(
                f"{watch.patience_seconds:g} seconds after both connections were tested with success, DMS still does "
                "not count the tests and refuses to start the task; run this again, or ask AWS Support"
            )
        time.sleep(watch.poll_seconds)


def prove_connections(replication: Replication, watch: Watch, task: Task) -> None:
    """Test both connections: DMS starts no task whose last tests were not successful."""
    for side, endpoint in zip(("source", "target"), task.endpoint_arns, strict=True):
        watch.say(f"testing the connection to the {side}")
        status, failure = _tested(replication, watch, task.instance_arn, endpoint)
        if status == _FAILED:
            raise ReplicationError(
                f"DMS does not reach the {side}: {failure or 'it gives no reason'}; check the secret of the endpoint, "
                "its certificate, and what the connectivity layer says about the way"
            )


def _tested(replication: Replication, watch: Watch, instance: str, endpoint: str) -> tuple[str, str]:
    """Status and failure of a test. One that DMS began by itself counts when it succeeds; else it may be of before."""
    is_ours = replication.test_connection(instance, endpoint)
    if not is_ours:
        watch.say("DMS tests it by itself already; waiting for that")
    connection = watch.poll(
        functools.partial(replication.connection, instance, endpoint),
        lambda connection: connection[0] in (_SUCCESSFUL, _FAILED),
        lambda connection: f"the test of the connection is still {connection[0] or 'not there'}",
    )
    if connection[0] == _FAILED and not is_ours:
        return _tested(replication, watch, instance, endpoint)
    return connection
