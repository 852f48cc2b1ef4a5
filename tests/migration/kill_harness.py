"""Kills `cutover` and `fallback` at every point, and holds what they promise against writers that never stop.

Held are: never do both sides take writes at one time; never, after the command was run again, neither; no acknowledged
write is lost or doubled; no write meets a value of a sequence that was given out before.

The bulk runs on a stand-in for DMS (`stand_in`), which copies rows by the same rules in this process; a sample of the
same story runs on the embedded DMS in tests/cloud/test_kill_dms.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import psycopg
from forking import KILLED

from builders.migration.databases import Side
from builders.migration.journal import Kind

from .scenes import Scene

Kill = int | str | None
"""The point at which a command is killed: its number, or after the transaction whose last statement begins so."""

AWAIT_SECONDS = 60.0
"""Seconds that a side may need to take a write again after a command has ended."""

REFUSALS = 5
"""Attempts of each writer on each side, after which a deliberate defect is taken to have closed both sides for good."""


@dataclass(frozen=True)
class Attempt:
    """A write that was tried: its times by this process's clock, and what became of it."""

    token: str
    side: Side
    began: float
    ended: float
    outcome: Literal["acknowledged", "refused", "doubled value"]


class Writer(threading.Thread):
    """The application: tries both sides all the time, and notes what was acknowledged where and when."""

    def __init__(self, scene: Scene, name: str) -> None:
        super().__init__(daemon=True)
        self.scene, self.prefix = scene, name
        self.attempts: list[Attempt] = []
        self.refused: list[tuple[Side, float]] = []
        self.over = threading.Event()
        self._sessions: dict[Side, psycopg.Connection[Any]] = {}

    def run(self) -> None:
        number = 0
        while not self.over.is_set():
            for side in get_args(Side):
                number += 1
                self._try(side, f"{self.prefix}-{number}")
            self.over.wait(0.02)

    def _try(self, side: Side, token: str) -> None:
        began = time.monotonic()
        outcome: Literal["acknowledged", "refused", "doubled value"] = "refused"
        try:
            session = self._sessions.get(side)
            if session is None:
                session = self.scene.writing(side)
                self._sessions[side] = session
            with session.transaction():
                session.execute("INSERT INTO payments.orders (token, note) VALUES (%s, 'a note')", (token,))
            outcome = "acknowledged"
        except psycopg.errors.UniqueViolation:
            outcome = "doubled value"
        except psycopg.Error:
            if (broken := self._sessions.get(side)) and broken.closed:
                del self._sessions[side]
        if outcome == "refused":
            self.refused.append((side, began))
        else:
            self.attempts.append(Attempt(token, side, began, time.monotonic(), outcome))

    def acknowledged_since(self, moment: float, sides: Iterable[Side]) -> bool:
        """Return whether a write to one of these sides began after a moment and was acknowledged."""
        since = itertools.takewhile(lambda each: each.began > moment, reversed(self.attempts))
        return any(each.outcome == "acknowledged" and each.side in sides for each in since)

    def close(self) -> None:
        self.over.set()
        self.join(60)
        for session in self._sessions.values():
            session.close()


@dataclass
class Harness:
    """A scene, its writers, and the process that forks what is killed."""

    scene: Scene
    directory: Path
    process: subprocess.Popen[str]
    writers: list[Writer]
    defect: str = ""
    points: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def cycle(self, kills: Mapping[Kind, Kill], *, again: Kill = None, keep_reads: bool = False) -> None:
        """Cut over, fall back, and go forward again; each command is killed at its point and run again.

        The second run is killed `again`, where that is given. Ends early where something was violated.
        """
        sides: list[tuple[Kind, Side, Side]] = [("cutover", "source", "target"), ("fallback", "target", "source")]
        for kind, closed, opened in sides:
            began = time.monotonic()
            self._until_done(kind, kills.get(kind), again, keep_reads=keep_reads)
            self._hold_order(closed, opened, began)
            self._hold_rows(opened, f"{kind} ({kills})")
            if self.violations:
                return
        with self.resting():
            self._hold_rows("source", f"{kills}")
            self.scene.go_forward_again()

    def _until_done(self, kind: Kind, kill: Kill, again: Kill, *, keep_reads: bool) -> None:
        """Run a command until it has done its work."""
        result = self.run(kind, kill, keep_reads=keep_reads)
        for next_kill in (again, None, None, None):
            if result["status"] == 0 or "open already" in result["error"] or "open again already" in result["error"]:
                break  # the last that it did before it was killed was to say that all is done
            killed, where = result["status"] == KILLED, (result["names"] or ["its beginning"])[-1]
            result = self.run(kind, next_kill, keep_reads=keep_reads)
            if killed and result["status"] != KILLED:
                self.hold_open(f"{kind} killed at point {kill} ({where}), then run again: {result['error']}")
        if result["status"] and "already" not in result["error"]:
            self.violations.append(f"{kind} does not end: {result['error']}")
        self.hold_open(kind)
        if kill is None:
            self.points[kind] = max(self.points[kind], result["points"])

    def run(self, kind: Kind, kill: Kill, *, keep_reads: bool = False) -> dict[str, Any]:
        """Run a command once, and return what it wrote, with its status."""
        path = self.directory / "result.json"
        path.unlink(missing_ok=True)
        logins = {side: dataclasses.asdict(self.scene.pair.login(side)) for side in get_args(Side)}
        order = {"command": kind, "kill": kill, "defect": self.defect, "socket": str(self.directory / "dms"),
                 "result": str(path), "pair": logins, "keep_reads": keep_reads}  # fmt: skip
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        return {**json.loads(path.read_text()), "status": status}

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Let the writers rest: rows are counted, and the target is loaded anew by a stand-in that is no load."""
        for writer in self.writers:
            writer.close()
        yield
        attempts = [writer.attempts for writer in self.writers]
        self.writers = [Writer(self.scene, f"{writer.prefix}x") for writer in self.writers]
        for writer, before in zip(self.writers, attempts, strict=True):
            writer.attempts = before
            writer.start()

    def attempts(self) -> list[Attempt]:
        return [attempt for writer in self.writers for attempt in list(writer.attempts)]

    def hold_open(self, after: str, *sides: Side) -> None:
        """Hold that some side takes writes, or one of those given."""
        now, wanted = time.monotonic(), sides or get_args(Side)
        while not any(writer.acknowledged_since(now, wanted) for writer in self.writers):
            if time.monotonic() > now + AWAIT_SECONDS or (self.defect and self._closed_since(now)):
                self.violations.append(
                    f"{'not the ' + sides[0] if sides else 'neither side'} takes writes after {after}"
                )
                return
            time.sleep(0.005)

    def _closed_since(self, now: float) -> bool:
        """Return whether each side has refused every writer again and again."""
        refused = [Counter(side for side, began in list(each.refused) if began > now) for each in self.writers]
        return all(counted[side] >= REFUSALS for counted in refused for side in get_args(Side))

    def _hold_order(self, first: Side, then: Side, began: float) -> None:
        """Hold that no write began on the one side after one was acknowledged on the other."""
        acknowledged = [each for each in self.attempts() if each.outcome == "acknowledged" and began <= each.began]
        opened = min((each.ended for each in acknowledged if each.side == then), default=time.monotonic())
        late = [each for each in acknowledged if each.side == first and each.began > opened]
        if late:
            self.violations.append(
                f"both sides take writes: {len(late)} on the {first} after one on the {then} was acknowledged"
            )

    def _hold_rows(self, side: Side, when: str) -> None:
        """Hold that each acknowledged write is in the side that is open, once, and that no value came twice."""
        acknowledged = [each for each in self.attempts() if each.outcome == "acknowledged"]
        try:
            with psycopg.connect(**self.scene.login(side).parameters()) as session:
                rows = Counter(token for (token,) in session.execute("SELECT token FROM payments.orders"))
        except psycopg.Error as error:
            self.violations.append(f"the {side} is not open after {when}: {error}")
            return
        lost = [each for each in acknowledged if not rows[each.token]]
        if lost:
            self.violations.append(f"{len(lost)} acknowledged writes are lost after {when}, such as {lost[0]}")
        if doubled := [token for token, count in rows.items() if count > 1]:
            self.violations.append(f"{len(doubled)} writes are doubled after {when}, such as {doubled[0]}")
        values = [each for each in self.attempts() if each.outcome == "doubled value"]
        if values:
            self.violations.append(f"{len(values)} writes met a value that was given out before")


@contextlib.contextmanager
def harness(scene: Scene, process: subprocess.Popen[str], defect: str = "") -> Iterator[Harness]:
    """Start the writers of a scene."""
    with tempfile.TemporaryDirectory(prefix="stackferry-") as directory:
        writers = [Writer(scene, name) for name in ("a", "b")]
        with scene.exchange.served(Path(directory, "dms")):
            for writer in writers:
                writer.start()
            made = Harness(scene, Path(directory), process, writers, defect)
            try:
                yield made
            finally:
                for writer in made.writers:
                    writer.close()
