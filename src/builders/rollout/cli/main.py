"""The command `rollout-stacksets`: what stands before a command's name, and how an error becomes a line and a code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builders.errors import RolloutFileError, StackferryError, UsageError
from builders.rollout.cli import DONE, FAILED, INTERRUPTED, WRONG_USE
from builders.rollout.cli.options import PATH, GlobalOptions

if TYPE_CHECKING:
    from builders.aws.calls import ApiCalls

OpenApi = Callable[[str, str | None], "ApiCalls"]
"""Makes the calls of a region with the credentials of a profile."""


COMMANDS = {
    "plan": ("change", "Show what apply does to every instance, resource by resource, and what blocks it."),
    "apply": ("change", "Bring a phase to what rollout.yaml, environments/ and templates/ say, wave by wave."),
    "resume": ("change", "Continue a run that was interrupted, on this machine or another; nothing is sent twice."),
    "rollback": ("change", "Put an earlier release of one phase back, layers in reverse; data stays as it is."),
    "remove": ("change", "Remove a phase, layers in reverse; data stays unless it is purged."),
    "adopt": ("change", "Take stacks that were deployed by hand into their stack sets, as they are."),
    "status": ("inspect", "Show every instance of a phase, what runs, and the last releases."),
    "outputs": ("inspect", "Write the outputs of every instance's stack to a folder of its own, with one index."),
    "drift": ("inspect", "Detect drift in every instance and show what drifted."),
    "doctor": ("inspect", "Check roles, trust, regions, quotas, accounts and templates; each finding has its fix."),
    "bootstrap": ("inspect", "Deploy the plain stacks: shared ones, each account's roles, the phase's routes."),
}
"""{command: its module here, and the line of `--help`}."""


class CommandGroup(click.Group):
    """Commands whose modules are loaded when they are called: `--help` waits for none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of `--help`."""
        return sorted([*COMMANDS, *super().list_commands(ctx)])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, loaded now."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        found: click.Command = getattr(importlib.import_module(f"{__package__}.{COMMANDS[cmd_name][0]}"), cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their lines."""
        own = {name: each.get_short_help_str(200) for name, each in self.commands.items()}
        lines = own | {name: line for name, (_, line) in COMMANDS.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--file", type=PATH, default=Path("rollout.yaml"), show_default=True)
@click.option("--templates-dir", "templates", type=PATH, default=Path("templates"), show_default=True)
@click.option("--profile", help="Profile of the AWS configuration; else what boto3 finds by itself.")
@click.option("--region", help="Region of the stack sets; else tooling.region of the rollout file.")
@click.pass_context
def command(context: click.Context, file: Path, templates: Path, profile: str | None, region: str | None) -> None:
    """Roll phases out to AWS accounts with CloudFormation StackSets: plan, apply, resume, roll back.

    Credentials are those of the tooling account, by boto3's standard chain.
    """
    open_api: OpenApi = context.obj or _open_api
    context.obj = GlobalOptions(file, templates, region, lambda home: open_api(home, profile))


def _open_api(region: str, profile: str | None) -> ApiCalls:
    from builders.aws.calls import Access, ApiCalls  # noqa: PLC0415  --help does not wait for it

    return ApiCalls(Access(region, profile))


def main(arguments: Sequence[str] | None = None, open_api: OpenApi | None = None) -> int:
    """Run the command and return its exit code; whatever happens, the user reads a line and no traceback.

    A test or a rehearsal calls another cloud than AWS by `open_api`.
    """
    try:
        return int(command.main(arguments, prog_name="rollout-stacksets", standalone_mode=False, obj=open_api) or DONE)
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
