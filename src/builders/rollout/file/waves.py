"""Waves: whether a phase's plan of them makes sense, and which accounts each one has. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from builders.rollout.file.fields import seconds
from builders.rollout.file.mistakes import Mistake
from builders.rollout.file.models import WavePlan
from builders.rollout.model import Wave

_WAYS = ("accounts", "percent", "count", "rest")


def resolved(plans: Sequence[WavePlan], accounts: Sequence[str]) -> tuple[Wave, ...]:
    """The accounts of each wave, in the order of the phase; every account is in exactly one.

    A wave by percent or count does not take accounts that a later wave names. A wave that is left without accounts is
    none. The plans have no mistakes, and `accounts` has those that they name.
    """
    waves = []
    named = {account for plan in plans for account in plan.accounts}
    left = [account for account in accounts if account not in named]
    for plan in plans:
        taken = [account for account in accounts if account in plan.accounts] or left[: _size(plan, len(left))]
        left = left if plan.accounts else left[len(taken) :]
        if taken:
            waves.append(Wave(plan.name, tuple(taken), seconds(plan.bake), plan.quiet_alarms))
    return tuple(waves)


def _size(plan: WavePlan, left: int) -> int:
    """How many of the accounts that are left a wave takes; a part of an account counts as a whole one."""
    if plan.accounts:
        return 0
    if plan.percent is not None:
        return -(-left * plan.percent // 100)
    return left if plan.count is None else plan.count


def mistakes(plans: Sequence[WavePlan], accounts: Collection[str] | None) -> Iterator[Mistake]:
    """What is wrong with the waves of a phase; `accounts` is None where they are not known yet."""
    seen: dict[str, str] = {}
    for number, plan in enumerate(plans):
        path = ("waves", number)
        given = [way for way in _WAYS if getattr(plan, way)]
        if len(given) != 1:
            told = " and ".join(given) or "nothing"
            yield Mistake(path, f"wave {plan.name} gives {told}; give exactly one of {', '.join(_WAYS)}")
        for position, account in enumerate(plan.accounts):
            here = (*path, "accounts", position)
            if account in seen:
                yield Mistake(here, f"account {account} is in wave {seen[account]} already; name it once")
            seen[account] = plan.name
            if accounts is not None and account not in accounts:
                yield Mistake(here, f"account {account} is no target of the phase; add it to targets or take it out")
    for name, times in Counter(plan.name for plan in plans).items():
        if times > 1:
            yield Mistake(("waves",), f"{times} waves are called {name}; give each a name of its own")
    yield from _rest(plans)


def _rest(plans: Sequence[WavePlan]) -> Iterator[Mistake]:
    """Exactly one wave takes the rest, and it is the last: otherwise an account would belong to none."""
    places = [number for number, plan in enumerate(plans) if plan.rest]
    if not places:
        yield Mistake(("waves",), "no wave takes the accounts that are left; end with {name: rest, rest: true}")
    for number in places:
        if number != len(plans) - 1:
            yield Mistake(("waves", number, "rest"), "nothing is left after rest: true; make it the last wave")
