"""Where the acts of a rehearsal are played: what each expects is said before it, and what came behind it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console

from builders.errors import StackferryError


class Unexpected(Exception):
    """Something else came than an act expects; the message says what. No error of ours: a rehearsal looks for it."""


@dataclass
class Act:
    """One act. `commands` are what a person would have typed; `seconds` is how long all of it took."""

    title: str
    expected: str
    commands: list[str] = field(default_factory=list)
    came: str = "not played to its end"
    as_expected: bool = False
    seconds: float = 0.0

    def expect(self, condition: bool, otherwise: str) -> None:
        """Go on when it holds; else raise `Unexpected` with what came instead."""
        if not condition:
            raise Unexpected(otherwise)


class Stage:
    """Keeps the acts, and tells a person of each: plain lines in a pipe, a line that lives on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.acts: list[Act] = []
        self._console = console or Console(file=sys.stderr, highlight=False, emoji=False, soft_wrap=True)

    @contextlib.contextmanager
    def act(self, title: str, expected: str) -> Iterator[Act]:
        """Play one act. Raises `Unexpected` where it did not come as expected; then the rehearsal is over."""
        act = Act(title, expected)
        self.acts.append(act)
        began = time.monotonic()
        try:
            with self._living(f"{len(self.acts):2}  {title}"):
                yield act
            act.as_expected = True
        except (Unexpected, StackferryError) as what:
            act.came = str(what)
            raise Unexpected(act.came) from what
        except (LookupError, TypeError, ValueError) as error:
            act.came = f"an answer of another form: {error!r}"
            raise Unexpected(act.came) from error
        finally:
            act.seconds = time.monotonic() - began
            self._tell(act)

    @contextlib.contextmanager
    def _living(self, line: str) -> Iterator[None]:
        self.say(line)
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("", spinner="dots"):
            yield

    def _tell(self, act: Act) -> None:
        word, style = ("came", "green") if act.as_expected else ("FAILED", "bold red")
        self._console.print(f"    {act.seconds:5.1f} s  ", end="")
        self._console.print(word, style=style, end=": ")
        self._console.print(act.came, markup=False)

    def say(self, line: str) -> None:
        """One line to the person who looks on."""
        self._console.print(line, markup=False)


Say = Callable[[str], None]
