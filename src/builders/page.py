"""Pages: results as text that fits a width, and the words for targets and times.

rich breaks the lines and lays the tables out. The result is a `rich.text.Text`: its `plain` goes into a pipe, its
styles go to a terminal. Nothing is parsed as markup, so that values may hold brackets; characters that would move a
cursor are escaped.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, TextIO, TypeVar

from rich.console import Console, RenderableType
from rich.measure import Measurement, measure_renderables
from rich.table import Table
from rich.text import Text

from builders import advice, terminal
from builders.scopes import Target
from builders.terminal import FAINT, STRONG
from builders.text import counted_noun, name_list, printable

NARROWEST = 40
"""Columns. Below it a terminal breaks the lines: lines of three words help nobody."""

T = TypeVar("T")

Part = str | tuple[str, str] | Text
"""A text, a text and its style, or several of these that `joined` made one."""


class Page:
    """A text that grows line by line."""

    def __init__(self, width: int) -> None:
        self.width = max(width, NARROWEST)
        self.lines: list[Text] = []
        self._shortened = False
        # Not the terminal's console: its colours and its size must not matter here.
        plain: dict[str, Any] = {"color_system": None, "markup": False, "emoji": False, "highlight": False}
        self._console = Console(file=io.StringIO(), width=self.width, height=25, **plain)

    def line(self, *parts: Part, indent: int = 0, hang: int = 2) -> None:
        """Add one line; what does not fit a terminal continues below it, `hang` columns further in."""
        text = joined(*parts)
        room = self.width - indent
        fits = self.width >= terminal.WIDEST or text.cell_len <= room
        pieces = [text] if fits else text.wrap(self._console, room - hang)
        for number, piece in enumerate(pieces):
            self._add(Text(" " * (indent + (hang if number else 0))).append_text(piece))

    def copyable(self, *parts: Part, indent: int = 0) -> None:
        """Add one line to be copied, such as a command: a terminal breaks it by itself, and a copy of it is whole."""
        self._add(Text(" " * indent).append_text(joined(*parts)))

    def table(self, rows: Iterable[Sequence[Part]], indent: int = 0, gap: int = 2) -> None:
        """Add rows whose cells stand below each other.

        Only the last column is broken. Where the others leave it too little room, it takes them in, from the right.
        """
        cells = [[joined(part) for part in row] for row in rows]
        *names, last = [list(column) for column in zip(*cells, strict=True)] or [[]]
        wide = sum(self._measure(column).maximum + gap for column in names)
        if names and wide + self._measure(last).minimum > self.width - indent:
            space = " " * gap
            self.table([[*row[:-2], joined(row[-2], space, row[-1])] for row in cells], indent, gap)
            return
        table = Table.grid(padding=(0, gap, 0, 0))
        for _ in names:
            table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for row in cells:
            table.add_row(*row)
        self.add(table, indent)

    def add(self, renderable: RenderableType, indent: int = 0) -> None:
        """Add whatever rich can lay out."""
        options = self._console.options.update_width(self.width - indent)
        for segments in self._console.render_lines(renderable, options, pad=False):
            text = Text.assemble(*((each.text, each.style or "") for each in segments))
            self._add(Text(" " * indent).append_text(text))

    def _measure(self, column: Sequence[Text]) -> Measurement:
        return measure_renderables(self._console, self._console.options, column)

    def title(self, text: str) -> None:
        """Add a heading, below an empty line."""
        self.blank()
        self.line((text, STRONG))

    def first(self, items: Sequence[T], most: int, noun: str, indent: int = 2, title: str = "") -> Iterator[T]:
        """The items to show, below their title: all, or the first ones, after which a line counts the others."""
        if title and items:
            self.title(title)
        shown = shortlist(items, most)
        yield from shown
        if left := len(items) - len(shown):
            self.line(self.more(counted_noun(left, f"more {noun}")), indent=indent)

    def more(self, left_out: str) -> tuple[str, str]:
        """The words for what is left out, such as `12 resources`; `point_to_json` then adds its line."""
        self._shortened = True
        return f"... and {left_out}", FAINT

    def point_to_json(self) -> None:
        """Add where to find what was left out, if anything was."""
        if self._shortened:
            self.blank()
            self.line(("--json shows what is left out here.", FAINT))

    def blank(self) -> None:
        """Add an empty line, unless there is one, or nothing above it."""
        if self.lines and self.lines[-1].plain:
            self.lines.append(Text())

    def text(self) -> Text:
        """Everything so far."""
        return Text("\n", end="").join(self.lines)

    def _add(self, line: Text) -> None:
        line.rstrip()
        self.lines.append(line)


def joined(*parts: Part) -> Text:
    """One text of several parts, safe to show in one line."""
    text = Text()
    for part in parts:
        if isinstance(part, Text):
            text.append_text(part)
        else:
            words, style = (part, "") if isinstance(part, str) else part
            text.append(printable(advice.completed(words)), style)
    return text


def shortlist(items: Sequence[T], most: int) -> Sequence[T]:
    """The first of many items; all where only one more would be left, since a line that counts it is no shorter."""
    return items if len(items) <= most + 1 else items[:most]


def print_page(fill: Callable[[Page], None], stream: TextIO | None = None) -> None:
    """Fill a page and write it to stdout or another stream: as wide as a terminal, and in colour without NO_COLOR; in a
    pipe plain, where nothing has to fit."""
    stream = stream or sys.stdout
    page = Page(shutil.get_terminal_size((100, 24)).columns if stream.isatty() else terminal.WIDEST)
    fill(page)
    if stream.isatty():
        # rich looks at NO_COLOR itself. The lines fit already: it must not break them again.
        terminal.console(stream).print(page.text(), soft_wrap=True)
    else:
        terminal.PlainStream(stream).write(f"{page.text().plain}\n")


_ACCOUNTS_NAMED = 3


def target_list(targets: Collection[Target]) -> str:
    """Accounts and regions: by name where there are few, else counted."""
    accounts = sorted({target.account for target in targets})
    regions = sorted({target.region for target in targets})
    every_region = len(targets) == len(accounts) * len(regions)
    if len(targets) == 1:
        return str(next(iter(targets)))
    if len(accounts) <= _ACCOUNTS_NAMED and every_region:
        return f"{name_list(accounts)} in {name_list(regions)}"
    if len(targets) <= _ACCOUNTS_NAMED:
        return name_list(sorted(targets))
    counted = counted_noun(len(accounts), "account")
    if every_region:
        return (
            f"{counted} in {regions[0]}" if len(regions) == 1 else f"{counted} x {counted_noun(len(regions), 'region')}"
        )
    return f"{counted_noun(len(targets), 'instance')} of {counted} in {name_list(regions)}"


def estimated_time(minutes: float) -> str:
    """Minutes as precisely as an estimate deserves: 45 min, 2 h 30 min, 3 d 4 h."""
    if minutes < 60:
        return f"{max(1, round(minutes))} min"
    if minutes < 24 * 60:
        hours, rest = divmod(round(minutes / 10) * 10, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, rest = divmod(round(minutes / 60), 24)
    return f"{days} d {rest} h" if rest else f"{days} d"


def elapsed_time(seconds: float) -> str:
    """Seconds that passed: 9 s, 2 min 05 s, 1 h 12 min."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
