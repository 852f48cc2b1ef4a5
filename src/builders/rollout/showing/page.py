"""Lines that fit a width.

What is made is a `rich.text.Text`: its `plain` goes into a pipe, its styles go to a terminal. Nothing is parsed as
markup, so that values may hold brackets; what would move a cursor is taken out.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

NARROWEST = 40
"""Columns. Below it a terminal wraps by itself: lines of three words help nobody."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""What moves a cursor or sets a colour (ECMA-48, control sequences)."""

Part = str | tuple[str, str]
"""A text, or a text and its style."""

GOOD, BAD, CARE, FAINT, STRONG = "green", "red", "yellow", "dim", "bold"


class Page:
    """A text that grows line by line."""

    def __init__(self, width: int) -> None:
        self.width = max(width, NARROWEST)
        self._lines: list[Text] = []
        self._shortened = False

    def line(self, *parts: Part, indent: int = 0, hang: int = 2) -> None:
        """Add one line; what does not fit goes on below, `hang` columns further in."""
        made = Text(" " * indent)
        for part in parts:
            text, style = part if isinstance(part, tuple) else (part, "")
            made.append(clean(text), style)
        plain = made.plain.rstrip()
        made = made[: len(plain)] if plain else Text()
        if cell_len(plain) <= self.width:
            self._lines.append(made)
            return
        deeper = " " * min(indent + hang, self.width // 2)
        for number, (start, end) in enumerate(_cuts(plain, indent, self.width, self.width - len(deeper))):
            piece = made[start:end]
            self._lines.append(piece if number == 0 else Text(deeper).append_text(piece))

    def title(self, text: str) -> None:
        """Add a heading, with air above it."""
        self.blank()
        self.line((text, STRONG))

    def more(self, text: str, indent: int = 0) -> None:
        """Add that something is left out, such as `12 resources`."""
        self._shortened = True
        self.line((f"... and {text}", FAINT), indent=indent)

    def say_where_all_is(self) -> None:
        """Add where a reader finds what was left out, if anything was."""
        if self._shortened:
            self.blank()
            self.line(("--json tells what is left out here.", FAINT))

    def blank(self) -> None:
        """Add an empty line, unless there is one, or nothing above it."""
        if self._lines and self._lines[-1].plain:
            self._lines.append(Text())

    def text(self) -> Text:
        """Everything so far, without an end of line behind the last one."""
        lines = self._lines[:-1] if self._lines and not self._lines[-1].plain else self._lines
        return Text("\n", end="").join(lines)


def clean(value: str) -> str:
    """A value in one line: no control characters, no line breaks, no lone surrogates, no tabs."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(_shown(character) for character in _ESCAPES.sub("", value))


def _shown(character: str) -> str:
    if character.isspace():
        return " "
    return "?" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Cn", "Co") else character


def _cuts(text: str, start: int, first: int, rest: int) -> Iterator[tuple[int, int]]:
    """Where each line begins and ends: at spaces where there are any, else in the middle of a word.

    Spaces before `start` belong to the indent; `first` and `rest` are the columns of the first line and of the others.
    """
    begin, room = 0, first
    while begin < len(text):
        end = _reach(text, begin, room)
        if end < len(text):
            space = text.rfind(" ", max(begin, start if begin == 0 else begin) + 1, end + 1)
            end = space if space > begin else end
        yield begin, len(text[:end].rstrip()) if text[begin:end].strip() else end
        begin, room = end, rest
        while begin < len(text) and text[begin] == " ":
            begin += 1


def _reach(text: str, begin: int, room: int) -> int:
    """The first index that does not fit into so many columns any more."""
    if text.isascii():
        return min(len(text), begin + room)
    used = 0
    for index in range(begin, len(text)):
        used += cell_len(text[index])
        if used > room:
            return max(index, begin + 1)
    return len(text)


def columns(rows: Iterable[str], most: int) -> int:
    """The width of a column that holds these texts, those longer than `most` left aside."""
    return max((length for length in map(len, rows) if length <= most), default=0)


def show(text: Text, stream: TextIO | None = None) -> None:
    """Write a text to stdout or another stream: in colour to a terminal without NO_COLOR, else plain."""
    stream = stream or sys.stdout
    if stream.isatty():
        # rich looks at NO_COLOR itself. The lines fit already: it shall not fold them again.
        Console(file=stream).print(text, soft_wrap=True, highlight=False, markup=False)
    else:
        encoding = stream.encoding or "utf-8"
        stream.write(text.plain.encode(encoding, "replace").decode(encoding) + "\n")
