"""The command line of `migrate-database`.

Exit codes: 0 done; 1 a finding, a failure or a refusal; 2 wrong use; 130 interrupted: what was done stays done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from builders import command_line, progress
from builders.command_line import DONE, FAILED
from builders.errors import ReplicationError, UsageError
from builders.migration.options import (
    every_target,
    phase_options,
    report_option,
    switchover_options,
    until_option,
    until_ready_option,
    waiting_options,
)
from builders.migration.task import TaskAction


@click.group(cls=command_line.Group, context_settings=command_line.HELP)
@command_line.version_option
def command() -> None:
    """Carry a phase's database to RDS: from the first check to the cut-over, and back.

    Every subcommand finds the phase by the outputs of its stacks, in files or in the caller's account. Ctrl-C stops the
    waiting, and what was done stays done: the same subcommand goes on from there.
    """


@command.command()
@phase_options
@every_target
@click.option(
    "--accept",
    multiple=True,
    metavar="ID:OBJECT",
    help="Accept a finding by its name, now and in later reports; may be given several times.",
)
@click.option(
    "--accepted",
    "accepted_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of accepted findings, beside those that the target keeps.",
)
@click.option("--measure", is_flag=True, help="Read all tables for their largest values: it takes as long as that.")
@click.option(
    "--line-mbit",
    type=click.FloatRange(min=0.1),
    default=1000.0,
    show_default=True,
    help="Rate of the line to AWS in Mbit/s, for the estimate of the load.",
)
@click.option(
    "--watch-seconds",
    type=click.FloatRange(min=0, max=3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks at the log's position, where the server has not counted it.",
)
@click.option(
    "--target-version",
    "target_major",
    type=click.IntRange(11, 99),
    default=17,
    show_default=True,
    help="Major version of a target that does not stand yet.",
)
@click.option("--without-target", is_flag=True, help="Do not read the target.")
@click.option("--assessment-bucket", default="", help="Bucket for the results of DMS's own assessment.")
@click.option("--assessment-role", default="", help="ARN of the role by which DMS writes them.")
@click.option("--without-assessment", is_flag=True, help="Do not start DMS's own assessment.")
@click.option(
    "--schema",
    "schemas",
    multiple=True,
    help="Schema of a phase that is not deployed yet; with --source-secret and --database.",
)
@click.option("--database", default="", help="Database of such a phase's source.")
@click.option(
    "--source-certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM of the authority that signed its certificate; without it TLS does not verify the server.",
)
@click.option("--table-rules", default="", help="The parameter TableRules that such a phase will have.")
def check(*, options: Any, as_json: bool, **wishes: Any) -> int:
    """Name everything that the migration would lose or break on. Changes nothing.

    Exit code 1 while a finding that blocks or loses is neither fixed, nor excluded by TableRules, nor accepted.
    """
    from builders.migration.check import running  # noqa: PLC0415  --help does not wait for psycopg
    from builders.migration.check.undeployed import Undeployed  # noqa: PLC0415
    from builders.migration.phase import Phase  # noqa: PLC0415

    given = running.Wishes(**wishes)
    if given.schemas:
        undeployed = Undeployed(options, given.schemas, given.database, given.source_certificate)
        return running.run_undeployed(undeployed, given, as_json=as_json)
    with Phase(options) as phase:
        return running.run(phase, given, as_json=as_json)


@command.command()
@phase_options
@click.option("--dry-run", is_flag=True, help="Show the SQL, and change nothing.")
def schema(*, options: Any, as_json: bool, dry_run: bool) -> int:
    """Make the source's definitions in the target, each kept for its own moment."""
    from builders.migration.schema import schema as carrying  # noqa: PLC0415  --help does not wait for psycopg

    return DONE if carrying.run(options, as_json=as_json, dry_run=dry_run) else FAILED


@command.command()
@phase_options
@waiting_options
@until_ready_option
def start(*, options: Any, as_json: bool, poll_seconds: float, timeout_seconds: float | None, until: str) -> int:
    """Load all tables or go on with it, then build indexes and constraints.

    After a fall-back it begins anew: the target is emptied, and everything is loaded again.
    """
    from builders.migration import start as starting  # noqa: PLC0415  --help does not wait for psycopg
    from builders.migration.task.running import Watch  # noqa: PLC0415

    def begin(phase: Any, watch: Watch) -> Any:
        return starting.run(phase, watch, until=until)

    return _run_task(begin, options, as_json, poll_seconds, timeout_seconds)


@command.command()
@phase_options
@waiting_options
def stop(*, options: Any, as_json: bool, poll_seconds: float, timeout_seconds: float | None) -> int:
    """Stop the task, and wait until it has stopped."""
    return _run_task("stop", options, as_json, poll_seconds, timeout_seconds)


@command.command()
@phase_options
@waiting_options
@until_option
def resume(*, options: Any, as_json: bool, poll_seconds: float, timeout_seconds: float | None, until: str) -> int:
    """Let the task go on where it stopped; refused where the source has lost its slot."""
    from builders.migration import slots  # noqa: PLC0415  --help does not wait for psycopg
    from builders.migration.start import check_side  # noqa: PLC0415
    from builders.migration.task import running  # noqa: PLC0415

    def go_on(phase: Any, watch: running.Watch) -> Any:
        check_side(phase, watch.say)
        slots.check(phase, watch.say)
        return running.resume(phase.task, watch, until_loaded=until == "loaded")

    return _run_task(go_on, options, as_json, poll_seconds, timeout_seconds)


@command.command()
@phase_options
@waiting_options
@until_option
@click.option("--yes", is_flag=True, help="Reload without asking: the tables may be loaded again.")
def reload(
    *, options: Any, as_json: bool, poll_seconds: float, timeout_seconds: float | None, until: str, yes: bool
) -> int:
    """Load all tables again, as after a lost replication slot."""
    return _run_task("reload", options, as_json, poll_seconds, timeout_seconds, until_loaded=until == "loaded", yes=yes)


@command.command()
@phase_options
@waiting_options
def rotate(*, options: Any, as_json: bool, poll_seconds: float, timeout_seconds: float | None) -> int:
    """Give DMS's user in the target a new password: stop the task, rotate its secret, let the task go on."""
    from builders.migration import rotate as rotating  # noqa: PLC0415  --help does not wait for psycopg

    return _run_task(rotating.run, options, as_json, poll_seconds, timeout_seconds)


@command.command()
@phase_options
@every_target
def status(*, options: Any, as_json: bool) -> int:
    """Show where the migration stands, on one page, and what comes next."""
    from builders.migration.status import of_phase  # noqa: PLC0415  --help does not wait for psycopg

    return _run_task("status", options, as_json, below=of_phase)


@command.command()
@phase_options
@every_target
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="SCHEMA.TABLE",
    help="Compare this table alone; may be given again. Without it all tables are compared.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 32),
    default=2,
    show_default=True,
    help="How many tables are read at a time, each by a session on both sides.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds for which a row that differs is looked at again: longer than DMS lags behind.",
)
@click.option("--rows-per-second", type=click.FloatRange(min=1), help="Read at most so many rows a second of a side.")
@click.option(
    "--repair",
    is_flag=True,
    help="Write the rows that differ in the target as the source has them, by their key. The task may run.",
)
@click.option("--yes", is_flag=True, help="Repair without asking.")
@click.option("--hide-keys", is_flag=True, help="Show no key of a row: keys may be personal.")
def verify(*, options: Any, as_json: bool, repair: bool, yes: bool, hide_keys: bool, **how: Any) -> int:
    """Compare both sides by themselves: definitions, then all rows, with no trust in DMS.

    Exit code 0 says that they are the same, 1 that something differs. A comparison that was interrupted goes on where
    it was. Rows that change afterwards are compared at the cut-over.
    """
    from builders.migration.phase import Phase  # noqa: PLC0415  --help does not wait for psycopg
    from builders.migration.verify import command as verifying  # noqa: PLC0415
    from builders.migration.verify.running import VerifyOptions  # noqa: PLC0415

    if yes and not repair:
        raise UsageError("--yes is the answer to --repair's question, and --repair is not given")
    asked = verifying.VerifyRequest(as_json, hide_keys, repair, yes)
    with Phase(options) as phase, phase.source() as source, phase.target() as target:
        rules = phase.task.table_mappings()
        is_clean = verifying.run(source, target, phase.schemas, rules, VerifyOptions(**how), asked)
    return DONE if is_clean else FAILED


@command.command()
@phase_options
@switchover_options
@click.option(
    "--no-way-back", is_flag=True, help="Go without a way back: what is written afterwards stays in RDS alone."
)
def cutover(*, options: Any, no_way_back: bool, **asked: Any) -> int:
    """Close the source, prove that all of it is in the target, and open the target.

    Shows the preconditions and the steps, and asks once. A failure before the opening gives the source back as it was;
    afterwards the same command goes on from where it was.
    """
    return _switch_over("cutover", options, way_back=not no_way_back, **asked)


@command.command()
@phase_options
@switchover_options
def fallback(*, options: Any, **asked: Any) -> int:
    """Close the target, prove that all of it is in the source, and open the source again."""
    return _switch_over("fallback", options, **asked)


@command.command()
@phase_options
@report_option
@click.option("--yes", is_flag=True, help="Go on without asking.")
def finish(*, options: Any, yes: bool, as_json: bool, report_dir: Path) -> int:
    """Take away what the migration made and nobody needs any more, name what is kept, and write the report."""
    code = _switch_over("finish", options, yes=yes, as_json=as_json)
    _report(options, report_dir, as_json=False, say=progress.say)
    return code


@command.command()
@phase_options
@every_target
@report_option
def report(*, options: Any, as_json: bool, report_dir: Path) -> int:
    """Write the report for auditors: who did what when, the outage, counts and digests, what was accepted."""
    _report(options, report_dir, as_json=as_json, say=print)
    return DONE


def report_folder(phase: str, outputs_dir: Path, directory: Path, task: str) -> Path:
    """The folder of a report: one for each target, by its task's ARN, where the phase has several."""
    from builders import outputs  # noqa: PLC0415

    if len(outputs.every_target(phase, outputs_dir)) <= 1:
        return directory
    _, _, _, region, account, *_ = task.split(":")
    return directory / account / region


def _report(options: Any, directory: Path, *, as_json: bool, say: Callable[[str], None]) -> None:
    from builders.migration.phase import TASK, Phase  # noqa: PLC0415  --help does not wait for psycopg
    from builders.migration.report import model, page  # noqa: PLC0415

    with Phase(options) as phase:
        found = model.of_phase(phase)
        folder = report_folder(options.phase, options.outputs_dir, directory, phase.outputs[TASK])
    if as_json:
        print(found.model_dump_json(indent=1, ensure_ascii=True))
        return
    for path in page.write(found, folder):
        say(f"written: {path}")


def _switch_over(kind: Any, options: Any, *, yes: bool, as_json: bool, poll_seconds: float = 0.3, **chosen: Any) -> int:
    from builders.migration.phase import Phase  # noqa: PLC0415  --help does not wait for psycopg
    from builders.migration.switchover import command as switchover  # noqa: PLC0415
    from builders.migration.switchover.runs import SwitchoverOptions  # noqa: PLC0415

    asked = switchover.SwitchoverRequest(yes, as_json, poll_seconds)
    with Phase(options) as phase:
        switchover.run(kind, phase, SwitchoverOptions(**chosen), asked)
    return DONE


def _run_task(
    action: TaskAction | Callable[[Any, Any], Any],
    options: Any,
    as_json: bool,
    poll_seconds: float = 5.0,
    timeout_seconds: float | None = None,
    *,
    until_loaded: bool = True,
    yes: bool = False,
    below: Callable[[Any, Any, Any], Any] | None = None,
) -> int:
    """Do what is asked of the task, show it, and return the exit code; `below` reads what is shown below the task."""
    from builders.migration import start as starting  # noqa: PLC0415  --help does not wait for psycopg
    from builders.migration.phase import Phase  # noqa: PLC0415
    from builders.migration.task import reasons, running, showing  # noqa: PLC0415

    with Phase(options) as phase:
        arn = phase.outputs["replicationTaskArn"]
        try:
            replication = phase.task
            if action == "reload":
                starting.check_side(phase, progress.say)
                showing.confirm_reload(replication, yes=yes, empties=starting.carries(phase))
                starting.make_room(phase, progress.say)
            with showing.progress_of_task() as show:
                watch = running.Watch(show, progress.say, poll_seconds, timeout_seconds)
                if callable(action):
                    task = action(phase, watch)
                else:
                    task = running.run(action, replication, watch, until_loaded=until_loaded)
            tables = replication.tables()
            showing.result(task, tables, below(phase, task, tables) if below else None, as_json=as_json)
        except ReplicationError as error:
            if as_json:
                showing.failure(arn, error)
            raise
    return FAILED if task.has_failed or any(map(reasons.has_failed, tables)) else DONE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; whatever happens, the user reads one line and no traceback."""
    # Its warnings are about connections that broke, which our own errors name with the next step.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    return command_line.run(
        "migrate-database",
        lambda: command.main(arguments, prog_name="migrate-database", standalone_mode=False),
        interrupted="what was done stays done, and a task goes on without us: status shows how",
    )
