"""What no single value of rollout.yaml shows: whether the parts of a phase fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from builders.rollout.file import waves
from builders.rollout.file.mistakes import Mistake
from builders.rollout.file.models import PhasePlan, RolloutFile


class Case(NamedTuple):
    """One phase in its file. `accounts` are its targets, None where they are not known before AWS is asked."""

    rollout: RolloutFile
    plan: PhasePlan
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
    for place in case.plan.place_parameters:
        account, _, region = place.partition("/")
        if region not in case.plan.regions:
            yield Mistake(("place_parameters", place), f"the phase is not in {region}; its regions are {regions}")
        if not _is_target(account, case):
            yield Mistake(
                ("place_parameters", place), f"account {account} is no target of the phase; add it to targets"
            )
    for account in case.plan.account_parameters:
        if not _is_target(account, case):
            message = f"account {account} is no target of the phase; add it to targets, or take its values out"
            yield Mistake(("account_parameters", account), message)


def _is_target(account: str, case: Case) -> bool:
    return case.accounts is None or account in case.accounts


def _waves(case: Case) -> Iterator[Mistake]:
    yield from waves.mistakes(case.plan.waves, case.accounts)


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


def of_file(rollout: RolloutFile) -> Iterator[Mistake]:
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
