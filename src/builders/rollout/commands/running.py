"""plan, apply, resume, rollback, remove, as they are called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from builders import progress
from builders.errors import RolloutError, UsageError
from builders.rollout.client.reach import Reach
from builders.rollout.commands import calling, changing, previewing
from builders.rollout.commands.calling import Called
from builders.rollout.commands.changing import Outcome
from builders.rollout.engine.watch import Silent
from builders.rollout.model import Desired, World
from builders.rollout.opening import Opened
from builders.rollout.plan.values import Plan
from builders.rollout.purging.ledger import Ledger
from builders.rollout.purging.noting import note
from builders.rollout.purging.purging import ACKNOWLEDGED, run_purge
from builders.rollout.showing import page, plan as plans, report as reports
from builders.rollout.store import Command, release_id

DONE, FAILED = 0, 1


def plan(
    called: Called, *, phase: str, acknowledged: Sequence[str], change_sets: bool, out: Path | None, as_json: bool
) -> int:
    """Show a plan, and save it."""
    opened = calling.phase(called, phase)
    world = opened.world()
    made = _plan(opened, world, Command.APPLY, opened.wanted, release_id(opened.wanted), acknowledged)
    if out is not None:
        plans.save(made, out)
        progress.say(f"saved; `rollout-stacksets apply {out} --phase {phase}` carries it out")
    shown = previewing.previewed(opened, world, made) if change_sets else made
    calling.answer(lambda: plans.data(shown), lambda width: plans.text(shown, width), as_json)
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
    known = plans.load(saved) if saved else None
    if check:
        _check(Path(called["templates"]))
    opened = calling.phase(called, phase)
    agreed = known.acknowledged if known else ()
    release = release_id(opened.wanted)
    made = _plan(opened, opened.world(), Command.APPLY, opened.wanted, release, acknowledged, agreed)
    if known is not None:
        _refuse_moved(saved, known, made)
    return _carry_out(opened, Command.APPLY, opened.wanted, made, yes or saved is not None, poll_seconds, as_json)


def resume(called: Called, *, phase: str, poll_seconds: float, as_json: bool) -> int:
    """Go on with the run that is under way."""
    opened = calling.phase(called, phase)
    run, outcome = changing.resume(opened, calling.manner(f"resume {phase}", poll_seconds))
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
    world = opened.world()
    wanted = changing.wanted_by(opened, world, Command.ROLLBACK, release)
    made = _plan(opened, world, Command.ROLLBACK, wanted, release, acknowledged)
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
    world = opened.world()
    wanted = changing.wanted_by(opened, world, Command.REMOVE, "")
    made = _plan(opened, world, Command.REMOVE, wanted, "", acknowledged)
    ledger = Ledger(opened.client.objects(opened.rollout.home), opened.buckets[opened.rollout.home], wanted.suffix)
    reach = Reach.of(opened.client, phase, wanted.suffix, opened.rollout.deploy_role)
    if purge:
        noted = note(opened.client, reach, world.sets, ledger)
        for (layer, place), reason in sorted(noted.unread.items()):
            progress.say(f"{layer} at {place}: what it leaves is not known, and would not be purged: {reason}")
    code = _carry_out(opened, Command.REMOVE, wanted, made, yes, poll_seconds, as_json)
    if code != DONE or not purge:
        return code
    purged, code = run_purge(opened.client, reach, ledger, acknowledged, progress.say)
    for each in purged:
        progress.say(f"{each.fate.value}: {each.left.type} {each.left.physical_id} at {each.left.place}: {each.words}")
    return code


def _let_go(opened: Opened, accounts: Sequence[str], yes: bool, poll_seconds: float, as_json: bool) -> int:
    phase = opened.wanted.phase
    calling.agree(f"let the instances of {', '.join(accounts)} go from {phase}? their stacks stay", yes)
    report = changing.let_go(opened, accounts, calling.manner(f"remove {phase}", poll_seconds))
    return _report(phase, Command.LET_GO, Outcome(report, {}), as_json)


def _plan(
    opened: Opened,
    world: World,
    command: Command,
    wanted: Desired,
    release: str,
    acknowledged: Sequence[str],
    agreed: Sequence[str] = (),
) -> Plan:
    """Plan. What was `agreed` to in a saved plan may be gone by now: that plan is stale, and nobody typed it wrong."""
    made = changing.planned(opened, world, command, wanted, release, sorted({*acknowledged, *agreed}), _Sayings())
    asked = {each for each in acknowledged if each.partition("/")[0] != ACKNOWLEDGED}
    unknown = sorted(asked - {each.name for each in made.hazards})
    if unknown:
        known = ", ".join(sorted({each.name for each in made.hazards if each.hazard.acknowledgeable})) or "nothing"
        raise UsageError(f"--acknowledge {', '.join(unknown)}: the plan blocks on no such thing; it blocks on {known}")
    return made


def _carry_out(
    opened: Opened, command: Command, wanted: Desired, made: Plan, yes: bool, poll_seconds: float, as_json: bool
) -> int:
    if made.nothing_to_do:
        calling.answer(lambda: plans.data(made), lambda width: plans.text(made, width), as_json)
        return DONE
    page.show(plans.text(made, calling.width()), sys.stderr)
    changing.refuse_blocked(made)
    calling.agree(f"{command.value} this to {made.phase}?", yes)
    manner = calling.manner(f"{command.value} {made.phase}", poll_seconds, made)
    return _report(made.phase, command, changing.go(opened, command, wanted, made, manner), as_json)


def _report(phase: str, command: Command, outcome: Outcome, as_json: bool) -> int:
    report, explained = outcome.report, outcome.explained
    calling.answer(
        lambda: reports.data(report, explained),
        lambda width: reports.text(report, explained, phase, command.value, width),
        as_json,
    )
    return DONE if report.good else FAILED


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
