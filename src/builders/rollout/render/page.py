"""Lines that fit a width.

What is made is a `rich.text.Text`: its `plain` goes into a pipe, its styles go to a terminal. Nothing is parsed as
markup, so that values may hold brackets; what would move a cursor is taken out.

Counts, places and times, in words.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from builders.rollout.model import Target
from builders.text import counted_noun, name_list

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


def print_page(text: Text, stream: TextIO | None = None) -> None:
    """Write a text to stdout or another stream: in colour to a terminal without NO_COLOR, else plain."""
    stream = stream or sys.stdout
    if stream.isatty():
        # rich looks at NO_COLOR itself. The lines fit already: it shall not fold them again.
        Console(file=stream).print(text, soft_wrap=True, highlight=False, markup=False)
    else:
        encoding = stream.encoding or "utf-8"
        stream.write(text.plain.encode(encoding, "replace").decode(encoding) + "\n")


FEW_ACCOUNTS = 3


def target_list(given: Collection[Target]) -> str:
    """Where something is: by name where there are few, else counted."""
    accounts = sorted({target.account for target in given})
    regions = sorted({target.region for target in given})
    whole = len(given) == len(accounts) * len(regions)
    if len(given) == 1:
        return str(next(iter(given)))
    if len(accounts) <= FEW_ACCOUNTS and whole:
        return f"{name_list(accounts)} in {name_list(regions)}"
    if len(given) <= FEW_ACCOUNTS:
        return name_list(sorted(given))
    if whole:
        return f"{counted_noun(len(accounts), 'account')} {targets_by_region(regions)}"
    return f"{counted_noun(len(given), 'instance')} of {counted_noun(len(accounts), 'account')} in {name_list(regions)}"


def targets_by_region(regions: Sequence[str]) -> str:
    """The regions that every one of some accounts has."""
    return f"in {regions[0]}" if len(regions) == 1 else f"x {counted_noun(len(regions), 'region')}"


def utc_time(minutes: float) -> str:
    """A time, as finely as an estimate of it deserves: 45 min, 2 h 30 min, 3 d 4 h."""
    if minutes < 60:
        return f"{max(1, round(minutes))} min"
    if minutes < 24 * 60:
        tens = round(minutes / 10) * 10
        return " ".join(filter(None, [f"{tens // 60} h", f"{tens % 60} min" if tens % 60 else ""]))
    hours = round(minutes / 60)
    return " ".join(filter(None, [f"{hours // 24} d", f"{hours % 24} h" if hours % 24 else ""]))


def elapsed_text(seconds: float) -> str:
    """A time that passed: 9 s, 2 min 05 s, 1 h 12 min."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60:02} min"


def count_by(pairs: Iterable[tuple[str, int]]) -> str:
    """What is there how often, what is not there left out: 2 create, 1,500 update."""
    return ", ".join(f"{count:,} {what}" for what, count in pairs if count)


def run_again(command: str, phase: str) -> str:
    """What to type to begin a command once more, with what a person has to fill in."""
    return f"rollout-stacksets {command.replace('--account', '--account ACCOUNT')} --phase {phase}"
