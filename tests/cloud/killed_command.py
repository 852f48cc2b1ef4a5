"""A process that forks a child for each order on stdin, which runs a command of `migrate-database` and is killed in it.

A point lies right before or after a statement or a call to AWS. The child ends by `os._exit` there, and cleans nothing
up. What it says is added to a file. An order is a line of JSON:

    {"words": ["cutover", "--yes"], "environment": {...}, "point": "before the opening", "said": "/..."}
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forking import KILLED, serve

from builders.aws import boto_clients  # noqa: F401  imported once, and not by every child
from builders.migration import phase
from builders.migration.cli import main as migrate_database
from builders.migration.switchover import command  # noqa: F401  as above


@dataclass
class Passed:
    """A statement that a command does next or just did, and whether it is the transaction that opens the target."""

    moment: str = ""
    name: str = ""
    _altered: bool = False
    _journaled: bool = False

    def go_on(self, moment: str, name: str) -> None:
        self.moment, self.name = moment, name
        self._altered |= name.startswith("ALTER ROLE") and name.endswith(" LOGIN")
        self._journaled |= self._altered and name.startswith("INSERT INTO stackferry_state.journal")

    def is_opening(self, moment: str) -> bool:
        """Return whether the opening is to be committed now, or was; what is committed within it is a savepoint."""
        return self._journaled and (self.moment, self.name) == (moment, "COMMIT")


POINTS: dict[str, Callable[[Passed], bool]] = {
    "": lambda _passed: False,
    "before the fence": lambda passed: passed.name.startswith("REVOKE CONNECT"),
    "after the marker": lambda passed: passed.name == "dms:StopReplicationTask",
    "before the opening": lambda passed: passed.is_opening("before"),
    "after the opening": lambda passed: passed.is_opening("after"),
}


def carry_out(order: dict[str, Any]) -> int:
    """Run the command of an order."""
    passed = Passed()

    def observe(moment: str, name: str) -> None:
        passed.go_on(moment, name)
        if POINTS[order["point"]](passed):
            os._exit(KILLED)

    class Observed(phase.Phase):
        def __init__(self, options: phase.PhaseOptions) -> None:
            super().__init__(options, lambda moment, call: observe(moment.value, str(call)), observe)

    phase.Phase = Observed  # type: ignore[assignment, misc]
    os.environ.update(order["environment"])
    with (
        Path(order["said"]).open("a", buffering=1, encoding="utf-8") as said,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        return migrate_database(order["words"])


if __name__ == "__main__":
    serve(carry_out)
