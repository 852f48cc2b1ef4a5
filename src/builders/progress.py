"""Progress on stderr, so that stdout has the result alone. Only a terminal without NO_COLOR gets more than lines."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator


def say(line: str) -> None:
    """Write one plain line to stderr."""
    print(line, file=sys.stderr)


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
    from rich.console import Console  # noqa: PLC0415  a pipe does not wait for it to load
    from rich.progress import Progress  # noqa: PLC0415

    # Without auto_refresh there is no second thread, which a fork would not survive.
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task(title, total=total)

        def advance(step: str) -> None:
            progress.update(task, description=f"{title} {step}", refresh=True)
            progress.advance(task)

        yield advance
