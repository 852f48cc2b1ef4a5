"""A process that forks a child for each order on stdin, which runs `cutover` or `fallback` and is killed at a point.

A point lies before a statement or a call to DMS, and so after the one before: nothing changes between the two. The
child ends by `os._exit` there, and cleans nothing up. Deliberate defects are put in by name: see `DEFECTS`.

    {"command": "cutover", "kill": 12, "defect": "", "socket": "/...", "result": "/...", "pair": {...}}
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forking import KILLED, serve

from builders.errors import StackferryError
from builders.migration import marker
from builders.migration.databases import Database, Login, Side
from builders.migration.journal import OPEN
from builders.migration.switchover import cutover, fence, runs, sequences, steps
from builders.migration.switchover.runs import SwitchoverOptions
from builders.migration.switchover.steps import Step

from .remote import asking, parties


def carry_out(order: dict[str, Any]) -> int:
    """Run the command of an order; write how many points it passed, and what it said."""
    result: dict[str, Any] = {"points": 0, "said": [], "error": "", "names": []}

    def observe(moment: str, name: str) -> None:
        if moment == "after":
            return
        if order["kill"] is not None and order["kill"] in (result["points"], _just_committed(result["names"])):
            Path(order["result"]).write_text(json.dumps(result))
            os._exit(KILLED)
        result["points"] += 1
        result["names"].append(" ".join(name.split())[:100])

    DEFECTS[order["defect"]]()
    logins = {side: Login(**{**login, "address": tuple(login["address"])}) for side, login in order["pair"].items()}

    def database(side: Side) -> Database:
        return Database(side, lambda: logins[side], observe)

    status = 0
    began = time.monotonic()
    try:
        with database("source") as source, database("target") as target:
            given = parties(source, target, asking(order["socket"]), result["said"].append, observe)
            outcome = runs.run(
                order["command"], given, SwitchoverOptions(keep_reads=order["keep_reads"]), lambda _question: True
            )
            result["outage"] = outcome.outage_seconds
    except StackferryError as error:
        result["error"], status = str(error), 1
    result["seconds"] = time.monotonic() - began
    Path(order["result"]).write_text(json.dumps(result))
    return status


def _just_committed(names: list[str]) -> str | None:
    """The beginning of the last statement of a transaction that was just committed."""
    return " ".join(names[-2].split()[:2]) if len(names) > 1 and names[-1] == "COMMIT" else None


def _none() -> None:
    return


def _fence_of_logins_only() -> None:
    """Close the logins, but end no session and refuse no write."""
    _replace(fence.Fence, "_close_tables", lambda _self, _record, _deadline: None)
    _replace(fence.Fence, "end_sessions", lambda _self, _deadline: [])
    _replace(fence.Fence, "stands", lambda _self, _record: True)
    _without("compare")


def _no_marker() -> None:
    """Wait for no marker."""
    _replace(marker, "has_arrived", lambda _destination, _token: True)
    _without("compare")


def _opening_first() -> None:
    """Open the other side before the fence of this one stands."""
    early = ["prepare", "target", "sequences", OPEN]
    _reordered(
        lambda names: [
            *(name for name in early if name in names),
            *(name for name in names if name not in (*early, cutover.FENCE)),
            cutover.FENCE,
        ],
        "closed", "settle", "compare",
    )  # fmt: skip


def _sequences_as_they_are() -> None:
    """Leave the sequences where they are."""
    _replace(sequences, "moved_on", lambda sequence, *_others: sequences.Position(sequence.minimum, called=False))


def _journal_afterwards() -> None:
    """Write that a step begins only when it is done."""

    def carry_out(context: steps.Context, planned: list[Step]) -> None:
        run = steps.run_of(context)
        for step in planned:
            if run.last(step.name) != "done":
                details = step.survey(context)
                done = step.do(context, details)
                context.journal.write(context.run, step.name, "begins", details)
                context.journal.write(context.run, step.name, "done", done)
        context.journal.write(context.run, context.kind, "done")

    _replace(runs, "carry_out", carry_out)


def _replace(owner: object, name: str, defect: Any) -> None:
    setattr(owner, name, defect)


def _without(*left_out: str) -> None:
    _reordered(lambda names: [name for name in names if name not in left_out])


def _reordered(order: Callable[[list[str]], list[str]], *left_out: str) -> None:
    original = runs.steps_of

    def steps_of(kind: Any, options: SwitchoverOptions) -> list[Step]:
        found = {step.name: step for step in original(kind, options) if step.name not in left_out}
        return [found[name] for name in order(list(found))]

    _replace(runs, "steps_of", steps_of)


DEFECTS: dict[str, Callable[[], None]] = {
    "": _none,
    "the fence closes logins only": _fence_of_logins_only,
    "no marker is waited for": _no_marker,
    "the other side is opened first": _opening_first,
    "sequences stay where they are": _sequences_as_they_are,
    "the journal is written afterwards": _journal_afterwards,
}
"""{what is wrong: the function that makes it so}: the harness has to find each of them."""

if __name__ == "__main__":
    serve(carry_out)
