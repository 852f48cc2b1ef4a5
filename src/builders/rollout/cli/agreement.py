"""From a plan to its report: show, ask, save or carry out. All commands that change a phase end here."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from builders import command_line, progress
from builders.aws.errors import ROLLOUT, Unreachable
from builders.command_line import DONE, FAILED, NO_TERMINAL, Interrupted, ask
from builders.errors import RolloutError, UsageError
from builders.page import print_page
from builders.rollout.checks.status import last_whole
from builders.rollout.cli.options import Options
from builders.rollout.executor.context import Clock, PollInterval, Report, RunServices
from builders.rollout.executor.current_state import failure_causes, read_changing_stacks
from builders.rollout.executor.executor import PlanningLock, begin_run, carry_out, planning_lock, run_to_desired
from builders.rollout.lifecycle.packages import require_packages, require_readers
from builders.rollout.lifecycle.retained import ACKNOWLEDGED
from builders.rollout.lifecycle.rollback import RELEASE
from builders.rollout.model import CurrentState, DesiredState
from builders.rollout.phase import Phase
from builders.rollout.plan.plan import Plan, make_plan
from builders.rollout.render import plan_file
from builders.rollout.render.plan import add_plan
from builders.rollout.render.plan_file import SavedPlan
from builders.rollout.render.progress import observing
from builders.rollout.render.results import add_report, report_data
from builders.rollout.state.journal import Command, Run
from builders.text import counted_noun

LONGEST_POLLS = 15
"""The longest pause between two polls, as a multiple of the first."""


def require_command(options: Options, command: Command) -> None:
    """Raise `UsageError` where the plan that was given is one of another command."""
    if options.saved_plan and options.saved_plan.command != command.value:
        other = options.saved_plan.command
        raise UsageError(f"{options.saved} is a plan to {other}; `rollout-stacksets {other} {options.saved}` takes it")


def plan_phase(
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
        read_changing_stacks(phase.client, desired, current, progress.say),
        command=command.value,
        release=release,
        back=command is not Command.APPLY,
        acknowledged={each for each in (*acknowledged, *agreed) if not _is_no_hazard(each)},
    )
    require_known(made, acknowledged)
    return made


def require_known(made: Plan, acknowledged: Sequence[str]) -> None:
    """Raise `UsageError` where something is acknowledged that the plan does not block on."""
    asked = {each for each in acknowledged if not _is_no_hazard(each)}
    unknown = sorted(asked - {each.name for each in made.hazards})
    if unknown:
        named = ", ".join(sorted({each.name for each in made.hazards if each.hazard.acknowledgeable})) or "nothing"
        raise UsageError(f"--acknowledge {', '.join(unknown)}: the plan has no such block; it blocks on {named}")


def _is_no_hazard(name: str) -> bool:
    return name.partition("/")[0] in (ACKNOWLEDGED, RELEASE)


def require_same(saved: SavedPlan | None, made: Plan, name: Path | str | None) -> None:
    """Raise `RolloutError` where a saved plan is not the one that is made now."""
    if saved is not None and (differences := plan_file.differences(saved, made)):
        for line in differences:
            progress.say(line)
        raise RolloutError(
            f"{name} is stale: the phase has changed in {counted_noun(len(differences), 'way')} since; plan again"
        )


def planning(
    options: Options, phase: Phase, command: Command
) -> contextlib.AbstractContextManager[PlanningLock | None]:
    """Hold the lock of the phase while a plan is made and agreed to; a plan that is only saved needs none."""
    require_command(options, command)
    return contextlib.nullcontext() if options.out else planning_lock(phase.client, phase.store, command)


def show(options: Options, made: Plan, shown: Plan | None = None) -> int:
    """Print a plan, or what is `shown` of it, as a result, and return the exit code; with --out save it first."""
    if options.out:
        plan_file.save_plan(made, options.out)
        progress.say(f"saved; `rollout-stacksets {made.command} {options.out}` carries it out")
    found = shown or made
    command_line.show(lambda: plan_file.plan_data(found), lambda page: add_plan(page, found), as_json=options.as_json)
    return FAILED if made.blocks else DONE


_QUESTIONS = {
    Command.APPLY: "apply this to {phase}?",
    Command.ROLLBACK: "roll {phase} back to release {release}?",
    Command.REMOVE: "remove phase {phase}?",
    Command.ADOPT: "adopt these stacks of {phase}?",
    Command.BOOTSTRAP: "bootstrap this for {phase}?",
}


def carry_out_plan(options: Options, phase: Phase, made: Plan, lock: PlanningLock | None, question: str = "") -> int:
    """Show the plan, ask, and carry it out; with --out only save it.

    Raises `RolloutError` where another run has begun meanwhile.
    """
    command = Command(made.command)
    require_same(options.saved_plan, made, options.saved)
    if options.out or (made.nothing_to_do and not (made.imports is not None and made.blocks)):
        return show(options, made)
    yes = agree(options, made, lock, question)
    if not yes and made.imports is None:  # the answer may have taken minutes, and the lock keeps only rollouts away
        again = plan_phase(phase, phase.current(), command, made.desired, made.release, (), tuple(made.acknowledged))
        require_same(SavedPlan.of(made), again, "the plan that was agreed to")
    release = phase.store.releases.save(made.desired)
    if command is Command.APPLY:
        require_readers(phase.client, made.desired)
    elif made.imports is None:
        require_packages(phase.client, made.desired)
    with services(phase, made.command, options.poll_seconds, made) as used:
        to = made.release if command is Command.ROLLBACK else ""
        run = begin_run(used, command, release, made.acknowledged, to)
        report = execute(used, run, phase, made)
    return show_report(phase, command, report, options.as_json)


def show_before(made: Plan, what: str = "the plan", then: str = "") -> None:
    """Show a plan that is about to be carried out. Raises `RolloutError` where it has blocks."""
    print_page(lambda page: add_plan(page, made), sys.stderr)
    if not made.blocks:
        return
    names = sorted({each.name for each in made.blocks if each.hazard.acknowledgeable})
    ways = f"acknowledge {', '.join(names)} by --acknowledge, or " if names else ""
    after = f", then {then}" if then else ""
    raise RolloutError(
        f"{what} is blocked in {counted_noun(len(made.blocks), 'way')}, shown above; {ways}apply the remedies{after}"
    )


def agree(options: Options, made: Plan, lock: PlanningLock | None = None, question: str = "") -> bool:
    """Show a plan and ask whether to carry it out; return whether the answer was given before, as by a saved plan.

    To another `question` a saved plan is no answer. Raises as `show_before` and `confirm` do.
    """
    show_before(made)
    if lock:
        lock.shown()
    yes = options.yes or (options.saved is not None and not question)
    asked = question or _QUESTIONS[Command(made.command)].format(phase=made.phase, release=made.release)
    confirm(asked, yes, "" if question else ", or a plan that --out has saved")
    return yes


def confirm(question: str, yes: bool, otherwise: str = "") -> None:
    """Ask, unless the answer was given. Raises `UsageError` where nobody can be asked, `RolloutError` for a no."""
    if not yes and not ask(question, f"{NO_TERMINAL}; give --yes{otherwise}"):
        raise RolloutError("nothing was changed")


@contextlib.contextmanager
def services(phase: Phase, command: str, poll_seconds: float, made: Plan | None = None) -> Iterator[RunServices]:
    """The services of a run, whose progress is shown."""
    clock, poll_interval = Clock(), PollInterval(poll_seconds, LONGEST_POLLS * poll_seconds)
    resume = "`rollout-stacksets resume`"
    try:
        with observing(f"{command} {phase.desired.phase}", made, clock) as observer:
            yield RunServices(phase.client, phase.store, clock, poll_interval, observer)
    except KeyboardInterrupt as error:
        raise Interrupted(f"operations that StackSets has begun go on; {resume} continues the run") from error
    except Unreachable as error:
        raise Unreachable(str(error).replace(ROLLOUT.retry, f"run {resume}")) from error


def execute(used: RunServices, run: Run, phase: Phase, made: Plan) -> Report:
    """Carry a plan out in a run."""
    if made.imports is not None:
        return carry_out(used, run, made.desired, made.imports)
    return run_to_desired(used, run, made.desired, phase.layers, made.schedule)


def show_report(phase: Phase, command: Command, report: Report, as_json: bool) -> int:
    """Print the report of a run, and return the exit code."""
    causes, name = failure_causes(phase.client, report), phase.desired.phase
    ended = phase.store.journal.history()
    last = last_whole(ended)
    deployed = last is not None and last.command is not Command.REMOVE
    returns = deployed and phase.store.last_good(before=ended[-1].release) is not None
    command_line.show(
        lambda: report_data(report, causes),
        lambda page: add_report(page, report, causes, name, command, returns=returns),
        as_json=as_json,
    )
    return DONE if report.good else FAILED
