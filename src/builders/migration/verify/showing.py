"""The comparison as people see it: a bar on a terminal or a line a table, the result, the question before a repair."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from builders import progress, terminal
from builders.command_line import NO_TERMINAL, ask, show
from builders.errors import MigrationError
from builders.migration.rows import Difference
from builders.migration.verify.comparing import TableProgress
from builders.migration.verify.running import Show, TableResult, VerifyReport
from builders.terminal import BAD, GOOD, STRONG
from builders.text import counted_noun, first_lines, name_list, printable

if TYPE_CHECKING:
    from builders.page import Page

MOST_ROWS = 20
"""Rows and definitions of each kind that a person is shown; --json has them all."""


class _Lines:
    """A line for every table that was read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = 0

    def begin(self, tables: int, rows: int) -> None:
        """Tell what is to be read."""
        progress.say(f"{counted_noun(tables, 'table')} with about {counted_noun(rows, 'row')} to read on both sides")

    def read(self, table: str, rows: int) -> None:
        """Show nothing: a table is a line."""

    def done(self, table: str, progress_: TableProgress) -> None:
        """Tell of a table."""
        again = f", {len(progress_.again):,} to be looked at again" if progress_.again else ""
        with self._lock:
            progress.say(f"{table}: {counted_noun(progress_.source.rows, 'row')} in {progress_.seconds:.1f} s{again}")

    def again(self, left: int) -> None:
        """Tell when the number of rows that differ has changed."""
        if left != self._left:
            progress.say(f"{counted_noun(left, 'row')} not the same, and looked at again")
            self._left = left


@contextlib.contextmanager
def progress_of_verify() -> Iterator[Show]:
    """Show the comparison while it runs: a bar of the rows on a terminal, else lines."""
    if not progress.stderr_draws():
        yield _Lines()
        return
    from rich.progress import (  # noqa: PLC0415  a pipe does not wait for it to load
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal.console(sys.stderr), transient=True) as bar:
        shown = bar.add_task("rows", total=None)
        read: dict[str, int] = {}

        class Drawn:
            def begin(self, tables: int, rows: int) -> None:
                bar.update(shown, total=max(rows, 1), description=f"rows of {counted_noun(tables, 'table')}")

            def read(self, table: str, rows: int) -> None:
                read[table] = rows
                bar.update(shown, completed=sum(list(read.values())), description=printable(table))

            def done(self, table: str, progress_: TableProgress) -> None:
                self.read(table, progress_.source.rows)

            def again(self, left: int) -> None:
                bar.update(shown, description=f"{counted_noun(left, 'row')} not the same, looked at again")

        yield Drawn()


def result(report: VerifyReport, *, as_json: bool, hide_keys: bool) -> None:
    """Print what was found: for people, or as one JSON object."""

    def fill(page: Page) -> None:
        _tables(page, report.tables)
        for state, title in (("differs", "not the same"), ("waits", "waits for a later step"), ("noted", "noted")):
            findings = [str(finding) for finding in report.definitions if finding.state == state]
            _listed(page, f"definitions: {title}", findings)
        _listed(page, "not carried by the task, and not compared", list(report.not_carried))
        _listed(page, "rows", [each.shown(hide_keys=hide_keys) for each in differences(report)])
        _listed(page, "rows in motion", [f"{each.name}: {each.in_motion:,} kept changing; the cut-over compares them"
                                         for each in report.tables if each.in_motion])  # fmt: skip
        page.line((_sentence(report), GOOD if report.is_clean else BAD))

    show(lambda: report.as_data(keys=not hide_keys), fill, as_json=as_json)


def differences(report: VerifyReport) -> list[Difference]:
    """All differences of rows, table by table."""
    return [each for table in report.tables for each in table.differing]


def confirm_repair(report: VerifyReport, *, yes: bool) -> Sequence[Difference]:
    """Ask once whether the named rows are to be written, and return them; `yes` is the answer given before.

    Raises `MigrationError` where the answer is no, and `UsageError` where nobody can answer.
    """
    named = [each for each in differences(report) if each.key]
    if not named or yes:
        return named
    tables = name_list(sorted({each.table for each in named}))
    question = f"Write {counted_noun(len(named), 'row')} of {tables} in the target as the source has them now?"
    if not ask(question, f"--repair asks first, and {NO_TERMINAL}; --yes answers yes to: {question}"):
        raise MigrationError("not repaired; the target stays as it is")
    return named


def _tables(page: Page, tables: Sequence[TableResult]) -> None:
    """Add the rows and digests of both sides, table by table."""
    from rich.table import Column, Table  # noqa: PLC0415  --json does not wait for it to load

    grid = Table(Column("table", overflow="fold"), Column("rows", justify="right"), "digest",
                 Column("again", justify="right"), Column("differing", justify="right"), box=None)  # fmt: skip
    for each in tables:
        one, other = each.source, each.target
        rows = f"{one.rows:,}" if one.rows == other.rows else f"{one.rows:,} / {other.rows:,}"
        digest = str(one) if one == other else f"{one} / {other}"
        style = BAD if each.differing else None
        grid.add_row(printable(each.name), rows, digest, f"{each.again:,}", f"{len(each.differing):,}", style=style)
    page.add(grid)


def _listed(page: Page, title: str, lines: Sequence[str]) -> None:
    if lines:
        page.line((f"{title}:", STRONG))
    for line in first_lines(lines, MOST_ROWS):
        page.line(line, indent=2)


def _sentence(report: VerifyReport) -> str:
    rows = sum(table.source.rows for table in report.tables)
    read = f"{counted_noun(len(report.tables), 'table')}, {counted_noun(rows, 'row')}"
    if report.is_clean:
        return f"the same on both sides: {read}"
    differing = sum(len(table.differing) for table in report.tables)
    wrong = sum(finding.state == "differs" for finding in report.definitions)
    return f"not the same: {counted_noun(differing, 'row')} and {counted_noun(wrong, 'definition')} differ of {read}"
