"""The journal of a run, which is its lock too: written on condition that nobody else wrote since.

run.json has the run that is under way or was the last, history.json those before it. run.json is written before each
call to AWS, so it stays small: operations that are over move to objects of their own. While a command plans and asks,
its hold stands there beside the last run: nobody else begins, and what was agreed to is what is begun.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, WrapSerializer

from builders.aws.errors import Conflict
from builders.aws.objects import ABSENT
from builders.errors import RolloutError
from builders.rollout.model import Target
from builders.rollout.plan.calls import Call
from builders.rollout.state.serialization import DIGEST_DIGITS, Folder, from_json, to_json
from builders.template_bodies import digest

NO_RELEASE = "no-release"
"""The beginning of ids where a run brings no release: they may not begin with a hyphen (CloudFormation API reference,
ClientRequestToken: [a-zA-Z0-9][-a-zA-Z0-9]*, at most 128)."""

AGREED_DIGITS = PAGE_DIGITS = 32
FEWEST_DIGITS = 16
"""Digits of the digest in the key of a page: earlier versions of Stackferry gave so many."""

MOST_ENTRIES = 200
"""Operations that run.json holds before those that are over move out."""


class Command(enum.Enum):
    """The command that a run carries out, or for which the lock is held."""

    APPLY = "apply"
    ROLLBACK = "rollback"
    REMOVE = "remove"
    DETACH = "remove --account"
    ADOPT = "adopt"
    BOOTSTRAP = "bootstrap"
    """A command without a run: it holds the lock while it deploys."""


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
    """One operation. `failures` are the targets where it did not succeed."""

    operation_id: str
    call: Annotated[Call, Field(alias="step"), WrapSerializer(_stored_call)]
    state: EntryState
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

    def __str__(self) -> str:
        """Return what is carried out: apply of release 0123456789ab; of a removal the release says nothing."""
        deploys = self.release and self.command is not Command.REMOVE
        return f"{self.command.value} of release {self.to or self.release}" if deploys else self.command.value

    @property
    def id_prefix(self) -> str:
        """The beginning of the ids of its operations: its release, and a digest of what was agreed to.

        StackSets keeps the ids, so that who writes the bucket alone cannot make another run of this one.
        """
        agreed = [self.id, self.command.value, self.release, self.to, sorted(self.acknowledged)]
        return f"{self.release or NO_RELEASE}-{digest(json.dumps(agreed))[:AGREED_DIGITS]}"


@dataclass(frozen=True)
class Hold:
    """The lock of a command that plans and asks; anybody may take it after `until`. Times are ISO; `by` is an ARN."""

    owner: str
    command: Command
    by: str
    began: str
    until: str

    def holds(self, now: str) -> bool:
        """Return whether nobody else may take the lock at that time."""
        return datetime.fromisoformat(self.until) > datetime.fromisoformat(now)


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

    run: Run | None = None
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
        self._object = folder.json("run.json", _StoredRun())
        self._past = folder.json("history.json", _History())
        self._lock = threading.RLock()
        self._stored = _StoredRun()
        """The run that this process wrote last, while it holds the lock."""
        self._expected: str = ABSENT

    def run(self) -> Run | None:
        """The run that is under way or was the last, with all its entries, as the bucket has it now."""
        stored, _ = self._object.read()
        return stored.run and self._whole(stored.run, stored.older)

    def look(self, now: str) -> tuple[Run | None, Sequence[EndedRun], Hold | None]:
        """The run as `run` has it, the history, and the lock of a command that plans and asks at that time."""
        stored, _ = self._object.read()
        hold = stored.hold if stored.hold and stored.hold.holds(now) else None
        return stored.run and self._whole(stored.run, stored.older), self._ended(stored), hold

    def hold(self, hold: Hold) -> None:
        """Take the lock to plan under it. Raises `RolloutError` while a run is RUNNING, or another holds the lock."""
        with self._lock:
            self._write(dataclasses.replace(self._free(hold.owner, hold.began), hold=hold))

    def renew(self, until: str) -> None:
        """Keep the lock for longer. Raises `RolloutError` where it ran out and another took it."""
        with self._lock:
            if hold := self._stored.hold:  # else a run has begun with it
                self._write(dataclasses.replace(self._stored, hold=dataclasses.replace(hold, until=until)))

    def give_back(self) -> None:
        """Give the lock back that was taken to plan; does nothing where a run has begun with it."""
        with self._lock:
            if self._stored.hold:
                self._write(dataclasses.replace(self._stored, hold=None))
                self._stored = _StoredRun()

    def begin(self, run: Run) -> None:
        """Begin a run, with the lock that is held or is free now. Raises `RolloutError` as `hold` does.

        Whoever holds the lock begins only if nobody wrote since: a plan made under it is a plan of what is there.
        """
        with self._lock:
            before = self._stored if self._stored.hold else self._free(run.owner, run.began)
            if (ended := before.run) and not before.running:
                self._past.update(lambda past: _with(past, ended))
            self._write(_StoredRun(run))

    def take_over(self, owner: str) -> Run:
        """Go on with the run that is RUNNING, as its new owner; its former one cannot write any more."""
        with self._lock:
            before, self._expected = self._object.read()
            if before.running is None:
                raise RolloutError(f"no rollout of {self._folder.phase} is under way; there is nothing to resume")
            run = dataclasses.replace(before.running, owner=owner)
            self._write(_StoredRun(run, before.older))
            return self._whole(run, before.older)

    def record(self, *entries: Entry) -> None:
        """Write down operations, before their calls and after their end; an entry replaces the one of its id.

        Once there are many, those that are over move out of run.json, under a key that is their content.
        """
        with self._lock:
            run, older = self._own(), self._stored.older
            kept = tuple({each.operation_id: each for each in (*run.entries, *entries)}.values())
            if len(kept) > MOST_ENTRIES:
                over = _StoredEntries(tuple(each for each in kept if each.state is EntryState.OVER))
                name = f"runs/{run.id}/{len(older):04}-{digest(to_json(over))[:PAGE_DIGITS]}.json"
                page = self._folder.json(name, over)
                page.write(over)
                older, kept = (*older, page.key), tuple(each for each in kept if each.state is not EntryState.OVER)
            self._write(_StoredRun(dataclasses.replace(run, entries=kept), older))

    def close(self, *, good: bool) -> None:
        """End the run and give the lock back."""
        with self._lock:
            status = RunStatus.DONE if good else RunStatus.FAILED
            run = dataclasses.replace(self._own(), status=status, good=good)
            self._write(dataclasses.replace(self._stored, run=run))
            self._stored = _StoredRun()

    def history(self) -> Sequence[EndedRun]:
        """The runs that ended, oldest first."""
        return self._ended(self._object.read()[0])

    def _ended(self, stored: _StoredRun) -> Sequence[EndedRun]:
        past, _ = self._past.read()
        return (_with(past, stored.run) if stored.run and not stored.running else past).runs

    def _free(self, owner: str, now: str) -> _StoredRun:
        """Read what is there, to be written over. Raises `RolloutError` where it is another's at that time."""
        before, self._expected = self._object.read()
        if (run := before.running) and run.owner != owner:
            raise RolloutError(
                f"a rollout of {self._folder.phase} is not over: {run}, begun {run.began}"
                f"{f' by {run.by}' if run.by else ''}; if nobody runs it any more, resume it first: "
                "`rollout-stacksets resume` goes on with it, `rollout-stacksets resume --end` ends it"
            )
        hold = before.hold
        if hold and hold.owner != owner and hold.holds(now):
            raise RolloutError(
                f"{hold.by} has held {self._folder.phase} since {hold.began}, to plan and agree to "
                f"{hold.command.value}: wait until that is over; if nobody is there any more, it ends at {hold.until}"
            )
        return before

    def _own(self) -> Run:
        assert self._stored.run is not None, "begin or take over a run first"
        return self._stored.run

    def _write(self, stored: _StoredRun) -> None:
        """Write run.json if it is as we last saw it.

        An attempt whose answer was lost conflicts with the next one: what our owner's token wrote is no other run's.
        """
        ours, etag = {stored.owner, self._stored.owner or stored.owner}, self._expected
        for is_last in (False, True):
            try:
                etag = self._object.write(stored, etag)
                break
            except Conflict as conflict:
                found, etag = self._object.read()
                if is_last or etag == ABSENT or found.owner not in ours:
                    other = found.hold or found.run
                    by = f" by {other.by}" if other and other.by else ""
                    begun = f" ({other.command.value}, begun {other.began}{by})" if other else ""
                    raise RolloutError(
                        f"another rollout of {self._folder.phase} has taken over{begun}; this one stops"
                    ) from conflict
                if to_json(found) == to_json(stored):
                    break
        self._stored, self._expected = stored, etag

    def _whole(self, run: Run, older: Sequence[str]) -> Run:
        """A run with the entries that moved out of run.json."""
        entries: list[Entry] = []
        for key in older:
            url, name = self._folder.url(key), key.rpartition("-")[2].removesuffix(".json")
            missing = f"{url} is gone, and with it what this run did; restore it"
            page = self._folder.named(key, name, range(FEWEST_DIGITS, DIGEST_DIGITS + 1), missing)
            entries += from_json(_StoredEntries, page, url).entries
        return dataclasses.replace(run, entries=(*entries, *run.entries))


def _with(past: _History, run: Run) -> _History:
    ended = EndedRun(run.id, run.command, run.release, run.began, run.status, run.good, run.to)
    return past if any(each.run == run.id for each in past.runs) else _History((*past.runs, ended))
