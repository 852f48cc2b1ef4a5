"""The journal of a run, which is its lock too: written on condition that nobody else wrote since.

run.json has the run that is under way or was the last, history.json those before it. run.json is written before each
call to AWS, so it stays small: operations that are over move to objects of their own. While a command plans and asks,
its hold stands there beside the last run: nobody else begins, and what was agreed to is what is begun.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, WrapSerializer

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
    ADOPT = "adopt"


class RunStatus(enum.Enum):
    """RUNNING holds the lock, whether its process lives or not."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class EntryState(enum.Enum):
    """SUBMITTING is written before the call: AWS may or may not know the operation."""

    SUBMITTING = "SUBMITTING"
    OVER = "OVER"


def _stored_call(call: Call, default: SerializerFunctionWrapHandler) -> dict[str, Any]:
    """A call as it has always been stored; only an import has stacks."""
    return {key: value for key, value in default(call).items() if key != "stack_ids" or value}


@dataclass(frozen=True)
class Entry:
    """One operation. `outcome` is its last status; `failures` are the targets where it did not succeed."""

    operation_id: str
    call: Annotated[Call, Field(alias="step"), WrapSerializer(_stored_call)]
    state: EntryState
    outcome: str = ""
    failures: Annotated[tuple[Target, ...], Field(alias="missed")] = ()


@dataclass(frozen=True)
class Run:
    """A run. `began` is an ISO time that the caller gives; `owner` is a token of the process that may write.

    `good`, set at its end: every instance was CURRENT. `to` is the release that a rollback puts back: its own differs
    where accounts came or left since. `by` is the ARN of the caller who began it.
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
    by: str = ""


@dataclass(frozen=True)
class Hold:
    """The lock of a command that plans and asks; anybody may take it after `until`. Times are ISO; `by` is an ARN."""

    owner: str
    command: Command
    by: str
    began: str
    until: str


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

    run: Run | None
    older: tuple[str, ...] = ()
    hold: Hold | None = None

    @property
    def running(self) -> Run | None:
        """The run that is not over."""
        return self.run if self.run and self.run.status is RunStatus.RUNNING else None

    @property
    def owner(self) -> str:
        """The token of the process that may write."""
        return self.hold.owner if self.hold else self.run.owner if self.run else ""


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

    def hold(self, hold: Hold) -> None:
        """Take the lock to plan under it. Raises `RolloutError` while a run is RUNNING, or another holds the lock."""
        with self._lock:
            before = self._free(hold.owner, hold.began)
            self._write(dataclasses.replace(before, hold=hold))

    def renew(self, until: str) -> None:
        """Keep the lock for longer. Raises `RolloutError` where it ran out and another took it."""
        with self._lock:
            stored = self._stored
            if stored is not None and stored.hold is not None:  # else a run has begun with it
                self._write(dataclasses.replace(stored, hold=dataclasses.replace(stored.hold, until=until)))

    def give_back(self) -> None:
        """Give the lock back that was taken to plan; does nothing where a run has begun with it."""
        with self._lock:
            if self._stored is not None and self._stored.hold is not None:
                self._write(dataclasses.replace(self._stored, hold=None))
                self._stored = None

    def begin(self, run: Run) -> None:
        """Begin a run, with the lock that is held or is free now. Raises `RolloutError` as `hold` does.

        Whoever holds the lock begins only if nobody wrote since: a plan made under it is a plan of what is there.
        """
        with self._lock:
            held = self._stored is not None and self._stored.hold is not None
            before = self._own() if held else self._free(run.owner, run.began)
            if (ended := before.run) and not before.running:
                self._past.update(_History(), lambda past: _with(past, ended))
            self._write(_StoredRun(run))

    def take_over(self, owner: str) -> Run:
        """Go on with the run that is RUNNING, as its new owner; its former one cannot write any more."""
        with self._lock:
            before, self._expected = self._object.read()
            if before is None or before.running is None:
                raise RolloutError(f"no rollout of {self._folder.suffix} is under way; there is nothing to resume")
            stored = _StoredRun(dataclasses.replace(before.running, owner=owner), before.older)
            self._write(stored)
            run = self._whole(stored)
            assert run is not None
            return run

    def record(self, *entries: Entry) -> None:
        """Write down operations, before their calls and after their end; an entry replaces the one of its id."""
        with self._lock:
            stored = self._own()
            assert stored.run is not None, "begin a run first"
            by_id = {each.operation_id: each for each in (*stored.run.entries, *entries)}
            self._write(self._moved(stored.run, stored.older, tuple(by_id.values())))

    def close(self, status: RunStatus, *, good: bool) -> None:
        """End the run and give the lock back."""
        with self._lock:
            stored = self._own()
            assert stored.run is not None, "begin a run first"
            self._write(dataclasses.replace(stored, run=dataclasses.replace(stored.run, status=status, good=good)))
            self._stored = None

    def history(self) -> Sequence[EndedRun]:
        """The runs that ended, oldest first."""
        stored, _ = self._object.read()
        found, _ = self._past.read()
        past = found or _History()
        return (past if stored is None or stored.run is None or stored.running else _with(past, stored.run)).runs

    def _free(self, owner: str, now: str) -> _StoredRun:
        """Read what is there, to be written over. Raises `RolloutError` where it is another's at that time."""
        found, self._expected = self._object.read()
        before, suffix = found or _StoredRun(None), self._folder.suffix
        if (run := before.running) and run.owner != owner:
            raise RolloutError(
                f"a rollout of {suffix} is not over: {run.command.value} of release {run.release}, begun {run.began}"
                f"{f' by {run.by}' if run.by else ''}; if nobody runs it any more, go on with it: "
                "rollout-stacksets resume"
            )
        hold = before.hold
        if hold and hold.owner != owner and datetime.fromisoformat(hold.until) > datetime.fromisoformat(now):
            raise RolloutError(
                f"{hold.by} holds {suffix} since {hold.began}, to plan and agree to {hold.command.value}: wait until "
                f"that is over; if nobody is there any more, it ends at {hold.until}"
            )
        return before

    def _own(self) -> _StoredRun:
        assert self._stored is not None, "begin or take over a run first"
        return self._stored

    def _write(self, stored: _StoredRun) -> None:
        """Write run.json if it is as we last saw it.

        An attempt whose answer was lost conflicts with the next one: what our owner's token wrote is no other run's.
        """
        ours = {stored.owner, self._stored.owner if self._stored else stored.owner}
        try:
            etag = self._object.write(stored, self._expected)
        except Conflict as conflict:
            found, etag = self._object.read()
            if found is None or found.owner not in ours:
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

    def _moved(self, run: Run, older: tuple[str, ...], entries: tuple[Entry, ...]) -> _StoredRun:
        """Move entries that are over out of run.json, once there are many. Their key is their content."""
        if len(entries) > MOST_ENTRIES:
            over = _StoredEntries(tuple(each for each in entries if each.state is EntryState.OVER))
            name = hashlib.sha256(to_json(over)).hexdigest()[:16]
            key = self._folder.key(f"runs/{run.id}/{len(older):04}-{name}.json")
            self._folder.json(key, _StoredEntries).write(over)
            older = (*older, key)
            entries = tuple(each for each in entries if each.state is not EntryState.OVER)
        return _StoredRun(dataclasses.replace(run, entries=entries), older)

    def _whole(self, stored: _StoredRun) -> Run | None:
        entries: list[Entry] = []
        for key in stored.older:
            page = self._folder.json(key, _StoredEntries)
            found, _ = page.read()
            if found is None:
                raise RolloutError(f"{page} is gone, and with it what this run did; restore it")
            entries += found.entries
        return stored.run and dataclasses.replace(stored.run, entries=(*entries, *stored.run.entries))

    def _taken_over(self, found: _StoredRun | None) -> RolloutError:
        other = found and (found.hold or found.run)
        by = f" ({other.command.value}, begun {other.began})" if other else ""
        return RolloutError(f"another rollout of {self._folder.suffix} has taken over{by}; this one stops")


def _with(past: _History, run: Run) -> _History:
    if any(each.run == run.id for each in past.runs):
        return past
    ended = EndedRun(run.id, run.command, run.release, run.began, run.status, run.good, run.to)
    return _History((*past.runs, ended))
