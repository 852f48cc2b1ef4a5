"""plan, apply, resume, rollback, remove, as they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builders import progress
from builders.errors import RolloutError, UsageError
from builders.rollout import purging
from builders.rollout.commands import calling, changing, previewing
from builders.rollout.commands.calling import Called
from builders.rollout.commands.changing import Outcome
from builders.rollout.engine.watch import Silent
from builders.rollout.model import Desired
from builders.rollout.opening import Opened
from builders.rollout.plan.values import Plan
from builders.rollout.showing import plan as plans, report as reports
from builders.rollout.store import Command

DONE, FAILED = 0, 1


def plan(
    called: Called, *, phase: str, acknowledged: Sequence[str], change_sets: bool, out: Path | None, as_json: bool
) -> int:
    """Show a plan, and save it."""
    opened = calling.phase(called, phase)
    made = _plan(opened, Command.APPLY, opened.wanted, "", acknowledged)
    previews = previewing.previews(opened, made) if change_sets else None
    calling.answer(plans.data(made, previews), plans.text(made, calling.width(), previews), as_json)
    if out is not None:
        plans.save(made, out)
        progress.say(f"saved; `rollout-stacksets apply {out} --phase {phase}` carries it out")
    return FAILED if made.blocks else DONE


def apply(
    called: Called,
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
    if check:
        _check(Path(called["templates"]))
    opened = calling.phase(called, phase)
    known = plans.load(saved) if saved else None
    agreed = {*acknowledged, *(known.acknowledged if known else ())}
    made = _plan(opened, Command.APPLY, opened.wanted, "", sorted(agreed))
    if known is not None:
        _refuse_moved(saved, known, made)
    return _carry_out(opened, Command.APPLY, opened.wanted, made, yes or saved is not None, poll_seconds, as_json)


def resume(called: Called, *, phase: str, poll_seconds: float, as_json: bool) -> int:
    """Go on with the run that is under way."""
    opened = calling.phase(called, phase)
    run, outcome = changing.resume(opened, calling.manner(poll_seconds))
    return _report(phase, run.command, outcome, as_json)


def rollback(
    called: Called,
    *,
    phase: str,
    to: str | None,
    acknowledged: Sequence[str],
    yes: bool,
    poll_seconds: float,
    as_json: bool,
) -> int:
    """Put an earlier release back."""
    opened = calling.phase(called, phase)
    release = changing.target(opened, to)
    wanted = changing.wanted_by(opened, Command.ROLLBACK, release)
    made = _plan(opened, Command.ROLLBACK, wanted, release, acknowledged)
    progress.say(f"release {release} of {phase}: templates, parameters and packages go back, data does not")
    return _carry_out(opened, Command.ROLLBACK, wanted, made, yes, poll_seconds, as_json)


def remove(
    called: Called,
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
    opened = calling.phase(called, phase)
    if accounts:
        return _let_go(opened, accounts, yes, poll_seconds, as_json)
    wanted = changing.wanted_by(opened, Command.REMOVE, "")
    made = _plan(opened, Command.REMOVE, wanted, "", acknowledged)
    if purge:
        purging.note(opened, acknowledged)
    code = _carry_out(opened, Command.REMOVE, wanted, made, yes, poll_seconds, as_json)
    if code == DONE and purge:
        return purging.run(opened, acknowledged)
    return code


def _let_go(opened: Opened, accounts: Sequence[str], yes: bool, poll_seconds: float, as_json: bool) -> int:
    raise NotImplementedError


def _plan(opened: Opened, command: Command, wanted: Desired, release: str, acknowledged: Sequence[str]) -> Plan:
    made = changing.planned(opened, command, wanted, release, acknowledged, _Sayings())
    unknown = sorted(set(acknowledged) - {each.name for each in made.hazards} - {purging.ACKNOWLEDGED})
    if unknown:
        known = ", ".join(sorted({each.name for each in made.hazards if each.hazard.acknowledgeable})) or "nothing"
        raise UsageError(f"--acknowledge {', '.join(unknown)}: the plan blocks on no such thing; it blocks on {known}")
    return made


def _carry_out(
    opened: Opened, command: Command, wanted: Desired, made: Plan, yes: bool, poll_seconds: float, as_json: bool
) -> int:
    text = plans.text(made, calling.width())
    if made.nothing_to_do:
        calling.answer(plans.data(made), text, as_json)
        return DONE
    for line in text.splitlines():
        progress.say(line)
    changing.refuse_blocked(made)
    calling.agree(f"{command.value} this to {made.phase}?", yes)
    outcome = changing.go(opened, command, wanted, made, calling.manner(poll_seconds))
    return _report(made.phase, command, outcome, as_json)


def _report(phase: str, command: Command, outcome: Outcome, as_json: bool) -> int:
    text = reports.text(outcome.report, outcome.explained, phase=phase, command=command.value)
    calling.answer(reports.data(outcome.report, outcome.explained), text, as_json)
    return DONE if outcome.report.good else FAILED


def _refuse_moved(path: Path | None, known: plans.Saved, made: Plan) -> None:
    moved = plans.moved(known, made)
    if moved:
        for line in moved:
            progress.say(line)
        raise RolloutError(f"{path} is stale: the world has moved in {len(moved)} ways since; plan again")


def _check(templates: Path) -> None:
    """Lint and check what is about to be deployed, as `build-templates --check` does."""
    from builders import build  # noqa: PLC0415  troposphere and cfn-lint load only where templates are checked

    if build.main(["--check", "--templates-dir", str(templates)]) != build.CLEAN:
        raise RolloutError("the templates or environments are not clean; mend what is shown above, or give --no-check")


class _Sayings(Silent):
    """What a plan says while it reads."""

    def say(self, line: str) -> None:
        progress.say(line)
