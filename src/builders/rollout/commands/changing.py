"""apply, resume, rollback and remove: planned, shown, agreed to, done, reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager

from builders.errors import RolloutError, UsageError
from builders.graphs import in_order
from builders.rollout import packages, rollback
from builders.rollout.client.refusals import Refused
from builders.rollout.engine import explaining, looking, running
from builders.rollout.engine.report import Report
from builders.rollout.engine.watch import Watch
from builders.rollout.model import Desired, StackSet, World
from builders.rollout.opening import Opened
from builders.rollout.pace import Clock, Patience, WallClock
from builders.rollout.plan.making import make
from builders.rollout.plan.values import Plan
from builders.rollout.purging import letting_go
from builders.rollout.store import Command, Run


@dataclasses.dataclass(frozen=True)
class Manner:
    """How a run goes: who looks on, and how time passes."""

    watching: Callable[[], AbstractContextManager[Watch]]
    clock: Clock = dataclasses.field(default_factory=WallClock)
    patience: Patience = dataclasses.field(default_factory=Patience)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run came to. `explained` are the first failed events of stacks, by the reason that StackSets give."""

    report: Report
    explained: Mapping[str, str]


def wanted_by(opened: Opened, world: World, command: Command, release: str) -> Desired:
    """What a command wants the phase to be."""
    if command is Command.REMOVE:
        return rollback.nothing(opened.wanted)
    if command is Command.ROLLBACK:
        return rollback.back_to(opened.store.releases.load(release), opened.wanted, world)
    return opened.wanted


def planned(
    opened: Opened,
    world: World,
    command: Command,
    wanted: Desired,
    release: str,
    acknowledged: Collection[str],
    watch: Watch,
) -> Plan:
    """Look closer at what may change of the world, and plan."""
    return make(
        wanted,
        looking.closer(opened.client.members, wanted, world, watch),
        command=command.value,
        release=release,
        back=command is not Command.APPLY,
        acknowledged=acknowledged,
    )


def target(opened: Opened, to: str | None) -> str:
    """The release that a rollback puts back: the one that is named, or the last good one before the present."""
    if to is not None:
        return to
    found = opened.store.last_good(before=_present(opened))
    if found is None:
        raise RolloutError(
            f"phase {opened.wanted.phase} has no earlier release that ended well; name one by --to, see "
            "`rollout-stacksets status`"
        )
    return found


def go(opened: Opened, command: Command, wanted: Desired, plan: Plan, manner: Manner) -> Outcome:
    """Carry a plan out. Raises `RolloutError` when it is blocked, or another run holds the phase."""
    refuse_blocked(plan)
    release = opened.store.releases.save(wanted)
    with manner.watching() as watch:
        tools = running.Tools(opened.client, opened.store, manner.clock, manner.patience, watch)
        if command is Command.APPLY:
            packages.publish(opened, watch)
        else:
            packages.require(opened.client, wanted)
        to = plan.release if command is Command.ROLLBACK else ""
        run = running.begin(tools, command, release, plan.acknowledged, to)
        report = running.walk(tools, run, wanted, opened.layers, opened.routes)
        return Outcome(report, explaining.causes(opened.client.members, report))


def let_go(opened: Opened, accounts: Collection[str], manner: Manner) -> Report:
    """Let instances of accounts go that no operation reaches any more; what still works there is a plan's matter."""
    states = opened.world().sets
    there = {place.account for state in states.values() for place in state.instances}
    strangers = sorted(set(accounts) - there)
    if strangers:
        raise UsageError(f"phase {opened.wanted.phase} has no instance in {', '.join(strangers)}; see `status`")
    reached = {account for account in accounts if _is_reached(opened, states, account)}
    pruned = letting_go.prune(states, accounts, reached, opened.wanted.regions)
    if not pruned:
        raise RolloutError(
            f"nothing to let go: StackSets reaches all instances of {', '.join(sorted(accounts))}; take the accounts "
            "out of rollout.yaml and apply, which removes their stacks"
        )
    order = [layer for layer in reversed(in_order(opened.wanted.needs)) if layer in pruned]
    steps = {layer: pruned[layer] for layer in [*order, *sorted(pruned.keys() - set(order))]}
    with manner.watching() as watch:
        tools = running.Tools(opened.client, opened.store, manner.clock, manner.patience, watch)
        run = running.begin(tools, Command.LET_GO, "", ())
        return running.let_go(tools, run, opened.wanted, steps)


def resume(opened: Opened, manner: Manner) -> tuple[Run, Outcome]:
    """Go on with the run that is under way, on whatever machine it began, with the release that it began with."""
    with manner.watching() as watch:
        tools = running.Tools(opened.client, opened.store, manner.clock, manner.patience, watch)
        run = running.take_over(tools)
        if run.command is Command.LET_GO:  # what it had begun is seen to its end, and no more
            return run, Outcome(running.let_go(tools, run, opened.wanted, {}), {})
        wanted = opened.store.releases.load(run.release).desired(opened.wanted)
        report = running.walk(tools, run, wanted, opened.layers, opened.routes)
        return run, Outcome(report, explaining.causes(opened.client.members, report))


def refuse_blocked(plan: Plan) -> None:
    """Refuse a plan that something stands in the way of."""
    if not plan.blocks:
        return
    open_ones = sorted({each.name for each in plan.blocks if each.hazard.acknowledgeable})
    what = f"acknowledge {', '.join(open_ones)} by --acknowledge, or " if open_ones else ""
    raise RolloutError(f"the plan is blocked in {len(plan.blocks)} ways, shown above; {what}take the ways round")


def _is_reached(opened: Opened, states: Mapping[str, StackSet], account: str) -> bool:
    """Whether the account still lets us read a stack of ours."""
    for state in states.values():
        for place, instance in state.instances.items():
            if place.account == account and instance.stack_id:
                try:
                    opened.client.members.outputs(place, instance.stack_id)
                except Refused:
                    return False
                return True
    return False


def _present(opened: Opened) -> str | None:
    """The release of the last run that brought one, however it ended."""
    releases = [each.release for each in opened.store.journal.history() if each.release]
    return releases[-1] if releases else None
