"""The points that the crash harnesses try: all of them with `pytest --whole`, otherwise a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Points = Callable[[int], Iterable[int]]
"""Chooses from so many points, which are numbered from 0 on."""

SAMPLE = 5

every: Points = range


def spread(count: int) -> Iterable[int]:
    """The first point, the last, and some in even steps between."""
    return sorted({number * (count - 1) // (SAMPLE - 1) for number in range(SAMPLE)}) if count else ()
