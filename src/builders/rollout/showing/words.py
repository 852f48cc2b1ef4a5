"""Counts, places and times, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from builders.rollout.model import Place

FEW_ACCOUNTS = 3
FEW_NAMES = 6


def many(count: int, thing: str) -> str:
    """A count with its noun: 1 account, 2,988 accounts."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else plural}"


def names(given: Sequence[str], most: int = FEW_NAMES) -> str:
    """Names one after the other, the first of them where there are many."""
    if len(given) > most:
        return f"{', '.join(given[:most])} and {len(given) - most:,} more"
    return " and ".join(filter(None, [", ".join(given[:-1]), given[-1]])) if given else ""


def places(given: Collection[Place]) -> str:
    """Where something is: by name where there are few, else counted."""
    accounts = sorted({place.account for place in given})
    regions = sorted({place.region for place in given})
    whole = len(given) == len(accounts) * len(regions)
    if len(given) == 1:
        return str(next(iter(given)))
    if len(accounts) <= FEW_ACCOUNTS and whole:
        return f"{names(accounts)} in {names(regions)}"
    if len(given) <= FEW_ACCOUNTS:
        return names([str(place) for place in sorted(given)])
    if whole:
        return f"{many(len(accounts), 'account')} {by_regions(regions)}"
    return f"{many(len(given), 'instance')} of {many(len(accounts), 'account')} in {names(regions)}"


def by_regions(regions: Sequence[str]) -> str:
    """The regions that every one of some accounts has."""
    return f"in {regions[0]}" if len(regions) == 1 else f"x {many(len(regions), 'region')}"


def time(minutes: float) -> str:
    """A time, as finely as an estimate of it deserves: 45 min, 2 h 30 min, 3 d 4 h."""
    if minutes < 60:
        return f"{max(1, round(minutes))} min"
    if minutes < 24 * 60:
        tens = round(minutes / 10) * 10
        return " ".join(filter(None, [f"{tens // 60} h", f"{tens % 60} min" if tens % 60 else ""]))
    hours = round(minutes / 60)
    return " ".join(filter(None, [f"{hours // 24} d", f"{hours % 24} h" if hours % 24 else ""]))


def elapsed(seconds: float) -> str:
    """A time that passed: 9 s, 2 min 05 s, 1 h 12 min."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60:02} min"


def counted(pairs: Iterable[tuple[str, int]]) -> str:
    """What is there how often, what is not there left out: 2 create, 1,500 update."""
    return ", ".join(f"{count:,} {what}" for what, count in pairs if count)


def again(command: str, phase: str) -> str:
    """What to type to begin a command once more, with what a person has to fill in."""
    return f"rollout-stacksets {command.replace('--account', '--account ACCOUNT')} --phase {phase}"
