"""Waves: whether a phase's plan of them makes sense, and which accounts each one has. Pure.

What no single value of rollout.yaml shows: whether the parts of a phase fit together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from builders.rollout.config.document import Mistake
from builders.rollout.config.schema import PhaseConfig, RolloutFile, WaveConfig, seconds
from builders.rollout.model import Wave

_WAYS = ("accounts", "percent", "count", "rest")


def waves_of(plans: Sequence[WaveConfig], accounts: Sequence[str]) -> tuple[Wave, ...]:
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


def _size(plan: WaveConfig, left: int) -> int:
    """How many of the accounts that are left a wave takes; a part of an account counts as a whole one."""
    if plan.accounts:
        return 0
    if plan.percent is not None:
        return -(-left * plan.percent // 100)
    return left if plan.count is None else plan.count


def wave_mistakes(plans: Sequence[WaveConfig], accounts: Collection[str] | None) -> Iterator[Mistake]:
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


def _rest(plans: Sequence[WaveConfig]) -> Iterator[Mistake]:
    """Exactly one wave takes the rest, and it is the last: otherwise an account would belong to none."""
    targets = [number for number, plan in enumerate(plans) if plan.rest]
    if not targets:
        yield Mistake(("waves",), "no wave takes the accounts that are left; end with {name: rest, rest: true}")
    for number in targets:
        if number != len(plans) - 1:
            yield Mistake(("waves", number, "rest"), "nothing is left after rest: true; make it the last wave")


class Case(NamedTuple):
    """One phase in its file. `accounts` are its targets, None where they are not known before AWS is asked."""

    rollout: RolloutFile
    plan: PhaseConfig
    accounts: tuple[str, ...] | None


class Check(NamedTuple):
    """A check, and the keys that it looks at: it is left out where one of them is wrong by itself.

    The paths of its mistakes begin at the phase.
    """

    keys: frozenset[str]
    mistakes: Callable[[Case], Iterator[Mistake]]


def _targets(case: Case) -> Iterator[Mistake]:
    ways = ("accounts", "accounts_file", "organizational_units")
    given = [way for way in ways if getattr(case.plan.targets, way)]
    if len(given) != 1:
        told = " and ".join(given) or "nothing"
        yield Mistake(("targets",), f"gives {told}; give exactly one of {', '.join(ways)}")
    for way in ("accounts", "organizational_units"):
        yield from _repeated(getattr(case.plan.targets, way), ("targets", way))


def _permissions(case: Case) -> Iterator[Mistake]:
    if case.rollout.stacksets.permission_model == "SERVICE_MANAGED" and not case.plan.targets.organizational_units:
        message = (
            "stacksets.permission_model SERVICE_MANAGED needs organizational_units; name them, or use SELF_MANAGED"
        )
        yield Mistake(("targets",), message)


def _regions(case: Case) -> Iterator[Mistake]:
    yield from _repeated(case.plan.regions, ("regions",))


def _repeated(values: Sequence[str], path: tuple[str, ...]) -> Iterator[Mistake]:
    for number, value in enumerate(values):
        if value in values[:number]:
            yield Mistake((*path, number), f"{value} stands here twice; keep one of them")


def _own_values(case: Case) -> Iterator[Mistake]:
    """Values for places that the phase does not have would be dropped in silence."""
    regions = ", ".join(case.plan.regions)
    for region in case.plan.region_parameters:
        if region not in case.plan.regions:
            yield Mistake(("region_parameters", region), f"the phase is not in {region}; its regions are {regions}")
    for target in case.plan.place_parameters:
        account, _, region = target.partition("/")
        if region not in case.plan.regions:
            yield Mistake(("place_parameters", target), f"the phase is not in {region}; its regions are {regions}")
        if not _is_target(account, case):
            yield Mistake(
                ("place_parameters", target), f"account {account} is no target of the phase; add it to targets"
            )
    for account in case.plan.account_parameters:
        if not _is_target(account, case):
            message = f"account {account} is no target of the phase; add it to targets, or take its values out"
            yield Mistake(("account_parameters", account), message)


def _is_target(account: str, case: Case) -> bool:
    return case.accounts is None or account in case.accounts


def _waves(case: Case) -> Iterator[Mistake]:
    yield from wave_mistakes(case.plan.waves, case.accounts)


def _tolerance(case: Case) -> Iterator[Mistake]:
    tolerance = case.plan.concurrency.failure_tolerance
    path = ("concurrency", "failure_tolerance")
    if tolerance == "100%":
        yield Mistake(path, "every account may fail at 100%; leave some that must not")
    elif case.accounts is not None and not tolerance.endswith("%") and int(tolerance) >= len(case.accounts):
        most = len(case.accounts) - 1
        yield Mistake(path, f"every account may fail: the phase has {len(case.accounts)}; write at most {most}")


CHECKS = (
    Check(frozenset({"targets"}), _targets),
    Check(frozenset({"targets", "stacksets"}), _permissions),
    Check(frozenset({"regions"}), _regions),
    Check(
        frozenset({"targets", "regions", "region_parameters", "account_parameters", "place_parameters"}), _own_values
    ),
    Check(frozenset({"targets", "waves"}), _waves),
    Check(frozenset({"targets", "concurrency"}), _tolerance),
)


def mistakes_of_file(rollout: RolloutFile) -> Iterator[Mistake]:
    """What is wrong between the parts outside the phases."""
    model = rollout.stacksets
    if model.call_as == "DELEGATED_ADMIN" and model.permission_model != "SERVICE_MANAGED":
        message = "DELEGATED_ADMIN is only for permission_model SERVICE_MANAGED; write SELF, or change the model"
        yield Mistake(("stacksets", "call_as"), message)
    of_phases = {region for plan in rollout.phases.values() for region in plan.regions}
    used = (("tooling", rollout.tooling, {*of_phases, rollout.home}), ("network", rollout.network, of_phases))
    for name, shared, regions in used:
        for region in shared.region_parameters if shared else {}:
            if region not in regions:
                message = f"no phase is in {region}; take its values out, or add the region to a phase"
                yield Mistake((name, "region_parameters", region), message)
