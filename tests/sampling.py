"""The points that the crash harnesses try: all of them with `pytest --whole`, otherwise a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Points = Callable[[int], Iterable[int]]
"""Chooses from so many points, which are numbered from 0 on."""

every: Points = range


def spread(count: int) -> Iterable[int]:
    """One point in the middle, and the last: at the first, little has been done."""
    return sorted({(count - 1) // 2, count - 1}) if count else ()
