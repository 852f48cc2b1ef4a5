"""Commands and pages that messages advise, as they are to be typed and found where the present command was called.

A message names a command as `rollout-stacksets resume`; whoever called with --file and --phase reads what to type. It
names a page as docs/bootstrap.md; whoever works outside of this repository reads where the package has it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

from builders.project import data

# Texts, not compiled: most runs advise nothing.
_PAGE = r"(?<![\w./-])docs/[\w/-]+\.md\b"
_COMMAND = r"`rollout-stacksets [a-z]+[^`]*`"
_given: dict[str, str] = {}


@contextlib.contextmanager
def given() -> Iterator[None]:
    """Complete advised commands, within, by the options that `give` names; a command may call another."""
    before = dict(_given)
    _given.clear()
    try:
        yield
    finally:
        _given.clear()
        _given.update(before)


def give(options: Mapping[str, object]) -> None:
    """Name options of the present command, such as --file, with their values."""
    _given.update({name: str(value) for name, value in options.items()})


def completed(text: str) -> str:
    """A text whose commands in backticks have the given options that they lack, and whose pages can be opened."""
    if "docs/" in text:
        text = re.sub(_PAGE, lambda found: data.page(found[0]), text)
    if not _given or "`rollout-stacksets " not in text:
        return text
    return re.sub(_COMMAND, lambda found: f"`{command(found[0][1:-1])}`", text)


def command(text: str) -> str:
    """A command with the given options that it lacks."""
    import shlex  # noqa: PLC0415  most runs advise nothing

    lacking = [
        f"{name} {shlex.quote(value)}"
        for name, value in sorted(_given.items(), key=lambda it: it[0] != "--phase")
        if f" {name} " not in f"{text} "
    ]
    return " ".join([text, *lacking])
