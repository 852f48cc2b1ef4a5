"""The commands that change a phase, `plan` and `bootstrap`: lock, plan, and all that `agreement` does with a plan."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path

import click

from builders import advice, naming, progress
from builders.command_line import DONE, FAILED, INTERRUPTED, Interrupted, print_json
from builders.errors import RolloutError, UsageError
from builders.evaluate import named_outputs
from builders.page import print_page, target_list
from builders.rollout.checks.change_sets import with_change_sets
from builders.rollout.checks.values import PhaseValues, address_mistakes, require_sound, unconnected
from builders.rollout.cli import agreement
from builders.rollout.cli.options import (
    ANSWERS,
    KEPT,
    PATH,
    Options,
    acknowledge_option,
    check_option,
    json_option,
    out_option,
    phase_command,
    poll_option,
    saved_argument,
    yes_option,
)
from builders.rollout.executor.executor import begin_run, carry_out, end_run, planning_lock, take_over_run
from builders.rollout.executor.proof import require_proven
from builders.rollout.lifecycle.adopt import plan_adoption
from builders.rollout.lifecycle.bootstrap import Bootstrap, StackOutcome, deploy_planned, plan_bootstrap
from builders.rollout.lifecycle.packages import with_packages
from builders.rollout.lifecycle.retained import ACKNOWLEDGED, RetainedList, purge_items, purge_retained, record_retained
from builders.rollout.lifecycle.rollback import (
    desired_nothing,
    desired_release,
    earlier_release,
    plan_detachment,
    require_deployed,
    require_own_release,
)
from builders.rollout.model import CurrentState, DesiredState, grouped
from builders.rollout.phase import Phase, PhaseConnection
from builders.rollout.render.results import add_purge, bootstrap_data
from builders.rollout.state.journal import Command, Run
from builders.rollout.state.releases import release_id
from builders.text import counted_noun, printable


@phase_command(
    acknowledge_option,
    click.option("--change-sets", is_flag=True, help="Ask AWS for a change set of every instance that changes."),
    click.option("--out", type=PATH, help="Save the plan for apply.", **KEPT),
    click.option("--check/--no-check", default=True, help="Require values that pass build-templates --check."),
    json_option,
)
def plan(options: Options, change_sets: bool, check: bool) -> int:
    """Show what apply does to every instance, resource by resource, and what blocks it.

    Exit code 1 when the plan is blocked.
    """
    phase = options.open_phase()
    if check:
        _check_values(phase)
    current = phase.current()
    packaged = with_packages(phase.client, phase.desired, current, progress.say)
    if options.out and packaged.missing:
        raise RolloutError(
            f"a plan to save names the versions of packages: {packaged.missing[0]}; put it there by "
            "`rollout-stacksets publish`, then plan again"
        )
    desired = packaged.desired
    made = agreement.plan_phase(phase, current, Command.APPLY, desired, release_id(desired), options.acknowledged)
    for each in packaged.missing:
        progress.say(f"{each}: apply puts it there first, and plans with its version")
    shown = with_change_sets(phase.client, desired, current, made) if change_sets else made
    return agreement.show(options, made, shown)


@phase_command(*ANSWERS, check_option)
def apply(options: Options, check: bool) -> int:
    """Bring a phase to what rollout.yaml, environments/ and templates/ say, wave by wave.

    A saved PLAN is refused when anything has changed since it was made.
    """
    agreement.require_command(options, Command.APPLY)
    if check:
        _check(options.templates)
    phase = options.open_phase()
    if check:
        _check_values(phase)
    with agreement.planning(options, phase, Command.APPLY) as lock:
        current = phase.current()
        desired = with_packages(phase.client, phase.desired, current, progress.say, put=True).desired
        made = agreement.plan_phase(
            phase, current, Command.APPLY, desired, release_id(desired), options.acknowledged, options.agreed
        )
        return agreement.carry_out_plan(options, phase, made, lock)


@phase_command(
    acknowledge_option,
    click.option("--end", is_flag=True, help="Wait for what the run has begun, and end it there."),
    poll_option,
    json_option,
)
def resume(options: Options, end: bool) -> int:
    """Continue a run that was interrupted, on this machine or another: nothing is submitted twice.

    What is left is planned again, and begins only if nothing blocks it that was not acknowledged.
    """
    phase = options.open_phase()

    def release_here() -> str:
        return release_id(with_packages(phase.client, phase.desired, phase.current(), progress.say).desired)

    def desired_by(run: Run) -> DesiredState:
        stored = run.command is not Command.DETACH
        desired = phase.store.releases.load(run.release).desired_state(phase.desired) if stored else phase.desired
        if not end:
            require_proven(phase.client.sets, run, desired, release_here)
            require_own_release(phase, run.release, desired, "end the run by `rollout-stacksets resume --end`")
        return desired

    with agreement.services(phase, "resume", options.poll_seconds) as used:
        run, desired = take_over_run(used, desired_by, send=not end)
        if end or run.command is Command.DETACH:
            report = end_run(used, run, desired)
            return agreement.show_report(phase, run.command, report, options.as_json)
    if run.command is Command.ADOPT:
        acknowledged = {*options.acknowledged, *run.acknowledged}
        made = plan_adoption(phase.client, phase.desired, phase.current(), acknowledged)
    else:
        made = agreement.plan_phase(
            phase, phase.current(), run.command, desired, run.to or run.release, options.acknowledged, run.acknowledged
        )
    if made.blocks:
        then = "resume, or end it by `rollout-stacksets resume --end`"
        agreement.show_before(made, "what is left of the run", then)
    with agreement.services(phase, "resume", options.poll_seconds, made) as used:
        report = agreement.execute(used, run, phase, made)
    code = agreement.show_report(phase, run.command, report, options.as_json)
    if run.command is Command.REMOVE and code == DONE:
        _say_what_is_left(RetainedList(phase.store.folder))
    return code


@phase_command(interrupted="what was uploaded stays; publish again uploads the rest")
def publish(options: Options) -> int:
    """Put the functions' packages into the bucket of each region, so that a plan names their versions; no more.

    `apply` does the same before it plans.
    """
    phase = options.open_phase()
    packaged = with_packages(phase.client, phase.desired, CurrentState({}), progress.say, put=True)
    if not packaged.desired.packages:
        progress.say(f"no function of {phase.phase} has a package: there is nothing to publish")
    for key in packaged.desired.packages:
        click.echo(f"{key} sha256 {packaged.desired.digests[key]}")
    return DONE


@phase_command(
    *ANSWERS,
    out_option,
    click.option("--to", metavar="RELEASE", help="The release to put back; else the last good one before the present."),
)
def rollback(options: Options, to: str | None) -> int:
    """Put an earlier release of one phase back: templates, parameters and packages, not data; layers in reverse.

    A saved PLAN is refused when anything has changed since it was made.
    """
    phase = options.open_phase()
    with agreement.planning(options, phase, Command.ROLLBACK) as lock:
        given = options.saved_plan.release if options.saved_plan and to is None else to
        release = earlier_release(phase) if given is None else given
        require_deployed(phase, release, (*options.acknowledged, *options.agreed))
        current = phase.current()
        desired = desired_release(phase.client, phase.store.releases.load(release), phase.desired, current)
        require_own_release(phase, release, desired, "put another release back by --to")
        made = agreement.plan_phase(
            phase, current, Command.ROLLBACK, desired, release, options.acknowledged, options.agreed
        )
        progress.say(f"release {release} of {phase.phase}: all but data, storage and versions of engines goes back")
        return agreement.carry_out_plan(options, phase, made, lock)


@phase_command(
    *ANSWERS,
    out_option,
    click.option("--account", "accounts", multiple=True, help="Detach the instances of this account; its stacks stay."),
    click.option(
        "--purge", is_flag=True, help="Also delete what deletion policies keep: it is listed, and nothing goes unasked."
    ),
    interrupted="what was purged is gone, and the rest is listed by `rollout-stacksets remove --purge`",
)
def remove(options: Options, accounts: tuple[str, ...], purge: bool) -> int:
    """Remove a phase, layers in reverse; data stays unless it is purged.

    A saved PLAN is refused when anything has changed since it was made; --purge asks all the same.
    """
    phase = options.open_phase()
    if accounts:
        return _detach(options, phase, accounts)
    retained = RetainedList(phase.store.folder)
    with agreement.planning(options, phase, Command.REMOVE) as lock:
        current, desired = phase.current(), desired_nothing(phase.desired)
        made = agreement.plan_phase(phase, current, Command.REMOVE, desired, "", options.acknowledged, options.agreed)
        if not options.out:
            unread = record_retained(phase.client, current.sets, retained)
            alike = grouped(((layer, reason), target) for (layer, target), reason in sorted(unread.items()))
            for (layer, reason), where in alike.items():
                progress.say(f"what {layer} leaves at {target_list(where)} is not known, nor purged: {reason}")
        question = ""
        if purge:
            items = purge_items(phase.client, retained, options.acknowledged)
            print_page(lambda page: add_purge(page, items), sys.stderr)
            if any(each.goes for each in items):
                question = f"remove phase {phase.phase}, and delete for good what is listed above?"
        if question and made.nothing_to_do and not options.out and ACKNOWLEDGED not in options.acknowledged:
            left = f"delete for good what phase {phase.phase} has left, as listed above?"
            agreement.confirm(left, options.yes)
        code = agreement.carry_out_plan(options, phase, made, lock, question)
    if options.out or code != DONE:
        if purge and not options.out:
            progress.say("nothing was purged: the phase is removed first")
        return code
    if not purge:
        _say_what_is_left(retained)
        return code
    purged, code = purge_retained(phase.client, retained, {*options.acknowledged, ACKNOWLEDGED}, progress.say)
    for each in purged:
        progress.say(str(each))
    return code


def _say_what_is_left(retained: RetainedList) -> None:
    """Say what a removal left, and what a purge of it takes."""
    if left := retained.summary():
        progress.say(
            f"left by the removal: {left}; `rollout-stacksets remove --purge` lists each, asks, and deletes them"
        )


def _detach(options: Options, phase: Phase, accounts: tuple[str, ...]) -> int:
    """Have StackSets forget the instances of accounts; their stacks stay."""
    if options.saved or options.out:
        raise UsageError("--account takes no plan and saves none: it says what it detaches, and asks")
    with planning_lock(phase.client, phase.store, Command.DETACH) as lock:
        calls = plan_detachment(phase.client, phase.desired, phase.current().sets, accounts)
        lock.shown()
        question = f"detach the instances of {', '.join(accounts)} from {phase.phase}? their stacks stay"
        agreement.confirm(question, options.yes)
        with agreement.services(phase, "remove", options.poll_seconds) as used:
            report = carry_out(used, begin_run(used, Command.DETACH, "", ()), phase.desired, calls)
    return agreement.show_report(phase, Command.DETACH, report, options.as_json)


@phase_command(*ANSWERS, out_option)
def adopt(options: Options) -> int:
    """Take stacks that were deployed by hand into their stack sets, as they are; a plan then shows what differs.

    The stack of a layer is the one named <layer>-<suffix>. A saved PLAN is refused when anything has changed since.
    """
    phase = options.open_phase()
    with agreement.planning(options, phase, Command.ADOPT) as lock:
        agreed = {*options.acknowledged, *options.agreed}
        made = plan_adoption(phase.client, phase.desired, phase.current(), agreed)
        agreement.require_known(made, options.acknowledged)
        return agreement.carry_out_plan(options, phase, made, lock)


@phase_command(
    saved_argument,
    acknowledge_option,
    click.option("--plan-only", is_flag=True, help="Show the plan, and deploy nothing."),
    out_option,
    yes_option,
    json_option,
)
def bootstrap(options: Options, plan_only: bool) -> int:
    """Deploy what StackSets cannot carry: the shared accounts' stacks, each account's roles, the phase's routes.

    A saved PLAN is refused when anything has changed since it was made.
    """
    agreement.require_command(options, Command.BOOTSTRAP)
    connection = options.connect()
    looks = plan_only or options.out is not None
    reach = connection.client.looking if looks else connection.client.deploying
    found = plan_bootstrap(connection, {*options.acknowledged, *options.agreed}, reach)
    wrong = map(str, address_mistakes(PhaseValues.of(connection, found.shared)))  # which `plan` will refuse
    made = dataclasses.replace(found.plan, notes=(*found.plan.notes, *wrong))
    agreement.require_known(made, options.acknowledged)
    if looks:
        return agreement.show(options, made)
    agreement.require_same(options.saved_plan, made, options.saved)
    if not made.nothing_to_do:
        agreement.agree(options, made)

    def report(outcome: StackOutcome) -> None:
        if not options.as_json:
            click.echo(printable(advice.completed(str(outcome))))

    try:
        with _bootstrap_lock(connection, found):
            outcomes = deploy_planned(connection.client, found.rounds, report)
    except KeyboardInterrupt as error:
        raise Interrupted("a stack that is being deployed goes on; bootstrap again deploys the rest") from error
    if options.as_json:
        print_json(bootstrap_data(outcomes))
    failed = [each for each in outcomes if not each.succeeded]
    if failed:
        verb = "is" if len(failed) == 1 else "are"
        missing = f"{len(failed)} of {counted_noun(len(outcomes), 'stack')} {verb} not deployed"
        progress.say(f"{missing}; fix the causes shown above and run it again")
    return FAILED if failed else DONE


def _bootstrap_lock(connection: PhaseConnection, found: Bootstrap) -> contextlib.AbstractContextManager[object]:
    """Keep other runs of the phase away; the first bootstrap makes the bucket of the lock, and has none.

    A bootstrap of another phase is kept from the stacks that both share by what `deploy_planned` compares.
    """
    bucket = found.shared.tooling.get(connection.rollout.home, {}).get(naming.ARTIFACTS_BUCKET, "")
    if found.plan.nothing_to_do or not bucket or named_outputs(bucket):
        return contextlib.nullcontext()
    return planning_lock(connection.client, connection.stored_in(found.shared), Command.BOOTSTRAP)


def _check(templates: Path) -> None:
    """Lint and check the templates as `build-templates --check` does; `_check_values` judges the values."""
    from builders import build  # noqa: PLC0415  troposphere and cfn-lint load only where templates are checked

    code = build.main(["--check", "--no-environments", "--templates-dir", str(templates)])
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code != DONE:
        raise RolloutError("the templates are not clean; fix what is shown above, or give --no-check")


def _check_values(phase: Phase) -> None:
    """Judge the values of every target, from all their sources. Raises `RolloutFileError`."""
    values = PhaseValues.of(phase, phase.shared)
    require_sound(values)
    for each in unconnected(values):
        progress.say(str(each))
