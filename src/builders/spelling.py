"""Guesses what a mistyped word was meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """The known word that is closest, whatever the case of its letters; None when none is close."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """The sentence for a word that is none of the known ones, such as unknown("layer", "netwrok", [...])."""
    choices = list(known)
    close = suggestion(word, choices)
    hint = f", did you mean {close!r}?" if close else ";"
    return f"unknown {kind} {word!r}{hint} {kind}s are {', '.join(choices)}"
