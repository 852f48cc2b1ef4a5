"""plan, apply, resume, rollback, remove, as they are called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from builders import progress
from builders.errors import RolloutError, UsageError
from builders.rollout.checks.change_sets import with_change_sets
from builders.rollout.cli import runs
from builders.rollout.cli.runs import Outcome
from builders.rollout.executor.context import Observer
from builders.rollout.lifecycle.purge import ACKNOWLEDGED, purge_retained
from builders.rollout.lifecycle.retained import RetainedList, record_retained
from builders.rollout.model import CurrentState, DesiredState
from builders.rollout.phase import Phase
from builders.rollout.plan.plan import Plan
from builders.rollout.render import page, plan_file
from builders.rollout.render.plan import plan_text
from builders.rollout.render.report import report_data, report_text
from builders.rollout.state.journal import Command
from builders.rollout.state.releases import release_id

if TYPE_CHECKING:
    from builders.rollout.cli.main import GlobalOptions

DONE, FAILED = 0, 1


def plan(
    options: GlobalOptions,
    *,
    phase: str,
    acknowledged: Sequence[str],
    change_sets: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Show a plan, and save it."""
    opened = runs.open_phase(options, phase)
    current = opened.current()
    made = _plan(opened, current, Command.APPLY, opened.desired, release_id(opened.desired), acknowledged)
    if out is not None:
        plan_file.save_plan(made, out)
        progress.say(f"saved; `rollout-stacksets apply {out} --phase {phase}` carries it out")
    shown = with_change_sets(opened.client, opened.desired, current, made) if change_sets else made
    runs.print_result(lambda: plan_file.plan_data(shown), lambda width: plan_text(shown, width), as_json)
    return FAILED if made.blocks else DONE


def apply(
    options: GlobalOptions,
    *,
    saved: Path | None,
    phase: str,
    acknowledged: Sequence[str],
    yes: bool,
    check: bool,
    poll_seconds: float,
    as_json: bool,
) -> int:
    """Plan, show, ask, carry out."""
    known = plan_file.load_plan(saved) if saved else None
    if check:
        _check(options.templates)
    opened = runs.open_phase(options, phase)
    agreed = known.acknowledged if known else ()
    release = release_id(opened.desired)
    made = _plan(opened, opened.current(), Command.APPLY, opened.desired, release, acknowledged, agreed)
    if known is not None:
        _refuse_moved(saved, known, made)
    return _carry_out(opened, Command.APPLY, opened.desired, made, yes or saved is not None, poll_seconds, as_json)


def resume(options: GlobalOptions, *, phase: str, poll_seconds: float, as_json: bool) -> int:
    """Go on with the run that is under way."""
    opened = runs.open_phase(options, phase)
    run, outcome = runs.resume_run(opened, runs.run_settings(f"resume {phase}", poll_seconds))
    return _report(phase, run.command, outcome, as_json)


def rollback(
    options: GlobalOptions,
    *,
    phase: str,
    to: str | None,
    acknowledged: Sequence[str],
    yes: bool,
    poll_seconds: float,
    as_json: bool,
) -> int:
    """Put an earlier release back."""
    opened = runs.open_phase(options, phase)
    release = runs.target(opened, to)
    current = opened.current()
    desired = runs.desired_by(opened, current, Command.ROLLBACK, release)
    made = _plan(opened, current, Command.ROLLBACK, desired, release, acknowledged)
    progress.say(f"release {release} of {phase}: templates, parameters and packages go back, data does not")
    return _carry_out(opened, Command.ROLLBACK, desired, made, yes, poll_seconds, as_json)


def remove(
    options: GlobalOptions,
    *,
    phase: str,
    accounts: Sequence[str],
    purge: bool,
    acknowledged: Sequence[str],
    yes: bool,
    poll_seconds: float,
    as_json: bool,
) -> int:
    """Remove a phase, or let accounts go that left it."""
    opened = runs.open_phase(options, phase)
    if accounts:
        return _detach(opened, accounts, yes, poll_seconds, as_json)
    current = opened.current()
    desired = runs.desired_by(opened, current, Command.REMOVE, "")
    made = _plan(opened, current, Command.REMOVE, desired, "", acknowledged)
    retained_list = RetainedList(
        opened.client.objects(opened.rollout.home), opened.buckets[opened.rollout.home], desired.suffix
    )
    if purge:
        noted = record_retained(opened.client, current.sets, retained_list)
        for (layer, target), reason in sorted(noted.unread.items()):
            progress.say(f"{layer} at {target}: what it leaves is not known, and would not be purged: {reason}")
    code = _carry_out(opened, Command.REMOVE, desired, made, yes, poll_seconds, as_json)
    if code != DONE or not purge:
        return code
    purged, code = purge_retained(opened.client, retained_list, acknowledged, progress.say)
    for each in purged:
        progress.say(str(each))
    return code


def _detach(opened: Phase, accounts: Sequence[str], yes: bool, poll_seconds: float, as_json: bool) -> int:
    phase = opened.desired.phase
    runs.confirm(f"let the instances of {', '.join(accounts)} go from {phase}? their stacks stay", yes)
    report = runs.detach_accounts(opened, accounts, runs.run_settings(f"remove {phase}", poll_seconds))
    return _report(phase, Command.DETACH, Outcome(report, {}), as_json)


def _plan(
    opened: Phase,
    current: CurrentState,
    command: Command,
    desired: DesiredState,
    release: str,
    acknowledged: Sequence[str],
    agreed: Sequence[str] = (),
) -> Plan:
    """Plan. What was `agreed` to in a saved plan may be gone by now: that plan is stale, and nobody typed it wrong."""
    made = runs.planned(opened, current, command, desired, release, sorted({*acknowledged, *agreed}), _Sayings())
    asked = {each for each in acknowledged if each.partition("/")[0] != ACKNOWLEDGED}
    unknown = sorted(asked - {each.name for each in made.hazards})
    if unknown:
        known = ", ".join(sorted({each.name for each in made.hazards if each.hazard.acknowledgeable})) or "nothing"
        raise UsageError(f"--acknowledge {', '.join(unknown)}: the plan blocks on no such thing; it blocks on {known}")
    return made


def _carry_out(
    opened: Phase, command: Command, desired: DesiredState, made: Plan, yes: bool, poll_seconds: float, as_json: bool
) -> int:
    if made.nothing_to_do:
        runs.print_result(lambda: plan_file.plan_data(made), lambda width: plan_text(made, width), as_json)
        return DONE
    page.print_page(plan_text(made, runs.width()), sys.stderr)
    runs.refuse_blocked(made)
    runs.confirm(f"{command.value} this to {made.phase}?", yes)
    manner = runs.run_settings(f"{command.value} {made.phase}", poll_seconds, made)
    return _report(made.phase, command, runs.execute(opened, command, desired, made, manner), as_json)


def _report(phase: str, command: Command, outcome: Outcome, as_json: bool) -> int:
    report, explained = outcome.report, outcome.explained
    runs.print_result(
        lambda: report_data(report, explained),
        lambda width: report_text(report, explained, phase, command.value, width),
        as_json,
    )
    return DONE if report.good else FAILED


def _refuse_moved(path: Path | None, known: plan_file.SavedPlan, made: Plan) -> None:
    moved = plan_file.differences(known, made)
    if moved:
        for line in moved:
            progress.say(line)
        raise RolloutError(f"{path} is stale: the world has moved in {len(moved)} ways since; plan again")


def _check(templates: Path) -> None:
    """Lint and check what is about to be deployed, as `build-templates --check` does."""
    from builders import build  # noqa: PLC0415  troposphere and cfn-lint load only where templates are checked

    if build.main(["--check", "--templates-dir", str(templates)]) != build.CLEAN:
        raise RolloutError("the templates or environments are not clean; mend what is shown above, or give --no-check")


class _Sayings(Observer):
    """What a plan says while it reads."""

    def say(self, line: str) -> None:
        progress.say(line)
