"""The command line of `rollout-stacksets`.

Exit codes: 0 done, or nothing to do; 1 something failed, is blocked, has drifted or was found; 2 wrong use; 130
interrupted: what StackSets does goes on, and `resume` takes it up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from builders.errors import RolloutFileError, StackferryError, UsageError

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

Command = Callable[..., Any]


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_phase = click.option("--phase", required=True, help="The phase that is meant, such as dev.")
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_acknowledge = click.option(
    "--acknowledge",
    "acknowledged",
    multiple=True,
    metavar="LAYER/RESOURCE",
    help="Agree to what the plan blocks on; may be given several times.",
)
_yes = click.option("--yes", is_flag=True, help="Do not ask before anything is changed.")
_poll = click.option(
    "--poll",
    "poll_seconds",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    help="Seconds until the first look at an operation; later ones come less often.",
)
_outputs = click.option("--outputs-dir", type=click.Path(path_type=Path), default=Path("outputs"), show_default=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--file", "rollout", type=click.Path(path_type=Path), default=Path("rollout.yaml"), show_default=True)
@click.option(
    "--templates-dir", "templates", type=click.Path(path_type=Path), default=Path("templates"), show_default=True
)
@click.option("--profile", help="Profile of the AWS configuration; else what boto3 finds by itself.")
@click.option("--region", help="Region of the stack sets; else tooling.region of the rollout file.")
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Roll phases out to AWS accounts with CloudFormation StackSets: plan, apply, resume, roll back.

    Credentials are those of the tooling account, by boto3's standard chain.
    """
    context.obj = {**options, "connect": context.obj}


def _register(name: str, *options: Callable[[Command], Command]) -> Callable[[Command], click.Command]:
    """A command whose work is in `commands/`, which loads only when it is called."""

    def add(function: Command) -> click.Command:
        return command.command(name)(_options(*options)(click.pass_obj(function)))

    return add


@_register("bootstrap", _phase, _json)
def bootstrap(called: dict[str, Any], **given: Any) -> int:
    """Deploy what StackSets cannot carry: the shared accounts' stacks, each account's roles, the phase's routes."""
    from builders.rollout.cli import inspect  # noqa: PLC0415  --help does not wait for boto3

    return inspect.bootstrap(called, **given)


@_register(
    "plan",
    _phase,
    _acknowledge,
    click.option("--change-sets", is_flag=True, help="Ask AWS for a change set of every instance that changes."),
    click.option("--out", type=click.Path(path_type=Path), help="Save the plan for apply."),
    _json,
)
def plan(called: dict[str, Any], **given: Any) -> int:
    """Show what apply would do to every instance, resource by resource, and what stands in the way.

    Exit code 1 when the plan is blocked.
    """
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.plan(called, **given)


@_register(
    "apply",
    click.argument("saved", required=False, type=click.Path(path_type=Path), metavar="[PLAN]"),
    _phase,
    _acknowledge,
    _yes,
    click.option("--check/--no-check", default=True, help="Whether build-templates --check must be clean; it must."),
    _poll,
    _json,
)
def apply(called: dict[str, Any], **given: Any) -> int:
    """Bring a phase to what rollout.yaml, environments/ and templates/ say, wave by wave.

    With a saved PLAN, refuse when the world has moved since.
    """
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.apply(called, **given)


@_register("resume", _phase, _poll, _json)
def resume(called: dict[str, Any], **given: Any) -> int:
    """Go on with a run that was interrupted, on this machine or another: nothing is submitted twice."""
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.resume(called, **given)


@_register(
    "rollback",
    _phase,
    click.option("--to", metavar="RELEASE", help="The release to put back; else the last good one before the present."),
    _acknowledge,
    _yes,
    _poll,
    _json,
)
def rollback(called: dict[str, Any], **given: Any) -> int:
    """Put an earlier release of one phase back: templates, parameters and packages, not data; layers in reverse."""
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.rollback(called, **given)


@_register(
    "remove",
    _phase,
    click.option("--account", "accounts", multiple=True, help="Let the instances of this account go; stacks stay."),
    click.option("--purge", is_flag=True, help="Take away what deletion policies keep, too."),
    _acknowledge,
    _yes,
    _poll,
    _json,
)
def remove(called: dict[str, Any], **given: Any) -> int:
    """Remove a phase, layers in reverse; data stays unless it is purged."""
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.remove(called, **given)


@_register("status", _phase, _json)
def status(called: dict[str, Any], **given: Any) -> int:
    """Show every instance of a phase, what runs, and the last releases."""
    from builders.rollout.cli import inspect  # noqa: PLC0415

    return inspect.status(called, **given)


@_register("outputs", _phase, _outputs, _json)
def outputs(called: dict[str, Any], **given: Any) -> int:
    """Write what every instance's stack put out to outputs/<phase>/<account>/<region>/, with one index."""
    from builders.rollout.cli import inspect  # noqa: PLC0415

    return inspect.outputs(called, **given)


@_register(
    "drift",
    _phase,
    click.option("--layer", "layers", multiple=True, help="Look at this layer only; may be given several times."),
    click.option("--deep", is_flag=True, help="Compare each stack with its set, too: StackSets calls that no drift."),
    _poll,
    _json,
)
def drift(called: dict[str, Any], **given: Any) -> int:
    """Detect drift in every instance and show what drifted. Exit code 1 when something did."""
    from builders.rollout.cli import inspect  # noqa: PLC0415

    return inspect.drift(called, **given)


@_register("doctor", _phase, _json)
def doctor(called: dict[str, Any], **given: Any) -> int:
    """Check roles, trust, regions, quotas, accounts and templates; each finding comes with its fix."""
    from builders.rollout.cli import inspect  # noqa: PLC0415

    return inspect.doctor(called, **given)


def main(arguments: Sequence[str] | None = None, connect: Callable[..., Any] | None = None) -> int:
    """Run the command and return its exit code; whatever happens, the user reads a line and no traceback.

    `connect` makes another client than `Client.connect`, with the same arguments.
    """
    try:
        return int(command.main(arguments, prog_name="rollout-stacksets", standalone_mode=False, obj=connect) or DONE)
    except (click.Abort, KeyboardInterrupt):
        return _fail(
            "interrupted; operations that StackSets has begun go on, `rollout-stacksets resume --phase ...` takes the "
            "run up",
            INTERRUPTED,
        )
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except (RolloutFileError, UsageError) as error:
        return _fail(str(error), WRONG_USE)
    except StackferryError as error:
        return _fail(str(error), FAILED)
    except Exception as error:
        return _fail(f"a defect of rollout-stacksets, please report it: {type(error).__name__}: {error}", FAILED)


def _fail(message: str, code: int) -> int:
    for line in message.splitlines():
        print(f"rollout-stacksets: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
