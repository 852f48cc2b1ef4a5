"""The journal of a run, which is its lock too: written on condition that nobody else wrote since.

run.json has the run that is under way or was the last, history.json those before it. run.json is written before each
call to AWS, so it stays small: operations that are over move to objects of their own.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from builders.aws.errors import Conflict
from builders.errors import RolloutError
from builders.rollout.aws.s3 import ABSENT
from builders.rollout.model import Target
from builders.rollout.plan.calls import Call
from builders.rollout.state.serialization import Folder, to_json

MOST_ENTRIES = 200
"""Operations that run.json holds before those that are over move out."""


class Command(enum.Enum):
    """The command that a run carries out."""

    APPLY = "apply"
    ROLLBACK = "rollback"
    REMOVE = "remove"
    DETACH = "remove --account"


class RunStatus(enum.Enum):
    """RUNNING holds the lock, whether its process lives or not."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class EntryState(enum.Enum):
    """SUBMITTING is written before the call: AWS may or may not know the operation."""

    SUBMITTING = "SUBMITTING"
    OVER = "OVER"


@dataclass(frozen=True)
class Entry:
    """One operation. `outcome` is its last status; `failures` are the targets where it did not succeed."""

    operation_id: str
    call: Annotated[Call, Field(alias="step")]
    state: EntryState
    outcome: str = ""
    failures: Annotated[tuple[Target, ...], Field(alias="missed")] = ()


@dataclass(frozen=True)
class Run:
    """A run. `began` is an ISO time that the caller gives; `owner` is a token of the process that may write.

    `good`, set at its end: every instance was CURRENT. `to` is the release that a rollback puts back: its own differs
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
class _StoredRun:
    """The content of run.json. `older` are the keys of the entries that moved out, oldest first."""

    run: Run
    older: tuple[str, ...] = ()


@dataclass(frozen=True)
class _StoredEntries:
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class _History:
    """The content of history.json, oldest first."""

    runs: tuple[EndedRun, ...] = ()


class Journal:
    """The runs of one suffix. Safe for threads; every write raises `RolloutError` once another run has taken over."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._object = folder.json(folder.key("run.json"), _StoredRun)
        self._past = folder.json(folder.key("history.json"), _History)
        self._lock = threading.RLock()
        self._stored: _StoredRun | None = None
        self._expected: str = ABSENT

    def run(self) -> Run | None:
        """The run that is under way or was the last, with all its entries, as the bucket has it now."""
        stored, _ = self._object.read()
        return self._whole(stored) if stored else None

    def begin(self, run: Run) -> None:
        """Take the lock for a new run. Raises `RolloutError` while another is RUNNING."""
        with self._lock:
            before, self._expected = self._object.read()
            if before and before.run.status is RunStatus.RUNNING and before.run.owner != run.owner:
                raise RolloutError(
                    f"a rollout of {self._folder.suffix} is not over: {before.run.command.value} of release "
                    f"{before.run.release}, begun {before.run.began}; if nobody runs it any more, go on with it: "
                    "rollout-stacksets resume"
                )
            if before and before.run.status is not RunStatus.RUNNING:
                ended = before.run
                self._past.update(_History(), lambda past: _with(past, ended))
            self._write(_StoredRun(run))

    def take_over(self, owner: str) -> Run:
        """Go on with the run that is RUNNING, as its new owner; its former one cannot write any more."""
        with self._lock:
            before, self._expected = self._object.read()
            if before is None or before.run.status is not RunStatus.RUNNING:
                raise RolloutError(f"no rollout of {self._folder.suffix} is under way; there is nothing to resume")
            stored = dataclasses.replace(before, run=dataclasses.replace(before.run, owner=owner))
            self._write(stored)
            return self._whole(stored)

    def record(self, *entries: Entry) -> None:
        """Write down operations, before their calls and after their end; an entry replaces the one of its id."""
        with self._lock:
            stored = self._own()
            by_id = {each.operation_id: each for each in (*stored.run.entries, *entries)}
            self._write(self._moved(stored, tuple(by_id.values())))

    def close(self, status: RunStatus, *, good: bool) -> None:
        """End the run and give the lock back."""
        with self._lock:
            stored = self._own()
            self._write(dataclasses.replace(stored, run=dataclasses.replace(stored.run, status=status, good=good)))
            self._stored = None

    def history(self) -> Sequence[EndedRun]:
        """The runs that ended, oldest first."""
        stored, _ = self._object.read()
        found, _ = self._past.read()
        past = found or _History()
        return (past if stored is None or stored.run.status is RunStatus.RUNNING else _with(past, stored.run)).runs

    def _own(self) -> _StoredRun:
        assert self._stored is not None, "begin or take over a run first"
        return self._stored

    def _write(self, stored: _StoredRun) -> None:
        """Write run.json if it is as we last saw it.

        An attempt whose answer was lost conflicts with the next one, boto3's or ours: what our owner's token wrote is
        no other run's.
        """
        try:
            etag = self._object.write(stored, self._expected)
        except Conflict as conflict:
            found, etag = self._object.read()
            if found is None or found.run.owner != stored.run.owner:
                raise self._taken_over(found) from conflict
            if to_json(found) != to_json(stored):
                etag = self._write_again(stored, etag)
        self._stored, self._expected = stored, etag

    def _write_again(self, stored: _StoredRun, expected: str) -> str:
        try:
            return self._object.write(stored, expected)
        except Conflict as conflict:
            found, _ = self._object.read()
            raise self._taken_over(found) from conflict

    def _moved(self, stored: _StoredRun, entries: tuple[Entry, ...]) -> _StoredRun:
        """Move entries that are over out of run.json, once there are many. Their key is their content."""
        older = stored.older
        if len(entries) > MOST_ENTRIES:
            over = _StoredEntries(tuple(each for each in entries if each.state is EntryState.OVER))
            name = hashlib.sha256(to_json(over)).hexdigest()[:16]
            key = self._folder.key(f"runs/{stored.run.id}/{len(older):04}-{name}.json")
            self._folder.json(key, _StoredEntries).write(over)
            older = (*older, key)
            entries = tuple(each for each in entries if each.state is not EntryState.OVER)
        return _StoredRun(dataclasses.replace(stored.run, entries=entries), older)

    def _whole(self, stored: _StoredRun) -> Run:
        entries: list[Entry] = []
        for key in stored.older:
            page = self._folder.json(key, _StoredEntries)
            found, _ = page.read()
            if found is None:
                raise RolloutError(f"{page} is gone, and with it what this run did; restore it")
            entries += found.entries
        return dataclasses.replace(stored.run, entries=(*entries, *stored.run.entries))

    def _taken_over(self, found: _StoredRun | None) -> RolloutError:
        by = f" ({found.run.command.value}, begun {found.run.began})" if found else ""
        return RolloutError(f"another rollout of {self._folder.suffix} has taken over{by}; this one stops")


def _with(past: _History, run: Run) -> _History:
    if any(each.run == run.id for each in past.runs):
        return past
    ended = EndedRun(run.id, run.command, run.release, run.began, run.status, run.good, run.to)
    return _History((*past.runs, ended))
