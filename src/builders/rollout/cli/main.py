"""The command `rollout-stacksets`: what stands before a command's name, and how an error becomes a line and a code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from builders import advice, command_line
from builders.errors import RolloutFileError, UsageError
from builders.rollout.cli.options import GLOBAL_OPTIONS, NOTHING_CHANGED, OpenApi, Options

COMMANDS = {
    "plan": ("change", "Show what apply does to every instance, resource by resource, and what blocks it."),
    "publish": ("change", "Put the functions' packages into the bucket of each region, and nothing else."),
    "apply": ("change", "Bring a phase to what rollout.yaml, environments/ and templates/ say, wave by wave."),
    "resume": ("change", "Continue a run that was interrupted, on this machine or another; nothing is sent twice."),
    "rollback": ("change", "Put an earlier release of one phase back, layers in reverse; data stays as it is."),
    "remove": ("change", "Remove a phase, layers in reverse; data stays unless it is purged."),
    "adopt": ("change", "Take stacks that were deployed by hand into their stack sets, as they are."),
    "status": ("inspect", "Show every instance of a phase, what runs, and the last releases."),
    "outputs": ("inspect", "Write the outputs of every instance's stack to a folder of its own, with one index."),
    "drift": ("inspect", "Detect drift in every instance and show what drifted."),
    "doctor": ("inspect", "Check roles, trust, regions, quotas, accounts and templates; each finding has its fix."),
    "bootstrap": ("change", "Deploy the plain stacks: shared ones, each account's roles, the phase's routes."),
}
"""{command: its module here, and the line of `--help`}."""


class CommandGroup(command_line.Group):
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

    def sentence(self, ctx: click.Context, name: str) -> str:
        """The line of a command, without loading it."""
        return COMMANDS[name][1] if name in COMMANDS else super().sentence(ctx, name)


@click.group(cls=CommandGroup, context_settings=command_line.HELP, params=[*GLOBAL_OPTIONS])
@command_line.version_option
def command() -> None:
    """Roll phases out to AWS accounts with CloudFormation StackSets: plan, apply, resume, roll back.

    Credentials are those of the tooling account, by boto3's standard chain. The options may stand behind a command's
    name, too.
    """


def main(arguments: Sequence[str] | None = None, open_api: OpenApi | None = None) -> int:
    """Run the command and return its exit code; whatever happens, the user reads a line and no traceback.

    A test or a rehearsal calls another cloud than AWS by `open_api`.
    """
    options = Options(open_api) if open_api else Options()
    with advice.given():
        return command_line.run(
            "rollout-stacksets",
            lambda: command.main(arguments, prog_name="rollout-stacksets", standalone_mode=False, obj=options),
            interrupted=NOTHING_CHANGED,
            wrong_use=(RolloutFileError, UsageError),
        )


if __name__ == "__main__":
    sys.exit(main())
