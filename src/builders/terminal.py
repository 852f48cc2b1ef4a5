"""Output of the commands: what a file, AWS, DMS or a database says reaches a terminal as text and as nothing else.

Every command writes within `plain_streams`, and draws on a `console`. Values that stand in a line go through
`builders.text.printable` besides, so that a line break in them forges no line.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from builders.text import escaped

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


WIDEST = 10_000
"""Columns of a file or a pipe, where nothing has to fit: rich would break lines, and cut the cells of tables."""

GOOD, BAD, WARN, FAINT, STRONG = "green", "red", "yellow", "dim", "bold"
"""Styles, in rich's words."""


def printable_lines(text: str) -> str:
    """A text with its line feeds and tabs, and with escapes for all else that cannot be printed."""
    if text.isprintable():
        return text
    return "".join(letter if letter in "\n\t" else escaped(letter) for letter in text)


def encodable(text: str, encoding: str) -> str:
    """A text with escapes for what its encoding lacks."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


class PlainStream(io.TextIOBase):
    """A stream on which nothing is written but printable text, and what its encoding lacks as an escape."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.behind = stream
        """The stream that this one writes to; consoles draw on it."""
        self._failed: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream behind."""
        return self.behind.encoding or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """The stream behind's way with what its encoding lacks."""
        return self.behind.errors

    def write(self, text: str) -> int:
        """Write a text, made printable."""
        try:
            self.behind.write(encodable(printable_lines(text), self.encoding))
        except OSError as error:
            self._failed = error
            raise
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind. Raises once more what a write has raised: argparse, for one, passes it over."""
        if self._failed:
            raise self._failed
        self.behind.flush()

    def close(self) -> None:
        """Close nothing: the stream behind is another's.

        Python 3.13 and later say what fails while an object is forgotten, such as a flush for a reader that is gone.
        """

    def isatty(self) -> bool:
        """Return whether the stream behind is a terminal."""
        return self.behind.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream behind, which child processes write to."""
        return self.behind.fileno()

    def writable(self) -> bool:
        """Tell that the stream can be written."""
        return True


class _Diagnostics(PlainStream):
    """Stderr: what is said there is no result, so that a full disk or a reader that is gone stops no command."""

    def write(self, text: str) -> int:
        """Write a text, made printable, where that is possible."""
        with self._discarding():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind, where that is possible."""
        with self._discarding():
            super().flush()

    @contextlib.contextmanager
    def _discarding(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            _discard(self.behind)


@contextlib.contextmanager
def plain_streams() -> Iterator[None]:
    """Let stdout and stderr take printable text only, for as long as a command runs. A closed stdin is an empty one."""
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    with (
        contextlib.redirect_stdout(PlainStream(_behind(sys.stdout))),
        contextlib.redirect_stderr(_Diagnostics(_behind(sys.stderr))),
    ):
        yield


def discard_stdout() -> None:
    """Let what is still to be written to a stdout that takes no more go nowhere, also when Python ends."""
    _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _behind(stream: Any) -> Any:
    if stream is None:  # it was closed before the command began (Python's library reference, "sys.__stdout__")
        return io.StringIO()
    return stream.behind if isinstance(stream, PlainStream) else stream


def console(stream: TextIO, **options: Any) -> Console:
    """A console of rich on a stream: values may hold its markup, and control characters come from rich alone."""
    behind = _behind(stream)
    if not behind.isatty():
        options = {"width": WIDEST, **options}
    return _console_class()(file=behind, **{"markup": False, "emoji": False, "highlight": False, **options})


@functools.cache
def _console_class() -> type[Console]:
    from rich.console import Console  # noqa: PLC0415  a pipe does not wait for it to load
    from rich.segment import Segment  # noqa: PLC0415

    class PlainConsole(Console):
        """Rich marks the segments with control characters of its own: all others are text."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                text, style, control = segment
                yield segment if control else Segment(encodable(printable_lines(text), self.encoding), style)

    return PlainConsole
