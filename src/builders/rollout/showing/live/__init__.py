"""Who looks on while a rollout goes.

events.py  what was told so far: waves, operations, places; safe for threads
table.py   on a terminal: a table that changes
lines.py   in a pipe: a line an event
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager

from builders.rollout.pace import Clock
from builders.rollout.plan.values import Plan
from builders.rollout.showing.live.lines import Lines
from builders.rollout.showing.live.table import LiveTable

__all__ = ["Lines", "LiveTable", "looking_on"]


def looking_on(title: str, clock: Clock, plan: Plan | None = None) -> AbstractContextManager[LiveTable | Lines]:
    """Whoever suits stderr: a table where it is a terminal without NO_COLOR, else lines. Open it with `with`."""
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        return LiveTable(title, clock, plan)
    return Lines(clock)
