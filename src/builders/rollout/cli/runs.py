"""apply, resume, rollback and remove: planned, shown, agreed to, done, reported.

What all commands share with the command line: how they are called, how they answer, how a person agrees.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from builders.errors import RolloutError, UsageError
from builders.rollout import phase
from builders.rollout.aws.errors import Refused
from builders.rollout.executor import current_state
from builders.rollout.executor.context import Observer, Report
from builders.rollout.executor.polling import Clock, PollInterval, WallClock
from builders.rollout.executor.run import RunServices, begin_run, detach, run_to_desired, take_over_run
from builders.rollout.lifecycle import packages, purge, rollback
from builders.rollout.model import CurrentState, DesiredState, StackSet
from builders.rollout.phase import Phase, PhaseConnection
from builders.rollout.plan.plan import Plan, make_plan
from builders.rollout.render import page
from builders.rollout.render.progress import observing
from builders.rollout.state.journal import Command, Run
from builders.scopes import in_order

if TYPE_CHECKING:
    from builders.rollout.cli.main import GlobalOptions


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """How a run goes: who looks on, and how time passes."""

    watching: Callable[[], AbstractContextManager[Observer]]
    clock: Clock = dataclasses.field(default_factory=WallClock)
    poll_interval: PollInterval = dataclasses.field(default_factory=PollInterval)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run came to. `explained` are the first failed events of stacks, by the reason that StackSets give."""

    report: Report
    explained: Mapping[str, str]


def desired_by(opened: Phase, current: CurrentState, command: Command, release: str) -> DesiredState:
    """What a command wants the phase to be."""
    if command is Command.REMOVE:
        return rollback.desired_nothing(opened.desired)
    if command is Command.ROLLBACK:
        return rollback.desired_release(opened.store.releases.load(release), opened.desired, current)
    return opened.desired


def planned(
    opened: Phase,
    current: CurrentState,
    command: Command,
    desired: DesiredState,
    release: str,
    acknowledged: Collection[str],
    observer: Observer,
) -> Plan:
    """Look closer at what may change of the world, and plan."""
    return make_plan(
        desired,
        current_state.read_changing_stacks(opened.client.members, desired, current, observer),
        command=command.value,
        release=release,
        back=command is not Command.APPLY,
        acknowledged=acknowledged,
    )


def target(opened: Phase, to: str | None) -> str:
    """The release that a rollback puts back: the one that is named, or the last good one before the present."""
    if to is not None:
        return to
    found = opened.store.last_good(before=_present(opened))
    if found is None:
        raise RolloutError(
            f"phase {opened.desired.phase} has no earlier release that ended well; name one by --to, see "
            "`rollout-stacksets status`"
        )
    return found


def execute(opened: Phase, command: Command, desired: DesiredState, plan: Plan, manner: RunSettings) -> Outcome:
    """Carry a plan out. Raises `RolloutError` when it is blocked, or another run holds the phase."""
    refuse_blocked(plan)
    release = opened.store.releases.save(desired)
    with manner.watching() as watch:
        tools = RunServices(opened.client, opened.store, manner.clock, manner.poll_interval, watch)
        if command is Command.APPLY:
            packages.publish_packages(opened, watch)
        else:
            packages.require_packages(opened.client, desired)
        to = plan.release if command is Command.ROLLBACK else ""
        run = begin_run(tools, command, release, plan.acknowledged, to)
        report = run_to_desired(tools, run, desired, opened.layers, opened.routes, plan.schedule)
        return Outcome(report, current_state.failure_causes(opened.client.members, report))


def detach_accounts(opened: Phase, accounts: Collection[str], manner: RunSettings) -> Report:
    """Let instances of accounts go that no operation reaches any more; what still works there is a plan's matter."""
    states = opened.current().sets
    there = {target.account for state in states.values() for target in state.instances}
    strangers = sorted(set(accounts) - there)
    if strangers:
        raise UsageError(f"phase {opened.desired.phase} has no instance in {', '.join(strangers)}; see `status`")
    reached = {account for account in accounts if _is_reached(opened, states, account)}
    pruned = purge.detach_calls(states, accounts, reached, opened.desired.regions)
    if not pruned:
        raise RolloutError(
            f"nothing to let go: StackSets reaches all instances of {', '.join(sorted(accounts))}; take the accounts "
            "out of rollout.yaml and apply, which removes their stacks"
        )
    order = [layer for layer in reversed(in_order(opened.desired.needs)) if layer in pruned]
    steps = {layer: pruned[layer] for layer in [*order, *sorted(pruned.keys() - set(order))]}
    with manner.watching() as watch:
        tools = RunServices(opened.client, opened.store, manner.clock, manner.poll_interval, watch)
        run = begin_run(tools, Command.DETACH, "", ())
        return detach(tools, run, opened.desired, steps)


def resume_run(opened: Phase, manner: RunSettings) -> tuple[Run, Outcome]:
    """Go on with the run that is under way, on whatever machine it began, with the release that it began with."""
    with manner.watching() as watch:
        tools = RunServices(opened.client, opened.store, manner.clock, manner.poll_interval, watch)
        run = take_over_run(tools)
        if run.command is Command.DETACH:  # what it had begun is seen to its end, and no more
            return run, Outcome(detach(tools, run, opened.desired, {}), {})
        desired = opened.store.releases.load(run.release).desired_state(opened.desired)
        report = run_to_desired(tools, run, desired, opened.layers, opened.routes)
        return run, Outcome(report, current_state.failure_causes(opened.client.members, report))


def refuse_blocked(plan: Plan) -> None:
    """Refuse a plan that something stands in the way of."""
    if not plan.blocks:
        return
    open_ones = sorted({each.name for each in plan.blocks if each.hazard.acknowledgeable})
    what = f"acknowledge {', '.join(open_ones)} by --acknowledge, or " if open_ones else ""
    raise RolloutError(f"the plan is blocked in {len(plan.blocks)} ways, shown above; {what}take the ways round")


def _is_reached(opened: Phase, states: Mapping[str, StackSet], account: str) -> bool:
    """Whether the account still lets us read a stack of ours."""
    for each in states.values():
        for target, instance in each.instances.items():
            if target.account == account and instance.stack_id:
                try:
                    opened.client.members.outputs(target, instance.stack_id)
                except Refused:
                    return False
                return True
    return False


def _present(opened: Phase) -> str | None:
    """The release of the last run that brought one, however it ended."""
    releases = [each.release for each in opened.store.journal.history() if each.release]
    return releases[-1] if releases else None


LONGEST_POLLS = 15
"""The longest pause between two looks, as a multiple of the first."""


def connect(options: GlobalOptions, name: str) -> PhaseConnection:
    """Connect to the accounts of the phase that a command is called for."""
    return phase.connect(options.file, options.templates, name, options.connect, options.region)


def open_phase(options: GlobalOptions, name: str) -> Phase:
    """Open the phase that a command is called for."""
    return phase.open_phase(connect(options, name))


def run_settings(title: str, poll_seconds: float, plan: Plan | None = None) -> RunSettings:
    """How a run goes when a person, or a pipe, looks on."""
    clock = WallClock()
    patience = PollInterval(poll_seconds, LONGEST_POLLS * poll_seconds)
    return RunSettings(functools.partial(observing, title, plan, clock), clock, patience)


def print_result(data: Callable[[], Any], text: Callable[[int], Text], as_json: bool) -> None:
    """Print a result to stdout, for a machine or a person."""
    if as_json:
        click.echo(json.dumps(data(), indent=1, sort_keys=True))
    else:
        page.print_page(text(width()))


def width() -> int:
    """How wide a text may be: the terminal, or 100 columns in a pipe."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100


def confirm(question: str, yes: bool) -> None:
    """Ask, unless the answer was given. Raises `UsageError` where nobody can be asked, `RolloutError` for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to agree; give --yes, or apply a plan that `plan --out` has saved")
    if not click.confirm(question, err=True):
        raise RolloutError("nothing was changed")
