"""Checks of what no single value of rollout.yaml shows: the parts of a phase fit together, its waves above all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from builders.rollout.config.document import Mistake
from builders.rollout.config.schema import KeyPath, PhaseConfig, RolloutFile, TargetConfig, WaveConfig, seconds
from builders.rollout.model import Wave

_TARGET_KEYS = ("accounts", "accounts_file", "organizational_units")
_WAVE_KEYS = ("accounts", "percent", "count", "rest")


def waves_of(phase: Sequence[WaveConfig], accounts: Sequence[str]) -> tuple[Wave, ...]:
    """The accounts of each wave, in the order of the phase; every account is in exactly one.

    A wave by percent or count does not take accounts that a later wave names. A wave that gets no accounts is left
    out. The waves have no mistakes, and `accounts` has those that they name.
    """
    waves = []
    named = {account for wave in phase for account in wave.accounts}
    remaining = [account for account in accounts if account not in named]
    for wave in phase:
        if wave.accounts:
            taken = [account for account in accounts if account in wave.accounts]
        else:
            size = _size(wave, len(remaining))
            taken, remaining = remaining[:size], remaining[size:]
        if taken:
            waves.append(Wave(wave.name, tuple(taken), seconds(wave.bake), wave.quiet_alarms))
    return tuple(waves)


def _size(wave: WaveConfig, remaining: int) -> int:
    """The number of remaining accounts that a wave takes; a part of an account counts as a whole one."""
    if wave.percent is not None:
        return -(-remaining * wave.percent // 100)
    return remaining if wave.count is None else wave.count


def wave_mistakes(waves: Sequence[WaveConfig], accounts: Collection[str] | None) -> Iterator[Mistake]:
    """The mistakes in the waves of a phase; `accounts` is None while only AWS knows them."""
    seen: dict[str, str] = {}
    for number, wave in enumerate(waves):
        path = ("waves", number)
        yield from _not_exactly_one(wave, _WAVE_KEYS, path, f"wave {wave.name} gives")
        for position, account in enumerate(wave.accounts):
            here = (*path, "accounts", position)
            if account in seen:
                yield Mistake(here, f"account {account} is in wave {seen[account]} already; name it once")
            seen[account] = wave.name
            if accounts is not None and account not in accounts:
                yield Mistake(here, f"account {account} is no target of the phase; add it to targets or take it out")
    for name, times in Counter(wave.name for wave in waves).items():
        if times > 1:
            yield Mistake(("waves",), f"{times} waves are called {name}; give each a name of its own")
    yield from _rest_mistakes(waves)


def _rest_mistakes(waves: Sequence[WaveConfig]) -> Iterator[Mistake]:
    """Exactly one wave takes the rest, and it is the last: otherwise an account would belong to none."""
    rests = [number for number, wave in enumerate(waves) if wave.rest]
    if not rests:
        yield Mistake(("waves",), "no wave takes the accounts that are left; end with {name: rest, rest: true}")
    for number in rests:
        if number != len(waves) - 1:
            yield Mistake(("waves", number, "rest"), "nothing is left after rest: true; make it the last wave")


def _not_exactly_one(
    config: WaveConfig | TargetConfig, keys: Sequence[str], path: KeyPath, beginning: str
) -> Iterator[Mistake]:
    given = [key for key in keys if getattr(config, key)]
    if len(given) != 1:
        found = " and ".join(given) or "nothing"
        yield Mistake(path, f"{beginning} {found}; give exactly one of {', '.join(keys)}")


class PhaseInFile(NamedTuple):
    """A phase with the file around it. `accounts` are its targets; None while only AWS knows them."""

    rollout: RolloutFile
    phase: PhaseConfig
    accounts: frozenset[str] | None

    def has(self, account: str) -> bool:
        """Tell whether an account may be a target."""
        return self.accounts is None or account in self.accounts


class PhaseCheck(NamedTuple):
    """A check, and the keys that it reads: it is left out where one of them has a mistake of its own.

    The paths of its mistakes begin at the phase.
    """

    keys: frozenset[str]
    mistakes: Callable[[PhaseInFile], Iterator[Mistake]]


def _targets(given: PhaseInFile) -> Iterator[Mistake]:
    targets = given.phase.targets
    yield from _not_exactly_one(targets, _TARGET_KEYS, ("targets",), "gives")
    yield from _repeated(targets.accounts, ("targets", "accounts"))
    yield from _repeated(targets.organizational_units, ("targets", "organizational_units"))


def _permissions(given: PhaseInFile) -> Iterator[Mistake]:
    if given.rollout.stacksets.permission_model == "SERVICE_MANAGED" and not given.phase.targets.organizational_units:
        message = (
            "stacksets.permission_model SERVICE_MANAGED needs organizational_units; name them, or use SELF_MANAGED"
        )
        yield Mistake(("targets",), message)


def _regions(given: PhaseInFile) -> Iterator[Mistake]:
    yield from _repeated(given.phase.regions, ("regions",))


def _repeated(values: Sequence[str], path: tuple[str, ...]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for number, value in enumerate(values):
        if value in seen:
            yield Mistake((*path, number), f"{value} is listed twice; keep one of them")
        seen.add(value)


def _unused_parameters(given: PhaseInFile) -> Iterator[Mistake]:
    """Parameters of targets that the phase does not have would be dropped in silence."""
    phase = given.phase
    not_in = "the phase is not in {}; its regions are " + ", ".join(phase.regions)
    no_target = "account {} is no target of the phase; add it to targets"
    for region in phase.region_parameters:
        if region not in phase.regions:
            yield Mistake(("region_parameters", region), not_in.format(region))
    for target in phase.place_parameters:
        account, _, region = target.partition("/")
        if region not in phase.regions:
            yield Mistake(("place_parameters", target), not_in.format(region))
        if not given.has(account):
            yield Mistake(("place_parameters", target), no_target.format(account))
    for account in phase.account_parameters:
        if not given.has(account):
            yield Mistake(("account_parameters", account), f"{no_target.format(account)}, or take its values out")


def _waves(given: PhaseInFile) -> Iterator[Mistake]:
    yield from wave_mistakes(given.phase.waves, given.accounts)


def _tolerance(given: PhaseInFile) -> Iterator[Mistake]:
    tolerance = given.phase.concurrency.failure_tolerance
    path = ("concurrency", "failure_tolerance")
    if tolerance == "100%":
        yield Mistake(path, "every account may fail at 100%; leave some that must not")
    elif given.accounts is not None and not tolerance.endswith("%") and int(tolerance) >= len(given.accounts):
        most = len(given.accounts) - 1
        yield Mistake(path, f"every account may fail: the phase has {len(given.accounts)}; write at most {most}")


PHASE_CHECKS = (
    PhaseCheck(frozenset({"targets"}), _targets),
    PhaseCheck(frozenset({"targets", "stacksets"}), _permissions),
    PhaseCheck(frozenset({"regions"}), _regions),
    PhaseCheck(
        frozenset({"targets", "regions", "region_parameters", "account_parameters", "place_parameters"}),
        _unused_parameters,
    ),
    PhaseCheck(frozenset({"targets", "waves"}), _waves),
    PhaseCheck(frozenset({"targets", "concurrency"}), _tolerance),
)


def file_mistakes(rollout: RolloutFile) -> Iterator[Mistake]:
    """The mistakes between the parts outside the phases."""
    model = rollout.stacksets
    if model.call_as == "DELEGATED_ADMIN" and model.permission_model != "SERVICE_MANAGED":
        message = "DELEGATED_ADMIN is only for permission_model SERVICE_MANAGED; write SELF, or change the model"
        yield Mistake(("stacksets", "call_as"), message)
    of_phases = {region for phase in rollout.phases.values() for region in phase.regions}
    used = (("tooling", rollout.tooling, {*of_phases, rollout.home}), ("network", rollout.network, of_phases))
    for name, shared, regions in used:
        for region in shared.region_parameters if shared else {}:
            if region not in regions:
                message = f"no phase is in {region}; take its values out, or add the region to a phase"
                yield Mistake((name, "region_parameters", region), message)
