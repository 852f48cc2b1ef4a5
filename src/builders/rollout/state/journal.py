"""Runs and their operations, as values.

The runs that ended: run.json tells of the last one, history.json of those before it.

The journal of a run, which is its lock too: written on condition that nobody else wrote since.

run.json is written before each call to AWS, so it stays small: operations that are over move to objects of their own.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout.aws.errors import Conflict
from builders.rollout.aws.s3 import ABSENT, Expected
from builders.rollout.model import Target
from builders.rollout.plan.calls import Call
from builders.rollout.state import serialization
from builders.rollout.state.serialization import JsonObject


class Command(enum.Enum):
    """What a run is for."""

    APPLY = "apply"
    ROLLBACK = "rollback"
    REMOVE = "remove"
    LET_GO = "remove --account"


class RunStatus(enum.Enum):
    """RUNNING holds the lock, whether its process lives or not."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class State(enum.Enum):
    """SUBMITTING is written before the call: AWS may or may not know the operation."""

    SUBMITTING = "SUBMITTING"
    OVER = "OVER"


@dataclass(frozen=True)
class Entry:
    """One operation. `outcome` is its last status; `missed` are the places where it did not succeed."""

    operation_id: str
    step: Call
    state: State
    outcome: str = ""
    failures: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Run:
    """A run. `began` is an ISO time that the caller gives; `owner` is a token of whoever may write.

    `good`, known at its end: every instance was CURRENT. `to` is the release that a rollback puts back: its own differs
    where accounts came or left since.
    """

    id: str
    command: Command
    release: str
    owner: str
    began: str
    acknowledged: tuple[str, ...] = ()
    status: RunStatus = RunStatus.RUNNING
    entries: tuple[Entry, ...] = ()
    good: bool = False
    to: str = ""


@dataclass(frozen=True)
class EndedRun:
    """A run that ended. `good`: every instance was CURRENT."""

    run: str
    command: Command
    release: str
    began: str
    status: RunStatus
    good: bool
    to: str = ""


@dataclass(frozen=True)
class _Book:
    """history.json, oldest first."""

    runs: tuple[EndedRun, ...] = ()


class History:
    """The runs of one suffix that ended."""

    def __init__(self, drawer: JsonObject) -> None:
        self._drawer = drawer
        self._key = drawer.key("history.json")

    def runs(self, last: Run | None) -> tuple[EndedRun, ...]:
        """All of them, oldest first; `last` is the one that only run.json tells of."""
        past, _ = self._read()
        return past if last is None else _with(past, last)

    def remember(self, run: Run) -> None:
        """Keep a run that ended, before another takes its place; others may be about to do the same."""
        while True:
            past, etag = self._read()
            runs = _with(past, run)
            if runs == past:
                return
            try:
                self._drawer.objects.put(self._drawer.bucket, self._key, serialization.written(_Book(runs)), etag)
            except Conflict:
                continue
            return

    def _read(self) -> tuple[tuple[EndedRun, ...], str | Expected]:
        found = self._drawer.objects.get(self._drawer.bucket, self._key)
        if found is None:
            return (), ABSENT
        return serialization.read(_Book, found[0], self._drawer.where(self._key)).runs, found[1]


def _with(past: tuple[EndedRun, ...], run: Run) -> tuple[EndedRun, ...]:
    if any(each.run == run.id for each in past):
        return past
    return (*past, EndedRun(run.id, run.command, run.release, run.began, run.status, run.good, run.to))


MOST_ENTRIES = 200
"""Operations that run.json holds before those that are over move out."""


@dataclass(frozen=True)
class _Page:
    """run.json. `older` are the keys of the entries that moved out, oldest first."""

    run: Run
    older: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Entries:
    entries: tuple[Entry, ...]


class Journal:
    """The runs of one suffix. Safe for threads; every write raises `RolloutError` once another run has taken over."""

    def __init__(self, drawer: JsonObject) -> None:
        self._drawer = drawer
        self._past = History(drawer)
        self._lock = threading.RLock()
        self._page: _Page | None = None
        self._expected: str | Expected = ABSENT

    def run(self) -> Run | None:
        """The run that is under way or was the last, with all its entries, as the bucket has it now."""
        page, _ = self._read()
        return self._whole(page) if page else None

    def begin(self, run: Run) -> None:
        """Take the lock for a new run. Raises `RolloutError` while another is RUNNING."""
        with self._lock:
            before, self._expected = self._read()
            if before and before.run.status is RunStatus.RUNNING and before.run.owner != run.owner:
                raise self._under_way(before.run)
            if before and before.run.status is not RunStatus.RUNNING:
                self._past.remember(before.run)
            self._write(_Page(run))

    def take_over(self, owner: str) -> Run:
        """Go on with the run that is RUNNING, as its new owner; its former one cannot write any more."""
        with self._lock:
            before, self._expected = self._read()
            if before is None or before.run.status is not RunStatus.RUNNING:
                raise RolloutError(f"no rollout of {self._drawer.suffix} is under way; there is nothing to resume")
            page = dataclasses.replace(before, run=dataclasses.replace(before.run, owner=owner))
            self._write(page)
            return self._whole(page)

    def record(self, *entries: Entry) -> None:
        """Write down operations, before their calls and after their end; an entry replaces the one of its id."""
        with self._lock:
            page = self._own()
            by_id = {each.operation_id: each for each in (*page.run.entries, *entries)}
            self._write(self._moved(page, tuple(by_id.values())))

    def close(self, status: RunStatus, *, good: bool) -> None:
        """End the run and give the lock back."""
        with self._lock:
            page = self._own()
            self._write(dataclasses.replace(page, run=dataclasses.replace(page.run, status=status, good=good)))
            self._page = None

    def history(self) -> Sequence[EndedRun]:
        """The runs that ended, oldest first."""
        page, _ = self._read()
        last = page.run if page and page.run.status is not RunStatus.RUNNING else None
        return self._past.runs(last)

    def _own(self) -> _Page:
        assert self._page is not None, "begin or take over a run first"
        return self._page

    def _read(self) -> tuple[_Page | None, str | Expected]:
        key = self._drawer.key("run.json")
        found = self._drawer.objects.get(self._drawer.bucket, key)
        if found is None:
            return None, ABSENT
        return serialization.read(_Page, found[0], self._drawer.where(key)), found[1]

    def _write(self, page: _Page) -> None:
        """Write run.json where it is what we last saw.

        An attempt whose answer was lost conflicts with the next one, boto3's or ours: what our owner's token wrote is
        no other run's.
        """
        drawer, key, body = self._drawer, self._drawer.key("run.json"), serialization.written(page)
        try:
            etag = drawer.objects.put(drawer.bucket, key, body, self._expected)
        except Conflict as conflict:
            there, seen = self._read()
            if there is None or there.run.owner != page.run.owner:
                raise self._taken_over(there) from conflict
            etag = str(seen)
            if serialization.written(there) != body:
                etag = self._again(key, body, etag)
        self._page, self._expected = page, etag

    def _again(self, key: str, body: bytes, expected: str) -> str:
        try:
            return self._drawer.objects.put(self._drawer.bucket, key, body, expected)
        except Conflict as conflict:
            there, _ = self._read()
            raise self._taken_over(there) from conflict

    def _moved(self, page: _Page, entries: tuple[Entry, ...]) -> _Page:
        """Move entries that are over out of run.json, once there are many. Their key is their content."""
        older = page.older
        if len(entries) > MOST_ENTRIES:
            over = _Entries(tuple(each for each in entries if each.state is State.OVER))
            body = serialization.written(over)
            name = hashlib.sha256(body).hexdigest()[:16]
            key = self._drawer.key(f"runs/{page.run.id}/{len(older):04}-{name}.json")
            self._drawer.objects.put(self._drawer.bucket, key, body)
            older = (*older, key)
            entries = tuple(each for each in entries if each.state is not State.OVER)
        return _Page(dataclasses.replace(page.run, entries=entries), older)

    def _whole(self, page: _Page) -> Run:
        entries: list[Entry] = []
        for key in page.older:
            found = self._drawer.objects.get(self._drawer.bucket, key)
            if found is None:
                raise RolloutError(f"{self._drawer.where(key)} is gone, and with it what this run did; restore it")
            entries += serialization.read(_Entries, found[0], self._drawer.where(key)).entries
        return dataclasses.replace(page.run, entries=(*entries, *page.run.entries))

    def _under_way(self, run: Run) -> RolloutError:
        return RolloutError(
            f"a rollout of {self._drawer.suffix} is not over: {run.command.value} of release {run.release}, begun "
            f"{run.began}; if nobody runs it any more, go on with it: rollout-stacksets resume"
        )

    def _taken_over(self, there: _Page | None) -> RolloutError:
        who = f" ({there.run.command.value}, begun {there.run.began})" if there else ""
        return RolloutError(f"another rollout of {self._drawer.suffix} has taken over{who}; this one stops")
