"""`rollout-stacksets --help`: every command with its line."""

from __future__ import annotations

import click
from click.testing import CliRunner

import builders.rehearsal.cli  # noqa: F401  adds `rehearse` to the group
from builders.rollout.cli.main import COMMANDS, command


def test_help_lists_every_command() -> None:
    shown = CliRunner().invoke(command, ["--help"]).stdout.partition("Commands:")[2]
    listed = [line.split()[0] for line in shown.splitlines() if line[:2] == "  " and line[2:3].strip()]
    assert listed == sorted([*COMMANDS, "rehearse"])


def test_every_command_that_help_lists_is_there_under_its_name() -> None:
    with click.Context(command) as context:
        found = {name: command.get_command(context, name) for name in COMMANDS}
    assert {name: each and each.name for name, each in found.items()} == {name: name for name in COMMANDS}
