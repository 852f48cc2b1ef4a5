"""Who looks on while a rollout goes.

events.py  what was told so far: waves, operations, places; safe for threads
table.py   on a terminal: a table that changes
lines.py   in a pipe: a line an event
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager

from builders.rollout.pace import Clock, WallClock
from builders.rollout.plan.values import Plan
from builders.rollout.showing.live.lines import Lines
from builders.rollout.showing.live.table import LiveTable

__all__ = ["Lines", "LiveTable", "watching"]


def watching(
    title: str = "rollout", plan: Plan | None = None, clock: Clock | None = None
) -> AbstractContextManager[LiveTable | Lines]:
    """Whoever suits stderr: a table on a terminal that draws, without NO_COLOR, else lines. Open it with `with`.

    The plan tells the table how everything stands at first; without one, places appear when they are told of.
    """
    clock = clock or WallClock()
    draws = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    if sys.stderr.isatty() and draws and "NO_COLOR" not in os.environ:
        return LiveTable(title, clock, plan)
    return Lines(clock)
