"""Plain English for messages: lists of names, counts with their nouns, what a mistyped word was meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def name_list(names: Sequence[object], most: int = 6) -> str:
    """The names one after the other; of more than `most` the first ones and the number of the others.

    There can be thousands: "a, b and c", and "a, b, c and 1,997 more".
    """
    shown = [str(name) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def counted_noun(count: int, noun: str) -> str:
    """A count with its noun: 1 account, 2,988 accounts."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """The known word that is closest, whatever the case of its letters; None when none is close."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def unknown_name(kind: str, word: str, known: Iterable[str]) -> str:
    """The sentence for a word that is none of the known ones, such as unknown_name("layer", "netwrok", [...])."""
    choices = list(known)
    close = suggestion(word, choices)
    hint = f", did you mean {close!r}?" if close else ";"
    return f"unknown {kind} {word!r}{hint} {kind}s are {', '.join(choices)}"
