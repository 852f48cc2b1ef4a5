"""The commands that change a phase, `plan` and `bootstrap`: lock, plan, and all that `agreement` does with a plan."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from builders import naming, progress
from builders.command_line import DONE, FAILED, INTERRUPTED, Interrupted
from builders.errors import RolloutError, UsageError
from builders.evaluate import named_outputs
from builders.rollout.checks.change_sets import with_change_sets
from builders.rollout.checks.values import PhaseValues, address_mistakes, require_sound, unconnected
from builders.rollout.cli.agreement import (
    OR_A_PLAN,
    Answers,
    answers,
    carry_out_plan,
    confirm,
    out_option,
    plan_phase,
    planning,
    require_known,
    require_same,
    save,
    services,
    show,
    show_before,
    show_report,
)
from builders.rollout.cli.options import (
    PATH,
    GlobalOptions,
    RolloutCommand,
    acknowledge_option,
    check_option,
    json_option,
    phase_option,
    poll_option,
    yes_option,
)
from builders.rollout.executor.executor import (
    begin_run,
    carry_out,
    end_run,
    planning_lock,
    run_to_desired,
    take_over_run,
)
from builders.rollout.executor.proof import require_proven
from builders.rollout.lifecycle.adopt import plan_adoption
from builders.rollout.lifecycle.bootstrap import StackOutcome, deploy_planned
from builders.rollout.lifecycle.bootstrap_plan import Bootstrap, plan_bootstrap
from builders.rollout.lifecycle.packages import with_packages
from builders.rollout.lifecycle.retained import (
    ACKNOWLEDGED,
    PurgeItem,
    RetainedList,
    purge_items,
    purge_retained,
    record_retained,
)
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
from builders.rollout.plan.calls import Call
from builders.rollout.render.page import print_page, target_list, width
from builders.rollout.render.results import bootstrap_data, purge_text
from builders.rollout.state.journal import Command, Run
from builders.rollout.state.releases import release_id
from builders.rollout.state.store import Store
from builders.text import counted_noun, printable


@click.command(cls=RolloutCommand)
@phase_option
@acknowledge_option
@click.option("--change-sets", is_flag=True, help="Ask AWS for a change set of every instance that changes.")
@click.option("--out", type=PATH, help="Save the plan for apply.")
@click.option("--check/--no-check", default=True, help="Whether the values must be as build-templates --check asks.")
@json_option
@click.pass_obj
def plan(
    options: GlobalOptions,
    phase_name: str,
    acknowledged: tuple[str, ...],
    change_sets: bool,
    out: Path | None,
    check: bool,
    as_json: bool,
) -> int:
    """Show what apply does to every instance, resource by resource, and what blocks it.

    Exit code 1 when the plan is blocked.
    """
    phase = options.open_phase(phase_name)
    if check:
        _check_values(phase)
    current = phase.current()
    packaged = with_packages(phase.client, phase.desired, current, progress.say)
    if out is not None and packaged.missing:
        raise RolloutError(
            f"a plan to save names the versions of packages: {packaged.missing[0]}; put it there by "
            "`rollout-stacksets publish`, then plan again"
        )
    desired = packaged.desired
    made = plan_phase(phase, current, Command.APPLY, desired, release_id(desired), acknowledged)
    for each in packaged.missing:
        progress.say(f"{each}: apply puts it there first, and plans with its version")
    if out is not None:
        save(made, out)
    return show(with_change_sets(phase.client, desired, current, made) if change_sets else made, as_json)


@click.command(cls=RolloutCommand)
@answers
@check_option
@click.pass_obj
def apply(options: GlobalOptions, phase_name: str, check: bool, answers: Answers) -> int:
    """Bring a phase to what rollout.yaml, environments/ and templates/ say, wave by wave.

    A saved PLAN is refused when anything has changed since it was made.
    """
    answers.require_command(Command.APPLY.value)
    if check:
        _check(options.templates)
    phase = options.open_phase(phase_name)
    if check:
        _check_values(phase)
    with planning(phase, Command.APPLY, answers) as lock:
        current = phase.current()
        packaged = with_packages(phase.client, phase.desired, current, progress.say, put=True)
        desired = packaged.desired
        release = release_id(desired)
        made = plan_phase(phase, current, Command.APPLY, desired, release, answers.acknowledged, answers.agreed)
        return carry_out_plan(phase, Command.APPLY, desired, made, lock, answers)


@click.command(cls=RolloutCommand)
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

    def release_here() -> str:
        return release_id(with_packages(phase.client, phase.desired, phase.current(), progress.say).desired)

    def desired_by(run: Run) -> DesiredState:
        stored = run.command is not Command.DETACH
        desired = phase.store.releases.load(run.release).desired_state(phase.desired) if stored else phase.desired
        if not end:
            require_proven(phase.client.sets, run, desired, release_here)
            require_own_release(phase, run.release, desired, "end the run by `rollout-stacksets resume --end`")
        return desired

    with services(phase, "resume", poll_seconds) as used:
        run, desired = take_over_run(used, desired_by, send=not end)
        if end or run.command is Command.DETACH:
            report = end_run(used, run, desired)
            return show_report(phase, run.command, report, as_json)
    calls: Mapping[str, Sequence[Call]] | None = None
    if run.command is Command.ADOPT:
        adoption = plan_adoption(phase.client, phase.desired, phase.current(), {*acknowledged, *run.acknowledged})
        made, calls, desired = adoption.plan, adoption.calls, adoption.desired
    else:
        agreed = run.acknowledged
        made = plan_phase(phase, phase.current(), run.command, desired, run.to or run.release, acknowledged, agreed)
    if made.blocks:
        show_before(made, "what is left of the run", "resume, or end it by `rollout-stacksets resume --end`")
    with services(phase, "resume", poll_seconds, made) as used:
        if calls is not None:
            report = carry_out(used, run, desired, calls)
        else:
            report = run_to_desired(used, run, desired, phase.layers, made.schedule)
    code = show_report(phase, run.command, report, as_json)
    if run.command is Command.REMOVE and code == DONE:
        _say_what_is_left(_retained(phase))
    return code


@click.command(cls=RolloutCommand, interrupted="what was uploaded stays; publish again uploads the rest")
@phase_option
@click.pass_obj
def publish(options: GlobalOptions, phase_name: str) -> int:
    """Put the functions' packages into the bucket of each region, so that a plan names their versions; no more.

    `apply` does the same before it plans.
    """
    phase = options.open_phase(phase_name)
    packaged = with_packages(phase.client, phase.desired, CurrentState({}), progress.say, put=True)
    if not packaged.desired.packages:
        progress.say(f"no function of {phase_name} has a package: there is nothing to publish")
    for key in packaged.desired.packages:
        click.echo(f"{key} sha256 {packaged.desired.digests[key]}")
    return DONE


@click.command(cls=RolloutCommand)
@answers
@out_option
@click.option("--to", metavar="RELEASE", help="The release to put back; else the last good one before the present.")
@click.pass_obj
def rollback(options: GlobalOptions, phase_name: str, to: str | None, answers: Answers) -> int:
    """Put an earlier release of one phase back: templates, parameters and packages, not data; layers in reverse.

    A saved PLAN is refused when anything has changed since it was made.
    """
    phase = options.open_phase(phase_name)
    with planning(phase, Command.ROLLBACK, answers) as lock:
        given = answers.saved_plan.release if answers.saved_plan and to is None else to
        release = earlier_release(phase) if given is None else given
        require_deployed(phase, release, (*answers.acknowledged, *answers.agreed))
        current = phase.current()
        desired = desired_release(phase.store.releases.load(release), phase.desired, current)
        require_own_release(phase, release, desired, "put another release back by --to")
        made = plan_phase(phase, current, Command.ROLLBACK, desired, release, answers.acknowledged, answers.agreed)
        progress.say(f"release {release} of {phase_name}: templates, parameters and packages go back, data does not")
        return carry_out_plan(phase, Command.ROLLBACK, desired, made, lock, answers)


@click.command(
    cls=RolloutCommand,
    interrupted="what was purged is gone, and the rest is listed by `rollout-stacksets remove --purge`",
)
@answers
@out_option
@click.option("--account", "accounts", multiple=True, help="Detach the instances of this account; its stacks stay.")
@click.option(
    "--purge", is_flag=True, help="Also delete what deletion policies keep: it is listed, and nothing goes unasked."
)
@click.pass_obj
def remove(options: GlobalOptions, phase_name: str, accounts: tuple[str, ...], purge: bool, answers: Answers) -> int:
    """Remove a phase, layers in reverse; data stays unless it is purged.

    A saved PLAN is refused when anything has changed since it was made; --purge asks all the same.
    """
    phase = options.open_phase(phase_name)
    if accounts:
        return _detach(phase, accounts, answers)
    retained = _retained(phase)
    with planning(phase, Command.REMOVE, answers) as lock:
        current, desired = phase.current(), desired_nothing(phase.desired)
        made = plan_phase(phase, current, Command.REMOVE, desired, "", answers.acknowledged, answers.agreed)
        items: Sequence[PurgeItem] = ()
        if not answers.out:
            unread = record_retained(phase.client, current.sets, retained)
            alike = grouped(((layer, reason), target) for (layer, target), reason in sorted(unread.items()))
            for (layer, reason), where in alike.items():
                progress.say(f"what {layer} leaves at {target_list(where)} is not known, nor purged: {reason}")
        if purge:
            items = purge_items(phase.client, retained, answers.acknowledged)
            print_page(purge_text(items, width(sys.stderr)), sys.stderr)
        goes = any(each.goes for each in items)
        question = f"remove phase {phase_name}, and delete for good what is listed above?" if goes else ""
        if goes and made.nothing_to_do and not answers.out and ACKNOWLEDGED not in answers.acknowledged:
            confirm(f"delete for good what phase {phase_name} has left, as listed above?", answers.yes)
        code = carry_out_plan(phase, Command.REMOVE, desired, made, lock, answers, question=question)
    if answers.out or code != DONE:
        if purge and not answers.out:
            progress.say("nothing was purged: the phase is removed first")
        return code
    if not purge:
        _say_what_is_left(retained)
        return code
    purged, code = purge_retained(phase.client, retained, {*answers.acknowledged, ACKNOWLEDGED}, progress.say)
    for each in purged:
        progress.say(str(each))
    return code


def _retained(phase: Phase) -> RetainedList:
    home = phase.rollout.home
    return RetainedList(phase.client.objects(home), phase.buckets[home], phase.desired.suffix)


def _say_what_is_left(retained: RetainedList) -> None:
    """Say what a removal left, and what a purge of it takes."""
    if left := retained.summary():
        progress.say(
            f"left by the removal: {left}; `rollout-stacksets remove --purge` lists each, asks, and deletes them"
        )


def _detach(phase: Phase, accounts: tuple[str, ...], given: Answers) -> int:
    """Have StackSets forget the instances of accounts; their stacks stay."""
    name = phase.desired.phase
    if given.saved or given.out:
        raise UsageError("--account takes no plan and saves none: it says what it detaches, and asks")
    with planning_lock(phase.client, phase.store, Command.DETACH) as lock:
        calls = plan_detachment(phase.client, phase.desired, phase.current().sets, accounts)
        lock.shown()
        confirm(f"detach the instances of {', '.join(accounts)} from {name}? their stacks stay", given.yes)
        with services(phase, "remove", given.poll_seconds) as used:
            report = carry_out(used, begin_run(used, Command.DETACH, "", ()), phase.desired, calls)
    return show_report(phase, Command.DETACH, report, given.as_json)


@click.command(cls=RolloutCommand)
@answers
@out_option
@click.pass_obj
def adopt(options: GlobalOptions, phase_name: str, answers: Answers) -> int:
    """Take stacks that were deployed by hand into their stack sets, as they are; a plan then shows what differs.

    The stack of a layer is the one named <layer>-<suffix>. A saved PLAN is refused when anything has changed since.
    """
    phase = options.open_phase(phase_name)
    with planning(phase, Command.ADOPT, answers) as lock:
        agreed = {*answers.acknowledged, *answers.agreed}
        adoption = plan_adoption(phase.client, phase.desired, phase.current(), agreed)
        require_known(adoption.plan, answers.acknowledged)
        return carry_out_plan(phase, Command.ADOPT, adoption.desired, adoption.plan, lock, answers, adoption.calls)


@click.command(cls=RolloutCommand)
@click.argument("saved", required=False, type=PATH, metavar="[PLAN]")
@phase_option
@acknowledge_option
@click.option("--plan-only", is_flag=True, help="Show the plan, and deploy nothing.")
@out_option
@yes_option
@json_option
@click.pass_obj
def bootstrap(
    options: GlobalOptions,
    saved: Path | None,
    phase_name: str,
    acknowledged: tuple[str, ...],
    plan_only: bool,
    out: Path | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Deploy what StackSets cannot carry: the shared accounts' stacks, each account's roles, the phase's routes.

    A saved PLAN is refused when anything has changed since it was made.
    """
    given = Answers(acknowledged, yes, 0, as_json, saved, out)
    given.require_command("bootstrap")
    connection = options.connect_to(phase_name)
    looks = plan_only or out is not None
    reach = connection.client.looking if looks else connection.client.deploying
    found = plan_bootstrap(connection, {*acknowledged, *given.agreed}, reach)
    wrong = map(str, address_mistakes(PhaseValues.of(connection, found.shared)))  # which `plan` will refuse
    made = dataclasses.replace(found.plan, notes=(*found.plan.notes, *wrong))
    require_known(made, acknowledged)
    if out is not None:
        save(made, out)
    if looks:
        return show(made, as_json)
    require_same(given.saved_plan, made, saved)
    if not made.nothing_to_do:
        show_before(made)
        confirm(f"bootstrap this for {phase_name}?", yes or saved is not None, OR_A_PLAN)

    def report(outcome: StackOutcome) -> None:
        if not as_json:
            click.echo(printable(outcome))

    try:
        with _bootstrap_lock(connection, found):
            outcomes = deploy_planned(connection.client, found.rounds, report)
    except KeyboardInterrupt as error:
        raise Interrupted("a stack that is being deployed goes on; bootstrap again deploys the rest") from error
    if as_json:
        click.echo(json.dumps(bootstrap_data(outcomes), indent=1, sort_keys=True))
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
    home = connection.rollout.home
    bucket = found.shared.tooling.get(home, {}).get(naming.ARTIFACTS_BUCKET, "")
    if found.plan.nothing_to_do or not bucket or named_outputs(bucket):
        return contextlib.nullcontext()
    store = Store(connection.client.objects(home), bucket, connection.suffix, connection.phase)
    return planning_lock(connection.client, store, Command.BOOTSTRAP)


def _check(templates: Path) -> None:
    """Lint and check the templates as `build-templates --check` does; `_check_values` judges the values."""
    from builders import build  # noqa: PLC0415  troposphere and cfn-lint load only where templates are checked

    code = build.main(["--check", "--no-environments", "--templates-dir", str(templates)])
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code != DONE:
        raise RolloutError("the templates are not clean; mend what is shown above, or give --no-check")


def _check_values(phase: Phase) -> None:
    """Judge the values of every target, from all their sources. Raises `RolloutFileError`."""
    values = PhaseValues.of(phase, phase.shared)
    require_sound(values)
    for each in unconnected(values):
        progress.say(str(each))
