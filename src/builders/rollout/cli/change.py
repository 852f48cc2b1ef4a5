"""The commands that change a phase, and `plan`: lock, plan, show, ask, carry out, report."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from builders import progress
from builders.errors import RolloutError, UsageError
from builders.rollout.checks.change_sets import with_change_sets
from builders.rollout.cli import DONE, FAILED
from builders.rollout.cli.options import (
    PATH,
    GlobalOptions,
    acknowledge_option,
    check_option,
    json_option,
    phase_option,
    poll_option,
    yes_option,
)
from builders.rollout.executor.context import PollInterval, Report, RunServices, WallClock
from builders.rollout.executor.current_state import failure_causes, read_changing_stacks
from builders.rollout.executor.executor import (
    PlanningLock,
    begin_run,
    carry_out,
    end_run,
    planning_lock,
    run_to_desired,
    take_over_run,
)
from builders.rollout.lifecycle.adopt import plan_adoption
from builders.rollout.lifecycle.packages import publish_packages, require_packages
from builders.rollout.lifecycle.retained import ACKNOWLEDGED, RetainedList, purge_retained, record_retained
from builders.rollout.lifecycle.rollback import desired_nothing, desired_release, plan_detachment
from builders.rollout.model import CurrentState, DesiredState
from builders.rollout.phase import Phase
from builders.rollout.plan.calls import Call
from builders.rollout.plan.plan import Plan, make_plan
from builders.rollout.render import plan_file
from builders.rollout.render.page import print_page, print_result, width
from builders.rollout.render.plan import plan_text
from builders.rollout.render.plan_file import SavedPlan
from builders.rollout.render.progress import observing
from builders.rollout.render.results import report_data, report_text
from builders.rollout.state.journal import Command, Run
from builders.rollout.state.releases import release_id

LONGEST_POLLS = 15
"""The longest pause between two polls, as a multiple of the first."""


@click.command()
@phase_option
@acknowledge_option
@click.option("--change-sets", is_flag=True, help="Ask AWS for a change set of every instance that changes.")
@click.option("--out", type=PATH, help="Save the plan for apply.")
@json_option
@click.pass_obj
def plan(
    options: GlobalOptions,
    phase_name: str,
    acknowledged: tuple[str, ...],
    change_sets: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Show what apply does to every instance, resource by resource, and what blocks it.

    Exit code 1 when the plan is blocked.
    """
    phase = options.open_phase(phase_name)
    current = phase.current()
    made = _plan(phase, current, Command.APPLY, phase.desired, release_id(phase.desired), acknowledged)
    if out is not None:
        plan_file.save_plan(made, out)
        progress.say(f"saved; `rollout-stacksets apply {out} --phase {phase_name}` carries it out")
    shown = with_change_sets(phase.client, phase.desired, current, made) if change_sets else made
    print_result(lambda: plan_file.plan_data(shown), lambda width: plan_text(shown, width), as_json)
    return FAILED if made.blocks else DONE


@click.command()
@click.argument("saved", required=False, type=PATH, metavar="[PLAN]")
@phase_option
@acknowledge_option
@yes_option
@check_option
@poll_option
@json_option
@click.pass_obj
def apply(
    options: GlobalOptions,
    saved: Path | None,
    phase_name: str,
    acknowledged: tuple[str, ...],
    yes: bool,
    check: bool,
    poll_seconds: float,
    as_json: bool,
) -> int:
    """Bring a phase to what rollout.yaml, environments/ and templates/ say, wave by wave.

    A saved PLAN is refused when anything has changed since it was made.
    """
    saved_plan = plan_file.load_plan(saved) if saved else None
    if check:
        _check(options.templates)
    phase = options.open_phase(phase_name)
    answers = _Answers(acknowledged, yes or saved_plan is not None, poll_seconds, as_json)
    with planning_lock(phase.client, phase.store, Command.APPLY) as lock:
        desired, agreed = phase.desired, saved_plan.acknowledged if saved_plan else ()
        made = _plan(phase, phase.current(), Command.APPLY, desired, release_id(desired), acknowledged, agreed)
        _require_same(saved_plan, made, saved)
        return _carry_out(phase, Command.APPLY, desired, made, lock, answers)


@click.command()
@phase_option
@acknowledge_option
@click.option("--end", is_flag=True, help="Wait for what the run has begun, and end it there.")
@poll_option
@json_option
@click.pass_obj
def resume(
    options: GlobalOptions,
    phase_name: str,
    acknowledged: tuple[str, ...],
    end: bool,
    poll_seconds: float,
    as_json: bool,
) -> int:
    """Continue a run that was interrupted, on this machine or another: nothing is submitted twice.

    What is left is planned again, and begins only if nothing blocks it that was not acknowledged.
    """
    phase = options.open_phase(phase_name)

    def desired_by(run: Run) -> DesiredState:
        stored = run.command is not Command.DETACH
        return phase.store.releases.load(run.release).desired_state(phase.desired) if stored else phase.desired

    with _services(phase, "resume", poll_seconds) as services:
        run, desired = take_over_run(services, desired_by)
        if end or run.command is Command.DETACH:
            report = end_run(services, run, desired)
            return _report(phase, run.command, report, as_json)
    calls: Mapping[str, Sequence[Call]] | None = None
    if run.command is Command.ADOPT:
        adoption = plan_adoption(phase.client, phase.desired, phase.current(), {*acknowledged, *run.acknowledged})
        made, calls, desired = adoption.plan, adoption.calls, adoption.desired
    else:
        agreed = run.acknowledged
        made = _plan(phase, phase.current(), run.command, desired, run.to or run.release, acknowledged, agreed)
    if made.blocks:
        print_page(plan_text(made, width()), sys.stderr)
        raise _blocked(made, "what is left of the run", "resume, or end the run by `resume --end`")
    with _services(phase, "resume", poll_seconds, made) as services:
        if calls is not None:
            report = carry_out(services, run, desired, calls)
        else:
            report = run_to_desired(services, run, desired, phase.layers, made.schedule)
    return _report(phase, run.command, report, as_json)


@click.command()
@phase_option
@click.option("--to", metavar="RELEASE", help="The release to put back; else the last good one before the present.")
@acknowledge_option
@yes_option
@poll_option
@json_option
@click.pass_obj
def rollback(
    options: GlobalOptions,
    phase_name: str,
    to: str | None,
    acknowledged: tuple[str, ...],
    yes: bool,
    poll_seconds: float,
    as_json: bool,
) -> int:
    """Put an earlier release of one phase back: templates, parameters and packages, not data; layers in reverse."""
    phase = options.open_phase(phase_name)
    with planning_lock(phase.client, phase.store, Command.ROLLBACK) as lock:
        release = _earlier_release(phase) if to is None else to
        current = phase.current()
        desired = desired_release(phase.store.releases.load(release), phase.desired, current)
        made = _plan(phase, current, Command.ROLLBACK, desired, release, acknowledged)
        progress.say(f"release {release} of {phase_name}: templates, parameters and packages go back, data does not")
        answers = _Answers(acknowledged, yes, poll_seconds, as_json)
        return _carry_out(phase, Command.ROLLBACK, desired, made, lock, answers)


@click.command()
@phase_option
@click.option("--account", "accounts", multiple=True, help="Detach the instances of this account; its stacks stay.")
@click.option("--purge", is_flag=True, help="Also delete what deletion policies keep.")
@acknowledge_option
@yes_option
@poll_option
@json_option
@click.pass_obj
def remove(
    options: GlobalOptions,
    phase_name: str,
    accounts: tuple[str, ...],
    purge: bool,
    acknowledged: tuple[str, ...],
    yes: bool,
    poll_seconds: float,
    as_json: bool,
) -> int:
    """Remove a phase, layers in reverse; data stays unless it is purged."""
    phase = options.open_phase(phase_name)
    if accounts:
        return _detach(phase, accounts, yes, poll_seconds, as_json)
    home = phase.rollout.home
    with planning_lock(phase.client, phase.store, Command.REMOVE) as lock:
        current, desired = phase.current(), desired_nothing(phase.desired)
        made = _plan(phase, current, Command.REMOVE, desired, "", acknowledged)
        retained = RetainedList(phase.client.objects(home), phase.buckets[home], desired.suffix)
        if purge:
            unread = record_retained(phase.client, current.sets, retained)
            for (layer, target), reason in sorted(unread.items()):
                progress.say(f"{layer} at {target}: what it leaves is not known, and would not be purged: {reason}")
        answers = _Answers(acknowledged, yes, poll_seconds, as_json)
        code = _carry_out(phase, Command.REMOVE, desired, made, lock, answers)
    if code != DONE or not purge:
        return code
    purged, code = purge_retained(phase.client, retained, acknowledged, progress.say)
    for each in purged:
        progress.say(str(each))
    return code


def _detach(phase: Phase, accounts: tuple[str, ...], yes: bool, poll_seconds: float, as_json: bool) -> int:
    """Have StackSets forget the instances of accounts; their stacks stay."""
    name = phase.desired.phase
    with planning_lock(phase.client, phase.store, Command.DETACH) as lock:
        calls = plan_detachment(phase.client, phase.desired, phase.current().sets, accounts)
        lock.shown()
        _confirm(f"detach the instances of {', '.join(accounts)} from {name}? their stacks stay", yes)
        with _services(phase, "remove", poll_seconds) as services:
            report = carry_out(services, begin_run(services, Command.DETACH, "", ()), phase.desired, calls)
    return _report(phase, Command.DETACH, report, as_json)


@click.command()
@click.argument("saved", required=False, type=PATH, metavar="[PLAN]")
@phase_option
@acknowledge_option
@click.option("--out", type=PATH, help="Save the plan, and adopt nothing.")
@yes_option
@poll_option
@json_option
@click.pass_obj
def adopt(
    options: GlobalOptions,
    saved: Path | None,
    phase_name: str,
    acknowledged: tuple[str, ...],
    out: Path | None,
    yes: bool,
    poll_seconds: float,
    as_json: bool,
) -> int:
    """Take stacks that were deployed by hand into their stack sets, as they are; a plan then shows what differs.

    The stack of a layer is the one named <layer>-<suffix>. A saved PLAN is refused when anything has changed since.
    """
    saved_plan = plan_file.load_plan(saved) if saved else None
    phase = options.open_phase(phase_name)
    agreed = {*acknowledged, *(saved_plan.acknowledged if saved_plan else ())}
    if out is not None:
        made = plan_adoption(phase.client, phase.desired, phase.current(), agreed).plan
        plan_file.save_plan(made, out)
        progress.say(f"saved; `rollout-stacksets adopt {out} --phase {phase_name}` carries it out")
        print_result(lambda: plan_file.plan_data(made), lambda width: plan_text(made, width), as_json)
        return FAILED if made.blocks else DONE
    with planning_lock(phase.client, phase.store, Command.ADOPT) as lock:
        adoption = plan_adoption(phase.client, phase.desired, phase.current(), agreed)
        _require_known(adoption.plan, acknowledged)
        _require_same(saved_plan, adoption.plan, saved)
        answers = _Answers(acknowledged, yes or saved_plan is not None, poll_seconds, as_json)
        return _carry_out(phase, Command.ADOPT, adoption.desired, adoption.plan, lock, answers, adoption.calls)


@dataclass(frozen=True)
class _Answers:
    """The options of a command that changes a phase."""

    acknowledged: tuple[str, ...]
    yes: bool
    poll_seconds: float
    as_json: bool


def _plan(
    phase: Phase,
    current: CurrentState,
    command: Command,
    desired: DesiredState,
    release: str,
    acknowledged: Sequence[str],
    agreed: Sequence[str] = (),
) -> Plan:
    """Plan. What was `agreed` to in a saved plan may be gone by now: that plan is stale, and nobody typed it wrong."""
    made = make_plan(
        desired,
        read_changing_stacks(phase.client.members, desired, current, progress.say),
        command=command.value,
        release=release,
        back=command is not Command.APPLY,
        acknowledged={*acknowledged, *agreed},
    )
    _require_known(made, acknowledged)
    return made


def _require_known(made: Plan, acknowledged: Sequence[str]) -> None:
    """Raise `UsageError` where something is acknowledged that the plan does not block on."""
    asked = {each for each in acknowledged if each.partition("/")[0] != ACKNOWLEDGED}
    unknown = sorted(asked - {each.name for each in made.hazards})
    if unknown:
        named = ", ".join(sorted({each.name for each in made.hazards if each.hazard.acknowledgeable})) or "nothing"
        raise UsageError(f"--acknowledge {', '.join(unknown)}: the plan blocks on no such thing; it blocks on {named}")


def _require_same(saved: SavedPlan | None, made: Plan, name: Path | str | None) -> None:
    """Raise `RolloutError` where a saved plan is not the one that is made now."""
    if saved is not None and (differences := plan_file.differences(saved, made)):
        for line in differences:
            progress.say(line)
        raise RolloutError(f"{name} is stale: the phase has changed in {len(differences)} ways since; plan again")


def _carry_out(
    phase: Phase,
    command: Command,
    desired: DesiredState,
    made: Plan,
    lock: PlanningLock,
    answers: _Answers,
    calls: Mapping[str, Sequence[Call]] | None = None,
) -> int:
    """Show the plan, ask, and carry its schedule out, or the `calls` that it shows instead.

    Raises `RolloutError` where another run has begun meanwhile.
    """
    if made.nothing_to_do and not (calls is not None and made.blocks):
        print_result(lambda: plan_file.plan_data(made), lambda width: plan_text(made, width), answers.as_json)
        return DONE
    print_page(plan_text(made, width()), sys.stderr)
    if made.blocks:
        raise _blocked(made, "the plan")
    lock.shown()
    _confirm(f"{command.value} this to {made.phase}?", answers.yes)
    if not answers.yes and calls is None:  # the answer may have taken minutes, and the lock keeps only rollouts away
        again = _plan(phase, phase.current(), command, desired, made.release, (), tuple(made.acknowledged))
        _require_same(SavedPlan.of(made), again, "the plan that was agreed to")
    release = phase.store.releases.save(desired)
    with _services(phase, command.value, answers.poll_seconds, made) as services:
        if command is Command.APPLY:
            publish_packages(phase.client, phase.desired, services.observer.say)
        elif calls is None:
            require_packages(phase.client, desired)
        to = made.release if command is Command.ROLLBACK else ""
        run = begin_run(services, command, release, made.acknowledged, to)
        if calls is not None:
            report = carry_out(services, run, desired, calls)
        else:
            report = run_to_desired(services, run, desired, phase.layers, made.schedule)
    return _report(phase, command, report, answers.as_json)


def _blocked(made: Plan, what: str, then: str = "") -> RolloutError:
    names = sorted({each.name for each in made.blocks if each.hazard.acknowledgeable})
    ways = f"acknowledge {', '.join(names)} by --acknowledge, or " if names else ""
    after = f", then {then}" if then else ""
    return RolloutError(f"{what} is blocked in {len(made.blocks)} ways, shown above; {ways}apply the remedies{after}")


def _confirm(question: str, yes: bool) -> None:
    """Ask, unless the answer was given. Raises `UsageError` where nobody can be asked, `RolloutError` for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to agree; give --yes, or apply a plan that `plan --out` has saved")
    if not click.confirm(question, err=True):
        raise RolloutError("nothing was changed")


@contextlib.contextmanager
def _services(phase: Phase, command: str, poll_seconds: float, made: Plan | None = None) -> Iterator[RunServices]:
    clock, poll_interval = WallClock(), PollInterval(poll_seconds, LONGEST_POLLS * poll_seconds)
    with observing(f"{command} {phase.desired.phase}", made, clock) as observer:
        yield RunServices(phase.client, phase.store, clock, poll_interval, observer)


def _report(phase: Phase, command: Command, report: Report, as_json: bool) -> int:
    causes, name = failure_causes(phase.client.members, report), phase.desired.phase
    print_result(
        lambda: report_data(report, causes),
        lambda width: report_text(report, causes, name, command.value, width),
        as_json,
    )
    return DONE if report.good else FAILED


def _check(templates: Path) -> None:
    """Lint and check what is about to be deployed, as `build-templates --check` does."""
    from builders import build  # noqa: PLC0415  troposphere and cfn-lint load only where templates are checked

    if build.main(["--check", "--templates-dir", str(templates)]) != build.CLEAN:
        raise RolloutError("the templates or environments are not clean; mend what is shown above, or give --no-check")


def _earlier_release(phase: Phase) -> str:
    """The last good release before that of the last run, however that ended."""
    releases = [each.release for each in phase.store.journal.history() if each.release]
    found = phase.store.last_good(before=releases[-1] if releases else None)
    if found is None:
        raise RolloutError(
            f"phase {phase.desired.phase} has no earlier release that ended well; name one by --to, see "
            "`rollout-stacksets status`"
        )
    return found
