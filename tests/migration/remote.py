"""The users of a scene, and what a run sees of the stand-in for DMS, from any process: quick to import."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from builders.errors import ReplicationError
from builders.migration.databases import Database, Side
from builders.migration.switchover.runs import Parties
from builders.migration.task.client import Replication
from builders.migration.task.running import Watch
from builders.migration.task.values import LoadProgress, TableStatistics, Task

Way = Literal["forward", "back"]
Observe = Callable[[Literal["before", "after"], str], None]

MASTER, DMS_USER, FALLBACK = "ferry_owner", "ferry_dms", "ferry_fallback"
PASSWORD = "correct-horse-battery"
SCHEMAS = ("payments",)
USERS: dict[Side, list[str]] = {"source": ["ferry_source", FALLBACK], "target": [MASTER, DMS_USER, FALLBACK]}


class StandInReplication(Replication):
    """A stand-in as `migrate-database` sees it: `ask` does a call, by its name and arguments."""

    def __init__(self, way: Way, ask: Callable[..., Any], observe: Observe | None = None) -> None:
        self.arn, self._way, self._ask = f"arn:aws:dms:eu-central-1:111111111111:task:{way}", way, ask
        self._observe = observe or (lambda _moment, _name: None)

    def _call(self, name: str, *arguments: Any) -> Any:
        self._observe("before", f"dms:{name}")
        answer = self._ask(self._way, name, *arguments)
        self._observe("after", f"dms:{name}")
        return answer

    def task(self) -> Task:
        found = self._call("describe")
        reason = "Stop Reason NORMAL" if found["status"] == "stopped" else ""
        return Task(self.arn, "instance", ("from", "to"), found["status"], reason, found["failure"],
                    "full-load-and-cdc" if self._way == "forward" else "cdc", found["started"],
                    LoadProgress(100, 1, 0, 0, 0),
                    datetime.fromisoformat(found["fresh"]) if found["fresh"] else None)  # fmt: skip

    def tables(self) -> list[TableStatistics]:
        return []

    def applies_in_batches(self) -> bool:
        return False

    def begin(self, kind: str, position: str = "") -> bool:
        return bool(self._call("begin", kind, position))

    def stop(self) -> None:
        self._call("stop")

    def test_connection(self, instance_arn: str, endpoint_arn: str) -> bool:
        return True

    def connection(self, instance_arn: str, endpoint_arn: str) -> tuple[str, str]:
        return "successful", ""


def asking(path: str) -> Callable[..., Any]:
    """Ask an exchange of another process."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    stream = connection.makefile("rwb")

    def ask(*request: Any) -> Any:
        stream.write(json.dumps(request).encode() + b"\n")
        stream.flush()
        answer = json.loads(stream.readline())
        if "error" in answer:
            raise ReplicationError(answer["error"])
        return answer["answer"]

    return ask


def parties(
    source: Database, target: Database, ask: Callable[..., Any], say: Callable[[str], None],
    observe: Callable[..., None] | None = None, **more: Any,
) -> Parties:  # fmt: skip
    """Build what a run needs, by an exchange of this process or of another."""
    return Parties(
        source, target, SCHEMAS, StandInReplication("forward", ask, observe), StandInReplication("back", ask, observe),
        USERS, "arn:aws:sts::111111111111:assumed-role/ferry/me", Watch(lambda _task: None, say, poll_seconds=0.03),
        say, reader=lambda: (FALLBACK, PASSWORD), writer=FALLBACK, **more,
    )  # fmt: skip
