"""Progress of a replication task on stderr, its result on stdout, and the question before all is loaded again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from builders import progress, terminal
from builders.command_line import NO_TERMINAL, ask, print_json, show
from builders.errors import ReplicationError
from builders.migration.task.client import Replication
from builders.migration.task.reasons import has_failed, trouble, why
from builders.migration.task.running import Show, must_be_reloadable
from builders.migration.task.values import TableStatistics, Task, rows_of
from builders.terminal import BAD, STRONG, WARN
from builders.text import counted_noun, left_out, printable

if TYPE_CHECKING:
    from builders.page import Page

MOST_TABLES = 20
"""Tables in trouble that a person is shown; --json has them all."""


@contextlib.contextmanager
def progress_of_task() -> Iterator[Show]:
    """Show the task while it runs: a bar of the full load on a terminal, else a line for every change."""
    if not progress.stderr_draws():
        yield _lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415  a pipe does not wait

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=terminal.console(sys.stderr), transient=True) as bar:
        shown = bar.add_task("", total=100)
        yield lambda task: bar.update(shown, description=printable(_line(task)), completed=task.progress.percent)


class Section(Protocol):
    """Lines and keys that are shown below a task."""

    def as_data(self) -> dict[str, Any]:
        """Return what --json has beside the task's own keys."""

    def lines(self) -> Iterable[tuple[str, str]]:
        """Return titles and texts for a person; a line without a text is left out."""


def result(task: Task, tables: Sequence[TableStatistics], below: Section | None = None, *, as_json: bool) -> None:
    """Print the state of the task, of the tables in trouble, and what is below: for people, or as one JSON object."""

    def fill(page: Page) -> None:
        def line(title: str, text: str, style: str = "") -> None:
            if text:
                page.line(f"{title:<{_TITLE_COLUMNS}}", (text, style), hang=_TITLE_COLUMNS)

        load, rows = task.progress, rows_of(tables)
        failed = BAD if task.has_failed else ""
        page.copyable(f"{'task':<{_TITLE_COLUMNS}}", task.arn)
        line("status", task.status, failed)
        line("why", why(task), failed)
        line(
            "full load",
            f"{load.percent}%: {counted_noun(load.loaded, 'table')} loaded, {load.loading} loading, "
            f"{load.queued} queued, {load.errored} in error",
        )
        line("rows", f"{rows.loaded} loaded, {rows.changed} changed since, {rows.failed_validation} failed validation")
        troubled = _worst_first(tables)
        for table in troubled[:MOST_TABLES]:
            line("table", f"{table.name}: {trouble(table)}", BAD if has_failed(table) else WARN)
        if len(troubled) > MOST_TABLES:
            line("table", left_out(len(troubled) - MOST_TABLES))
        for title, text in below.lines() if below else ():
            line(title, text, _STYLES.get(title, ""))

    show(lambda: as_data(task, tables) | (below.as_data() if below else {}), fill, as_json=as_json)


_TITLE_COLUMNS = 11
_STYLES = {"unknown": WARN, "next": STRONG}


def as_data(task: Task, tables: Sequence[TableStatistics]) -> dict[str, Any]:
    """The task, its rows and its tables in trouble as --json prints them."""
    rows = rows_of(tables)
    return {
        "task": task.arn,
        "status": task.status,
        "stopReason": task.stop_reason or None,
        "failure": task.failure or None,
        "why": why(task) or None,
        "fullLoad": asdict(task.progress),
        "rows": {"loaded": rows.loaded, "changed": rows.changed, "failedValidation": rows.failed_validation},
        "tables": [
            {
                "table": table.name,
                "state": table.state,
                "validation": table.validation,
                "failed": has_failed(table),
                "why": trouble(table),
            }
            for table in _worst_first(tables)
        ],
    }


def _worst_first(tables: Sequence[TableStatistics]) -> list[TableStatistics]:
    """The tables in trouble, those that failed before those that merely cannot be compared."""
    return sorted((table for table in tables if trouble(table)), key=lambda table: not has_failed(table))


def failure(arn: str, error: ReplicationError) -> None:
    """Print for programs why there is no result."""
    print_json({"task": arn, "error": str(error)})


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
    return f"{task.status}: {counted_noun(load.loaded, 'table')} loaded, {load.loading} loading, {load.queued} queued"


_QUESTIONS = {
    "DO_NOTHING": "DMS empties no table of the target (TargetTablePreparation is DO_NOTHING), and rows that are there "
    "would be loaded twice or refused: TRUNCATE the tables of the task in the target first. Are they empty?",
    "TRUNCATE_BEFORE_LOAD": "DMS empties the tables of the task in the target and loads them again. Reload?",
    "DROP_AND_CREATE": "DMS drops the tables of the task in the target, with their indexes, defaults and rights, and "
    "loads them again. Reload?",
}
"""{TargetTablePrepMode: the question} (DMS user guide, "Full-load task settings")."""


_EMPTIED = "All tables of the task in the target are emptied, and loaded again. Reload?"


def confirm_reload(replication: Replication, *, yes: bool, empties: bool = False) -> None:
    """Ask a person whether all tables may be loaded again; `yes` is the answer that was given before.

    `empties` says that the tables of the target are emptied by us.

    Raises `ReplicationError` where the task cannot be reloaded or the answer is no, and `UsageError` where nobody can
    answer.
    """
    must_be_reloadable(replication.task())
    if yes:
        return
    preparation = replication.table_preparation()
    question = _QUESTIONS.get(preparation, f"DMS prepares the target's tables by {preparation!r}. Reload?")
    question = _EMPTIED if empties else question
    if not ask(question, f"reload asks first, and {NO_TERMINAL}; --yes answers yes to: {question}"):
        raise ReplicationError("not reloaded; the task stays as it is")
