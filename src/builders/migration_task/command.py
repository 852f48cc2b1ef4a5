"""The command line of `migration-task`.

Exit codes: 0 done, 1 the task or a table failed or DMS refused, 2 wrong use, 130 interrupted: the task stays as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from builders import outputs, progress
from builders.errors import ReplicationError, StackferryError, UsageError
from builders.text import unknown_name

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
ACTIONS = ("start", "stop", "resume", "reload", "status")
TASK_OUTPUT = "replicationTaskArn"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("action", type=click.Choice(ACTIONS))
@click.option("--phase", required=True, help="The phase whose task is meant, such as dev.")
@click.option(
    "--until",
    type=click.Choice(["running", "loaded"]),
    default="loaded",
    show_default=True,
    help="How long start, resume and reload wait: until the task runs, or until the full load is done.",
)
@click.option("--timeout", "timeout_seconds", type=click.FloatRange(min=0), help="Wait at most so many seconds.")
@click.option("--poll", "poll_seconds", type=click.FloatRange(min=0.05), default=5.0, show_default=True,
              help="Seconds between two polls of the task.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Reload without asking: the tables may be loaded again.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--profile", help="Profile of the AWS configuration; else what boto3 finds by itself.")
@click.option("--region", help="Region; else that of the task.")
@click.option("--outputs-dir", type=click.Path(path_type=Path), default=Path("outputs"), show_default=True)
def command(  # noqa: PLR0913  one a flag
    *,
    action: str,
    phase: str,
    until: str,
    timeout_seconds: float | None,
    poll_seconds: float,
    yes: bool,
    as_json: bool,
    profile: str | None,
    region: str | None,
    outputs_dir: Path,
) -> int:
    """Start, stop, resume or reload the replication task of a phase, or say how it is.

    Reload loads all tables again, as after a lost replication slot. Ctrl-C stops the waiting and leaves the task as it
    is. Exit code 0: done; 1: the task or a table failed, or DMS refused; 2: wrong use.
    """
    arn = task_arn(phase, outputs_dir)
    from builders.migration_task import asking, client, reasons, running, showing  # noqa: PLC0415  --help does not wait for boto3

    try:
        replication = client.Replication(arn, profile, region)
        if action == "reload":
            asking.confirm_reload(replication, yes=yes)
        with showing.progress_of_task() as show:
            watch = running.Watch(show, progress.say, poll_seconds, timeout_seconds)
            match action:
                case "start":
                    task = running.start(replication, watch, until_loaded=until == "loaded")
                case "resume":
                    task = running.resume(replication, watch, until_loaded=until == "loaded")
                case "reload":
                    task = running.reload(replication, watch, until_loaded=until == "loaded")
                case "stop":
                    task = running.stop(replication, watch)
                case _:
                    task = replication.task()
        tables = replication.tables()
        showing.result(task, tables, as_json=as_json)
    except ReplicationError as error:
        if as_json:
            showing.failure(arn, error)
        raise
    return FAILED if task.has_failed or any(map(reasons.has_failed, tables)) else DONE


def task_arn(phase: str, outputs_dir: Path) -> str:
    """The task of a phase, as its deployment wrote it. Raises `UsageError` where there is none."""
    path = outputs_dir / phase / outputs.FLAT
    try:
        flat = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        phases = sorted(each.parent.name for each in outputs_dir.glob(f"*/{outputs.FLAT}"))
        known = unknown_name("phase", phase, phases) if phases else f"phase {phase!r} is not deployed from here"
        raise UsageError(f"{known}; {path} is written when a phase is deployed") from None
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}; deploy the phase again") from error
    if not str(flat.get(TASK_OUTPUT, "")).startswith("arn:"):
        raise UsageError(f"{path} has no {TASK_OUTPUT}; deploy the layer migration of {phase} first")
    return str(flat[TASK_OUTPUT])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; whatever happens, the user reads one line and no traceback."""
    try:
        return int(command.main(arguments, prog_name="migration-task", standalone_mode=False))
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted; the task stays as it is and goes on without us, status shows how", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except ReplicationError as error:
        return _fail(str(error), FAILED)
    except StackferryError as error:
        return _fail(str(error), WRONG_USE)
    except Exception as error:
        return _fail(f"a defect of migration-task, please report it: {type(error).__name__}: {error}", FAILED)


def _fail(message: str, code: int) -> int:
    print(f"migration-task: {' '.join(message.split())}", file=sys.stderr)
    return code
