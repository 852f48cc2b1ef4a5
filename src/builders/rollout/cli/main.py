"""The commands of `rollout-stacksets` with their options.

A command's work is in `change` and `inspect`, which load pydantic, and so only when it is called: `--help` does not
wait for them. click gives every option to the work by its name; its type stands there.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builders.errors import RolloutFileError, StackferryError, UsageError
from builders.rollout.cli import DONE, FAILED, INTERRUPTED, WRONG_USE

if TYPE_CHECKING:
    from builders.rollout.aws.client import Client
    from builders.rollout.phase import Phase, PhaseConnection


@dataclass(frozen=True)
class GlobalOptions:
    """The options before the command's name. `connect` makes the client; a rehearsal has its own."""

    file: Path
    templates: Path
    region: str | None
    """Of the stack sets, instead of the one in the rollout file."""
    connect: Callable[..., Client]

    def connect_to(self, phase_name: str) -> PhaseConnection:
        """Connect to the accounts of the phase that a command is called for."""
        from builders.rollout import phase  # noqa: PLC0415

        return phase.connect(self.file, self.templates, phase_name, self.connect, self.region)

    def open_phase(self, phase_name: str) -> Phase:
        """Open the phase that a command is called for."""
        from builders.rollout import phase  # noqa: PLC0415

        return phase.open_phase(self.connect_to(phase_name))


_path = click.Path(path_type=Path)
_phase = click.option("--phase", "phase_name", required=True, help="The phase, such as dev.")
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_acknowledge = click.option(
    "--acknowledge",
    "acknowledged",
    multiple=True,
    metavar="LAYER/RESOURCE",
    help="Accept a hazard that blocks the plan; may be given several times.",
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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--file", type=_path, default=Path("rollout.yaml"), show_default=True)
@click.option("--templates-dir", "templates", type=_path, default=Path("templates"), show_default=True)
@click.option("--profile", help="Profile of the AWS configuration; else what boto3 finds by itself.")
@click.option("--region", help="Region of the stack sets; else tooling.region of the rollout file.")
@click.pass_context
def command(context: click.Context, file: Path, templates: Path, profile: str | None, region: str | None) -> None:
    """Roll phases out to AWS accounts with CloudFormation StackSets: plan, apply, resume, roll back.

    Credentials are those of the tooling account, by boto3's standard chain.
    """
    connect = functools.partial(context.obj or _connect, profile=profile)
    context.obj = GlobalOptions(file, templates, region, connect)


def _connect(*, region: str, profile: str | None, **given: Any) -> Client:
    from builders.aws.calls import Access, ApiCalls  # noqa: PLC0415
    from builders.rollout.aws.client import Client  # noqa: PLC0415

    return Client(ApiCalls(Access(region, profile)), **given)


@command.command()
@_phase
@_json
@click.pass_obj
def bootstrap(options: GlobalOptions, /, **given: Any) -> int:
    """Deploy what StackSets cannot carry: the shared accounts' stacks, each account's roles, the phase's routes."""
    from builders.rollout.cli import inspect  # noqa: PLC0415

    return inspect.bootstrap(options, **given)


@command.command()
@_phase
@_acknowledge
@click.option("--change-sets", is_flag=True, help="Ask AWS for a change set of every instance that changes.")
@click.option("--out", type=_path, help="Save the plan for apply.")
@_json
@click.pass_obj
def plan(options: GlobalOptions, /, **given: Any) -> int:
    """Show what apply does to every instance, resource by resource, and what blocks it.

    Exit code 1 when the plan is blocked.
    """
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.plan(options, **given)


@command.command()
@click.argument("saved", required=False, type=_path, metavar="[PLAN]")
@_phase
@_acknowledge
@_yes
@click.option("--check/--no-check", default=True, help="Whether build-templates --check must be clean; it must.")
@_poll
@_json
@click.pass_obj
def apply(options: GlobalOptions, /, **given: Any) -> int:
    """Bring a phase to what rollout.yaml, environments/ and templates/ say, wave by wave.

    A saved PLAN is refused when anything has changed since it was made.
    """
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.apply(options, **given)


@command.command()
@_phase
@_poll
@_json
@click.pass_obj
def resume(options: GlobalOptions, /, **given: Any) -> int:
    """Continue a run that was interrupted, on this machine or another: nothing is submitted twice."""
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.resume(options, **given)


@command.command()
@_phase
@click.option("--to", metavar="RELEASE", help="The release to put back; else the last good one before the present.")
@_acknowledge
@_yes
@_poll
@_json
@click.pass_obj
def rollback(options: GlobalOptions, /, **given: Any) -> int:
    """Put an earlier release of one phase back: templates, parameters and packages, not data; layers in reverse."""
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.rollback(options, **given)


@command.command()
@_phase
@click.option("--account", "accounts", multiple=True, help="Detach the instances of this account; its stacks stay.")
@click.option("--purge", is_flag=True, help="Also delete what deletion policies keep.")
@_acknowledge
@_yes
@_poll
@_json
@click.pass_obj
def remove(options: GlobalOptions, /, **given: Any) -> int:
    """Remove a phase, layers in reverse; data stays unless it is purged."""
    from builders.rollout.cli import change  # noqa: PLC0415

    return change.remove(options, **given)


@command.command()
@_phase
@_json
@click.pass_obj
def status(options: GlobalOptions, /, **given: Any) -> int:
    """Show every instance of a phase, what runs, and the last releases."""
    from builders.rollout.cli import inspect  # noqa: PLC0415

    return inspect.status(options, **given)


@command.command()
@_phase
@click.option("--outputs-dir", type=_path, default=Path("outputs"), show_default=True)
@_json
@click.pass_obj
def outputs(options: GlobalOptions, /, **given: Any) -> int:
    """Write the outputs of every instance's stack to outputs/<phase>/<account>/<region>/, with one index."""
    from builders.rollout.cli import inspect  # noqa: PLC0415

    return inspect.outputs(options, **given)


@command.command()
@_phase
@click.option("--layer", "layers", multiple=True, help="Look at this layer only; may be given several times.")
@click.option("--deep", is_flag=True, help="Also compare each stack with its set: StackSets does not call that drift.")
@_poll
@_json
@click.pass_obj
def drift(options: GlobalOptions, /, **given: Any) -> int:
    """Detect drift in every instance and show what drifted. Exit code 1 when something did."""
    from builders.rollout.cli import inspect  # noqa: PLC0415

    return inspect.drift(options, **given)


@command.command()
@_phase
@_json
@click.pass_obj
def doctor(options: GlobalOptions, /, **given: Any) -> int:
    """Check roles, trust, regions, quotas, accounts and templates; each finding comes with its fix."""
    from builders.rollout.cli import inspect  # noqa: PLC0415

    return inspect.doctor(options, **given)


def main(arguments: Sequence[str] | None = None, connect: Callable[..., Client] | None = None) -> int:
    """Run the command and return its exit code; whatever happens, the user reads a line and no traceback.

    `connect` makes another client, from the arguments of `Client` and a region and profile in place of its calls.
    """
    try:
        return int(command.main(arguments, prog_name="rollout-stacksets", standalone_mode=False, obj=connect) or DONE)
    except (click.Abort, KeyboardInterrupt):
        return _fail(
            "interrupted; operations that StackSets has begun go on, `rollout-stacksets resume --phase ...` continues "
            "the run",
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
