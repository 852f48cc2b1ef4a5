"""Progress on stderr, so that stdout has the result alone. Only a terminal without NO_COLOR gets more than lines."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from builders import advice, terminal
from builders.text import printable


def say(line: str) -> None:
    """Write one plain line to stderr, with its commands as they are to be typed here."""
    print(printable(advice.completed(line)), file=sys.stderr)


def stderr_draws() -> bool:
    """Return whether stderr is a terminal on which bars and tables can be drawn, and NO_COLOR is not set."""
    terminal = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return sys.stderr.isatty() and terminal and "NO_COLOR" not in os.environ


@contextlib.contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr for `total` steps; call what it yields with the name of each step that is done."""
    if not stderr_draws():
        yield lambda step: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415  a pipe does not wait

    # Without auto_refresh there is no second thread, which a fork would not survive.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=terminal.console(sys.stderr), transient=True, auto_refresh=False) as progress:
        task = progress.add_task(title, total=total)

        def advance(step: str) -> None:
            progress.update(task, description=f"{title} {printable(step)}", refresh=True)
            progress.advance(task)

        yield advance
