"""The progress of a replication task on stderr, and its result on stdout."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from builders import progress
from builders.errors import ReplicationError
from builders.migration_task.running import Show
from builders.migration_task.task import Rows, Task, as_data, why


@contextlib.contextmanager
def progress_of_task() -> Iterator[Show]:
    """Show the task while it runs: a bar of the full load on a terminal, else a line for every change."""
    if not progress.stderr_draws():
        yield _lines()
        return
    from rich.console import Console  # noqa: PLC0415  a pipe does not wait for it to load
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("", total=100)
        yield lambda task: bar.update(shown, description=_line(task), completed=task.progress.percent)


def result(task: Task, rows: Rows, *, as_json: bool) -> None:
    """Print the state of the task: for people, or as one JSON object."""
    if as_json:
        print(json.dumps(as_data(task, rows), indent=1))
        return
    load = task.progress
    lines = {
        "task": task.arn,
        "status": task.status,
        "why": why(task),
        "full load": f"{load.percent}%: {load.loaded} tables loaded, {load.loading} loading, {load.queued} queued, "
        f"{load.errored} in error",
        "rows": f"{rows.loaded} loaded, {rows.changed} changed since, {rows.failed_validation} failed validation",
    }
    for name, text in lines.items():
        if text:
            print(f"{name:<10} {text}")


def failure(arn: str, error: ReplicationError) -> None:
    """Print for programs why there is no result."""
    print(json.dumps({"task": arn, "error": str(error)}, indent=1))


def _lines() -> Show:
    last = ""

    def show(task: Task) -> None:
        nonlocal last
        line = f"{_line(task)} ({task.progress.percent}% of the full load)"
        if line != last:
            progress.say(line)
            last = line

    return show


def _line(task: Task) -> str:
    load = task.progress
    return f"{task.status}: {load.loaded} tables loaded, {load.loading} loading, {load.queued} queued"
