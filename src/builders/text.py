"""Plain English for messages: lists of names, counts with their nouns, suggestions; and values in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def printable(value: object) -> str:
    """A value in one line: spaces for all that is space, escapes such as \\x1b for what cannot be printed.

    Names, reasons and messages come from files, AWS and databases: a line break in them would forge a line, and a
    control character steer the terminal, turn the direction of the text, or be none at all, as half a surrogate pair.
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(" " if letter.isspace() else escaped(letter) for letter in text)


def escaped(letter: str) -> str:
    """A letter, or its escape where it cannot be printed."""
    return letter if letter.isprintable() else repr(letter)[1:-1]


def name_list(names: Sequence[object], most: int = 6) -> str:
    """The names one after the other; of more than `most` the first ones and the number of the others.

    There can be thousands: "a, b and c", and "a, b, c and 1,997 more".
    """
    shown = [str(name) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def first_lines(lines: Sequence[str], most: int) -> list[str]:
    """The lines for a person; of more than `most` the first ones and the number of the others."""
    return [*lines[:most], left_out(len(lines) - most)] if len(lines) > most else list(lines)


def left_out(count: int) -> str:
    """The line for the number of lines that a person is not shown."""
    return f"and {count:,} more; --json has all of them"


def counted_noun(count: int, noun: str) -> str:
    """A count with its noun: 1 account, 2,988 accounts."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """The known word that is closest, whatever the case of its letters; None when none is close."""
    from difflib import get_close_matches  # noqa: PLC0415  only a mistake waits for it to load

    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def unknown_name(kind: str, word: str, known: Iterable[str]) -> str:
    """The sentence for a word that is none of the known ones, such as unknown_name("layer", "netwrok", [...])."""
    choices = list(known)
    close = suggestion(word, choices)
    hint = f", did you mean {close!r}?" if close else ";"
    return f"unknown {kind} {word!r}{hint} {kind}s are {', '.join(choices)}"
