"""Tells a person on stderr what happens. Only a terminal without NO_COLOR gets more than plain lines."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator


def say(line: str) -> None:
    """Write one plain line to stderr."""
    print(line, file=sys.stderr)


@contextlib.contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr for `total` steps; call what it yields with the name of each step that is done."""
    if not sys.stderr.isatty() or "NO_COLOR" in os.environ:
        yield lambda step: None
        return
    from rich.console import Console  # noqa: PLC0415  a pipe does not wait for it to load
    from rich.progress import Progress  # noqa: PLC0415

    # Without auto_refresh there is no second thread, which a fork would not survive.
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task(what, total=total)

        def advance(step: str) -> None:
            progress.update(task, description=f"{what} {step}", refresh=True)
            progress.advance(task)

        yield advance
