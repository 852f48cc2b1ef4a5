"""A mistake in rollout.yaml as a value, and the line that a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from builders.errors import RolloutFileError
from builders.rollout.file.models import KeyPath

_TOLD_AT_ONCE = 100


class Mistake(NamedTuple):
    """What is wrong with the value at a path of keys. `file` is told where it is not rollout.yaml itself.

    `line` is known where the mistake is no key's, such as one of YAML's own or of another file.
    """

    path: KeyPath
    message: str
    line: int | None = None
    file: str = ""


def refusal(file: Path, lines: Mapping[KeyPath, int], mistakes: Iterable[Mistake]) -> RolloutFileError:
    """One error with a line for each mistake, in the order of the file."""
    placed = [(_line(mistake, lines), mistake) for mistake in mistakes]
    placed.sort(key=lambda found: (found[1].file, found[0] or 0))
    return all_at_once(_sentence(file, line, mistake) for line, mistake in placed)


def all_at_once(sentences: Iterable[str]) -> RolloutFileError:
    """One error with a line for each sentence, each once; of very many only the first, since nobody reads on."""
    lines = list(dict.fromkeys(sentences))
    more = len(lines) - _TOLD_AT_ONCE
    return RolloutFileError("\n".join([*lines[:_TOLD_AT_ONCE], *([f"and {more:,} more mistakes"] if more > 0 else [])]))


def _line(mistake: Mistake, lines: Mapping[KeyPath, int]) -> int | None:
    return mistake.line if mistake.line or mistake.file else line_of(mistake.path, lines)


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """The line of a value; of the one that it is missing in when it is not there."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def dotted(path: KeyPath) -> str:
    """The keys as a person writes them: phases.dev.regions[0]."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _sentence(file: Path, line: int | None, mistake: Mistake) -> str:
    place = [mistake.file or str(file), f"line {line}" if line else "", dotted(mistake.path)]
    return f"{', '.join(part for part in place if part)}: {mistake.message}"
