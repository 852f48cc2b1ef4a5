"""Reads a file of account ids: one a line, with empty lines and # comments, or a JSON list of texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from builders.rollout.file.fields import account_id
from builders.rollout.file.mistakes import Mistake
from builders.rollout.file.models import KeyPath

_FORM = 'write one account id a line, or a JSON list such as ["111111111111"]'


def listed(file: Path, path: KeyPath) -> tuple[tuple[str, ...], list[Mistake]]:
    """The accounts of a file that is named at `path`, in its order, and what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        return (), [Mistake(path, f"{file} cannot be read: {error.strerror}; make it readable")]
    except ValueError:
        return (), [Mistake(path, f"{file} is not UTF-8 text, or no name of a file; {_FORM}")]
    if not text.lstrip().startswith("["):
        return _judged(_lines(text), file, path)
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return (), [Mistake(path, f"begins as a JSON list and is none; {_FORM}", file=str(file))]
    numbers = [item for item in items if not isinstance(item, str)]
    if numbers:
        return (), [Mistake(path, f"{numbers[0]!r} is no text; quote account ids", file=str(file))]
    return _judged(((item, 0) for item in items), file, path)


def _lines(text: str) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].strip()
        if word:
            yield word, number


def _judged(words: Iterable[tuple[str, int]], file: Path, path: KeyPath) -> tuple[tuple[str, ...], list[Mistake]]:
    accounts: dict[str, int] = {}
    mistakes = []
    for word, line in words:
        try:
            if account_id(word) in accounts:
                raise ValueError(f"account {word} stands here twice; keep one of them")
            accounts[word] = line
        except ValueError as error:
            mistakes.append(Mistake(path, str(error), line or None, str(file)))
    if not accounts and not mistakes:
        mistakes.append(Mistake(path, f"{file} names no account; {_FORM}"))
    return tuple(accounts), mistakes
